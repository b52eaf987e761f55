//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One text file.
pub struct TextFile {
    /// Below the repository's root, with `/`.
    pub path: String,
    /// What it says.
    pub text: String,
}

impl TextFile {
    /// A file that a test makes up.
    pub fn new(path: &str, text: &str) -> TextFile {
        TextFile {
            path: path.to_string(),
            text: text.to_string(),
        }
    }
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this crate is a folder of the workspace")
        .to_path_buf()
}

/// All text files that are in git or could be added to it.
pub fn text_files() -> Vec<TextFile> {
    let listed = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-z"])
        .args(["--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(
        listed.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    String::from_utf8(listed.stdout)
        .expect("paths are UTF-8")
        .split_terminator('\0')
        .filter_map(|path| {
            // Absent: deleted, but not yet in the index. Not UTF-8: no text.
            let text = fs::read_to_string(root().join(path)).ok()?;
            Some(TextFile::new(path, &text))
        })
        .collect()
}

/// Fails with one line for each finding.
pub fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn the_repository_lists_this_file() {
    assert!(text_files().iter().any(|file| {
        file.path == "tests/structure/repository.rs" && file.text.contains("fn text_files")
    }));
}
