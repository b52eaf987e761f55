//! Files and folders that only their owner can read.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::FleetError;

/// Makes a folder with mode 0700.
///
/// # Errors
/// [`FleetError::Exists`] when it is there, [`FleetError::Io`] when the system refuses.
pub fn make_folder(path: &Path) -> Result<(), FleetError> {
    DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(|source| told(path, source))
}

/// Makes a file with mode 0600 and has it on disk on return.
///
/// # Errors
/// [`FleetError::Exists`] when it is there, [`FleetError::Io`] when the system refuses.
pub fn write(path: &Path, text: &str) -> Result<(), FleetError> {
    let written = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    written().map_err(|source| told(path, source))
}

fn told(path: &Path, why: io::Error) -> FleetError {
    let path = path.to_path_buf();
    if why.kind() == io::ErrorKind::AlreadyExists {
        FleetError::Exists(path)
    } else {
        FleetError::Io { path, why }
    }
}
