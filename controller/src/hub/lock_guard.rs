//! A lock that is held.

use std::fmt;
use std::time::Duration;

use longrein_proto::base::Name;
use longrein_proto::wire::hub::{Answer, HubRefusal, LockClaim, Owner, Request};
use tokio::sync::watch;
use tokio::time::Instant;

use super::hub::millis;
use super::switchboard::Undo;
use super::{Hub, HubError};

/// A lock that is held. It is renewed by itself until it is given back or dropped, or is lost.
///
/// Its end is known here before it is known to the hub, as far as the clocks run alike. Whoever writes elsewhere under it sends
/// [`LockGuard::token`] along, and refuses a smaller one than the largest seen.
#[derive(Debug)]
pub struct LockGuard {
    hub: Hub,
    owner: Owner,
    name: Name,
    token: u64,
    lost: watch::Receiver<Option<LockLoss>>,
}

/// Why a lock is held no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockLoss {
    /// It lapsed, as its renewals were not answered in time.
    Lapsed,
    /// It was revoked.
    Revoked,
    /// The hub refused to renew it.
    Refused(HubRefusal),
    /// The connection has ended.
    Ended,
}

impl fmt::Display for LockLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockLoss::Lapsed => f.write_str("the lock lapsed"),
            LockLoss::Revoked => f.write_str("the lock was revoked"),
            LockLoss::Refused(why) => write!(f, "the lock is not renewed: {why}"),
            LockLoss::Ended => f.write_str("the connection has ended"),
        }
    }
}

impl Hub {
    /// Takes a lock of a node or a room, which is held for `ttl` after its last renewal; there is one every third of that. While
    /// somebody else has it, waits its turn up to `wait`.
    ///
    /// # Errors
    /// [`HubRefusal::LockHeld`] with the holder, also when that is another program of this node, and see [`Hub`].
    pub async fn lock(
        &self,
        owner: &Owner,
        name: &Name,
        ttl: Duration,
        wait: Duration,
    ) -> Result<LockGuard, HubError> {
        let asked = Instant::now();
        let request = Request::Lock {
            owner: owner.clone(),
            lock: name.clone(),
            ttl_ms: millis(ttl),
            wait_ms: millis(wait),
        };
        let undo = Undo::Unlock(owner.clone(), name.clone());
        let answer = self
            .ask_within(self.patience().saturating_add(wait), request, undo)
            .await?;
        let Answer::Locked { token } = answer else {
            return Err(HubError::WrongAnswer);
        };
        let (tell, lost) = watch::channel(None);
        // From here on it is given back by the handle's drop.
        let guard = LockGuard {
            hub: self.clone(),
            owner: owner.clone(),
            name: name.clone(),
            token,
            lost,
        };
        // It counts from when it was asked for; who waited does not know when that began, and renews at once.
        let spent = if wait.is_zero() {
            asked.elapsed()
        } else {
            Duration::ZERO
        };
        let (owner, claim) = (owner.clone(), guard.claim());
        self.desk(move |board, now, caller| {
            board.hold(now, owner, claim, ttl, spent, tell);
            board.on_timeout(now, caller);
        })
        .await?;
        Ok(guard)
    }
}

impl LockGuard {
    /// Whose lock it is.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The token: a later holder has a larger one.
    pub const fn token(&self) -> u64 {
        self.token
    }

    /// Why it is held no more, once it is so.
    pub fn loss(&self) -> Option<LockLoss> {
        self.lost.borrow().clone()
    }

    /// Waits until it is lost; dropping the future changes nothing.
    pub async fn lost(&self) -> LockLoss {
        let mut lost = self.lost.clone();
        let loss = lost.wait_for(Option::is_some).await;
        loss.ok()
            .and_then(|loss| loss.clone())
            .unwrap_or(LockLoss::Ended)
    }

    /// Gives it back, and waits until the hub has it. Dropping it gives it back too.
    ///
    /// # Errors
    /// [`HubRefusal::NotHolder`] when it was lost, and see [`Hub`]: it is not renewed any more and lapses by itself.
    pub async fn unlock(self) -> Result<(), HubError> {
        let (owner, lock) = (self.owner.clone(), self.claim());
        let (place, token) = ((owner.clone(), self.name.clone()), self.token);
        self.hub
            .desk(move |board, _, _| board.let_go(&place, token))
            .await?;
        self.hub.done(Request::Unlock { owner, lock }).await
    }

    pub(super) fn claim(&self) -> LockClaim {
        LockClaim {
            lock: self.name.clone(),
            token: self.token,
        }
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        let (place, token) = ((self.owner.clone(), self.name.clone()), self.token);
        // When the drive loop is behind, it finds the abandoned lock by itself.
        drop(
            self.hub
                .tell_desk(move |board, _, caller| board.unlock(caller, &place, token)),
        );
    }
}
