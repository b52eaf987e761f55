//! What goes wrong with a store.

use std::path::PathBuf;
use std::sync::Arc;

use longrein_io::exit::Exit;
use longrein_io::files::FileError;
use longrein_proto::hub::Table;
use rusqlite::ErrorCode;

/// Why a batch was not stored, or a page not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The record has another revision than the one that this was to follow: read it again.
    #[error(
        "{table:?} {key}: revision {revision} does not follow {}",
        .found.map_or_else(|| "nothing".to_string(), |found| found.to_string())
    )]
    Conflict {
        /// Of what kind.
        table: Table,
        /// Which record.
        key: String,
        /// What was to be written.
        revision: u64,
        /// What is there.
        found: Option<u64>,
    },
    /// The journal had this number, or a higher one: the batch never fits.
    #[error("journal {journal}: number {number} is used up, and {next} would be the next one")]
    Order {
        /// Which journal.
        journal: Arc<str>,
        /// What was to be appended.
        number: u64,
        /// The lowest number that could be.
        next: u64,
    },
    /// A key, value, message or number is above its bound: the batch never fits.
    #[error("{what} of {size}: at most {max} can be stored")]
    TooLarge {
        /// What is.
        what: &'static str,
        /// Its size, or the number itself.
        size: u64,
        /// The bound.
        max: u64,
    },
    /// A batch before it was not stored, and it may build on that.
    #[error("a batch before it was not stored")]
    AfterFailure,
    /// The disk has no room: try again later.
    #[error("the disk is full")]
    Full,
    /// What is read is no store, or a damaged one: a backup helps, and the operator has to act.
    #[error("the store is damaged: {why}")]
    Corrupt {
        /// What SQLite says.
        why: String,
    },
    /// The system refuses: try again later.
    #[error("the store cannot be used: {why}")]
    Disk {
        /// What SQLite says.
        why: String,
    },
}

impl StoreError {
    /// Whether it is the place that failed, and not what was asked of it.
    pub fn is_of_the_place(&self) -> bool {
        match self {
            StoreError::Full | StoreError::Corrupt { .. } | StoreError::Disk { .. } => true,
            StoreError::Conflict { .. }
            | StoreError::Order { .. }
            | StoreError::AfterFailure
            | StoreError::TooLarge { .. } => false,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        let why = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Corrupt { why }
            }
            Some(_) => StoreError::Disk { why },
            // A value that is none of its column's, or no row where there is always one.
            None => StoreError::Corrupt { why },
        }
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A relay has it.
    #[error("another program uses the hub's store in {}", .directory.display())]
    InUse {
        /// The store's folder.
        directory: PathBuf,
    },
    /// A newer program wrote it.
    #[error(
        "{} has schema {schema}, and this longrein-relay knows schemas up to {known}: install the newer longrein-relay, or restore a backup of before",
        .file.display()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its schema.
        schema: i64,
        /// The newest that is known.
        known: i64,
    },
    /// It is some other file.
    #[error("{} is not a hub's store", .file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// The system gives no folder or file.
    #[error(transparent)]
    File(#[from] FileError),
    /// It cannot be read or written.
    #[error("{}: {source}", .file.display())]
    Store {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: StoreError,
    },
}

impl OpenError {
    /// The exit code of a program that gives up.
    pub fn exit(&self) -> Exit {
        match self {
            OpenError::InUse { .. } => Exit::Refused,
            OpenError::Newer { .. }
            | OpenError::Foreign { .. }
            | OpenError::File(_)
            | OpenError::Store { .. } => Exit::Failed,
        }
    }
}
