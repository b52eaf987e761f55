//! Emergency stops, from a relay's parcel to the latch, and the signed answer.

use super::persisting::Pending;
use super::stops::{Heard, Verdict};
use super::{Agent, AgentEvent};
use crate::base::limits::STOP_TTL;
use crate::base::{MonoTime, NodeName, Right, StopId};
use crate::control::StopOutcome;
use crate::crypto::sign_statement;
use crate::wire::{Parcel, Signed, Statement};

impl Agent {
    /// Whether the emergency stop is latched.
    pub fn is_stopped(&self) -> bool {
        self.latch.is_latched()
    }

    /// The vehicle's own software has latched the emergency stop, which is in effect already. From here on it is a stop as any
    /// other, and its author is the vehicle itself.
    // [SAFE-131]
    pub fn stop_by_vehicle(&mut self, now: MonoTime) {
        if self.latch.is_latched() {
            return;
        }
        let mut id = StopId([0; 16]);
        self.entropy.fill(&mut id.0);
        self.latch.on_stop(id, Some(self.latch.generation()));
        self.note_stop_by(&self.me.clone());
        self.events.push_back(AgentEvent::Stop {
            author: Some(self.me.clone()),
            generation: self.latch.generation(),
        });
        self.hasten_beats(now);
        self.record.stop = self.latch.record();
        self.persist(None);
    }

    pub(super) fn on_statement(&mut self, now: MonoTime, relay: &NodeName, body: &[u8]) {
        let (fleet, policy) = (&self.fleet, &self.policy);
        let verdict = (self.stops).on_statement(now, relay, &self.me, body, fleet, policy);
        match verdict {
            Verdict::Drop => {}
            Verdict::Answer(answer) => self.node.send(now, relay, &answer, now, now + STOP_TTL),
            // [SAFE-83]
            Verdict::NotAllowed(heard) => {
                self.stops.note(&heard, None);
                self.answer_stop(now, &heard, false);
                self.events.push_back(AgentEvent::NotAllowed {
                    peer: heard.author,
                    right: Right::Stop,
                });
            }
            // [SAFE-106]
            Verdict::Stop(heard) if !self.is_meant(&heard) => {
                self.stops.count_other_group();
                self.stops.note(&heard, None);
                self.answer_stop(now, &heard, false);
            }
            Verdict::Stop(heard) => self.on_stop(now, heard),
        }
    }

    /// Whether a stop is for this agent: who is in a group, its own certificate says.
    fn is_meant(&self, heard: &Heard) -> bool {
        let group = heard.group.as_ref();
        group.is_none_or(|group| self.groups.contains(group))
    }

    fn on_stop(&mut self, now: MonoTime, heard: Heard) {
        match self.latch.on_stop(heard.id, heard.generation) {
            // [SAFE-31]
            StopOutcome::OldGeneration => {
                self.stops.count_old();
                self.stops.note(&heard, None);
                self.answer_stop(now, &heard, false);
                return;
            }
            StopOutcome::Latched => {
                self.note_stop_by(&heard.author);
                // [SAFE-30] The stop takes effect before anything is written.
                self.events.push_back(AgentEvent::Stop {
                    author: Some(heard.author.clone()),
                    generation: self.latch.generation(),
                });
                self.hasten_beats(now);
            }
            StopOutcome::Joined | StopOutcome::Repeat => {}
        }
        self.record.stop = self.latch.record();
        // [SAFE-34] A stop is stored whatever else waits. Without room for its answer the sender's next repeat finds some.
        let pending = self.persisting.has_reserved_room().then(|| {
            self.stops.note(&heard, None);
            let latched = self.latch.is_latched();
            Pending::Stopped { heard, latched }
        });
        self.persist(pending);
    }

    /// Says under the agent's own signature what became of a stop; the same answer goes out for each repeat of it.
    pub(super) fn answer_stop(&mut self, now: MonoTime, heard: &Heard, latched: bool) {
        let generation = self.latch.generation();
        let statement = Statement::Stopped {
            id: heard.id,
            generation,
            latched,
        };
        let signed: Signed =
            sign_statement(self.credential.as_ref(), &self.me, &heard.author, statement);
        let parcel = Parcel::Signed {
            to: heard.author.clone(),
            body: signed.encode().into(),
        }
        .encode();
        self.stops.note(heard, Some(parcel.clone()));
        self.node.send_everywhere(now, &parcel, now, now + STOP_TTL);
    }
}
