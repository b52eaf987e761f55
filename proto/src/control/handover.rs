//! The way of a lease from one node to another: make before break.

use std::time::Duration;

use crate::base::{FencingToken, MonoTime, NodeName, OfferId, Refusal};
use crate::wire::OfferEnd;

/// The offer of one function's lease, and the overlap in which the next holder's commands arrive before its token moves.
///
/// The holder commands until the very command with which the other's token comes into force (SAFE-91), so that no period is
/// without a valid one. Whatever goes wrong on the way leaves the lease as it is (SAFE-92).
#[derive(Clone, Debug, Default)]
pub struct Handover {
    newest: u32,
    state: State,
}

/// An offer that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferOver {
    /// The offer.
    pub offer: OfferId,
    /// To whom it was made.
    pub to: NodeName,
    /// How it ended.
    pub how: OfferEnd,
}

impl Handover {
    /// How long an offer rings.
    pub const RING: Duration = Duration::from_secs(15);
    /// How long the commands of the next holder must have arrived before its token comes into force.
    pub const OVERLAP: Duration = Duration::from_millis(500);
    /// Valid commands that must have arrived in that time: a tenth of 50 Hz.
    pub const REHEARSALS_MIN: u32 = 3;
    /// How long after the overlap a valid command may still come: two round trips of the worst network, and losses.
    pub const TAKE_UP: Duration = Duration::from_millis(1_500);
    /// How long the next token may take to be stored.
    pub const STORE_MAX: Duration = Duration::from_secs(5);

    /// The holder offers the lease to somebody.
    ///
    /// # Errors
    /// `TooOften` while another offer stands.
    pub fn on_offer(&mut self, now: MonoTime, to: &NodeName) -> Result<OfferId, Refusal> {
        if self.state != State::Idle {
            return Err(Refusal::TooOften);
        }
        self.newest = self.newest.wrapping_add(1);
        let offer = OfferId(self.newest);
        self.apply(&Fact::Offer {
            offer,
            to,
            until: now + Self::RING,
        });
        Ok(offer)
    }

    /// The newest offer.
    pub fn newest(&self) -> OfferId {
        OfferId(self.newest)
    }

    /// Whom the offer is for, if it stands.
    pub fn offered_to(&self, offer: OfferId) -> Option<&NodeName> {
        let (standing, to) = self.state.offer()?;
        (standing == offer).then_some(to)
    }

    /// Who was offered the lease accepts it; store the token durably, then call [`Handover::on_persisted`].
    ///
    /// # Errors
    /// `NoOffer` when it is not for `who`, or rings no longer.
    pub fn on_accept(
        &mut self,
        now: MonoTime,
        who: &NodeName,
        offer: OfferId,
        token: FencingToken,
    ) -> Result<(), Refusal> {
        let rings =
            matches!(&self.state, State::Ringing { offer: o, to, .. } if (*o, to) == (offer, who));
        if !rings {
            return Err(Refusal::NoOffer);
        }
        self.apply(&Fact::Accept {
            token,
            until: now + Self::STORE_MAX,
        });
        Ok(())
    }

    /// The token is stored: the overlap begins, if it is still wanted.
    pub fn on_persisted(&mut self, now: MonoTime, token: FencingToken) -> Option<OfferId> {
        let changed = self.apply(&Fact::Persisted {
            token,
            earliest: now + Self::OVERLAP,
            until: now + Self::OVERLAP + Self::TAKE_UP,
        });
        let (offer, _) = self.state.offer().filter(|_| changed)?;
        Some(offer)
    }

    /// The token that is to come into force, in the overlap.
    pub fn coming(&self) -> Option<(&NodeName, FencingToken)> {
        match &self.state {
            State::Overlap { to, token, .. } => Some((to, *token)),
            State::Idle | State::Ringing { .. } | State::Storing { .. } => None,
        }
    }

    /// A command of the next holder that is valid in everything but its token. True when its token comes into force with it;
    /// the handover is over then.
    // [SAFE-90] [SAFE-91]
    pub fn on_rehearsal(&mut self, now: MonoTime) -> bool {
        let ready = match &self.state {
            State::Overlap {
                earliest, heard, ..
            } => *earliest <= now && *heard >= Self::REHEARSALS_MIN,
            State::Idle | State::Ringing { .. } | State::Storing { .. } => false,
        };
        self.apply(if ready {
            &Fact::Moved
        } else {
            &Fact::Rehearsal
        });
        ready
    }

    /// The offer ends as `how` says: declined, busy, cancelled, or the lease has ended.
    pub fn on_end(&mut self, how: OfferEnd) -> Option<OfferOver> {
        self.end(&Fact::End, how)
    }

    /// Ends an offer whose time is over.
    // [SAFE-92]
    pub fn on_timeout(&mut self, now: MonoTime) -> Option<OfferOver> {
        let due = self.next_timeout().is_some_and(|at| at <= now);
        let how = match &self.state {
            State::Idle => return None,
            State::Ringing { .. } => OfferEnd::Lapsed,
            State::Storing { .. } | State::Overlap { .. } => OfferEnd::NotTakenUp,
        };
        due.then(|| self.end(&Fact::Lapse, how)).flatten()
    }

    /// When the offer is over.
    pub fn next_timeout(&self) -> Option<MonoTime> {
        match self.state {
            State::Idle => None,
            State::Ringing { until, .. }
            | State::Storing { until, .. }
            | State::Overlap { until, .. } => Some(until),
        }
    }

    fn end(&mut self, fact: &Fact<'_>, how: OfferEnd) -> Option<OfferOver> {
        let over = self.state.offer().map(|(offer, to)| OfferOver {
            offer,
            to: to.clone(),
            how,
        });
        self.apply(fact);
        over
    }

    fn apply(&mut self, fact: &Fact<'_>) -> bool {
        let state = next(&self.state, fact);
        let changed = state != self.state;
        self.state = state;
        changed
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    Ringing {
        offer: OfferId,
        to: NodeName,
        until: MonoTime,
    },
    /// Accepted; the token is being stored.
    Storing {
        offer: OfferId,
        to: NodeName,
        token: FencingToken,
        until: MonoTime,
    },
    Overlap {
        offer: OfferId,
        to: NodeName,
        token: FencingToken,
        earliest: MonoTime,
        until: MonoTime,
        /// Valid commands so far.
        heard: u32,
    },
}

impl State {
    fn offer(&self) -> Option<(OfferId, &NodeName)> {
        match self {
            State::Idle => None,
            State::Ringing { offer, to, .. }
            | State::Storing { offer, to, .. }
            | State::Overlap { offer, to, .. } => Some((*offer, to)),
        }
    }
}

#[derive(Clone, Debug)]
enum Fact<'a> {
    /// By the holder, while nothing is offered.
    Offer {
        offer: OfferId,
        to: &'a NodeName,
        until: MonoTime,
    },
    /// By whom it was offered to.
    Accept {
        token: FencingToken,
        until: MonoTime,
    },
    Persisted {
        token: FencingToken,
        earliest: MonoTime,
        until: MonoTime,
    },
    /// A valid command of the next holder.
    Rehearsal,
    /// One after the overlap: its token is in force.
    Moved,
    /// Declined, cancelled, or the lease has ended.
    End,
    Lapse,
}

fn next(state: &State, fact: &Fact<'_>) -> State {
    match (state, fact) {
        (State::Idle, Fact::Offer { offer, to, until }) => State::Ringing {
            offer: *offer,
            to: (*to).clone(),
            until: *until,
        },
        (State::Ringing { offer, to, .. }, Fact::Accept { token, until }) => State::Storing {
            offer: *offer,
            to: to.clone(),
            token: *token,
            until: *until,
        },
        (
            State::Storing {
                offer,
                to,
                token: coming,
                ..
            },
            Fact::Persisted {
                token,
                earliest,
                until,
            },
        ) if coming == token => State::Overlap {
            offer: *offer,
            to: to.clone(),
            token: *token,
            earliest: *earliest,
            until: *until,
            heard: 0,
        },
        (
            State::Overlap {
                offer,
                to,
                token,
                earliest,
                until,
                heard,
            },
            Fact::Rehearsal,
        ) => State::Overlap {
            offer: *offer,
            to: to.clone(),
            token: *token,
            earliest: *earliest,
            until: *until,
            heard: heard.saturating_add(1),
        },
        (State::Overlap { .. }, Fact::Moved)
        | (
            State::Ringing { .. } | State::Storing { .. } | State::Overlap { .. },
            Fact::End | Fact::Lapse,
        ) => State::Idle,
        (
            State::Idle,
            Fact::Accept { .. }
            | Fact::Persisted { .. }
            | Fact::Rehearsal
            | Fact::Moved
            | Fact::End
            | Fact::Lapse,
        )
        | (
            State::Ringing { .. },
            Fact::Offer { .. } | Fact::Persisted { .. } | Fact::Rehearsal | Fact::Moved,
        )
        | (
            State::Storing { .. },
            Fact::Offer { .. }
            | Fact::Accept { .. }
            | Fact::Persisted { .. }
            | Fact::Rehearsal
            | Fact::Moved,
        )
        | (
            State::Overlap { .. },
            Fact::Offer { .. } | Fact::Accept { .. } | Fact::Persisted { .. },
        ) => state.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::diagram::{assert_in_safety, mermaid};

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_us(ms * 1_000)
    }

    fn bob() -> NodeName {
        "controller/bob".parse().unwrap()
    }

    const TOKEN: FencingToken = FencingToken(8);

    /// Accepted and stored at 1 s.
    fn overlapping() -> Handover {
        let mut handover = Handover::default();
        let offer = handover.on_offer(at(0), &bob()).unwrap();
        handover.on_accept(at(900), &bob(), offer, TOKEN).unwrap();
        assert_eq!(handover.coming(), None, "it is not stored yet");
        assert_eq!(handover.on_persisted(at(1_000), TOKEN), Some(offer));
        assert_eq!(handover.coming(), Some((&bob(), TOKEN)));
        handover
    }

    #[test]
    fn the_picture_in_the_docs_is_the_code() {
        let (offer, to, until) = (OfferId(1), bob(), at(500));
        let token = TOKEN;
        let ringing = State::Ringing {
            offer,
            to: to.clone(),
            until,
        };
        let storing = State::Storing {
            offer,
            to: to.clone(),
            token,
            until,
        };
        let overlap = State::Overlap {
            offer,
            to: to.clone(),
            token,
            earliest: at(400),
            until,
            heard: 0,
        };
        let facts = [
            (
                Fact::Offer {
                    offer,
                    to: &to,
                    until,
                },
                "offer",
            ),
            (Fact::Accept { token, until }, "accepted"),
            (
                Fact::Persisted {
                    token,
                    earliest: at(400),
                    until,
                },
                "token stored",
            ),
            (Fact::Rehearsal, "valid command"),
            (Fact::Moved, "token in force"),
            (Fact::End, "declined, cancelled, lease end"),
            (Fact::Lapse, "lapse"),
        ];
        let name = |state: &State| {
            let name = match state {
                State::Idle => "Idle",
                State::Ringing { .. } => "Ringing",
                State::Storing { .. } => "Storing",
                State::Overlap { .. } => "Overlap",
            };
            name.to_string()
        };
        let mut edges = Vec::new();
        for state in [State::Idle, ringing, storing, overlap] {
            for (fact, label) in &facts {
                let to = next(&state, fact);
                if to != state {
                    edges.push((name(&state), name(&to), *label));
                }
            }
        }
        assert_in_safety(&mermaid("Handover", "Idle", &edges));
    }

    /// [SAFE-91]
    #[test]
    fn the_token_moves_with_a_valid_command_after_the_overlap() {
        let mut handover = overlapping();
        for ms in [1_100, 1_200, 1_300, 1_499] {
            assert!(!handover.on_rehearsal(at(ms)), "{ms}");
        }
        assert!(handover.on_rehearsal(at(1_500)));
        assert_eq!(handover.coming(), None);
        assert_eq!(handover.next_timeout(), None);
    }

    /// [SAFE-90]
    #[test]
    fn one_late_command_is_not_enough() {
        let mut handover = overlapping();
        for ms in [1_700, 1_720, 1_740] {
            assert!(!handover.on_rehearsal(at(ms)), "{ms}");
        }
        assert!(handover.on_rehearsal(at(1_760)));
    }

    /// [SAFE-92]
    #[test]
    fn without_valid_commands_everything_stays_as_it_is() {
        let mut handover = overlapping();
        assert_eq!(handover.on_timeout(at(2_999)), None);
        let over = handover.on_timeout(at(3_000)).unwrap();
        assert_eq!((over.to, over.how), (bob(), OfferEnd::NotTakenUp));
        assert!(!handover.on_rehearsal(at(3_001)));
        assert_eq!(handover.coming(), None);
    }

    /// [SAFE-93]
    #[test]
    fn an_offer_is_for_one_node_and_for_a_while() {
        let mut handover = Handover::default();
        let offer = handover.on_offer(at(0), &bob()).unwrap();
        assert_eq!(
            handover.on_offer(at(1), &bob()),
            Err(Refusal::TooOften),
            "one at a time"
        );
        let eve = "controller/eve".parse().unwrap();
        let refused = Err(Refusal::NoOffer);
        assert_eq!(handover.on_accept(at(1), &eve, offer, TOKEN), refused);
        assert_eq!(
            handover.on_accept(at(1), &bob(), OfferId(99), TOKEN),
            refused
        );
        assert_eq!(handover.offered_to(offer), Some(&bob()));
        let lapsed = handover.on_timeout(at(15_000)).unwrap();
        assert_eq!(lapsed.how, OfferEnd::Lapsed);
        assert_eq!(
            handover.on_accept(at(15_001), &bob(), offer, TOKEN),
            refused
        );
        let second = handover.on_offer(at(16_000), &bob()).unwrap();
        assert_ne!(second, offer);
        assert_eq!(
            handover.on_end(OfferEnd::Declined).map(|over| over.how),
            Some(OfferEnd::Declined)
        );
        assert_eq!(handover.on_end(OfferEnd::Cancelled), None);
    }
}
