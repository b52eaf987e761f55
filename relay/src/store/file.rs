//! The store's file and folder, and connections to it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::thread;

use longrein_io::files::{FileError, lock};
use rusqlite::{Connection, OpenFlags};

use super::limits::{BUSY_TIMEOUT, LOCK_PAUSE, LOCK_TRIES, LOG_BYTES_KEPT, STATEMENTS_MAX};
use super::{OpenError, StoreError, Sync};

/// Where a store is.
#[derive(Clone, Debug)]
pub(super) struct StoreFile {
    directory: PathBuf,
    file: PathBuf,
}

impl StoreFile {
    pub(super) fn of(directory: &Path) -> StoreFile {
        StoreFile {
            directory: directory.to_path_buf(),
            file: directory.join(FILE),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.file
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file with this behind its name.
    pub(super) fn beside(&self, ending: &str) -> PathBuf {
        self.directory.join(format!("{FILE}{ending}"))
    }

    /// Makes the folder when it is not there, and keeps every other program that opens stores out of it until what is returned is
    /// dropped, or the process ends. The system may take a moment to let go of what a program had that was killed: this waits for it.
    pub(super) fn lock(&self) -> Result<File, OpenError> {
        self.make_directory()?;
        for _ in 0..LOCK_TRIES {
            if let Some(locked) = lock(&self.directory)? {
                return Ok(locked);
            }
            thread::sleep(LOCK_PAUSE);
        }
        Err(OpenError::InUse {
            directory: self.directory.clone(),
        })
    }

    /// Makes the file when it is not there, so that only its owner may read it.
    pub(super) fn make(&self) -> Result<(), FileError> {
        match make_private(&self.file) {
            Ok(()) => Ok(()),
            Err(error) if error.source.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A connection that keeps this much of the file in memory.
    pub(super) fn connect(&self, cache_kib: u32, sync: Sync) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.file, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        connection.pragma_update(None, "foreign_keys", false)?;
        // Below zero it is KiB and not pages.
        connection.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
        let synchronous = match sync {
            Sync::Full => "full",
            Sync::Normal => "normal",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        Ok(connection)
    }

    /// As of whoever has the folder, also when root does this for the service.
    pub(super) fn give_to_owner(&self, file: &Path) -> Result<(), FileError> {
        give_as(&self.directory, file).map_err(|source| FileError {
            file: file.to_path_buf(),
            doing: "give to its owner",
            source,
        })
    }

    fn make_directory(&self) -> Result<(), FileError> {
        let failed = |source| FileError {
            file: self.directory.clone(),
            doing: "make",
            source,
        };
        if self.directory.is_dir() {
            return Ok(());
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .map_err(failed)?;
        match self.directory.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                give_as(parent, &self.directory).map_err(failed)
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Makes an empty file that is not there yet and that only its owner may read.
pub(super) fn make_private(file: &Path) -> Result<(), FileError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .map(drop)
        .map_err(|source| FileError {
            file: file.to_path_buf(),
            doing: "make",
            source,
        })
}

fn give_as(model: &Path, file: &Path) -> io::Result<()> {
    let (model, own) = (model.metadata()?, file.metadata()?);
    if (model.uid(), model.gid()) == (own.uid(), own.gid()) {
        return Ok(());
    }
    match chown(file, Some(model.uid()), Some(model.gid())) {
        // Who is not root gives nothing away, and keeps it.
        Err(error) if error.kind() != ErrorKind::PermissionDenied => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The file's name in its folder.
const FILE: &str = "hub.sqlite";
