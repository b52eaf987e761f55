//! What a transaction changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use longrein_proto::hub::{Entry, JournalHead, StoreOp, Table};
use rusqlite::{Connection, OptionalExtension};

use super::limits::{KEY_BYTES_MAX, MESSAGE_BYTES_MAX, VALUE_BYTES_MAX};
use super::{Committed, StoreError};

/// Applies batches within a transaction. The heads of the journals that they touch are written once, at its end.
pub(super) struct Changes<'t> {
    connection: &'t Connection,
    /// Those that were looked up; none: not there.
    journals: BTreeMap<Arc<str>, Option<OpenJournal>>,
    /// By the batch that is being applied.
    shortened: BTreeSet<Arc<str>>,
}

#[derive(Clone, Copy, Debug)]
struct OpenJournal {
    id: i64,
    head: JournalHead,
    /// The greatest `at_ms` that it had.
    time_ms: u64,
    is_changed: bool,
}

impl<'t> Changes<'t> {
    pub(super) fn new(connection: &'t Connection) -> Changes<'t> {
        Changes {
            connection,
            journals: BTreeMap::new(),
            shortened: BTreeSet::new(),
        }
    }

    pub(super) fn apply(&mut self, op: &StoreOp) -> Result<(), StoreError> {
        match op {
            StoreOp::Put {
                table,
                key,
                revision,
                value,
            } => self.put(*table, key, *revision, value),
            StoreOp::Remove { table, key } => self.remove(*table, key),
            StoreOp::Append { journal, entry } => self.append(journal, entry),
            StoreOp::Retain {
                journal,
                count_max,
                bytes_max,
                not_before_ms,
            } => self.retain(journal, *count_max, *bytes_max, *not_before_ms),
            StoreOp::Discard { journal, below } => self.discard(journal, *below),
            StoreOp::Drop { journal } => self.drop(journal),
        }
    }

    /// What the batch did whose last operation was applied.
    pub(super) fn end_batch(&mut self) -> Committed {
        let head_of = |name| {
            let open = self.journals.get(&name).copied().flatten()?;
            Some((name, open.head))
        };
        let shortened = std::mem::take(&mut self.shortened);
        Committed {
            shortened: shortened.into_iter().filter_map(head_of).collect(),
        }
    }

    /// Writes the heads.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        let mut update = self.connection.prepare_cached(UPDATE_HEAD)?;
        for open in self.journals.into_values().flatten() {
            if open.is_changed {
                let JournalHead {
                    first,
                    next,
                    count,
                    bytes,
                } = open.head;
                update.execute((open.id, first, next, count, bytes, open.time_ms))?;
            }
        }
        Ok(())
    }

    fn put(&self, table: Table, key: &str, revision: u64, value: &[u8]) -> Result<(), StoreError> {
        within("a key", key.len(), KEY_BYTES_MAX)?;
        within("a value", value.len(), VALUE_BYTES_MAX)?;
        number_within("a revision", revision)?;
        let sql = if revision == 1 { INSERT } else { UPDATE };
        let mut statement = self.connection.prepare_cached(sql)?;
        if statement.execute((table.number(), key, revision, value))? == 1 {
            return Ok(());
        }
        let mut find = self.connection.prepare_cached(REVISION)?;
        let found = find
            .query_row((table.number(), key), |row| row.get(0))
            .optional()?;
        Err(StoreError::Conflict {
            table,
            key: key.to_string(),
            revision,
            found,
        })
    }

    fn remove(&self, table: Table, key: &str) -> Result<(), StoreError> {
        let mut remove = self.connection.prepare_cached(REMOVE)?;
        remove.execute((table.number(), key))?;
        Ok(())
    }

    fn append(&mut self, name: &Arc<str>, entry: &Entry) -> Result<(), StoreError> {
        within("a journal's name", name.len(), KEY_BYTES_MAX)?;
        within("a message", entry.bytes.len(), MESSAGE_BYTES_MAX)?;
        // What follows it has to be a number, too.
        number_within("a message's number", entry.number.saturating_add(1))?;
        number_within("a message's time", entry.at_ms)?;
        let mut open = match self.open(name)? {
            Some(open) => open,
            None => self.begin(name, entry.number)?,
        };
        if entry.number < open.head.next {
            return Err(StoreError::Order {
                journal: Arc::clone(name),
                number: entry.number,
                next: open.head.next,
            });
        }
        open.time_ms = open.time_ms.max(entry.at_ms);
        let mut append = self.connection.prepare_cached(APPEND)?;
        append.execute((
            open.id,
            entry.number,
            open.time_ms,
            entry.at_ms,
            entry.id.0.as_slice(),
            &*entry.bytes,
        ))?;
        if open.head.count == 0 {
            open.head.first = entry.number;
        }
        open.head.next = entry.number + 1;
        open.head.count += 1;
        open.head.bytes += length(&entry.bytes);
        self.keep(name, open);
        Ok(())
    }

    fn retain(
        &mut self,
        name: &Arc<str>,
        count_max: u64,
        bytes_max: u64,
        not_before_ms: u64,
    ) -> Result<(), StoreError> {
        let Some(open) = self.open(name)? else {
            return Ok(());
        };
        let JournalHead {
            next,
            mut count,
            mut bytes,
            ..
        } = open.head;
        let connection = self.connection;
        let mut statement = connection.prepare_cached(OLDEST)?;
        let mut rows = statement.query((open.id,))?;
        let below = loop {
            let Some(row) = rows.next()? else {
                break next;
            };
            let at_ms: u64 = row.get(1)?;
            if count <= count_max && bytes <= bytes_max && at_ms >= not_before_ms {
                break row.get(0)?;
            }
            count = count.saturating_sub(1);
            bytes = bytes.saturating_sub(row.get(2)?);
        };
        // Reading has to end before what was read is deleted.
        drop(rows);
        self.shorten(name, open, below, count, bytes)
    }

    fn discard(&mut self, name: &Arc<str>, below: u64) -> Result<(), StoreError> {
        let Some(open) = self.open(name)? else {
            return Ok(());
        };
        let below = below.min(open.head.next);
        let mut sum = self.connection.prepare_cached(SUM_BELOW)?;
        let (gone, gone_bytes): (u64, u64) =
            sum.query_row((open.id, below), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let count = open.head.count.saturating_sub(gone);
        let bytes = open.head.bytes.saturating_sub(gone_bytes);
        let mut find = self.connection.prepare_cached(FIRST_FROM)?;
        let first = find
            .query_row((open.id, below), |row| row.get(0))
            .optional()?;
        self.shorten(name, open, first.unwrap_or(open.head.next), count, bytes)
    }

    /// What is below this number goes; this many messages and bytes are left.
    fn shorten(
        &mut self,
        name: &Arc<str>,
        mut open: OpenJournal,
        first: u64,
        count: u64,
        bytes: u64,
    ) -> Result<(), StoreError> {
        if count == open.head.count {
            return Ok(());
        }
        let mut delete = self.connection.prepare_cached(DELETE_BELOW)?;
        delete.execute((open.id, first))?;
        open.head.first = first;
        open.head.count = count;
        open.head.bytes = bytes;
        self.shortened.insert(Arc::clone(name));
        self.keep(name, open);
        Ok(())
    }

    fn drop(&mut self, name: &Arc<str>) -> Result<(), StoreError> {
        let Some(open) = self.open(name)? else {
            return Ok(());
        };
        for sql in [DELETE_ALL, DELETE_HEAD] {
            self.connection.prepare_cached(sql)?.execute((open.id,))?;
        }
        self.journals.insert(Arc::clone(name), None);
        Ok(())
    }

    fn open(&mut self, name: &Arc<str>) -> Result<Option<OpenJournal>, StoreError> {
        if let Some(known) = self.journals.get(name) {
            return Ok(*known);
        }
        let mut find = self.connection.prepare_cached(HEAD)?;
        let found = find
            .query_row((&**name,), |row| {
                Ok(OpenJournal {
                    id: row.get(0)?,
                    head: JournalHead {
                        first: row.get(1)?,
                        next: row.get(2)?,
                        count: row.get(3)?,
                        bytes: row.get(4)?,
                    },
                    time_ms: row.get(5)?,
                    is_changed: false,
                })
            })
            .optional()?;
        self.journals.insert(Arc::clone(name), found);
        Ok(found)
    }

    /// A journal of which this is the first number.
    fn begin(&self, name: &Arc<str>, first: u64) -> Result<OpenJournal, StoreError> {
        let mut begin = self.connection.prepare_cached(BEGIN)?;
        Ok(OpenJournal {
            id: begin.insert((&**name, first))?,
            head: JournalHead {
                first,
                next: first,
                count: 0,
                bytes: 0,
            },
            time_ms: 0,
            is_changed: true,
        })
    }

    fn keep(&mut self, name: &Arc<str>, open: OpenJournal) {
        let open = OpenJournal {
            is_changed: true,
            ..open
        };
        self.journals.insert(Arc::clone(name), Some(open));
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn within(what: &'static str, size: usize, max: usize) -> Result<(), StoreError> {
    let [size, max] = [size, max].map(|bytes| u64::try_from(bytes).unwrap_or(u64::MAX));
    if size > max {
        return Err(StoreError::TooLarge { what, size, max });
    }
    Ok(())
}

/// SQLite has no numbers above this.
fn number_within(what: &'static str, number: u64) -> Result<(), StoreError> {
    let max = i64::MAX.unsigned_abs();
    if number > max {
        let size = number;
        return Err(StoreError::TooLarge { what, size, max });
    }
    Ok(())
}

const INSERT: &str = "INSERT INTO record VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
const UPDATE: &str = "UPDATE record SET revision = ?3, value = ?4
    WHERE kind = ?1 AND key = ?2 AND revision = ?3 - 1";
const REVISION: &str = "SELECT revision FROM record WHERE kind = ?1 AND key = ?2";
const REMOVE: &str = "DELETE FROM record WHERE kind = ?1 AND key = ?2";

const HEAD: &str = "SELECT id, first, next, count, bytes, time_ms FROM journal WHERE name = ?1";
const BEGIN: &str = "INSERT INTO journal VALUES (NULL, ?1, ?2, ?2, 0, 0, 0)";
const UPDATE_HEAD: &str =
    "UPDATE journal SET first = ?2, next = ?3, count = ?4, bytes = ?5, time_ms = ?6 WHERE id = ?1";
const DELETE_HEAD: &str = "DELETE FROM journal WHERE id = ?1";

const APPEND: &str = "INSERT INTO entry VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const OLDEST: &str =
    "SELECT number, at_ms, length(body) FROM entry WHERE journal = ?1 ORDER BY number";
const SUM_BELOW: &str = "SELECT count(*), coalesce(sum(length(body)), 0) FROM entry
    WHERE journal = ?1 AND number < ?2";
const FIRST_FROM: &str = "SELECT number FROM entry WHERE journal = ?1 AND number >= ?2
    ORDER BY number LIMIT 1";
const DELETE_BELOW: &str = "DELETE FROM entry WHERE journal = ?1 AND number < ?2";
const DELETE_ALL: &str = "DELETE FROM entry WHERE journal = ?1";
