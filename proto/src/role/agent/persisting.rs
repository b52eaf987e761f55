//! What waits for the disk.

use std::collections::VecDeque;

use super::stops::Heard;
use super::{Agent, AgentEvent, Apply};
use crate::base::limits::PERSIST_PENDING_MAX;
use crate::base::{Channel, FencingToken, MonoTime, SessionId};
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
    Apply(Box<Apply>),
    Stopped {
        heard: Heard,
        latched: bool,
    },
    Reset {
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
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < PERSIST_PENDING_MAX
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
        while let Some(pending) = self.persisting.pop_until(ticket) {
            match pending {
                Pending::Apply(apply) => self.apply_persisted(now, apply),
                Pending::Grant {
                    channel,
                    token,
                    session,
                    ask,
                } => self.grant(now, channel, token, (session, ask)),
                Pending::Stopped { heard, latched } => self.answer_stop(now, &heard, latched),
                Pending::Reset { session, ask } => {
                    // A stop that came meanwhile stands: the older reset must not clear it.
                    if !self.latch.is_latched() {
                        self.events.push_back(AgentEvent::StopReset);
                    }
                    self.hasten_beats(now);
                    self.reply(now, session, ask, Reply::Done);
                }
            }
        }
    }
}
