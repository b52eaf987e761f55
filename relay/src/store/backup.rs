//! Copies of the store, and what brings one back.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use longrein_io::entropy::SystemEntropy;
use longrein_io::exit::Exit;
use longrein_io::files::FileError;
use longrein_proto::base::Entropy;
use rusqlite::{Connection, OpenFlags};

use super::file::{StoreFile, make_private};
use super::limits::{READER_CACHE_KIB, STARTS_PER_RESTORE};
use super::schema::Kind;
use super::sqlite::{checkpoint, known_schema};
use super::{OpenError, StoreError, Sync};

/// Writes a copy of the store in `directory` to a new file, as the store stands in one moment; its relay may run and goes on writing. The
/// copy is one file without room that is not used, and on disk when this returns.
///
/// # Errors
/// When there is no store, something at `to` already, or one of both cannot be used. Then nothing is left there.
pub fn back_up(directory: &Path, to: &Path) -> Result<(), BackupError> {
    let file = StoreFile::of(directory);
    if !file.path().exists() {
        let directory = directory.to_path_buf();
        return Err(BackupError::NoStore { directory });
    }
    let failed = |source| in_file(file.path(), source);
    let connection = file.connect(READER_CACHE_KIB, Sync::Full).map_err(failed)?;
    expect_store(file.path(), &connection)?;
    copy(&connection, to)
}

/// Puts a copy in the place of the store in `directory`, which no relay may have open; the store that was there is kept beside it, with
/// `.before` behind its name. Cursors of before mean nothing in it.
///
/// # Errors
/// When a relay has the store, or the copy is none, is damaged, or is of a newer program. Then the store is as before.
pub fn restore(directory: &Path, from: &Path) -> Result<(), BackupError> {
    let store = StoreFile::of(directory);
    let _lock = store.lock()?;
    let new = store.beside(".new");
    remove(&new)?;
    let restored = check(from)
        .and_then(|source| copy(&source, &new))
        .and_then(|()| renew(&store, &new))
        .and_then(|()| replace(&store, &new));
    if restored.is_err() {
        // What is left of it is of no use; that it could not be removed changes nothing.
        drop(fs::remove_file(&new));
    }
    restored
}

/// Opens a copy and reads all of it.
fn check(from: &Path) -> Result<Connection, BackupError> {
    File::open(from).map_err(|source| failed_to("read", from, source))?;
    let failed = |source: rusqlite::Error| in_file(from, source.into());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(from, flags).map_err(failed)?;
    expect_store(from, &connection)?;
    let found: String = connection
        .query_row("PRAGMA integrity_check(1)", (), |row| row.get(0))
        .map_err(failed)?;
    if found != "ok" {
        let why = found;
        return Err(in_file(from, StoreError::Corrupt { why }));
    }
    Ok(connection)
}

fn expect_store(file: &Path, connection: &Connection) -> Result<(), BackupError> {
    match known_schema(file, connection)? {
        Kind::Store(_) => Ok(()),
        Kind::Empty | Kind::Foreign => {
            let file = file.to_path_buf();
            Err(OpenError::Foreign { file }.into())
        }
    }
}

/// Copies all that a connection sees to a new file; nothing is left of a copy that fails.
fn copy(source: &Connection, to: &Path) -> Result<(), BackupError> {
    make_private(to).map_err(OpenError::File)?;
    let copied = copy_into(source, to);
    if copied.is_err() {
        drop(fs::remove_file(to));
    }
    copied
}

fn copy_into(source: &Connection, to: &Path) -> Result<(), BackupError> {
    let Some(text) = to.to_str() else {
        return Err(failed_to("write", to, ErrorKind::InvalidFilename.into()));
    };
    // One transaction that reads: whoever writes meanwhile is not held up, and is not in it.
    source
        .execute("VACUUM INTO ?1", (text,))
        .map_err(|source| in_file(to, source.into()))?;
    let parent = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    [to, parent]
        .into_iter()
        .try_for_each(|path| File::open(path)?.sync_all())
        .map_err(|source| failed_to("write", to, source))
}

/// Makes another store of a copy: cursors that were given since it was made would else name other messages in it.
fn renew(store: &StoreFile, new: &Path) -> Result<(), BackupError> {
    let starts_before = settle(store).unwrap_or(0);
    let epoch = SystemEntropy::new().next_u64().cast_signed();
    let renewed = || -> Result<(), rusqlite::Error> {
        let connection = Connection::open_with_flags(new, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.execute(RENEW, (epoch, starts_before, STARTS_PER_RESTORE))?;
        Ok(())
    };
    renewed().map_err(|source| in_file(new, source.into()))?;
    store.give_to_owner(new).map_err(OpenError::File)?;
    Ok(())
}

/// Brings all of the store that is to be replaced into its one file, and returns its count of starts; none when it is not there, or damaged.
fn settle(store: &StoreFile) -> Option<u32> {
    if !store.path().exists() {
        return None;
    }
    let mut connection = store.connect(READER_CACHE_KIB, Sync::Full).ok()?;
    let starts = connection.query_row("SELECT starts FROM store", (), |row| row.get(0));
    checkpoint(&mut connection).ok()?;
    starts.ok()
}

/// Puts the new file in the store's place, in one step; what was there is beside it by then.
fn replace(store: &StoreFile, new: &Path) -> Result<(), BackupError> {
    let (before, log_before) = (store.beside(".before"), store.beside(".before-wal"));
    remove(&before)?;
    remove(&log_before)?;
    // There only when the store is damaged. With the new file it would be read as its own.
    let log = store.beside("-wal");
    if log.exists() {
        fs::rename(&log, &log_before).map_err(|source| failed_to("rename", &log, source))?;
    }
    remove(&store.beside("-shm"))?;
    if store.path().exists() {
        fs::hard_link(store.path(), &before)
            .map_err(|source| failed_to("make", &before, source))?;
    }
    fs::rename(new, store.path())
        .and_then(|()| File::open(store.directory())?.sync_all())
        .map_err(|source| failed_to("rename", new, source))
}

fn remove(file: &Path) -> Result<(), BackupError> {
    match fs::remove_file(file) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(failed_to("remove", file, source))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn failed_to(doing: &'static str, file: &Path, source: io::Error) -> BackupError {
    let file = file.to_path_buf();
    OpenError::File(FileError {
        file,
        doing,
        source,
    })
    .into()
}

fn in_file(file: &Path, source: StoreError) -> BackupError {
    let file = file.to_path_buf();
    OpenError::Store { file, source }.into()
}

/// Why there is no copy, or it is not brought back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// No relay was a hub here.
    #[error("there is no hub's store in {}", .directory.display())]
    NoStore {
        /// The folder.
        directory: PathBuf,
    },
    /// One of the files cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl BackupError {
    /// The program's exit code.
    pub fn exit(&self) -> Exit {
        match self {
            BackupError::NoStore { .. } => Exit::Failed,
            BackupError::Open(error) => error.exit(),
        }
    }
}

const RENEW: &str = "UPDATE store SET epoch = ?1, starts = max(starts, ?2) + ?3";

#[cfg(test)]
mod tests;
