//! The relay: knows who is here and forwards what it cannot read.

mod routes;
mod seat;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use self::routes::{Route, Routes};
use self::seat::{Seat, SeatId};
use super::node::greeting;
use super::{Input, Role, Transmit};
use crate::base::limits::{
    HANDSHAKE_TTL, NODES_PER_NOTICE_MAX, SEATS_MAX, SEATS_PER_NODE_MAX, STOP_TTL, VERSION,
};
use crate::base::{Entropy, MonoTime, Name, NodeKind, NodeName, PathId, SessionId};
use crate::leg::{Arrival, Origin};
use crate::path::Health;
use crate::wire::{Chunk, Notice, Packet, Parcel, RouteRefusal};

/// What a relay is set to.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Bytes a second that one node may send through the relay.
    pub source_bytes_per_s: u64,
    /// Bytes a second that one node may be sent.
    pub destination_bytes_per_s: u64,
}

impl Default for RelayConfig {
    /// 1 MB/s each: a thousand packed packets a second, several times what a vehicle with video-less control needs.
    fn default() -> RelayConfig {
        RelayConfig {
            source_bytes_per_s: 1_000_000,
            destination_bytes_per_s: 1_000_000,
        }
    }
}

/// What a relay tells its program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayEvent {
    /// A node is here now.
    Joined {
        /// The node.
        node: NodeName,
    },
    /// A node is gone: its last path is down or silent.
    Left {
        /// The node.
        node: NodeName,
    },
    /// A path carries a leg now.
    PathJoined {
        /// The node.
        node: NodeName,
        /// The path.
        path: PathId,
        /// The node's name for its link.
        link: Name,
    },
    /// A path has no more use: close its connection.
    Close {
        /// The path.
        path: PathId,
    },
}

/// What a relay forwarded, and what it dropped by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayCounters {
    /// Parcels forwarded.
    pub forwarded: u64,
    /// Packets that could not be decoded.
    pub malformed_packets: u64,
    /// Packets of a path before its hello, or of an unknown path.
    pub unexpected_packets: u64,
    /// Parcels that could not be decoded.
    pub malformed_parcels: u64,
    /// Parcels of a session that its source has no route for.
    pub without_route: u64,
    /// Parcels for a node that is not here.
    pub absent: u64,
    /// Parcels whose time to live was over.
    pub expired: u64,
    /// Parcels over the budget of their source.
    pub over_source_budget: u64,
    /// Parcels over the budget of their destination.
    pub over_destination_budget: u64,
    /// Parcels that the destination's leg had no room for.
    pub overflows: u64,
    /// Routes refused.
    pub refused_routes: u64,
    /// Nodes refused because too many are here.
    pub refused_seats: u64,
}

/// The relay.
pub struct Relay {
    config: RelayConfig,
    entropy: Box<dyn Entropy>,
    paths: BTreeMap<PathId, RelayPath>,
    seats: BTreeMap<SeatId, Seat>,
    /// The seat that parcels for a node go to: the newest one of an agent or service.
    newest: BTreeMap<NodeName, SeatId>,
    routes: Routes,
    timeouts: BTreeSet<(MonoTime, SeatId)>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<RelayEvent>,
    counters: RelayCounters,
    draining: bool,
}

#[derive(Debug)]
struct RelayPath {
    node: NodeName,
    seat: Option<SeatId>,
}

impl Relay {
    /// A relay that knows nobody yet.
    pub fn new(config: RelayConfig, entropy: Box<dyn Entropy>) -> Relay {
        Relay {
            config,
            entropy,
            paths: BTreeMap::new(),
            seats: BTreeMap::new(),
            newest: BTreeMap::new(),
            routes: Routes::default(),
            timeouts: BTreeSet::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: RelayCounters::default(),
            draining: false,
        }
    }

    /// Tells every node that this relay ends soon.
    pub fn drain(&mut self, now: MonoTime) {
        self.draining = true;
        let seats: Vec<SeatId> = self.seats.keys().cloned().collect();
        for seat in seats {
            self.notify(now, &seat, Notice::Draining);
        }
    }

    /// Nodes that are here.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeName> {
        self.newest.keys()
    }

    /// What was forwarded and dropped so far.
    pub fn counters(&self) -> RelayCounters {
        self.counters
    }

    fn on_packet(&mut self, now: MonoTime, path: PathId, bytes: &[u8]) {
        let Ok(packet) = Packet::decode(bytes) else {
            self.counters.malformed_packets += 1;
            return;
        };
        let hello = packet.chunks.iter().find_map(|chunk| match chunk {
            Chunk::Hello {
                version_min,
                version_max,
                incarnation,
                link,
                ..
            } if (*version_min..=*version_max).contains(&VERSION) => {
                Some((*incarnation, link.clone()))
            }
            Chunk::Hello { .. }
            | Chunk::Welcome { .. }
            | Chunk::Floor { .. }
            | Chunk::Tracked { .. }
            | Chunk::Untracked { .. } => None,
        });
        if let Some((incarnation, link)) = hello {
            self.on_hello(now, path, incarnation, link);
            return;
        }
        let Some(seat_id) = self.paths.get(&path).and_then(|path| path.seat.clone()) else {
            self.counters.unexpected_packets += 1;
            return;
        };
        let Some(seat) = self.seats.get_mut(&seat_id) else {
            return;
        };
        let arrivals = seat.leg.on_packet(now, path, packet);
        for arrival in arrivals {
            self.on_arrival(now, &seat_id, &arrival);
        }
        self.collect(now, &seat_id);
    }

    fn on_hello(&mut self, now: MonoTime, path: PathId, incarnation: u64, link: Name) {
        let Some(known) = self.paths.get(&path) else {
            self.counters.unexpected_packets += 1;
            return;
        };
        let seat_id = SeatId {
            node: known.node.clone(),
            incarnation,
        };
        if !self.seats.contains_key(&seat_id) && !self.take_seat(now, &seat_id) {
            return;
        }
        let Some(seat) = self.seats.get_mut(&seat_id) else {
            return;
        };
        let welcome = Chunk::Welcome {
            version: VERSION,
            node_incarnation: incarnation,
            leg_incarnation: seat.leg_incarnation,
            features: 0,
        };
        self.transmits.push_back(Transmit {
            path,
            bytes: greeting(now, welcome),
        });
        let joined = seat.join(now, path);
        if let Some(known) = self.paths.get_mut(&path) {
            known.seat = Some(seat_id.clone());
        }
        if joined {
            self.events.push_back(RelayEvent::PathJoined {
                node: seat_id.node.clone(),
                path,
                link,
            });
        }
        self.collect(now, &seat_id);
        if self.draining {
            self.notify(now, &seat_id, Notice::Draining);
        }
    }

    /// An agent has one seat, that of its newest run; a controller's programs have one each.
    fn take_seat(&mut self, now: MonoTime, id: &SeatId) -> bool {
        let older: Vec<SeatId> = self
            .seats
            .keys()
            .filter(|seat| seat.node == id.node)
            .cloned()
            .collect();
        let single = matches!(
            id.node.kind,
            NodeKind::Agent | NodeKind::Service | NodeKind::Authority
        );
        if single {
            for seat in older {
                self.remove_seat(now, &seat);
            }
        } else if older.len() >= SEATS_PER_NODE_MAX {
            let idle = older
                .iter()
                .find(|seat| self.seats.get(*seat).is_some_and(|s| !s.present()))
                .cloned();
            match idle {
                Some(seat) => self.remove_seat(now, &seat),
                None => {
                    self.counters.refused_seats += 1;
                    return false;
                }
            }
        }
        if self.seats.len() >= SEATS_MAX {
            self.counters.refused_seats += 1;
            return false;
        }
        self.seats.insert(
            id.clone(),
            Seat::new(now, self.entropy.next_u64(), &self.config),
        );
        self.newest.insert(id.node.clone(), id.clone());
        self.events.push_back(RelayEvent::Joined {
            node: id.node.clone(),
        });
        self.tell_presence(now, &id.node, true);
        true
    }

    fn remove_seat(&mut self, now: MonoTime, id: &SeatId) {
        let Some(seat) = self.seats.remove(id) else {
            return;
        };
        self.timeouts.retain(|(_, seat)| seat != id);
        for path in seat.paths {
            self.paths.remove(&path);
            self.events.push_back(RelayEvent::Close { path });
        }
        self.routes.remove_seat(id);
        if self.newest.get(&id.node) == Some(id) {
            self.newest.remove(&id.node);
            let other = self
                .seats
                .keys()
                .rfind(|seat| seat.node == id.node)
                .cloned();
            match other {
                Some(other) => {
                    self.newest.insert(id.node.clone(), other);
                }
                None => {
                    self.events.push_back(RelayEvent::Left {
                        node: id.node.clone(),
                    });
                    self.tell_presence(now, &id.node, false);
                }
            }
        }
    }

    fn tell_presence(&mut self, now: MonoTime, node: &NodeName, present: bool) {
        for (session, owner) in self.routes.to_node(node) {
            self.notify(now, &owner, Notice::Routed { session, present });
        }
    }

    fn on_path_down(&mut self, now: MonoTime, path: PathId) {
        let Some(seat_id) = self.paths.remove(&path).and_then(|path| path.seat) else {
            return;
        };
        let Some(seat) = self.seats.get_mut(&seat_id) else {
            return;
        };
        seat.leave(now, path);
        if seat.paths.is_empty() {
            self.remove_seat(now, &seat_id);
        } else {
            self.collect(now, &seat_id);
        }
    }

    fn on_arrival(&mut self, now: MonoTime, source: &SeatId, arrival: &Arrival) {
        let Ok(parcel) = Parcel::decode(&arrival.parcel) else {
            self.counters.malformed_parcels += 1;
            return;
        };
        if let Parcel::Notice(notice) = parcel {
            self.on_notice(now, source, notice);
            return;
        }
        let urgent = matches!(parcel, Parcel::Signed { .. });
        let Some((to, ttl)) = self.destination(source, &parcel) else {
            return;
        };
        let bytes = arrival.parcel.len();
        // [WIRE-43] A stop has a budget of its own at the source and is never refused for the destination's.
        let within = self
            .seats
            .get_mut(source)
            .is_some_and(|seat| seat.spend_as_source(now, bytes, urgent));
        if !within {
            self.counters.over_source_budget += 1;
            return;
        }
        self.forward(now, &to, arrival, ttl, urgent);
    }

    fn forward(
        &mut self,
        now: MonoTime,
        to: &SeatId,
        arrival: &Arrival,
        ttl: Duration,
        urgent: bool,
    ) {
        let spent =
            Duration::from_micros(u64::from(arrival.trail.sender_10us) * 10) + arrival.transit;
        let Some(left) = ttl.checked_sub(spent).filter(|left| !left.is_zero()) else {
            self.counters.expired += 1;
            return;
        };
        let Some(seat) = self.seats.get_mut(to) else {
            self.counters.absent += 1;
            return;
        };
        if !urgent && !seat.spend_as_destination(now, arrival.parcel.len()) {
            self.counters.over_destination_budget += 1;
            return;
        }
        let up_10us = u32::try_from(arrival.transit.as_micros() / 10).unwrap_or(u32::MAX);
        let origin = Origin {
            created: now,
            upstream: Some((arrival.trail.sender_10us, up_10us)),
        };
        match seat
            .leg
            .send(now, Arc::clone(&arrival.parcel), now + left, origin)
        {
            Ok(()) => self.counters.forwarded += 1,
            Err(_) => self.counters.overflows += 1,
        }
        self.collect(now, to);
    }

    /// Where a parcel goes and how long it lives; all routing state is keyed by the authenticated source.
    fn destination(&mut self, source: &SeatId, parcel: &Parcel) -> Option<(SeatId, Duration)> {
        let found = match parcel {
            Parcel::Sealed { header, .. } => {
                let ttl = Duration::from_millis(u64::from(header.ttl_ms));
                (
                    self.routes.other_end(source, header.session, &self.newest),
                    ttl,
                )
            }
            Parcel::Handshake { session, .. } => (
                self.routes.other_end(source, *session, &self.newest),
                HANDSHAKE_TTL,
            ),
            Parcel::Signed { to, .. } => (Some(self.newest.get(to).cloned()), STOP_TTL),
            Parcel::Notice(_) => return None,
        };
        match found {
            (Some(Some(seat)), ttl) => Some((seat, ttl)),
            (Some(None), _) => {
                self.counters.absent += 1;
                None
            }
            (None, _) => {
                self.counters.without_route += 1;
                None
            }
        }
    }

    fn on_notice(&mut self, now: MonoTime, source: &SeatId, notice: Notice) {
        match notice {
            Notice::Route { session, to } => self.on_route(now, source, session, to),
            Notice::Unroute { session } => self.routes.remove(source, session),
            Notice::Query { ask, kind } => self.on_query(now, source, ask, kind),
            // Only relays say these.
            Notice::Routed { .. }
            | Notice::RouteRefused { .. }
            | Notice::Nodes { .. }
            | Notice::Draining => {
                self.counters.malformed_parcels += 1;
            }
        }
    }

    fn on_route(&mut self, now: MonoTime, source: &SeatId, session: SessionId, to: NodeName) {
        let may_open = matches!(source.node.kind, NodeKind::Controller | NodeKind::Service);
        let may_be_called = matches!(to.kind, NodeKind::Agent | NodeKind::Authority);
        let present = self.newest.contains_key(&to);
        let answer = if may_open && may_be_called {
            self.routes.insert(
                Route {
                    owner: source.clone(),
                    to,
                },
                session,
            )
        } else {
            Err(RouteRefusal::NotAllowed)
        };
        let notice = match answer {
            Ok(()) => Notice::Routed { session, present },
            Err(why) => {
                self.counters.refused_routes += 1;
                Notice::RouteRefused { session, why }
            }
        };
        self.notify(now, source, notice);
    }

    fn on_query(&mut self, now: MonoTime, source: &SeatId, ask: u32, kind: NodeKind) {
        let names: Vec<NodeName> = self
            .newest
            .keys()
            .filter(|name| name.kind == kind)
            .cloned()
            .collect();
        let mut parts = names.chunks(NODES_PER_NOTICE_MAX).peekable();
        if parts.peek().is_none() {
            self.notify(
                now,
                source,
                Notice::Nodes {
                    ask,
                    more: false,
                    names: Vec::new(),
                },
            );
        }
        while let Some(part) = parts.next() {
            let more = parts.peek().is_some();
            self.notify(
                now,
                source,
                Notice::Nodes {
                    ask,
                    more,
                    names: part.to_vec(),
                },
            );
        }
    }

    fn notify(&mut self, now: MonoTime, to: &SeatId, notice: Notice) {
        let Some(seat) = self.seats.get_mut(to) else {
            return;
        };
        let parcel = Parcel::Notice(notice).encode();
        let origin = Origin {
            created: now,
            upstream: None,
        };
        if seat
            .leg
            .send(now, parcel, now + NOTICE_TTL, origin)
            .is_err()
        {
            self.counters.overflows += 1;
        }
        self.collect(now, to);
    }

    fn on_timeout(&mut self, now: MonoTime) {
        while let Some((at, seat_id)) = self.timeouts.first().cloned() {
            if at > now {
                break;
            }
            self.timeouts.remove(&(at, seat_id.clone()));
            if let Some(seat) = self.seats.get_mut(&seat_id) {
                seat.timeout = None;
                seat.leg.on_timeout(now);
            }
            self.collect(now, &seat_id);
        }
    }

    /// Takes out what a seat's leg has to send and to say, and notes when it wants to be woken.
    fn collect(&mut self, now: MonoTime, id: &SeatId) {
        let Some(seat) = self.seats.get_mut(id) else {
            return;
        };
        while let Some((path, bytes)) = seat.leg.poll_transmit() {
            self.transmits.push_back(Transmit { path, bytes });
        }
        let mut presence = None;
        while let Some(change) = seat.leg.poll_change() {
            presence = seat
                .on_health(change.path, change.health == Health::Down)
                .or(presence);
        }
        let timeout = seat.leg.next_timeout();
        if timeout != seat.timeout {
            if let Some(old) = seat.timeout {
                self.timeouts.remove(&(old, id.clone()));
            }
            if let Some(new) = timeout {
                self.timeouts.insert((new, id.clone()));
            }
            seat.timeout = timeout;
        }
        if let Some(present) = presence {
            self.tell_presence(now, &id.node, present);
        }
    }
}

impl Role for Relay {
    type Event = RelayEvent;

    fn handle(&mut self, now: MonoTime, input: Input<'_>) {
        match input {
            Input::PathUp { path, peer, .. } => {
                self.paths.insert(
                    path,
                    RelayPath {
                        node: peer.node,
                        seat: None,
                    },
                );
            }
            Input::PathDown { path } => self.on_path_down(now, path),
            Input::Packet { path, bytes } => self.on_packet(now, path, bytes),
            Input::Timeout => self.on_timeout(now),
            Input::Wall { .. } | Input::Persisted { .. } => {}
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    fn poll_event(&mut self) -> Option<RelayEvent> {
        self.events.pop_front()
    }

    fn next_timeout(&self) -> Option<MonoTime> {
        self.timeouts.first().map(|(at, _)| *at)
    }
}

/// A notice that has not arrived by then is no longer true.
const NOTICE_TTL: Duration = Duration::from_secs(10);
