//! Locks that this program holds.

use std::collections::BTreeMap;
use std::time::Duration;

use longrein_proto::base::{MonoTime, Name};
use longrein_proto::wire::hub::{Answer, HubRefusal, LockClaim, Owner};
use tokio::sync::watch;

use super::Switchboard;
use crate::hub::LockLoss;
use crate::hub::hub::millis;

type Place = (Owner, Name);

/// Locks that this program holds.
#[derive(Debug, Default)]
pub(super) struct HeldLocks(BTreeMap<Place, Held>);

#[derive(Debug)]
struct Held {
    token: u64,
    ttl: Duration,
    renew_at: MonoTime,
    expires: MonoTime,
    lost: watch::Sender<Option<LockLoss>>,
}

impl Switchboard {
    /// A lock is held, for `ttl` of which some is spent.
    pub(in crate::hub) fn hold(
        &mut self,
        now: MonoTime,
        owner: Owner,
        claim: LockClaim,
        ttl: Duration,
        spent: Duration,
        lost: watch::Sender<Option<LockLoss>>,
    ) {
        let held = Held {
            token: claim.token,
            ttl,
            renew_at: now,
            expires: now + ttl.saturating_sub(spent),
            lost,
        };
        self.locks.0.insert((owner, claim.lock), held);
    }

    /// A lock is not renewed any more; whether it was held.
    pub(in crate::hub) fn let_go(&mut self, place: &Place, token: u64) -> bool {
        let is_held = self.locks.find(place, token).is_some();
        is_held && self.locks.0.remove(place).is_some()
    }
}

impl HeldLocks {
    fn find(&mut self, place: &Place, token: u64) -> Option<&mut Held> {
        self.0.get_mut(place).filter(|held| held.token == token)
    }

    /// An answer to a renewal; whether the lock is still held here.
    pub(super) fn on_renewal(
        &mut self,
        now: MonoTime,
        place: &Place,
        token: u64,
        asked: MonoTime,
        answer: &Answer,
    ) -> bool {
        let Some(held) = self.find(place, token) else {
            return false;
        };
        if let Answer::Locked { .. } = answer {
            // It counts from when it was asked for: so it is over here before it is at the hub.
            held.expires = held.expires.max(asked + held.ttl);
            return true;
        }
        if let Answer::Refused(why) = answer
            && !is_for_now(why)
        {
            self.lose(place, LockLoss::Refused(why.clone()));
            return false;
        }
        held.renew_at = held.renew_at.min(now + held.ttl / 6);
        true
    }

    pub(super) fn on_lost(&mut self, place: &Place, token: u64) {
        if self.find(place, token).is_some() {
            self.lose(place, LockLoss::Revoked);
        }
    }

    /// Locks to be renewed: token and time to live in milliseconds. What is over is lost.
    pub(super) fn on_timeout(&mut self, now: MonoTime) -> Vec<(Place, u64, u32)> {
        let over = self.0.iter().filter(|(_, held)| held.expires <= now);
        let over: Vec<Place> = over.map(|(place, _)| place.clone()).collect();
        for place in over {
            self.lose(&place, LockLoss::Lapsed);
        }
        let mut due = Vec::new();
        for (place, held) in &mut self.0 {
            if held.renew_at <= now {
                held.renew_at = now + held.ttl / 3;
                due.push((place.clone(), held.token, millis(held.ttl)));
            }
        }
        due
    }

    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        let due = self.0.values().map(|held| held.renew_at.min(held.expires));
        due.min()
    }

    /// Locks whose handles are gone.
    pub(super) fn abandoned(&self) -> Vec<(Place, u64)> {
        let abandoned = self.0.iter().filter(|(_, held)| held.lost.is_closed());
        abandoned
            .map(|(place, held)| (place.clone(), held.token))
            .collect()
    }

    fn lose(&mut self, place: &Place, why: LockLoss) {
        if let Some(held) = self.0.remove(place) {
            held.lost.send_replace(Some(why));
        }
    }
}

/// Whether it may be done later.
const fn is_for_now(why: &HubRefusal) -> bool {
    matches!(
        why,
        HubRefusal::Busy | HubRefusal::TooOften { .. } | HubRefusal::Degraded | HubRefusal::Full
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(3);

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(ms)
    }

    fn place() -> Place {
        let yard = Owner::Room("yard".parse().unwrap());
        (yard, "gate".parse().unwrap())
    }

    fn held() -> (Switchboard, watch::Receiver<Option<LockLoss>>) {
        let mut board = Switchboard::default();
        let (tell, lost) = watch::channel(None);
        let (owner, lock) = place();
        let claim = LockClaim { lock, token: 7 };
        board.hold(at(0), owner, claim, TTL, Duration::ZERO, tell);
        (board, lost)
    }

    #[test]
    fn a_lock_is_renewed_each_third_of_its_time_and_counts_from_when_that_was_asked() {
        let (mut board, lost) = held();
        let locks = &mut board.locks;
        assert_eq!(locks.on_timeout(at(0)), [(place(), 7, 3_000)]);
        assert_eq!(locks.next_timeout(), Some(at(1_000)));
        let answer = Answer::Locked { token: 7 };
        assert!(locks.on_renewal(at(900), &place(), 7, at(500), &answer));
        assert!(locks.on_timeout(at(999)).is_empty());
        assert_eq!(locks.on_timeout(at(1_000)).len(), 1);
        assert_eq!(locks.on_timeout(at(3_499)).len(), 1);
        assert_eq!(*lost.borrow(), None);
        assert!(locks.on_timeout(at(3_500)).is_empty());
        assert_eq!(*lost.borrow(), Some(LockLoss::Lapsed));
        assert_eq!(locks.next_timeout(), None);
        assert!(!locks.on_renewal(at(3_600), &place(), 7, at(3_400), &answer));
    }

    #[test]
    fn a_lock_is_lost_when_the_hub_says_so_and_not_by_a_word_about_an_older_one() {
        let (mut board, lost) = held();
        board.locks.on_lost(&place(), 6);
        assert_eq!(*lost.borrow(), None);
        board.locks.on_lost(&place(), 7);
        assert_eq!(*lost.borrow(), Some(LockLoss::Revoked));

        let (mut board, lost) = held();
        let busy = Answer::Refused(HubRefusal::Busy);
        assert!(board.locks.on_renewal(at(1), &place(), 7, at(0), &busy));
        let refused = Answer::Refused(HubRefusal::NotHolder);
        assert!(!board.locks.on_renewal(at(2), &place(), 7, at(0), &refused));
        let why = LockLoss::Refused(HubRefusal::NotHolder);
        assert_eq!(*lost.borrow(), Some(why));
    }

    #[test]
    fn a_lock_whose_handle_is_gone_is_given_back() {
        let (mut board, lost) = held();
        assert!(board.locks.abandoned().is_empty());
        drop(lost);
        assert_eq!(board.locks.abandoned(), [(place(), 7)]);
        assert!(!board.let_go(&place(), 6));
        assert!(board.let_go(&place(), 7));
    }
}
