//! What controllers ask for, and say of themselves.

use super::persisting::Pending;
use super::{Agent, AgentEvent, Asked, LeaseEndReason, SessionEndReason, function_mut};
use crate::base::{Channel, FencingToken, MonoTime, Refusal, Right, SessionId};
use crate::control::{ResetOutcome, TakeStep};
use crate::role::ClockDifference;
use crate::session::Delivery;
use crate::wire::{Granted, OfferEnd, Outcome, Reply, Request, SessionMessage};

impl Agent {
    pub(super) fn on_beat(&mut self, now: MonoTime, id: SessionId, delivery: &Delivery) {
        let Some(guest) = self.guests.get_mut(&id) else {
            return;
        };
        let Some(renewals) = guest.on_beat(now, delivery) else {
            return;
        };
        let age = delivery.age;
        for renewal in renewals {
            let function = function_mut(&mut self.functions, renewal.channel);
            // [SAFE-9] A beat never expires, but a relay may have held this one back.
            if let (Some(function), Some(age)) = (function, age)
                && age.age.saturating_sub(age.error) < function.config.lease_ttl
            {
                function.renew(now, id, renewal.token);
                self.on_coming_renewal(now, id, &renewal);
            }
        }
    }

    pub(super) fn on_message(&mut self, now: MonoTime, id: SessionId, delivery: &Delivery) {
        match SessionMessage::decode(&delivery.bytes) {
            Ok(SessionMessage::Request { ask, request }) => {
                self.resolve(id, delivery.flow, delivery.number, Outcome::Applied);
                let asked = asked(&request);
                if let Some(reply) = self.on_request(now, id, ask, request) {
                    if let Reply::Refused(why) = &reply {
                        self.tell_refused(id, asked, why);
                    }
                    self.reply(now, id, ask, reply);
                }
            }
            Ok(SessionMessage::Bye) => self.end_session(now, id, SessionEndReason::Closed),
            Ok(SessionMessage::Dictionaries(tags)) => {
                if let Some(guest) = self.guests.get_mut(&id) {
                    guest.line.session.on_dictionaries(&tags);
                }
                self.resolve(id, delivery.flow, delivery.number, Outcome::Applied);
            }
            Ok(SessionMessage::WallClock(unix_ms)) => {
                let own = self.wall.shown_ms(now);
                if let (Some(guest), Some(age), Some(own)) =
                    (self.guests.get(&id), delivery.age, own)
                {
                    self.events.push_back(AgentEvent::Clock {
                        peer: guest.peer.clone(),
                        difference: ClockDifference::new(unix_ms, age, own),
                    });
                }
                self.resolve(id, delivery.flow, delivery.number, Outcome::Applied);
            }
            Ok(SessionMessage::Papers(papers)) => {
                if let Some(guest) = self.guests.get_mut(&id) {
                    guest.line.far.on_papers(papers);
                }
                self.resolve(id, delivery.flow, delivery.number, Outcome::Applied);
            }
            Ok(
                SessionMessage::Reply { .. }
                | SessionMessage::Description(_)
                | SessionMessage::News(_),
            )
            | Err(_) => {
                let outcome = Outcome::Refused(Refusal::Malformed);
                self.resolve(id, delivery.flow, delivery.number, outcome);
            }
        }
    }

    /// Tells the program who did not get what.
    pub(super) fn tell_refused(&mut self, id: SessionId, asked: Asked, why: &Refusal) {
        if let Some(guest) = self.guests.get(&id) {
            self.events.push_back(AgentEvent::Refused {
                peer: guest.peer.clone(),
                asked,
                why: why.clone(),
            });
        }
    }

    pub(super) fn reply(&mut self, now: MonoTime, id: SessionId, ask: u32, reply: Reply) {
        if let Some(guest) = self.guests.get_mut(&id) {
            // Without a reply in time the asker's request ends as unknown.
            let _ = guest
                .line
                .send_message(now, &SessionMessage::Reply { ask, reply });
            guest.line.flush(now, &mut self.node);
        }
    }

    /// The token is on disk: the lease begins, if its session still stands.
    pub(super) fn grant(
        &mut self,
        now: MonoTime,
        channel: Channel,
        token: FencingToken,
        (session, ask): (SessionId, u32),
    ) {
        let Some(function) = function_mut(&mut self.functions, channel) else {
            return;
        };
        let ttl_ms = function.lease_ttl_ms();
        let reply = match function.lease.on_persisted(now, token) {
            Some(grant) => {
                self.events.push_back(AgentEvent::LeaseGranted {
                    channel,
                    holder: grant.who,
                    token,
                });
                self.tell_leased(now);
                Reply::Granted(Granted {
                    channel,
                    token,
                    ttl_ms,
                })
            }
            None => {
                let asked = Asked::Request {
                    word: "take",
                    channel: Some(channel),
                };
                self.tell_refused(session, asked, &Refusal::NotLeased);
                Reply::Refused(Refusal::NotLeased)
            }
        };
        self.reply(now, session, ask, reply);
        self.hasten_beats(now);
    }

    /// The reply, unless it has to wait for the disk.
    fn on_request(
        &mut self,
        now: MonoTime,
        id: SessionId,
        ask: u32,
        request: Request,
    ) -> Option<Reply> {
        let too_often = match request {
            Request::Take { .. }
            | Request::Wait { .. }
            | Request::Preempt { .. }
            | Request::Accept { .. }
            | Request::Offer { .. } => !self.persisting.has_room() || !self.may_take(now, id),
            Request::ResetStop { .. } => !self.persisting.has_reserved_room(),
            Request::Release { .. }
            | Request::Leave { .. }
            | Request::Revoke { .. }
            | Request::Cancel { .. }
            | Request::Decline { .. } => false,
        };
        if too_often {
            return Some(Reply::Refused(Refusal::TooOften));
        }
        match request {
            Request::Take { channel } => self.on_take(now, id, ask, channel),
            Request::Release { channel, token } => Some(self.on_release(now, id, channel, token)),
            Request::ResetStop { generation } => self.on_reset(now, id, ask, generation),
            Request::Wait { channel } => self.on_wait(now, id, ask, channel),
            Request::Leave { channel } => Some(self.on_leave(now, id, channel)),
            Request::Preempt { channel, reason } => {
                self.on_preempt(now, id, ask, (channel, reason))
            }
            Request::Revoke { channel, reason } => self.on_revoke(now, id, channel, reason),
            Request::Offer { channel, token, to } => self.on_offer(now, id, (channel, token), &to),
            Request::Cancel { channel, offer } => self.on_cancel(now, id, channel, offer),
            Request::Accept { channel, offer } => self.on_accept(now, id, ask, (channel, offer)),
            Request::Decline {
                channel,
                offer,
                busy,
            } => {
                let how = if busy {
                    OfferEnd::Busy
                } else {
                    OfferEnd::Declined
                };
                self.on_decline(now, id, (channel, offer), how)
            }
        }
    }

    // [SAFE-35] [SAFE-39] [SAFE-84]
    fn on_reset(
        &mut self,
        now: MonoTime,
        id: SessionId,
        ask: u32,
        generation: u32,
    ) -> Option<Reply> {
        let guest = self.guests.get(&id)?;
        let author = guest.peer.clone();
        if !guest.may_reset() {
            return Some(self.not_allowed(id, Right::Reset));
        }
        let due = self.latch.is_latched() && self.latch.generation() == generation;
        if due
            && self.policy.reset_by_two()
            && let Err(why) = self.second_person.on_ask(now, &author, generation)
        {
            return Some(Reply::Refused(why));
        }
        match self.latch.on_reset(generation) {
            ResetOutcome::Cleared(generation) => {
                self.note_stop_by(&author);
                self.record.stop = self.latch.record();
                self.persist(Pending::Reset {
                    author,
                    generation,
                    session: id,
                    ask,
                });
                None
            }
            ResetOutcome::NotLatched => Some(Reply::Done),
            ResetOutcome::OtherGeneration => Some(Reply::Refused(Refusal::Stopped)),
        }
    }

    // [SAFE-11]
    fn may_take(&mut self, now: MonoTime, id: SessionId) -> bool {
        let guest = self.guests.get(&id);
        guest.is_some_and(|guest| self.takes.try_spend(now, &guest.peer))
    }

    pub(super) fn on_take(
        &mut self,
        now: MonoTime,
        id: SessionId,
        ask: u32,
        channel: Channel,
    ) -> Option<Reply> {
        let guest = self.guests.get(&id)?;
        let Some(function) = function_mut(&mut self.functions, channel) else {
            return Some(Reply::Refused(Refusal::NoSuchFunction));
        };
        // [SAFE-82]
        if !guest.may(Right::Command, channel) {
            return Some(self.not_allowed(id, Right::Command));
        }
        match function.take(now, &guest.peer, id) {
            Err(why) => Some(Reply::Refused(why)),
            // [SAFE-2]
            Ok(TakeStep::Persist(token)) => {
                function.waiting.leave(id);
                let name = function.config.name.clone();
                self.record.tokens.insert(name, token);
                self.persist(Pending::Grant {
                    channel,
                    token,
                    session: id,
                    ask,
                });
                // A holder that takes again hands nothing over.
                self.end_offer(now, channel, OfferEnd::LeaseEnded);
                None
            }
        }
    }

    // [SAFE-7]
    fn on_release(
        &mut self,
        now: MonoTime,
        id: SessionId,
        channel: Channel,
        token: FencingToken,
    ) -> Reply {
        let who = self.guests.get(&id).map(|guest| &guest.peer);
        let function = function_mut(&mut self.functions, channel);
        let released = match (who, function) {
            (Some(who), Some(function)) => function.lease.on_release(who, token),
            (None, _) | (_, None) => None,
        };
        let Some(end) = released else {
            return Reply::Refused(Refusal::NotLeased);
        };
        self.on_lease_end(now, channel, end, LeaseEndReason::Released);
        Reply::Done
    }
}

fn asked(request: &Request) -> Asked {
    let (word, channel) = match request {
        Request::Take { channel } => ("take", Some(channel)),
        Request::Release { channel, .. } => ("release", Some(channel)),
        Request::ResetStop { .. } => ("reset", None),
        Request::Wait { channel } => ("wait", Some(channel)),
        Request::Leave { channel } => ("leave", Some(channel)),
        Request::Preempt { channel, .. } => ("preempt", Some(channel)),
        Request::Revoke { channel, .. } => ("revoke", Some(channel)),
        Request::Offer { channel, .. } => ("offer", Some(channel)),
        Request::Cancel { channel, .. } => ("cancel", Some(channel)),
        Request::Accept { channel, .. } => ("accept", Some(channel)),
        Request::Decline { channel, .. } => ("decline", Some(channel)),
    };
    let channel = channel.copied();
    Asked::Request { word, channel }
}
