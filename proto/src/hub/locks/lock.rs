//! One lock.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{MonoTime, Name, NodeName};
use crate::wire::hub::LockInfo;

/// A lock that is held.
#[derive(Debug)]
pub(super) struct Lock<A> {
    pub(super) holder: Holder,
    /// In turn.
    pub(super) waiters: VecDeque<Waiter<A>>,
}

/// Who holds a lock.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) who: NodeName,
    pub(super) token: u64,
    /// From then on nobody holds it by this token.
    pub(super) ends: MonoTime,
}

/// Who waits for a lock.
#[derive(Debug)]
pub(super) struct Waiter<A> {
    pub(super) asker: A,
    pub(super) who: NodeName,
    /// For how long it wants the lock.
    pub(super) ttl: Duration,
    pub(super) until: MonoTime,
}

impl<A> Lock<A> {
    pub(super) fn new(holder: Holder, waiters: VecDeque<Waiter<A>>) -> Lock<A> {
        Lock { holder, waiters }
    }

    /// When the lock or a wait is over.
    pub(super) fn due(&self) -> MonoTime {
        let waits = self.waiters.iter().map(|waiter| waiter.until);
        waits.fold(self.holder.ends, MonoTime::min)
    }

    pub(super) fn is_held(&self, now: MonoTime, who: &NodeName, token: u64) -> bool {
        let holder = &self.holder;
        holder.ends > now && holder.token == token && holder.who == *who
    }

    pub(super) fn info(&self, now: MonoTime, lock: &Name) -> LockInfo {
        let left_ms = self.holder.ends.since(now).as_millis();
        LockInfo {
            lock: lock.clone(),
            by: self.holder.who.clone(),
            token: self.holder.token,
            left_ms: u32::try_from(left_ms).unwrap_or(u32::MAX),
            waiting: u32::try_from(self.waiters.len()).unwrap_or(u32::MAX),
        }
    }

    /// Takes all who wait: those whose wait is over, and those who wait on.
    pub(super) fn split_waiters(
        &mut self,
        is_over: impl Fn(MonoTime) -> bool,
    ) -> (VecDeque<Waiter<A>>, VecDeque<Waiter<A>>) {
        let waiters = std::mem::take(&mut self.waiters);
        waiters.into_iter().partition(|w| is_over(w.until))
    }
}
