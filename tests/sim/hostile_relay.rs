//! A relay with valid papers and bad intentions: it knows the legs' language and does to envelopes what it likes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use longrein_proto::base::limits::VERSION;
use longrein_proto::base::{
    Channel, Class, Entropy, Flow, MonoTime, NodeKind, NodeName, PathId, SessionId,
};
use longrein_proto::leg::{Leg, Origin};
use longrein_proto::role::{Input, Redial, Role, Transmit};
use longrein_proto::wire::{
    AckState, Chunk, FEATURE_HUB, Notice, Packet, Parcel, ParcelHead, RouteRefusal, Trail,
};

use crate::hostile_hub::HostileHub;
use crate::{Chance, Tamper};

/// A hostile relay.
pub struct HostileRelay {
    /// What it does.
    pub tamper: Tamper,
    chance: Chance,
    paths: BTreeMap<PathId, NodeName>,
    seats: BTreeMap<NodeName, Seat>,
    routes: BTreeMap<SessionId, (NodeName, NodeName)>,
    held: VecDeque<(MonoTime, NodeName, Arc<[u8]>)>,
    transmits: VecDeque<Transmit>,
    /// Envelopes that it did something to.
    pub tampered: u64,
    /// Signed statements that came by, with their addressees.
    pub overheard: Vec<(NodeName, Arc<[u8]>)>,
    /// Second steps of handshakes that nobody here asked for.
    pub answers: Vec<Arc<[u8]>>,
    hub: HostileHub,
}

struct Seat {
    leg: Leg,
    incarnation: u64,
    leg_incarnation: u64,
}

impl HostileRelay {
    /// A relay that tampers in one way with every sealed envelope.
    pub fn new(tamper: Tamper, chance: Chance) -> HostileRelay {
        HostileRelay {
            tamper,
            chance,
            paths: BTreeMap::new(),
            seats: BTreeMap::new(),
            routes: BTreeMap::new(),
            held: VecDeque::new(),
            transmits: VecDeque::new(),
            tampered: 0,
            overheard: Vec::new(),
            answers: Vec::new(),
            hub: HostileHub::default(),
        }
    }

    /// Hands a parcel of its own to a node that is here.
    pub fn inject(&mut self, now: MonoTime, to: &NodeName, parcel: Arc<[u8]>) {
        self.pass(now, to, parcel);
    }

    fn on_packet(&mut self, now: MonoTime, path: PathId, bytes: &[u8]) {
        let Some(node) = self.paths.get(&path).cloned() else {
            return;
        };
        let Ok(packet) = Packet::decode(bytes) else {
            return;
        };
        if let Some(Chunk::Hello { incarnation, .. }) = packet.chunks.first() {
            self.welcome(now, path, &node, *incarnation);
            return;
        }
        let Some(seat) = self.seats.get_mut(&node) else {
            return;
        };
        if self.tamper == Tamper::Drop && packet.chunks.iter().any(has_envelope) {
            self.tampered += 1;
            return;
        }
        let arrivals = seat.leg.on_packet(now, path, packet);
        for arrival in arrivals {
            self.on_parcel(now, &node, arrival.parcel);
        }
        self.collect(&node);
    }

    fn welcome(&mut self, now: MonoTime, path: PathId, node: &NodeName, incarnation: u64) {
        if self
            .seats
            .get(node)
            .is_none_or(|seat| seat.incarnation != incarnation)
        {
            let leg_incarnation = self.chance.next_u64();
            self.seats.insert(
                node.clone(),
                Seat {
                    leg: Leg::new(now),
                    incarnation,
                    leg_incarnation,
                },
            );
            self.hub.forget(node);
        }
        let Some(seat) = self.seats.get_mut(node) else {
            return;
        };
        seat.leg.add_path(now, path);
        let welcome = Chunk::Welcome {
            version: VERSION,
            node_incarnation: incarnation,
            leg_incarnation: seat.leg_incarnation,
            features: if self.tamper == Tamper::Hub {
                FEATURE_HUB
            } else {
                0
            },
        };
        let packet = Packet {
            path_sequence: 0,
            tx_time_us: 0,
            report: None,
            ack: AckState::default(),
            chunks: vec![welcome],
        };
        self.transmits.push_back(Transmit {
            path,
            bytes: packet.encode(),
        });
    }

    fn on_parcel(&mut self, now: MonoTime, from: &NodeName, bytes: Arc<[u8]>) {
        match Parcel::decode(&bytes) {
            Ok(Parcel::Notice(Notice::Route { session, to })) => {
                self.routes.insert(session, (from.clone(), to));
                if self.tamper == Tamper::Presence {
                    self.pretend(now, from, session);
                }
                if self.tamper == Tamper::Refuse {
                    let why = RouteRefusal::SessionTaken;
                    let notice = Notice::RouteRefused { session, why };
                    self.pass(now, from, Parcel::Notice(notice).encode());
                }
            }
            Ok(Parcel::Handshake {
                session,
                step,
                to,
                body,
            }) => {
                if let Some(to) = to {
                    self.routes.insert(session, (from.clone(), to));
                }
                let Some(other) = self.other_end(from, session) else {
                    self.answers.push(body);
                    return;
                };
                let spoils = self.tamper == Tamper::Handshake;
                if spoils && step != 1 {
                    self.spoil_handshake(now, from, &other, session, step);
                }
                self.pass(now, &other, bytes);
                // The genuine first step is to be crowded out by those that come after it.
                if spoils && step == 1 {
                    self.spoil_handshake(now, from, &other, session, step);
                }
            }
            Ok(Parcel::Sealed { header, .. }) => {
                if let Some(other) = self.other_end(from, header.session) {
                    self.tampered += u64::from(self.tamper != Tamper::Nothing);
                    self.do_harm(now, &other, bytes);
                }
            }
            Ok(Parcel::Signed { to, .. }) => {
                self.overheard.push((to.clone(), bytes.clone()));
                if self.tamper != Tamper::Swallow {
                    self.pass(now, &to, bytes);
                }
            }
            Ok(Parcel::Notice(Notice::Query { ask, .. })) if self.tamper == Tamper::Presence => {
                let names = vec![GHOST.parse().expect("a valid name")];
                let more = false;
                let notice = Notice::Nodes { ask, more, names };
                self.pass(now, from, Parcel::Notice(notice).encode());
            }
            Ok(Parcel::Notice(_) | Parcel::Revocations(_) | Parcel::Hub(_)) | Err(_) => {}
        }
    }

    /// Tells the owner of a route that the vehicle is there, or that it is not.
    fn pretend(&mut self, now: MonoTime, owner: &NodeName, session: SessionId) {
        let present = self.chance.happens(0.5);
        let notice = Notice::Routed { session, present };
        self.pass(now, owner, Parcel::Notice(notice).encode());
    }

    fn do_harm(&mut self, now: MonoTime, to: &NodeName, bytes: Arc<[u8]>) {
        match self.tamper {
            Tamper::Nothing | Tamper::Handshake | Tamper::Refuse => self.pass(now, to, bytes),
            Tamper::Hub => {
                self.pass(now, to, bytes.clone());
                if to.kind == NodeKind::Agent && self.tampered.is_multiple_of(HUB_WORDS_EVERY) {
                    self.say_as_hub(now, to, &bytes);
                }
            }
            Tamper::Corrupt => self.pass(now, to, self.corrupt(&bytes)),
            Tamper::Forge => {
                // A number far ahead, to shadow everything that comes.
                if let Ok(Parcel::Sealed {
                    mut header,
                    ciphertext,
                }) = Parcel::decode(&bytes)
                {
                    header.number += 1 + self.chance.below(1 << 20);
                    let forged = Parcel::Sealed { header, ciphertext }.encode();
                    self.pass(now, to, forged);
                }
            }
            Tamper::Replay => {
                for delay_ms in [0, 0, 5, 40, 150, 600, 2_000] {
                    self.hold(now + Duration::from_millis(delay_ms), to, bytes.clone());
                }
            }
            Tamper::Reorder => {
                let delay = Duration::from_millis(self.chance.below(200));
                self.hold(now + delay, to, bytes);
            }
            Tamper::Delay => self.hold(now + Duration::from_secs(5), to, bytes),
            Tamper::DelayTo(kind) if kind == to.kind => {
                self.hold(now + Duration::from_secs(5), to, bytes);
            }
            Tamper::DelayTo(_) => self.pass(now, to, bytes),
            Tamper::Swallow | Tamper::Drop => {}
            Tamper::Swap => {
                let others = self.seats.keys();
                let others = others.filter(|node| node.kind == to.kind && *node != to);
                for other in others.cloned().collect::<Vec<_>>() {
                    self.pass(now, &other, bytes.clone());
                }
            }
            Tamper::Presence => {
                if let Ok(ParcelHead::Sealed(header)) = Parcel::peek(&bytes)
                    && let Some((owner, _)) = self.routes.get(&header.session).cloned()
                {
                    self.pretend(now, &owner, header.session);
                }
                self.pass(now, to, bytes);
            }
            Tamper::Hoard(kind) => {
                let is_beat = matches!(
                    Parcel::peek(&bytes),
                    Ok(ParcelHead::Sealed(header)) if header.flow == BEATS
                );
                if is_beat && to.kind == kind {
                    let newest = self.held.iter().filter(|(_, whom, _)| whom == to);
                    let newest = newest.map(|(at, _, _)| *at).max().unwrap_or(now);
                    self.hold(newest + HOARD_INTERVAL, to, bytes);
                } else {
                    self.pass(now, to, bytes);
                }
            }
        }
    }

    /// Says these bytes to a node in all words that a hub has.
    pub fn say_as_hub(&mut self, now: MonoTime, to: &NodeName, payload: &[u8]) {
        for word in self.hub.words(to, payload) {
            self.pass(now, to, word);
        }
    }

    /// Around a genuine step: to the agent many first steps and a third one, to the caller a second one.
    fn spoil_handshake(
        &mut self,
        now: MonoTime,
        from: &NodeName,
        to: &NodeName,
        session: SessionId,
        step: u8,
    ) {
        let (agent, caller) = match step {
            2 => (from, to),
            _ => (to, from),
        };
        let step1 = |body: [u8; 32]| Parcel::Handshake {
            session,
            step: 1,
            to: Some(agent.clone()),
            body: body.to_vec().into(),
        };
        for _ in 0..FORGED_HANDSHAKES {
            let mut key = [0; 32];
            self.chance.fill(&mut key);
            self.pass(now, agent, step1(key).encode());
        }
        for (forged, victim) in [(2, caller), (3, agent)] {
            let mut body = [0; 700];
            self.chance.fill(&mut body);
            let parcel = Parcel::Handshake {
                session,
                step: forged,
                to: None,
                body: body.to_vec().into(),
            };
            self.tampered += 1;
            self.pass(now, victim, parcel.encode());
        }
    }

    fn corrupt(&self, bytes: &Arc<[u8]>) -> Arc<[u8]> {
        let mut bytes = bytes.to_vec();
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        bytes.into()
    }

    fn hold(&mut self, until: MonoTime, to: &NodeName, bytes: Arc<[u8]>) {
        self.held.push_back((until, to.clone(), bytes));
    }

    fn pass(&mut self, now: MonoTime, to: &NodeName, bytes: Arc<[u8]>) {
        let latest = matches!(
            Parcel::peek(&bytes),
            Ok(ParcelHead::Sealed(header)) if header.flow.class == Class::Latest
        );
        if latest {
            self.pass_untracked(now, to, &bytes);
        } else if let Some(seat) = self.seats.get_mut(to) {
            let origin = Origin {
                upstream: Some((0, 0)),
                ..Origin::here(now)
            };
            // A full leg harms only what goes through this relay.
            let _ = seat
                .leg
                .send(now, bytes, now + Duration::from_secs(2), origin);
        }
        self.collect(to);
    }

    /// Past its own leg, which would keep to the rules and drop what is old.
    fn pass_untracked(&mut self, now: MonoTime, to: &NodeName, bytes: &Arc<[u8]>) {
        let Some(seat) = self.seats.get_mut(to) else {
            return;
        };
        for status in seat.leg.paths() {
            let trail = Trail {
                sender_10us: 0,
                relayed: Some((0, 0)),
            };
            let parcel = bytes.clone();
            seat.leg
                .say(now, status.path, Chunk::Untracked { trail, parcel });
        }
    }

    fn other_end(&self, from: &NodeName, session: SessionId) -> Option<NodeName> {
        let (owner, to) = self.routes.get(&session)?;
        Some(if owner == from {
            to.clone()
        } else {
            owner.clone()
        })
    }

    fn on_timeout(&mut self, now: MonoTime) {
        let (due, later) = self.held.drain(..).partition(|(at, _, _)| *at <= now);
        self.held = later;
        let due: VecDeque<(MonoTime, NodeName, Arc<[u8]>)> = due;
        for (_, to, bytes) in due {
            self.pass(now, &to, bytes);
        }
        let nodes: Vec<NodeName> = self.seats.keys().cloned().collect();
        for node in nodes {
            if let Some(seat) = self.seats.get_mut(&node) {
                seat.leg.on_timeout(now);
            }
            self.collect(&node);
        }
    }

    fn collect(&mut self, node: &NodeName) {
        let Some(seat) = self.seats.get_mut(node) else {
            return;
        };
        while let Some((path, bytes)) = seat.leg.poll_transmit() {
            self.transmits.push_back(Transmit { path, bytes });
        }
        while seat.leg.poll_change().is_some() {}
    }
}

fn has_envelope(chunk: &Chunk) -> bool {
    let (Chunk::Tracked { parcel, .. } | Chunk::Untracked { parcel, .. }) = chunk else {
        return false;
    };
    matches!(Parcel::peek(parcel), Ok(ParcelHead::Sealed(_)))
}

impl Role for HostileRelay {
    type Event = ();

    fn handle(&mut self, now: MonoTime, input: Input<'_>) {
        match input {
            Input::PathUp { path, peer, .. } => {
                self.paths.insert(path, peer.node);
            }
            Input::PathDown { path } => {
                if let Some(node) = self.paths.remove(&path)
                    && let Some(seat) = self.seats.get_mut(&node)
                {
                    seat.leg.remove_path(now, path);
                }
            }
            Input::Packet { path, bytes } => self.on_packet(now, path, bytes),
            Input::Timeout => self.on_timeout(now),
            Input::Remote { .. } | Input::Wall { .. } | Input::Persisted { .. } => {}
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn poll_redial(&mut self) -> Option<Redial> {
        None
    }

    fn next_timeout(&self) -> Option<MonoTime> {
        let legs = self
            .seats
            .values()
            .filter_map(|seat| seat.leg.next_timeout());
        legs.chain(self.held.iter().map(|(at, _, _)| *at)).min()
    }
}

/// A vehicle that there is not.
const GHOST: &str = "agent/ghost";
/// The flow of the beats, in which leases are renewed.
const BEATS: Flow = Flow::new(Channel::SESSION, Class::Latest);
/// Below the time to live of a lease.
const HOARD_INTERVAL: Duration = Duration::from_millis(300);
/// Envelopes to a vehicle of which one is said to it as the hub too: some hundred words a second.
const HUB_WORDS_EVERY: u64 = 4;
/// More than an agent keeps half-open for one relay.
const FORGED_HANDSHAKES: usize = 20;
