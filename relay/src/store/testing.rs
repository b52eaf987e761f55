//! What the tests of the store share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use longrein_proto::hub::{Entry, Page, Query, ReadFrom, StoreOp, Table};
use longrein_proto::wire::hub::MessageId;

use super::{Sqlite, Sync};

/// A folder that is removed at the end of the test.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("longrein-store-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        drop(std::fs::remove_dir_all(&path));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn open(&self) -> Sqlite {
        Sqlite::open(&self.0, Sync::Normal).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A message whose bytes and name say its number.
pub(super) fn entry(number: u64, at_ms: u64, bytes: usize) -> Entry {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    Entry {
        number,
        at_ms,
        id: MessageId(id),
        bytes: vec![number as u8; bytes].into(),
    }
}

pub(super) fn append(journal: &str, number: u64, at_ms: u64) -> StoreOp {
    StoreOp::Append {
        journal: journal.into(),
        entry: entry(number, at_ms, 10),
    }
}

pub(super) fn put(key: &str, revision: u64, value: &[u8]) -> StoreOp {
    StoreOp::Put {
        table: Table::Rooms,
        key: key.to_string(),
        revision,
        value: value.into(),
    }
}

pub(super) fn query(journal: &str, from: ReadFrom, backwards: bool, count_max: usize) -> Query {
    Query {
        journal: Arc::from(journal),
        from,
        backwards,
        count_max,
        bytes_max: usize::MAX,
    }
}

pub(super) fn numbers(page: &Page) -> Vec<u64> {
    page.entries.iter().map(|entry| entry.number).collect()
}
