//! Files that must survive a crash, and errors that name their file.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Writes a file so that a crash leaves the old content or the new one, never a part: temporary file, fsync, rename, fsync
/// of the directory. Only the owner may read it.
///
/// # Errors
/// What the system said, with the file's name.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let failed = |source| FileError {
        file: path.to_path_buf(),
        doing: "write",
        source,
    };
    let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
        return Err(failed(ErrorKind::InvalidFilename.into()));
    };
    let directory = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    let mut temporary_name = std::ffi::OsString::from(".");
    temporary_name.push(name);
    temporary_name.push(".new");
    let temporary = directory.join(temporary_name);
    let written = write_synced(&temporary, bytes)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| File::open(directory)?.sync_all());
    if written.is_err() {
        // What is left of it is of no use; that it could not be removed changes nothing.
        drop(fs::remove_file(&temporary));
    }
    written.map_err(failed)
}

/// Makes a directory that only the owner may enter, with those above it; one that exists stays as it is.
///
/// # Errors
/// What the system said, with the directory's name.
pub fn make_private_directory(path: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| FileError {
            file: path.to_path_buf(),
            doing: "make",
            source,
        })
}

/// Locks a file or folder that is there until what is returned is dropped; none while another has it.
///
/// # Errors
/// What the system said, with the file's name.
pub fn lock(file: &Path) -> Result<Option<File>, FileError> {
    let failed = |source| FileError {
        file: file.to_path_buf(),
        doing: "lock",
        source,
    };
    let opened = File::open(file).map_err(failed)?;
    match flock(&opened, FlockOperation::NonBlockingLockExclusive).map_err(io::Error::from) {
        Ok(()) => Ok(Some(opened)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Reads a small file.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, FileError> {
    let length = fs::metadata(file)
        .map_err(|source| FileError::reading(file, source))?
        .len();
    if length > FILE_BYTES_MAX {
        return Err(FileError::reading(file, ErrorKind::FileTooLarge.into()));
    }
    fs::read(file).map_err(|source| FileError::reading(file, source))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}", .file.display())]
pub struct FileError {
    /// Which file.
    pub file: PathBuf,
    /// What should have been done.
    pub doing: &'static str,
    /// What the system said.
    pub source: io::Error,
}

impl FileError {
    pub(crate) fn reading(file: &Path, source: io::Error) -> FileError {
        FileError {
            file: file.to_path_buf(),
            doing: "read",
            source,
        }
    }
}

/// Bytes: a few hundred authorities would fit.
const FILE_BYTES_MAX: u64 = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn directory(test: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("longrein-{}-{test}", std::process::id()));
        make_private_directory(&path).unwrap();
        path
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_stays() {
        let directory = directory("write-atomic");
        let file = directory.join("token");
        for content in [&b"1"[..], b"a longer one", b"2"] {
            write_atomic(&file, content).unwrap();
            assert_eq!(fs::read(&file).unwrap(), content);
        }
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_a_crash_left_half_written_does_not_matter() {
        let directory = directory("write-crash");
        let file = directory.join("token");
        write_atomic(&file, b"old").unwrap();
        fs::write(directory.join(".token.new"), b"ha").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"old");
        write_atomic(&file, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_write_that_fails_names_its_file() {
        let error = write_atomic(Path::new("/no-such-directory/token"), b"1").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot write /no-such-directory/token: "),
            "{error}"
        );
    }
}
