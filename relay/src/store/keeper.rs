//! The way into the store, which never waits: a thread that writes and a thread that reads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use longrein_proto::hub::{Page, Query, StoreOp};

use super::limits::{WAITING_BATCHES_MAX, WAITING_BYTES_MAX, WAITING_QUERIES_MAX};
use super::writer::Writer;
use super::{Committed, Store, StoreError, StoreReader};

/// A store at work. When this is dropped, what waits is committed and told, and the store closed.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
    batches: Option<SyncSender<Waiting>>,
    queries: Option<SyncSender<(Ticket, Query)>>,
    writer: Option<JoinHandle<()>>,
    reader: Option<JoinHandle<()>>,
}

/// The caller's number for what it asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What became of a batch. Outcomes come in the order in which batches were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Of the batch.
    pub ticket: Ticket,
    /// What it did, and it lasts; or why it is not stored, nor any other of its transaction.
    pub result: Result<Committed, StoreError>,
}

/// What became of a query. These come in the order in which queries were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRead {
    /// Of the query.
    pub ticket: Ticket,
    /// The page.
    pub result: Result<Page, StoreError>,
}

/// Too much waits already: here is what was given, to be refused or given again later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy<T>(pub T);

/// What a keeper did since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeeperCounts {
    /// Batches that were stored.
    pub batches: u64,
    /// Transactions that they were stored in.
    pub transactions: u64,
    /// Batches that were not stored.
    pub failed: u64,
    /// Pages that were read.
    pub pages: u64,
    /// Pages that could not be read.
    pub failed_pages: u64,
    /// Batches and queries that found too much waiting.
    pub busy: u64,
}

/// A batch on its way.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) ticket: Ticket,
    /// None of one that builds on nothing that may have failed.
    pub(super) generation: Option<u64>,
    pub(super) batch: Vec<StoreOp>,
    pub(super) bytes: usize,
}

/// What all threads see.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Bytes of batches whose outcome is not told yet.
    pub(super) waiting_bytes: AtomicUsize,
    pub(super) is_degraded: AtomicBool,
    pub(super) batches: AtomicU64,
    pub(super) transactions: AtomicU64,
    pub(super) failed: AtomicU64,
    pages: AtomicU64,
    failed_pages: AtomicU64,
    busy: AtomicU64,
}

impl Keeper {
    /// Begins with a store that is loaded. The outcomes come on the writing thread and the pages on the reading one; neither may
    /// take long.
    ///
    /// # Errors
    /// When the store cannot be read, or the system gives no thread.
    pub fn start(
        store: Box<dyn Store>,
        on_outcome: impl FnMut(Outcome) + Send + 'static,
        on_page: impl FnMut(PageRead) + Send + 'static,
    ) -> Result<Keeper, KeeperError> {
        let shared = Arc::new(Shared::default());
        let store_reader = store.reader()?;
        let (batches, waiting) = sync_channel(WAITING_BATCHES_MAX);
        let (queries, asked) = sync_channel(WAITING_QUERIES_MAX);
        let writer = Writer::new(store, waiting, Arc::clone(&shared), Box::new(on_outcome));
        let writer = spawn("store", move || writer.run())?;
        let mut keeper = Keeper {
            shared: Arc::clone(&shared),
            batches: Some(batches),
            queries: Some(queries),
            writer: Some(writer),
            reader: None,
        };
        let reader = spawn("store-read", move || {
            read_all(store_reader, &asked, &shared, on_page);
        })?;
        keeper.reader = Some(reader);
        Ok(keeper)
    }

    /// Has this batch committed soon; its outcome follows. After one that failed, those that have its generation or an older one
    /// fail too: they may build on it.
    ///
    /// # Errors
    /// The batch, when too much waits.
    pub fn try_commit(
        &self,
        ticket: Ticket,
        generation: u64,
        batch: Vec<StoreOp>,
    ) -> Result<(), Busy<Vec<StoreOp>>> {
        self.give(ticket, Some(generation), batch)
    }

    /// The same for a batch that fails for its own transaction only, and whose failure fails nothing after it.
    ///
    /// # Errors
    /// The batch, when too much waits.
    pub fn try_commit_alone(
        &self,
        ticket: Ticket,
        batch: Vec<StoreOp>,
    ) -> Result<(), Busy<Vec<StoreOp>>> {
        self.give(ticket, None, batch)
    }

    fn give(
        &self,
        ticket: Ticket,
        generation: Option<u64>,
        batch: Vec<StoreOp>,
    ) -> Result<(), Busy<Vec<StoreOp>>> {
        let bytes = batch.iter().map(bytes_of).sum();
        let waiting = &self.shared.waiting_bytes;
        let before = waiting.fetch_add(bytes, Ordering::AcqRel);
        let has_room = before == 0 || before + bytes <= WAITING_BYTES_MAX;
        let given = Waiting {
            ticket,
            generation,
            batch,
            bytes,
        };
        let given = match &self.batches {
            Some(batches) if has_room => match batches.try_send(given) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(given) | TrySendError::Disconnected(given)) => given,
            },
            Some(_) | None => given,
        };
        waiting.fetch_sub(bytes, Ordering::AcqRel);
        self.shared.busy.fetch_add(1, Ordering::Relaxed);
        Err(Busy(given.batch))
    }

    /// Has this read soon; its page follows. It shows all that was committed when its outcome was told.
    ///
    /// # Errors
    /// The query, when too many wait.
    pub fn try_read(&self, ticket: Ticket, query: Query) -> Result<(), Busy<Query>> {
        let given = (ticket, query);
        let (_, query) = match &self.queries {
            Some(queries) => match queries.try_send(given) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(given) | TrySendError::Disconnected(given)) => given,
            },
            None => given,
        };
        self.shared.busy.fetch_add(1, Ordering::Relaxed);
        Err(Busy(query))
    }

    /// Whether the last attempt to write failed for want of room, or of a sound disk. It is tried again also when nothing is given.
    pub fn is_degraded(&self) -> bool {
        self.shared.is_degraded.load(Ordering::Acquire)
    }

    /// What it did since its start.
    pub fn counts(&self) -> KeeperCounts {
        let Shared {
            waiting_bytes: _,
            is_degraded: _,
            batches,
            transactions,
            failed,
            pages,
            failed_pages,
            busy,
        } = &*self.shared;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        KeeperCounts {
            batches: of(batches),
            transactions: of(transactions),
            failed: of(failed),
            pages: of(pages),
            failed_pages: of(failed_pages),
            busy: of(busy),
        }
    }

    /// Commits what waits, tells it, closes the store, and returns when that is done.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // The reader first: the store's file is alone only when nobody reads it.
        self.queries = None;
        if let Some(thread) = self.reader.take() {
            // A panic of the thread was printed by itself.
            let _ = thread.join();
        }
        self.batches = None;
        if let Some(thread) = self.writer.take() {
            let _ = thread.join();
        }
    }
}

/// Why a keeper does not start.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no thread.
    #[error("the system gives no thread: {0}")]
    Thread(#[from] io::Error),
}

fn read_all(
    mut reader: Box<dyn StoreReader>,
    asked: &Receiver<(Ticket, Query)>,
    shared: &Shared,
    mut on_page: impl FnMut(PageRead),
) {
    while let Ok((ticket, query)) = asked.recv() {
        let result = reader.read(&query);
        let counter = match &result {
            Ok(_) => &shared.pages,
            Err(why) => {
                tracing::debug!(%why, "page cannot be read");
                &shared.failed_pages
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
        on_page(PageRead { ticket, result });
    }
}

fn spawn(name: &str, act: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_string())
        .spawn(act)
}

/// About what an operation takes in memory and in the log.
fn bytes_of(op: &StoreOp) -> usize {
    let named = match op {
        StoreOp::Put { key, value, .. } => key.len() + value.len(),
        StoreOp::Remove { key, .. } => key.len(),
        StoreOp::Append { journal, entry } => journal.len() + entry.bytes.len(),
        StoreOp::Retain { journal, .. }
        | StoreOp::Discard { journal, .. }
        | StoreOp::Drop { journal } => journal.len(),
    };
    named + size_of::<StoreOp>()
}

#[cfg(test)]
mod tests;
