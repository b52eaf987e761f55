//! The thread that writes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use longrein_io::clock;
use longrein_proto::base::MonoTime;

use super::keeper::{Outcome, Shared, Ticket, Waiting};
use super::limits::{GROUP_BATCHES_MAX, GROUP_BYTES_MAX, PROBE_EVERY, REMARK_INTERVAL};
use super::{Committed, Store, StoreError};

/// Takes batches as they come, commits all that wait in one transaction, and tells each its outcome.
pub(super) struct Writer {
    store: Box<dyn Store>,
    waiting: Receiver<Waiting>,
    /// Taken, but too long for the transaction before it.
    ahead: Option<Waiting>,
    shared: Arc<Shared>,
    on_outcome: Box<dyn FnMut(Outcome) + Send>,
    /// Batches of this generation and older ones fail: one of them did.
    failed_generation: Option<u64>,
    /// Whether the log says that the store fails.
    is_told: bool,
    /// When it last said so.
    told_at: Option<MonoTime>,
}

impl Writer {
    pub(super) fn new(
        store: Box<dyn Store>,
        waiting: Receiver<Waiting>,
        shared: Arc<Shared>,
        on_outcome: Box<dyn FnMut(Outcome) + Send>,
    ) -> Writer {
        Writer {
            store,
            waiting,
            ahead: None,
            shared,
            on_outcome,
            failed_generation: None,
            is_told: false,
            told_at: None,
        }
    }

    /// Until nobody can give batches any more and all are told.
    pub(super) fn run(mut self) {
        while let Some(first) = self.first() {
            let group = self.group(first);
            self.commit(group);
        }
        let place = self.store.place();
        if let Err(why) = self.store.close() {
            tracing::warn!(place, %why, "hub's store is closed in disorder, which its next start mends");
        }
    }

    /// The next batch, waited for; what cannot be written is tried meanwhile.
    fn first(&mut self) -> Option<Waiting> {
        if self.ahead.is_some() {
            return self.ahead.take();
        }
        while self.shared.is_degraded.load(Ordering::Acquire) {
            match self.waiting.recv_timeout(PROBE_EVERY) {
                Ok(waiting) => return Some(waiting),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => match self.store.probe() {
                    Ok(()) => self.note_success(),
                    Err(why) => self.note_failure(&why, 0),
                },
            }
        }
        self.waiting.recv().ok()
    }

    /// The batches of one transaction: this one, and those who wait behind it.
    fn group(&mut self, first: Waiting) -> Vec<Waiting> {
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while group.len() < GROUP_BATCHES_MAX {
            let Ok(next) = self.waiting.try_recv() else {
                break;
            };
            bytes = bytes.saturating_add(next.bytes);
            if bytes > GROUP_BYTES_MAX {
                self.ahead = Some(next);
                break;
            }
            group.push(next);
        }
        group
    }

    fn commit(&mut self, group: Vec<Waiting>) {
        let (mut told, mut batches) = (Vec::new(), Vec::new());
        let mut newest = None;
        for waiting in group {
            if waiting.generation.is_some() && waiting.generation <= self.failed_generation {
                self.shared.failed.fetch_add(1, Ordering::Relaxed);
                self.tell(waiting.ticket, waiting.bytes, Err(StoreError::AfterFailure));
                continue;
            }
            newest = newest.max(waiting.generation);
            told.push((waiting.ticket, waiting.bytes));
            batches.push(waiting.batch);
        }
        if batches.is_empty() {
            return;
        }
        let count = u64::try_from(batches.len()).unwrap_or(u64::MAX);
        let results: Vec<_> = match self.store.commit(&batches) {
            Ok(committed) => {
                self.shared.batches.fetch_add(count, Ordering::Relaxed);
                self.shared.transactions.fetch_add(1, Ordering::Relaxed);
                self.note_success();
                committed.into_iter().map(Ok).collect()
            }
            Err(why) => {
                self.shared.failed.fetch_add(count, Ordering::Relaxed);
                self.failed_generation = self.failed_generation.max(newest);
                self.note_failure(&why, count);
                vec![Err(why); batches.len()]
            }
        };
        drop(batches);
        for ((ticket, bytes), result) in told.into_iter().zip(results) {
            self.tell(ticket, bytes, result);
        }
    }

    fn tell(&mut self, ticket: Ticket, bytes: usize, result: Result<Committed, StoreError>) {
        self.shared.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
        (self.on_outcome)(Outcome { ticket, result });
    }

    fn note_success(&mut self) {
        self.shared.is_degraded.store(false, Ordering::Release);
        if std::mem::take(&mut self.is_told) {
            let place = self.store.place();
            let failed = self.shared.failed.load(Ordering::Relaxed);
            tracing::info!(place, failed, "hub's store can be written again");
        }
    }

    fn note_failure(&mut self, why: &StoreError, batches: u64) {
        if !why.is_of_the_place() {
            tracing::debug!(%why, batches, "batches do not fit what is stored");
            return;
        }
        self.shared.is_degraded.store(true, Ordering::Release);
        let now = clock::now();
        let is_due = self
            .told_at
            .is_none_or(|last| now.since(last) >= REMARK_INTERVAL);
        if !self.is_told && is_due {
            self.is_told = true;
            self.told_at = Some(now);
            let place = self.store.place();
            tracing::error!(place, %why, batches, "hub's store cannot be written: what is to last is refused until it can");
        }
    }
}

#[cfg(test)]
mod tests;
