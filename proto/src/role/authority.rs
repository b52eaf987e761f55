//! The authority's node: hears what nodes ask of the fleet's authority, and answers. The signing key is its program's.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::halves::Halves;
use super::node::{Fact, Node};
use super::rates::Rates;
use super::visit::Visit;
use super::wall::WallClock;
use super::{Input, NodeCounters, Redial, Role, Transmit};
use crate::base::limits::{
    ADMISSION_BURST, ADMISSIONS_PER_S, HANDSHAKE_TTL, SESSION_LIFE, VISIT_WORK_PER_S,
    VISITS_HALF_OPEN_MAX, VISITS_MAX, VISITS_PER_PEER_MAX,
};
use crate::base::{Entropy, MonoTime, NodeName, SessionId};
use crate::crypto::{Credential, Fleet, Peer};
use crate::wire::{EnrolRefusal, Enrolment, Parcel, SealedHeader};

/// What the authority's node tells its program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorityEvent {
    /// A relay is reached.
    RelayUp {
        /// The relay.
        relay: NodeName,
    },
    /// Somebody asks for a certificate: answer with [`Authority::answer`].
    Asked {
        /// By this session.
        session: SessionId,
        /// Who asks, as a certificate of the authority names it.
        peer: Peer,
        /// Who the certificate shall be of.
        node: NodeName,
        /// The signing request (PKCS#10, DER).
        request: Vec<u8>,
    },
}

/// What was dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthorityCounters {
    /// First or third messages of a handshake that are none, not genuine, or over the rate of their relay.
    pub refused_handshakes: u64,
    /// Envelopes of unknown sessions, and those that did not open.
    pub unusable_envelopes: u64,
    /// Sessions that gave way to newer ones.
    pub evicted: u64,
    /// Requests over the rate of their node.
    pub over_rate: u64,
}

/// The authority's node.
pub struct Authority {
    me: NodeName,
    credential: Arc<dyn Credential>,
    fleet: Fleet,
    entropy: Box<dyn Entropy>,
    wall: WallClock,
    node: Node,
    halves: Halves,
    visits: BTreeMap<SessionId, Visitor>,
    admissions: Rates<NodeName>,
    counters: AuthorityCounters,
    events: VecDeque<AuthorityEvent>,
}

#[derive(Debug)]
struct Visitor {
    peer: Peer,
    visit: Visit,
}

impl Authority {
    /// The node with the identity of `credential`, which is a node's and cannot sign certificates. An expired agent is heard
    /// during its time of grace.
    // [WIRE-144]
    pub fn new(
        me: NodeName,
        credential: Arc<dyn Credential>,
        fleet: Fleet,
        mut entropy: Box<dyn Entropy>,
    ) -> Authority {
        Authority {
            me,
            credential,
            fleet: fleet.with_grace(),
            node: Node::new(entropy.as_mut()),
            entropy,
            wall: WallClock::default(),
            halves: Halves::new(VISITS_HALF_OPEN_MAX, VISIT_WORK_PER_S),
            visits: BTreeMap::new(),
            admissions: Rates::new(ADMISSIONS_PER_S, ADMISSION_BURST),
            counters: AuthorityCounters::default(),
            events: VecDeque::new(),
        }
    }

    /// The own certificate and key from now on.
    pub fn set_credential(&mut self, _now: MonoTime, credential: Arc<dyn Credential>) {
        self.credential = credential;
        self.node.redial_all();
    }

    /// Answers who asked by this session.
    pub fn answer(&mut self, now: MonoTime, session: SessionId, answer: &Enrolment) {
        if let Some(visitor) = self.visits.get_mut(&session) {
            visitor.visit.say(now, answer);
            visitor.visit.work(now, &mut self.node);
        }
    }

    /// The newest list of revocations, in parts: it counts here, goes to every relay, and to each that comes (back). Whoever is
    /// revoked by it is heard no more.
    // [WIRE-147] [WIRE-148]
    pub fn set_revocations(&mut self, now: MonoTime, parts: &[Vec<u8>]) {
        for part in parts {
            self.fleet.take_revocations(part);
        }
        let parcel = |part: &Vec<u8>| Parcel::Revocations(part.as_slice().into()).encode();
        self.node.publish(now, parts.iter().map(parcel).collect());
        let fleet = &self.fleet;
        self.visits
            .retain(|_, visitor| !fleet.is_revoked(&visitor.peer.node, visitor.peer.not_before));
    }

    /// What was dropped, by reason.
    pub fn counters(&self) -> (AuthorityCounters, NodeCounters) {
        (self.counters, self.node.counters())
    }

    fn take_facts(&mut self, now: MonoTime) {
        while let Some(fact) = self.node.poll_fact() {
            match fact {
                Fact::LegUp { relay, .. } => {
                    for visitor in self.visits.values_mut() {
                        visitor.visit.on_leg_up(now, &relay, &mut self.node);
                    }
                    self.events.push_back(AuthorityEvent::RelayUp { relay });
                }
                Fact::Health { .. } | Fact::Delivered { .. } => {}
                Fact::Arrival { way, parcel } => self.on_parcel(now, &way.relay, &parcel),
            }
        }
    }

    fn on_parcel(&mut self, now: MonoTime, relay: &NodeName, parcel: &[u8]) {
        match Parcel::decode(parcel) {
            Ok(Parcel::Sealed { header, ciphertext }) => self.on_sealed(now, header, &ciphertext),
            Ok(Parcel::Handshake {
                session,
                step: 1,
                to,
                body,
            }) if to.as_ref() == Some(&self.me) => self.on_step1(now, relay, session, &body),
            Ok(Parcel::Handshake {
                session,
                step: 3,
                body,
                ..
            }) => self.on_step3(now, relay, session, &body),
            // Relays pass its own revocations on to everybody.
            Ok(Parcel::Notice(_) | Parcel::Revocations(_)) => {}
            Ok(Parcel::Handshake { .. } | Parcel::Signed { .. } | Parcel::Hub(_)) | Err(_) => {
                self.node.count_malformed_parcel();
            }
        }
    }

    fn on_step1(&mut self, now: MonoTime, relay: &NodeName, session: SessionId, body: &[u8]) {
        let (me, credential) = (&self.me, self.credential.as_ref());
        let entropy = self.entropy.as_mut();
        let step1 = (session, body);
        match (self.halves).on_step1(now, relay, step1, me, credential, entropy) {
            Some(step2) => self.node.send(now, relay, &step2, now, now + HANDSHAKE_TTL),
            None => self.counters.refused_handshakes += 1,
        }
    }

    fn on_step3(&mut self, now: MonoTime, relay: &NodeName, session: SessionId, body: &[u8]) {
        if self.visits.contains_key(&session) {
            return;
        }
        let at = self.wall.at(now);
        let believing = (&self.fleet, at);
        let Some(established) = self.halves.on_step3(now, relay, (session, body), believing) else {
            self.counters.refused_handshakes += 1;
            return;
        };
        self.make_room(&established.peer.node);
        let (peer, visit) = Visit::answered(now, session, established, self.fleet.time(at));
        self.visits.insert(session, Visitor { peer, visit });
    }

    fn on_sealed(&mut self, now: MonoTime, header: SealedHeader, ciphertext: &[u8]) {
        let session = header.session;
        let Some(Visitor { peer, visit }) = self.visits.get_mut(&session) else {
            self.counters.unusable_envelopes += 1;
            return;
        };
        if visit.on_sealed(now, header, ciphertext).is_err() {
            self.counters.unusable_envelopes += 1;
        }
        while let Some(message) = visit.poll_message(now) {
            // Whoever asks anything else has no answer to wait for.
            if let Enrolment::Certify { node, request } = message {
                // [WIRE-165]
                if !self.admissions.try_spend(now, &peer.node) {
                    self.counters.over_rate += 1;
                    visit.say(now, &Enrolment::Refused(EnrolRefusal::TooOften));
                    continue;
                }
                self.events.push_back(AuthorityEvent::Asked {
                    session,
                    peer: peer.clone(),
                    node,
                    request,
                });
            }
        }
    }

    /// The visitor that was silent longest gives way: of the same node when that has its share.
    fn make_room(&mut self, node: &NodeName) {
        let own = |visitor: &Visitor| visitor.peer.node == *node;
        let over_share = self.visits.values().filter(|v| own(v)).count() >= VISITS_PER_PEER_MAX;
        if !over_share && self.visits.len() < VISITS_MAX {
            return;
        }
        let silent = self
            .visits
            .iter()
            .filter(|(_, visitor)| !over_share || own(visitor))
            .min_by_key(|(_, visitor)| visitor.visit.heard_at());
        if let Some(id) = silent.map(|(id, _)| *id) {
            self.visits.remove(&id);
            self.counters.evicted += 1;
        }
    }

    fn work(&mut self, now: MonoTime) {
        self.visits
            .retain(|_, visitor| now < visitor.visit.heard_at() + SESSION_LIFE);
        for visitor in self.visits.values_mut() {
            visitor.visit.work(now, &mut self.node);
        }
    }
}

impl Role for Authority {
    type Event = AuthorityEvent;

    fn handle(&mut self, now: MonoTime, input: Input<'_>) {
        match input {
            Input::PathUp { path, link, peer } => self.node.on_path_up(now, path, link, peer),
            Input::Remote { .. } => {}
            Input::PathDown { path } => self.node.on_path_down(now, path),
            Input::Packet { path, bytes } => self.node.on_packet(now, path, bytes),
            Input::Wall { unix_ms } => self.wall.on_reading(now, unix_ms),
            Input::Persisted { .. } => {}
            Input::Timeout => self
                .node
                .on_timeout(now, self.fleet.time(self.wall.at(now))),
        }
        self.take_facts(now);
        self.work(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.node.poll_transmit()
    }

    fn poll_event(&mut self) -> Option<AuthorityEvent> {
        self.events.pop_front()
    }

    fn poll_redial(&mut self) -> Option<Redial> {
        self.node.poll_redial()
    }

    fn next_timeout(&self) -> Option<MonoTime> {
        let visits = self.visits.values().map(|visitor| {
            let ends = visitor.visit.heard_at() + SESSION_LIFE;
            visitor.visit.next_timeout().min(ends)
        });
        visits.chain(self.node.next_timeout()).min()
    }
}
