//! Named locks of nodes and rooms.
//!
//! A lock is there while somebody holds it. It is held until its time is over, whatever becomes of who holds it, and then goes to
//! the next who waits. Its token is above that of everybody who held it before, so that what is told it can refuse who is late.

mod lock;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use self::lock::{Holder, Lock, Waiter};
use crate::base::limits::{
    LOCK_CHANGES_MAX, LOCK_TTL_MAX, LOCK_TTL_MIN, LOCK_WAIT_MAX, LOCK_WAITERS_MAX, LOCKS_MAX,
    LOCKS_PER_OWNER_MAX,
};
use crate::base::{MonoTime, Name, NodeName};
use crate::wire::hub::{HubRefusal, LockClaim, LockInfo, Owner};

/// All locks that are held. `A` names a request that waits.
#[derive(Debug)]
pub(crate) struct Locks<A> {
    tokens: std::ops::Range<u64>,
    owners: BTreeMap<Owner, BTreeMap<Name, Lock<A>>>,
    count: usize,
    /// When something of a lock is over, once for each lock.
    due: BTreeSet<(MonoTime, Owner, Name)>,
    changes: VecDeque<LockChange<A>>,
}

/// What comes of taking a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is held now, by this token.
    Granted(u64),
    /// A [`LockChange`] names the request when it is known what comes of it.
    Waiting,
    /// It is not done.
    Refused(HubRefusal),
}

/// What happened to a lock or to who waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LockChange<A> {
    /// Who waited has it now.
    Granted {
        /// The request that waited.
        asker: A,
        /// Whose lock.
        owner: Owner,
        /// Its name.
        lock: Name,
        /// The new token.
        token: u64,
        /// Who has it.
        who: NodeName,
    },
    /// A request waits no more.
    WaitOver {
        /// The request.
        asker: A,
        /// What it is answered.
        why: HubRefusal,
    },
    /// Who had it has it no more, and did not ask for that.
    Lost {
        /// Whose lock.
        owner: Owner,
        /// Its name.
        lock: Name,
        /// Who had it.
        who: NodeName,
        /// By this token.
        token: u64,
    },
}

impl<A: Clone + PartialEq> Locks<A> {
    /// No locks, at the `starts`th start of the store: tokens grow over restarts.
    pub(crate) fn new(starts: u32) -> Locks<A> {
        let first = u64::from(starts) << 32;
        Locks {
            tokens: first + 1..first + (1 << 32),
            owners: BTreeMap::new(),
            count: 0,
            due: BTreeSet::new(),
            changes: VecDeque::new(),
        }
    }

    /// A node wants a lock for `ttl`, and waits for it up to `wait`.
    ///
    /// A node that holds it already is refused: that is another program of the same node.
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the request's fields and who makes it"
    )]
    pub(crate) fn take(
        &mut self,
        now: MonoTime,
        owner: &Owner,
        lock: &Name,
        who: &NodeName,
        asker: A,
        ttl: Duration,
        wait: Duration,
    ) -> Taken {
        if !is_ttl(ttl) || wait > LOCK_WAIT_MAX {
            return Taken::Refused(HubRefusal::Malformed);
        }
        self.on_timeout(now);
        if self.changes.len() >= LOCK_CHANGES_MAX {
            return Taken::Refused(HubRefusal::Busy);
        }
        let Some(mut held) = self.lift(owner, lock) else {
            return self.take_free(now, owner, lock, who, ttl);
        };
        let by = &held.holder.who;
        let taken = if by == who || wait.is_zero() {
            Taken::Refused(HubRefusal::LockHeld { by: by.clone() })
        } else if held.waiters.len() >= LOCK_WAITERS_MAX {
            Taken::Refused(HubRefusal::Full)
        } else {
            held.waiters.push_back(Waiter {
                asker,
                who: who.clone(),
                ttl,
                until: now + wait,
            });
            Taken::Waiting
        };
        self.put(owner, lock, held);
        taken
    }

    /// Who holds the lock holds it for `ttl` from now on.
    ///
    /// # Errors
    /// `Malformed` for a time that is out of bounds; `NotHolder` when it does not hold it, or no more.
    pub(crate) fn renew(
        &mut self,
        now: MonoTime,
        owner: &Owner,
        claim: &LockClaim,
        who: &NodeName,
        ttl: Duration,
    ) -> Result<(), HubRefusal> {
        if !is_ttl(ttl) {
            return Err(HubRefusal::Malformed);
        }
        let mut held = self.lift_held(now, owner, claim, who)?;
        held.holder.ends = now + ttl;
        self.put(owner, &claim.lock, held);
        Ok(())
    }

    /// Who holds the lock gives it back.
    ///
    /// # Errors
    /// `NotHolder` when it does not hold it, or no more.
    pub(crate) fn release(
        &mut self,
        now: MonoTime,
        owner: &Owner,
        claim: &LockClaim,
        who: &NodeName,
    ) -> Result<(), HubRefusal> {
        let held = self.lift_held(now, owner, claim, who)?;
        self.pass_on(now, owner, &claim.lock, held.waiters);
        Ok(())
    }

    /// The lock is taken from who holds it, and goes to the next who waits.
    ///
    /// # Errors
    /// `NotFound` when nobody holds it.
    pub(crate) fn revoke(
        &mut self,
        now: MonoTime,
        owner: &Owner,
        lock: &Name,
    ) -> Result<(), HubRefusal> {
        self.on_timeout(now);
        let held = self.lift(owner, lock).ok_or(HubRefusal::NotFound)?;
        self.lose(owner, lock, held.holder);
        self.pass_on(now, owner, lock, held.waiters);
        Ok(())
    }

    /// Whether this node holds the lock by this token.
    pub(crate) fn holds(
        &self,
        now: MonoTime,
        owner: &Owner,
        claim: &LockClaim,
        who: &NodeName,
    ) -> bool {
        let held = self.owners.get(owner).and_then(|all| all.get(&claim.lock));
        held.is_some_and(|held| held.is_held(now, who, claim.token))
    }

    /// The locks that are held, by name.
    pub(crate) fn list(&self, now: MonoTime, owner: &Owner) -> Vec<LockInfo> {
        let all = self.owners.get(owner).into_iter().flatten();
        all.filter(|(_, held)| held.holder.ends > now)
            .map(|(lock, held)| held.info(now, lock))
            .collect()
    }

    /// Requests of which `is_gone` says so wait no more, those of a client that went for instance; nothing is said of it. What was granted
    /// stays held until its time is over.
    pub(crate) fn on_askers_gone(&mut self, now: MonoTime, is_gone: impl Fn(&A) -> bool) {
        self.on_timeout(now);
        let waited_for: Vec<(Owner, Name)> = self
            .owners
            .iter()
            .flat_map(|(owner, all)| all.iter().map(move |(lock, held)| (owner, lock, held)))
            .filter(|(_, _, held)| held.waiters.iter().any(|waiter| is_gone(&waiter.asker)))
            .map(|(owner, lock, _)| (owner.clone(), lock.clone()))
            .collect();
        for (owner, lock) in waited_for {
            if let Some(mut held) = self.lift(&owner, &lock) {
                held.waiters.retain(|waiter| !is_gone(&waiter.asker));
                self.put(&owner, &lock, held);
            }
        }
    }

    /// A node or room is no more, and so are its locks.
    pub(crate) fn on_owner_gone(&mut self, now: MonoTime, owner: &Owner) {
        self.on_timeout(now);
        let why = match owner {
            Owner::Node(_) => HubRefusal::NotFound,
            Owner::Room(_) => HubRefusal::NoSuchRoom,
        };
        let names: Vec<Name> = self
            .owners
            .get(owner)
            .into_iter()
            .flat_map(|all| all.keys().cloned())
            .collect();
        for lock in names {
            if let Some(held) = self.lift(owner, &lock) {
                self.lose(owner, &lock, held.holder);
                self.end_waits(held.waiters, &why);
            }
        }
    }

    /// Ends what is over by now. Every call that changes something does it first.
    pub(crate) fn on_timeout(&mut self, now: MonoTime) {
        while let Some((at, owner, lock)) = self.due.first().cloned() {
            if at > now {
                break;
            }
            if let Some(held) = self.lift(&owner, &lock) {
                self.settle(now, &owner, &lock, held);
            }
        }
    }

    /// When the next lock or wait is over.
    pub(crate) fn next_timeout(&self) -> Option<MonoTime> {
        self.due.first().map(|(at, _, _)| *at)
    }

    /// What happened, in order.
    pub(crate) fn poll_change(&mut self) -> Option<LockChange<A>> {
        self.changes.pop_front()
    }

    /// Takes a lock that nobody holds.
    fn take_free(
        &mut self,
        now: MonoTime,
        owner: &Owner,
        lock: &Name,
        who: &NodeName,
        ttl: Duration,
    ) -> Taken {
        let of_owner = self.owners.get(owner).map_or(0, BTreeMap::len);
        if of_owner >= LOCKS_PER_OWNER_MAX || self.count >= LOCKS_MAX {
            return Taken::Refused(HubRefusal::Full);
        }
        let Some(token) = self.tokens.next() else {
            return Taken::Refused(HubRefusal::Full);
        };
        let holder = Holder {
            who: who.clone(),
            token,
            ends: now + ttl,
        };
        self.put(owner, lock, Lock::new(holder, VecDeque::new()));
        Taken::Granted(token)
    }

    /// Ends what is over of a lock that was lifted. Who still waited when its time was over gets it, also when that is noticed late.
    fn settle(&mut self, now: MonoTime, owner: &Owner, lock: &Name, mut held: Lock<A>) {
        let ends = held.holder.ends;
        let is_over = ends <= now;
        let (over, waiters) = held.split_waiters(|until| until < ends && until <= now);
        let by = held.holder.who.clone();
        self.end_waits(over, &HubRefusal::LockHeld { by });
        if is_over {
            self.lose(owner, lock, held.holder);
            self.pass_on(now, owner, lock, waiters);
        } else {
            held.waiters = waiters;
            self.put(owner, lock, held);
        }
    }

    /// Gives a lock that is free to the first who waits, for the time that it asked for, from now on.
    fn pass_on(
        &mut self,
        now: MonoTime,
        owner: &Owner,
        lock: &Name,
        mut waiters: VecDeque<Waiter<A>>,
    ) {
        let Some(next) = waiters.pop_front() else {
            return;
        };
        let Some(token) = self.tokens.next() else {
            waiters.push_front(next);
            return self.end_waits(waiters, &HubRefusal::Full);
        };
        let holder = Holder {
            who: next.who.clone(),
            token,
            ends: now + next.ttl,
        };
        self.changes.push_back(LockChange::Granted {
            asker: next.asker,
            owner: owner.clone(),
            lock: lock.clone(),
            token,
            who: next.who,
        });
        self.put(owner, lock, Lock::new(holder, waiters));
    }

    fn lose(&mut self, owner: &Owner, lock: &Name, holder: Holder) {
        self.changes.push_back(LockChange::Lost {
            owner: owner.clone(),
            lock: lock.clone(),
            who: holder.who,
            token: holder.token,
        });
    }

    fn end_waits(&mut self, waiters: impl IntoIterator<Item = Waiter<A>>, why: &HubRefusal) {
        let over = waiters.into_iter().map(|waiter| LockChange::WaitOver {
            asker: waiter.asker,
            why: why.clone(),
        });
        self.changes.extend(over);
    }

    /// Takes a lock out that this node holds by this token.
    fn lift_held(
        &mut self,
        now: MonoTime,
        owner: &Owner,
        claim: &LockClaim,
        who: &NodeName,
    ) -> Result<Lock<A>, HubRefusal> {
        self.on_timeout(now);
        if !self.holds(now, owner, claim, who) {
            return Err(HubRefusal::NotHolder);
        }
        self.lift(owner, &claim.lock).ok_or(HubRefusal::NotHolder)
    }

    /// Takes a lock out, so that it can be changed.
    fn lift(&mut self, owner: &Owner, lock: &Name) -> Option<Lock<A>> {
        let all = self.owners.get_mut(owner)?;
        let held = all.remove(lock)?;
        if all.is_empty() {
            self.owners.remove(owner);
        }
        self.count -= 1;
        self.due.remove(&(held.due(), owner.clone(), lock.clone()));
        Some(held)
    }

    /// Puts a lock in that is held.
    fn put(&mut self, owner: &Owner, lock: &Name, held: Lock<A>) {
        self.due.insert((held.due(), owner.clone(), lock.clone()));
        let all = self.owners.entry(owner.clone()).or_default();
        all.insert(lock.clone(), held);
        self.count += 1;
    }
}

fn is_ttl(ttl: Duration) -> bool {
    (LOCK_TTL_MIN..=LOCK_TTL_MAX).contains(&ttl)
}

#[cfg(test)]
mod tests;
