//! The part of the hub's store that the hub does not know: what this program keeps beside it, such as the events of webhooks.
//!
//! It is asked from any thread and goes to the store's own, so that the network thread has no part in it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use longrein_proto::hub::{JournalHead, Loaded, Page, Query, StoreOp, Table};
use tokio::sync::oneshot;

use crate::store::{Busy, Committed, Keeper, Outcome, PageRead, StoreError, Ticket};

/// The way into the store; clones are the same one.
#[derive(Clone)]
pub struct Annex {
    keeper: Arc<Keeper>,
    answers: Arc<Answers>,
}

/// What was stored here before this start.
#[derive(Clone, Debug, Default)]
pub struct AnnexLoaded {
    /// By key: revision and value.
    pub records: BTreeMap<String, (u64, Arc<[u8]>)>,
    /// By name.
    pub journals: BTreeMap<Arc<str>, JournalHead>,
}

/// Why something is not stored, or not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnexError {
    /// Too much waits already: try again soon.
    #[error("too much waits for the store")]
    Busy,
    /// The store says no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The program ends.
    #[error("the store is closed")]
    Closed,
}

/// Who waits for what the store says.
#[derive(Default)]
pub(super) struct Answers {
    last: AtomicU64,
    commits: Mutex<BTreeMap<u64, oneshot::Sender<Result<Committed, StoreError>>>>,
    reads: Mutex<BTreeMap<u64, oneshot::Sender<Result<Page, StoreError>>>>,
}

impl AnnexLoaded {
    /// Takes out of what a store holds what is none of the hub's.
    pub(super) fn take_out_of(loaded: &mut Loaded) -> AnnexLoaded {
        let mut own = AnnexLoaded::default();
        let records = std::mem::take(&mut loaded.records).into_iter();
        let (of_annex, of_hub): (Vec<_>, Vec<_>) =
            records.partition(|(table, ..)| *table == Table::Webhooks);
        loaded.records = of_hub;
        for (_, key, revision, value) in of_annex {
            own.records.insert(key, (revision, value));
        }
        let journals = std::mem::take(&mut loaded.journals).into_iter();
        let (of_annex, of_hub): (Vec<_>, Vec<_>) =
            journals.partition(|(name, _)| name.starts_with(JOURNALS));
        loaded.journals = of_hub;
        own.journals = of_annex.into_iter().collect();
        own
    }
}

impl Annex {
    pub(super) fn new(keeper: Arc<Keeper>, answers: Arc<Answers>) -> Annex {
        Annex { keeper, answers }
    }

    /// Stores these changes, all or none; returns what that did when they last. Records are of [`Table::Webhooks`], and names of journals begin
    /// with [`JOURNALS`].
    ///
    /// # Errors
    /// When they are not stored.
    pub async fn commit(&self, ops: Vec<StoreOp>) -> Result<Committed, AnnexError> {
        let (ticket, number) = self.answers.next();
        let (answer, answered) = oneshot::channel();
        lock(&self.answers.commits).insert(number, answer);
        if let Err(Busy(_)) = self.keeper.try_commit_alone(ticket, ops) {
            lock(&self.answers.commits).remove(&number);
            return Err(AnnexError::Busy);
        }
        let stored = answered.await.map_err(|_| AnnexError::Closed)?;
        Ok(stored?)
    }

    /// Reads a page of a journal.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(&self, query: Query) -> Result<Page, AnnexError> {
        let (ticket, number) = self.answers.next();
        let (answer, answered) = oneshot::channel();
        lock(&self.answers.reads).insert(number, answer);
        if let Err(Busy(_)) = self.keeper.try_read(ticket, query) {
            lock(&self.answers.reads).remove(&number);
            return Err(AnnexError::Busy);
        }
        let page = answered.await.map_err(|_| AnnexError::Closed)?;
        Ok(page?)
    }
}

impl Answers {
    fn next(&self) -> (Ticket, u64) {
        let number = OWN | self.last.fetch_add(1, Ordering::Relaxed);
        (Ticket(number), number)
    }

    /// Hands on what became of a batch; gives it back when it is the hub's.
    pub(super) fn on_outcome(&self, outcome: Outcome) -> Option<Outcome> {
        let Ticket(number) = outcome.ticket;
        if number & OWN == 0 {
            return Some(outcome);
        }
        if let Some(answer) = lock(&self.commits).remove(&number) {
            // Whoever asked may have given up.
            drop(answer.send(outcome.result));
        }
        None
    }

    /// The same of a page.
    pub(super) fn on_page(&self, page: PageRead) -> Option<PageRead> {
        let Ticket(number) = page.ticket;
        if number & OWN == 0 {
            return Some(page);
        }
        if let Some(answer) = lock(&self.reads).remove(&number) {
            drop(answer.send(page.result));
        }
        None
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the names of journals begin with that are none of the hub's.
pub const JOURNALS: &str = "webhook/";
/// In numbers of who asks here: the hub counts its own from 0.
const OWN: u64 = 1 << 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hub_gets_what_is_its_own_and_no_more() {
        let record = |table, key: &str| (table, key.to_string(), 1, Arc::from([]));
        let journal = |name: &str| (Arc::from(name), JournalHead::default());
        let mut loaded = Loaded {
            records: vec![
                record(Table::Rooms, "yard"),
                record(Table::Webhooks, "erp/off"),
            ],
            journals: vec![journal("room/yard/talk"), journal("webhook/erp/waiting")],
            ..Loaded::default()
        };
        let own = AnnexLoaded::take_out_of(&mut loaded);
        assert_eq!(loaded.records.len(), 1);
        assert_eq!(loaded.journals.len(), 1);
        assert!(own.records.contains_key("erp/off"));
        assert!(own.journals.contains_key("webhook/erp/waiting"));
    }

    #[test]
    fn what_the_store_says_goes_to_who_asked() {
        let answers = Answers::default();
        let outcome = |number| Outcome {
            ticket: Ticket(number),
            result: Err(StoreError::Full),
        };
        assert!(answers.on_outcome(outcome(0)).is_some());
        let (_, number) = answers.next();
        let (answer, mut answered) = oneshot::channel();
        lock(&answers.commits).insert(number, answer);
        assert!(answers.on_outcome(outcome(number)).is_none());
        assert_eq!(answered.try_recv(), Ok(Err(StoreError::Full)));
    }
}
