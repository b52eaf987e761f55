//! What waits for the disk.

use std::collections::VecDeque;

use super::stops::Heard;
use super::{Agent, AgentEvent, Apply};
use crate::base::limits::{PERSIST_PENDING_MAX, PERSIST_RESERVED};
use crate::base::{Channel, FencingToken, MonoTime, NodeName, SessionId};
use crate::wire::Reply;

/// What is done when a record is on disk.
#[derive(Debug)]
pub(super) enum Pending {
    Grant {
        channel: Channel,
        token: FencingToken,
        session: SessionId,
        ask: u32,
    },
    /// The token of whoever has accepted a lease.
    Coming {
        channel: Channel,
        token: FencingToken,
        session: SessionId,
        ask: u32,
    },
    Apply(Box<Apply>),
    Stopped {
        heard: Heard,
        latched: bool,
    },
    Reset {
        author: NodeName,
        generation: u32,
        session: SessionId,
        ask: u32,
    },
}

/// Everything that waits, oldest first, by ticket.
#[derive(Debug, Default)]
pub(super) struct Persisting {
    waiting: VecDeque<(u64, Pending)>,
}

impl Persisting {
    /// For anything but stops and resets, which keep their places.
    // [SAFE-11]
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < PERSIST_PENDING_MAX - PERSIST_RESERVED
    }

    /// For a stop or a reset.
    pub(super) fn has_reserved_room(&self) -> bool {
        self.waiting.len() < PERSIST_PENDING_MAX
    }

    /// A function's lease is not wanted any more; who is to be told.
    pub(super) fn drop_grant(&mut self, ended: Channel) -> Option<(SessionId, u32)> {
        let granting = |pending: &Pending| match pending {
            Pending::Grant {
                channel,
                session,
                ask,
                ..
            } if *channel == ended => Some((*session, *ask)),
            Pending::Grant { .. }
            | Pending::Coming { .. }
            | Pending::Apply(_)
            | Pending::Stopped { .. }
            | Pending::Reset { .. } => None,
        };
        let mut waiting = self.waiting.iter().enumerate();
        let (index, told) = waiting.find_map(|(index, (_, pending))| {
            let told = granting(pending)?;
            Some((index, told))
        })?;
        self.waiting.remove(index);
        Some(told)
    }

    /// A record holds everything before it, so its ticket answers the earlier ones too.
    fn pop_until(&mut self, ticket: u64) -> Option<Pending> {
        let due = self
            .waiting
            .front()
            .is_some_and(|(oldest, _)| *oldest <= ticket);
        due.then(|| self.waiting.pop_front())
            .flatten()
            .map(|(_, pending)| pending)
    }
}

impl Agent {
    /// Has the record stored, and does `pending` then, for which whoever calls this has looked for room.
    pub(super) fn persist(&mut self, pending: impl Into<Option<Pending>>) {
        let ticket = self.take_ticket();
        let pending = pending.into();
        self.persisting
            .waiting
            .extend(pending.map(|pending| (ticket, pending)));
        self.events.push_back(AgentEvent::Persist {
            ticket,
            record: self.record.encode(),
        });
    }

    pub(super) fn on_persisted(&mut self, now: MonoTime, ticket: u64) {
        self.do_persisted(now, ticket);
        // Whoever waits for a lease could not have it while the disk was behind.
        let channels: Vec<Channel> = self.functions_by_channel().map(|(c, _)| c).collect();
        for channel in channels {
            self.give_to_next(now, channel);
        }
    }

    fn do_persisted(&mut self, now: MonoTime, ticket: u64) {
        while let Some(pending) = self.persisting.pop_until(ticket) {
            match pending {
                Pending::Apply(apply) => self.apply_persisted(now, apply),
                Pending::Grant {
                    channel,
                    token,
                    session,
                    ask,
                } => self.grant(now, channel, token, (session, ask)),
                Pending::Coming {
                    channel,
                    token,
                    session,
                    ask,
                } => self.begin_overlap(now, channel, token, (session, ask)),
                Pending::Stopped { heard, latched } => self.answer_stop(now, &heard, latched),
                Pending::Reset {
                    author,
                    generation,
                    session,
                    ask,
                } => {
                    // A stop that came meanwhile stands: the older reset must not clear it.
                    if !self.latch.is_latched() {
                        self.events
                            .push_back(AgentEvent::StopReset { author, generation });
                    }
                    self.hasten_beats(now);
                    self.reply(now, session, ask, Reply::Done);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(channel: u8, ask: u32) -> Pending {
        Pending::Grant {
            channel: Channel::new(channel).unwrap(),
            token: FencingToken(1),
            session: SessionId(7),
            ask,
        }
    }

    // [SAFE-11]
    #[test]
    fn places_are_kept_for_stops_and_resets() {
        let mut persisting = Persisting::default();
        let mut ticket = 0;
        while persisting.has_room() {
            ticket += 1;
            persisting.waiting.push_back((ticket, grant(1, 1)));
        }
        assert_eq!(
            persisting.waiting.len(),
            PERSIST_PENDING_MAX - PERSIST_RESERVED
        );
        assert!(persisting.has_reserved_room());
    }

    // [SAFE-11]
    #[test]
    fn a_grant_that_nobody_wants_any_more_gives_up_its_place() {
        let mut persisting = Persisting::default();
        persisting.waiting.push_back((1, grant(1, 10)));
        persisting.waiting.push_back((2, grant(2, 20)));
        let two = Channel::new(2).unwrap();
        assert_eq!(persisting.drop_grant(two), Some((SessionId(7), 20)));
        assert_eq!(persisting.drop_grant(two), None);
        assert_eq!(persisting.waiting.len(), 1);
    }
}
