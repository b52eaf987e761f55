//! The store in SQLite: one file, one connection that writes, and others that read meanwhile.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use longrein_io::entropy::SystemEntropy;
use longrein_proto::base::Entropy;
use longrein_proto::hub::{JournalHead, Loaded, StoreOp, Table};
use rusqlite::{Connection, TransactionBehavior};

use super::changes::Changes;
use super::file::StoreFile;
use super::limits::WRITER_CACHE_KIB;
use super::reader::SqliteReader;
use super::schema::{self, Kind, MIGRATIONS};
use super::{Committed, OpenError, Store, StoreError, StoreReader, Sync};

/// A hub's store in a folder of its own, which no other program opens meanwhile.
#[derive(Debug)]
pub struct Sqlite {
    file: StoreFile,
    sync: Sync,
    /// None after a failure that may have been the connection's.
    connection: Option<Connection>,
    /// Ends with the process, however that ends.
    _lock: File,
}

impl Sqlite {
    /// Opens the store in this folder, makes it when it is not there, and brings it to the newest schema.
    ///
    /// # Errors
    /// When another program has it, a newer one wrote it, it is something else, or the system refuses.
    pub fn open(directory: &Path, sync: Sync) -> Result<Sqlite, OpenError> {
        let file = StoreFile::of(directory);
        let lock = file.lock()?;
        file.make()?;
        let failed = |source| OpenError::Store {
            file: file.path().to_path_buf(),
            source,
        };
        let mut connection = file.connect(WRITER_CACHE_KIB, sync).map_err(failed)?;
        let schema = match known_schema(file.path(), &connection)? {
            Kind::Empty => 0,
            Kind::Store(schema) => schema,
            Kind::Foreign => {
                let file = file.path().to_path_buf();
                return Err(OpenError::Foreign { file });
            }
        };
        prepare(&mut connection, schema).map_err(failed)?;
        Ok(Sqlite {
            file,
            sync,
            connection: Some(connection),
            _lock: lock,
        })
    }

    /// Does this with the connection; after a failure that may be the connection's, the next use begins with a new one.
    fn with<T>(
        &mut self,
        act: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.file.connect(WRITER_CACHE_KIB, self.sync)?,
        };
        let done = act(&mut connection);
        let is_sound = match &done {
            Err(error) => !error.is_of_the_place() || *error == StoreError::Full,
            Ok(_) => true,
        };
        if is_sound && connection.is_autocommit() {
            self.connection = Some(connection);
        }
        done
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        self.connection.as_ref().unwrap()
    }
}

impl Store for Sqlite {
    fn place(&self) -> String {
        self.file.path().display().to_string()
    }

    fn load(&mut self) -> Result<Loaded, StoreError> {
        self.with(|connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let (epoch, starts) = transaction.query_row(START, (), |row| {
                Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?))
            })?;
            let loaded = Loaded {
                epoch,
                starts,
                records: records(&transaction)?,
                journals: journals(&transaction)?,
            };
            transaction.commit()?;
            Ok(loaded)
        })
    }

    fn commit(&mut self, batches: &[Vec<StoreOp>]) -> Result<Vec<Committed>, StoreError> {
        self.with(|connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut changes = Changes::new(&transaction);
            let mut committed = Vec::with_capacity(batches.len());
            for batch in batches {
                for op in batch {
                    changes.apply(op)?;
                }
                committed.push(changes.end_batch());
            }
            changes.finish()?;
            transaction.commit()?;
            Ok(committed)
        })
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        self.with(|connection| {
            // Its page is written although it stays the same.
            connection.execute("UPDATE store SET starts = starts", ())?;
            Ok(())
        })
    }

    fn reader(&self) -> Result<Box<dyn StoreReader>, StoreError> {
        Ok(Box::new(SqliteReader::open(self.file.clone())?))
    }

    fn close(mut self: Box<Self>) -> Result<(), StoreError> {
        self.with(checkpoint)
    }
}

/// What the file is, and an error when a newer program wrote it.
pub(super) fn known_schema(file: &Path, connection: &Connection) -> Result<Kind, OpenError> {
    let path = || file.to_path_buf();
    match schema::kind(connection) {
        Ok(Kind::Store(schema)) if schema > schema::newest() => Err(OpenError::Newer {
            file: path(),
            schema,
            known: schema::newest(),
        }),
        Ok(kind) => Ok(kind),
        Err(source) => Err(OpenError::Store {
            file: path(),
            source,
        }),
    }
}

/// Brings all that is in the log into the file, so that the file alone is the store.
pub(super) fn checkpoint(connection: &mut Connection) -> Result<(), StoreError> {
    let is_held_up: bool =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))?;
    if is_held_up {
        let why = "another program reads it, so that its log stays".to_string();
        return Err(StoreError::Disk { why });
    }
    Ok(())
}

fn prepare(connection: &mut Connection, schema: i64) -> Result<(), StoreError> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    schema::migrate(connection, schema, &MIGRATIONS)?;
    let epoch = SystemEntropy::new().next_u64().cast_signed();
    connection.execute("INSERT OR IGNORE INTO store VALUES (1, ?1, 0)", (epoch,))?;
    Ok(())
}

/// Kind, key, revision, value.
type Record = (Table, String, u64, Arc<[u8]>);

fn records(connection: &Connection) -> Result<Vec<Record>, StoreError> {
    let mut statement = connection.prepare(RECORDS)?;
    let mut rows = statement.query(())?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        // One of a kind that only a newer program knows stays where it is.
        if let Some(table) = Table::numbered(row.get(0)?) {
            records.push((table, row.get(1)?, row.get(2)?, row.get(3)?));
        }
    }
    Ok(records)
}

fn journals(connection: &Connection) -> Result<Vec<(Arc<str>, JournalHead)>, StoreError> {
    let mut statement = connection.prepare(JOURNALS)?;
    let rows = statement.query_map((), |row| {
        let head = JournalHead {
            first: row.get(1)?,
            next: row.get(2)?,
            count: row.get(3)?,
            bytes: row.get(4)?,
        };
        Ok((row.get(0)?, head))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

const START: &str = "UPDATE store SET starts = starts + 1 RETURNING epoch, starts";
const RECORDS: &str = "SELECT kind, key, revision, value FROM record ORDER BY kind, key";
const JOURNALS: &str = "SELECT name, first, next, count, bytes FROM journal ORDER BY name";

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
