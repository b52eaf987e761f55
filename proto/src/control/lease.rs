//! The exclusive, time-bound right to command one function.

use std::time::Duration;

use crate::base::{FencingToken, MonoTime, NodeName, Refusal};

/// The lease of one function, decided at the vehicle.
///
/// A grant takes two steps, so that tokens also grow over restarts: [`Lease::on_take`] names the new token, the caller
/// stores it, and [`Lease::on_persisted`] grants it. The vehicle accepts nothing under a token that is not stored (SAFE-2).
#[derive(Clone, Debug)]
pub struct Lease {
    ttl: Duration,
    newest: FencingToken,
    state: State,
}

/// What a take needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeStep {
    /// Store this token durably, then call [`Lease::on_persisted`].
    Persist(FencingToken),
}

/// A lease that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who holds it.
    pub who: NodeName,
    /// Goes into each command.
    pub token: FencingToken,
    /// It lapses after this long without a renewal.
    pub ttl: Duration,
}

/// A lease that ended; its function's actuation is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseEnd {
    /// Who held it.
    pub who: NodeName,
    /// Its token.
    pub token: FencingToken,
    /// Whether the token was granted, and not only about to be.
    pub granted: bool,
}

impl Lease {
    /// Time to live of a lease without a renewal, unless configured otherwise.
    pub const TTL: Duration = Duration::from_millis(500);
    /// How long a take waits for its token to be stored: a worn SD card takes a second for one sync.
    pub const PERSIST_MAX: Duration = Duration::from_secs(5);

    /// A free lease whose tokens begin above the one that was stored last (SAFE-5).
    pub fn new(persisted: FencingToken, ttl: Duration) -> Lease {
        Lease {
            ttl,
            newest: persisted,
            state: State::Free,
        }
    }

    /// Who holds the lease or is about to.
    pub fn holder(&self) -> Option<&NodeName> {
        self.state.tenure().map(|(who, _)| who)
    }

    /// Whether somebody holds it: the token is stored.
    pub const fn is_held(&self) -> bool {
        matches!(self.state, State::Held { .. })
    }

    /// The token of whoever holds the lease or is about to; while it is free, the newest one there was.
    pub fn token(&self) -> FencingToken {
        self.state.tenure().map_or(self.newest, |(_, token)| token)
    }

    /// A token above all that there were, for a node that the holder hands over to. None after 2^64 of them: a lease that
    /// cannot be fenced is not given.
    pub fn reserve_token(&mut self) -> Option<FencingToken> {
        self.newest = FencingToken(self.newest.0.checked_add(1)?);
        Some(self.newest)
    }

    /// Somebody who may wants the lease. A holder that takes again gets a new token, and the old one ends at once (SAFE-4).
    ///
    /// # Errors
    /// `HeldBy` while another node holds it or waits for its token (SAFE-1), `TooOften` while this one waits for its token
    /// (SAFE-11); call [`Lease::on_timeout`] first.
    pub fn on_take(&mut self, now: MonoTime, who: &NodeName) -> Result<TakeStep, Refusal> {
        if let Some((holder, _)) = self.state.tenure()
            && holder != who
        {
            return Err(Refusal::HeldBy(holder.clone()));
        }
        if matches!(self.state, State::Granting { .. }) {
            return Err(Refusal::TooOften);
        }
        let token = self.reserve_token().ok_or(Refusal::NotLeased)?;
        self.apply(&Fact::Take {
            who,
            token,
            until: now + Self::PERSIST_MAX,
        });
        Ok(TakeStep::Persist(token))
    }

    /// The token is stored; gives the grant if it is still wanted.
    pub fn on_persisted(&mut self, now: MonoTime, token: FencingToken) -> Option<Grant> {
        let changed = self.apply(&Fact::Persisted {
            token,
            now,
            until: now + self.ttl,
        });
        let (who, token) = self.state.tenure().filter(|_| changed)?;
        Some(Grant {
            who: who.clone(),
            token,
            ttl: self.ttl,
        })
    }

    /// A renewal arrived; says whether the lease is longer for it. It never feeds a watchdog (SAFE-6).
    pub fn on_renew(&mut self, now: MonoTime, who: &NodeName, token: FencingToken) -> bool {
        if self.check(now, who, token).is_err() {
            return false;
        }
        self.apply(&Fact::Renew {
            until: now + self.ttl,
        });
        true
    }

    /// The holder has handed over to `who`, whose reserved and stored token is in force from now on, and the one before is void.
    // [SAFE-91]
    pub fn on_handed_over(&mut self, now: MonoTime, who: &NodeName, token: FencingToken) -> bool {
        self.apply(&Fact::HandedOver {
            who,
            token,
            until: now + self.ttl,
        })
    }

    /// The holder gives the lease of this token back (SAFE-7), or the session in which it was granted has ended while the node
    /// has another.
    pub fn on_release(&mut self, who: &NodeName, token: FencingToken) -> Option<LeaseEnd> {
        let ours = self.state.tenure().is_some_and(|held| held == (who, token));
        if ours { self.end(&Fact::End) } else { None }
    }

    /// Somebody takes the lease away from whoever has it.
    // [SAFE-94] [SAFE-95]
    pub fn on_removal(&mut self) -> Option<LeaseEnd> {
        self.end(&Fact::End)
    }

    /// The last session of this node has ended, and with it every lease that it holds (SAFE-8).
    pub fn on_session_end(&mut self, who: &NodeName) -> Option<LeaseEnd> {
        if self.holder() == Some(who) {
            self.end(&Fact::End)
        } else {
            None
        }
    }

    /// Ends a lease whose time is over (SAFE-3), or a take whose token was not stored in time.
    pub fn on_timeout(&mut self, now: MonoTime) -> Option<LeaseEnd> {
        if self.next_timeout().is_some_and(|at| at <= now) {
            self.end(&Fact::Lapse)
        } else {
            None
        }
    }

    /// When the lease lapses unless it is renewed.
    pub fn next_timeout(&self) -> Option<MonoTime> {
        match self.state {
            State::Free => None,
            State::Granting { until, .. } | State::Held { until, .. } => Some(until),
        }
    }

    /// Whether this node may command the function now with this token.
    ///
    /// # Errors
    /// `NotLeased`, `HeldBy` or `OldToken`. A lapse that is due but not yet told counts.
    pub fn check(&self, now: MonoTime, who: &NodeName, token: FencingToken) -> Result<(), Refusal> {
        match &self.state {
            State::Free => Err(Refusal::NotLeased),
            State::Granting { until, .. } | State::Held { until, .. } if *until <= now => {
                Err(Refusal::NotLeased)
            }
            State::Granting { who: holder, .. } | State::Held { who: holder, .. }
                if holder != who =>
            {
                Err(Refusal::HeldBy(holder.clone()))
            }
            State::Held { token: held, .. } if *held == token => Ok(()),
            State::Granting { token: coming, .. } if *coming == token => Err(Refusal::NotLeased),
            State::Granting { .. } | State::Held { .. } => Err(Refusal::OldToken),
        }
    }

    fn end(&mut self, fact: &Fact<'_>) -> Option<LeaseEnd> {
        let ended = self.state.tenure().map(|(who, token)| LeaseEnd {
            who: who.clone(),
            token,
            granted: matches!(self.state, State::Held { .. }),
        });
        self.apply(fact);
        ended
    }

    fn apply(&mut self, fact: &Fact<'_>) -> bool {
        let state = next(&self.state, fact);
        let changed = state != self.state;
        self.state = state;
        changed
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Free,
    /// The token is being stored.
    Granting {
        who: NodeName,
        token: FencingToken,
        until: MonoTime,
    },
    Held {
        who: NodeName,
        token: FencingToken,
        until: MonoTime,
    },
}

impl State {
    fn tenure(&self) -> Option<(&NodeName, FencingToken)> {
        match self {
            State::Free => None,
            State::Granting { who, token, .. } | State::Held { who, token, .. } => {
                Some((who, *token))
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Fact<'a> {
    /// A take by the holder, or of a free lease; while a token is being stored nobody takes.
    Take {
        who: &'a NodeName,
        token: FencingToken,
        until: MonoTime,
    },
    Persisted {
        token: FencingToken,
        now: MonoTime,
        until: MonoTime,
    },
    /// A renewal by the holder, in time and with the newest token.
    Renew {
        until: MonoTime,
    },
    /// To somebody else, whose token is stored.
    HandedOver {
        who: &'a NodeName,
        token: FencingToken,
        until: MonoTime,
    },
    /// Release by the holder, the end of its session, preemption or revocation.
    End,
    Lapse,
}

fn next(state: &State, fact: &Fact<'_>) -> State {
    match (state, fact) {
        (State::Free | State::Held { .. }, Fact::Take { who, token, until }) => State::Granting {
            who: (*who).clone(),
            token: *token,
            until: *until,
        },
        (
            State::Granting {
                who,
                token: coming,
                until: pending_until,
            },
            Fact::Persisted { token, now, until },
        ) if coming == token && now < pending_until => State::Held {
            who: who.clone(),
            token: *coming,
            until: *until,
        },
        (
            State::Held {
                who,
                token,
                until: before,
            },
            Fact::Renew { until },
        ) => State::Held {
            who: who.clone(),
            token: *token,
            until: *before.max(until),
        },
        (State::Held { token: before, .. }, Fact::HandedOver { who, token, until })
            if before < token =>
        {
            State::Held {
                who: (*who).clone(),
                token: *token,
                until: *until,
            }
        }
        (State::Free | State::Granting { .. } | State::Held { .. }, Fact::End | Fact::Lapse) => {
            State::Free
        }
        (
            State::Free | State::Granting { .. } | State::Held { .. },
            Fact::Persisted { .. } | Fact::HandedOver { .. },
        )
        | (State::Free | State::Granting { .. }, Fact::Renew { .. })
        | (State::Granting { .. }, Fact::Take { .. }) => state.clone(),
    }
}

#[cfg(test)]
mod tests;
