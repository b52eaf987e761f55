//! A temporary folder.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use longrein_io::entropy::SystemEntropy;
use longrein_proto::base::Entropy;

/// A folder of this user's own that is removed with everything in it when it is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes one.
    ///
    /// # Errors
    /// When the system's folder for temporary files takes none.
    pub fn new() -> std::io::Result<Folder> {
        let name = format!("longrein-{:016x}", SystemEntropy::new().next_u64());
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Folder(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed now is left to whoever cleans temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
