//! Sessions at the agent: how they begin, what they deliver, how they end.

use super::function::Function;
use super::function_mut;
use super::guest::Guest;
use super::journey::Journey;
use super::{Agent, AgentEvent, LeaseEndReason, SessionEndReason};
use crate::base::limits::{
    HANDSHAKE_TTL, SESSION_LIFE, SESSIONS_PER_AGENT_MAX, SESSIONS_PER_PEER_MAX,
};
use crate::base::{Channel, Class, MonoTime, NodeKind, NodeName, SessionId};
use crate::control::LeaseEnd;
use crate::role::node::Way;
use crate::session::Rejection;
use crate::wire::{FunctionReport, Notice, SealedHeader, SessionMessage};

impl Agent {
    /// Ends every session, and tells the controllers, as the program ends.
    pub fn end(&mut self, now: MonoTime) {
        let sessions: Vec<SessionId> = self.guests.keys().copied().collect();
        for id in sessions {
            if let Some(guest) = self.guests.get_mut(&id) {
                // A session that takes no more ends without a word, as by a lost connection.
                let _ = guest.line.send_message(now, &SessionMessage::Bye);
                guest.line.flush(now, &mut self.node);
            }
            self.end_session(now, id, SessionEndReason::AgentEnds);
        }
    }

    pub(super) fn on_step1(
        &mut self,
        now: MonoTime,
        relay: &NodeName,
        session: SessionId,
        body: &[u8],
    ) {
        let step2 = self.halves.on_step1(
            now,
            relay,
            (session, body),
            &self.me,
            self.credential.as_ref(),
            self.entropy.as_mut(),
        );
        match step2 {
            Some(step2) => self.node.send(now, relay, &step2, now, now + HANDSHAKE_TTL),
            None => self.counters.refused_handshakes += 1,
        }
    }

    pub(super) fn on_step3(
        &mut self,
        now: MonoTime,
        relay: &NodeName,
        session: SessionId,
        body: &[u8],
    ) {
        if self.guests.contains_key(&session) {
            return;
        }
        let at = self.wall.at(now);
        let genuine = self
            .halves
            .on_step3(now, relay, (session, body), (&self.fleet, at));
        let Some(established) = genuine else {
            self.counters.refused_handshakes += 1;
            return;
        };
        // [SAFE-10] Whatever a relay or another agent has papers for, it is not to command.
        let may_command = matches!(
            established.peer.node.kind,
            NodeKind::Controller | NodeKind::Service
        );
        if !may_command
            || self.lacks_revocations(now)
            || !self.make_room(now, &established.peer.node)
        {
            self.counters.refused_sessions += 1;
            return;
        }
        let judging = (self.functions.as_slice(), &self.policy);
        self.events.push_back(AgentEvent::SessionUp {
            session,
            peer: established.peer.node.clone(),
            fingerprint: established.peer.fingerprint,
        });
        let mut guest = Guest::new(
            now,
            session,
            (established, self.fleet.time(at)),
            judging,
            &self.dictionaries,
        );
        // The handshake began with the certificate of then.
        guest.line.far.show(self.credential.as_ref());
        self.guests.insert(session, guest);
    }

    pub(super) fn on_sealed(
        &mut self,
        now: MonoTime,
        way: Way,
        header: SealedHeader,
        ciphertext: &[u8],
    ) {
        let Some(guest) = self.guests.get_mut(&header.session) else {
            self.counters.unknown_sessions += 1;
            return;
        };
        // State is kept for the flows of functions that exist, and for no others.
        if usize::from(header.flow.channel.number()) > self.functions.len() {
            self.counters.rejected += 1;
            return;
        }
        match guest.line.session.on_sealed(now, header, ciphertext) {
            Ok(()) => guest.way = Some(way),
            Err(Rejection::Forged) => self.counters.forged += 1,
            Err(Rejection::Replayed) => {
                self.counters.replayed += 1;
                if let Some(function) = function_mut(&mut self.functions, header.flow.channel) {
                    function.replayed += 1;
                }
            }
            Err(_) => self.counters.rejected += 1,
        }
        self.take_deliveries(now, header.session);
    }

    pub(super) fn end_session(&mut self, now: MonoTime, id: SessionId, why: SessionEndReason) {
        let Some(guest) = self.guests.remove(&id) else {
            return;
        };
        self.counters.garbled += guest.line.garbled();
        self.leave_leases(now, id);
        let ended: Vec<(Channel, LeaseEnd)> = self
            .functions_by_channel()
            .filter_map(|(channel, function)| {
                let end = function.on_session_end(&guest.peer, id)?;
                Some((channel, end))
            })
            .collect();
        for (channel, end) in ended {
            self.on_lease_end(now, channel, end, LeaseEndReason::SessionEnded);
        }
        self.events.push_back(AgentEvent::SessionDown {
            session: id,
            peer: guest.peer,
            why,
        });
    }

    /// Silent sessions end, what waited for its turn is delivered, beats go.
    pub(super) fn work_sessions(&mut self, now: MonoTime) {
        self.judge_papers(now);
        self.end_sessions_without_revocations(now);
        let silent = |guest: &Guest| guest.line.heard_at + SESSION_LIFE <= now;
        let ended: Vec<SessionId> = self
            .guests
            .iter()
            .filter(|(_, guest)| silent(guest))
            .map(|(id, _)| *id)
            .collect();
        for id in ended {
            self.end_session(now, id, SessionEndReason::Silent);
        }
        let due: Vec<SessionId> = self
            .guests
            .iter_mut()
            .filter_map(|(id, guest)| guest.on_timeout(now).then_some(*id))
            .collect();
        for id in due {
            self.take_deliveries(now, id);
        }
        let functions = &self.functions;
        let reports =
            || -> Vec<FunctionReport> { functions.iter().map(Function::report).collect() };
        let stop = (self.latch.is_latched(), self.latch.generation());
        for (id, guest) in &mut self.guests {
            guest.line.tell_clock(now, &self.wall);
            let held = functions.iter().filter(|f| f.session() == Some(*id));
            let lease_ttl = held.map(|function| function.config.lease_ttl).min();
            guest.work(now, &mut self.node, reports, stop, lease_ttl);
        }
    }

    pub(super) fn hasten_beats(&mut self, now: MonoTime) {
        for guest in self.guests.values_mut() {
            guest.line.hasten_beat(now);
        }
    }

    /// Tells the relays which sessions hold a lease when that has changed.
    // [WIRE-115]
    pub(super) fn tell_leased(&mut self, now: MonoTime) {
        let sessions = self.leased_sessions();
        if sessions != self.told_leased {
            self.node.notify_all(
                now,
                &Notice::Leased {
                    sessions: sessions.clone(),
                },
            );
            self.told_leased = sessions;
        }
    }

    /// Tells one relay, which may know nothing of it.
    pub(super) fn tell_leased_to(&mut self, now: MonoTime, relay: &NodeName) {
        let sessions = self.told_leased.clone();
        self.node.notify(now, relay, Notice::Leased { sessions });
    }

    fn leased_sessions(&self) -> Vec<SessionId> {
        let mut sessions: Vec<SessionId> = self
            .functions
            .iter()
            .flat_map(|function| [function.session(), function.coming()])
            .flatten()
            .collect();
        sessions.sort_unstable();
        sessions.dedup();
        sessions
    }

    fn take_deliveries(&mut self, now: MonoTime, id: SessionId) {
        while let Some(guest) = self.guests.get_mut(&id) {
            let Some(delivery) = guest.line.session.poll_delivery() else {
                return;
            };
            guest.line.on_delivery(now, &delivery);
            if delivery.flow.channel == Channel::SESSION {
                if delivery.flow.class == Class::Latest {
                    self.on_beat(now, id, &delivery);
                } else {
                    self.on_message(now, id, &delivery);
                }
            } else if let Some(way) = &guest.way {
                let journey = Journey::new(now, way, delivery.sent_at_us, delivery.age);
                self.on_command(now, id, &delivery, journey);
            }
        }
    }

    /// Makes room for a session of this controller by ending the one that was silent longest and holds no lease: one of its
    /// own when it has its share already.
    fn make_room(&mut self, now: MonoTime, peer: &NodeName) -> bool {
        let own = self.guests.values().filter(|guest| guest.peer == *peer);
        let over_share = own.count() >= SESSIONS_PER_PEER_MAX;
        if !over_share && self.guests.len() < SESSIONS_PER_AGENT_MAX {
            return true;
        }
        let leased = self.leased_sessions();
        let idle = self
            .guests
            .iter()
            .filter(|(id, guest)| !leased.contains(id) && (!over_share || guest.peer == *peer))
            .min_by_key(|(_, guest)| guest.line.heard_at);
        let Some(id) = idle.map(|(id, _)| *id) else {
            return false;
        };
        self.end_session(now, id, SessionEndReason::GaveWay);
        true
    }
}
