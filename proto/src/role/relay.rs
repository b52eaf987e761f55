//! The relay: knows who is here and forwards what it cannot read.

mod accounts;
mod expiry;
mod forwarding;
mod hub;
mod notices;
mod pulse;
mod quality;
mod revocations;
mod routes;
mod seat;
mod seating;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use self::accounts::Accounts;
use self::hub::Hosted;
pub use self::quality::{Delays, ForwardingDelays, NodeQuality, PathQuality};
use self::routes::Routes;
use self::seat::{Seat, SeatId};
use super::revoking::Revoking;
use super::wall::WallClock;
use super::{Input, Redial, Role, Transmit};
use crate::base::limits::VERSION;
use crate::base::{Entropy, MonoTime, Name, NodeName, PathId};
use crate::crypto::{Fleet, Peer};
use crate::hub::HubEffect;
use crate::path::Health;
use crate::wire::{Chunk, FEATURE_VISIT, Notice, Packet};

/// What a relay is set to.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Bytes a second that one node, whatever runs under its name, may send through the relay.
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
    /// Two programs run under the name of a node that has one place: the one that was here before is refused as long as
    /// the other is here. A person must end one of them, or give it papers of its own.
    RunsTwice {
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
    /// A newer list of revocations counts from now on: store it, for [`Relay::believe`] after a restart.
    Revocations {
        /// Its parts.
        parts: Vec<Arc<[u8]>>,
    },
    /// The hub has something for its program to do.
    Hub(HubEffect),
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
    /// Sealed envelopes of class `stop` to an agent of a session that holds no lease there.
    pub stops_without_lease: u64,
    /// Parcels that the destination's leg had no room for.
    pub overflows: u64,
    /// First and third messages of handshakes over the rate of their source.
    pub over_handshake_rate: u64,
    /// Queries over the rate of their source.
    pub over_query_rate: u64,
    /// Routes that gave way to newer ones of their owner.
    pub evicted_routes: u64,
    /// Routes refused.
    pub refused_routes: u64,
    /// Nodes, or paths of a node, refused because too many are here.
    pub refused_seats: u64,
    /// Paths of nodes whose certificates are revoked.
    pub revoked: u64,
    /// Paths of nodes whose certificates have ended while they were here.
    pub ended_papers: u64,
    /// Hellos of a run whose place another run of its node has.
    pub refused_twins: u64,
    /// Packets received.
    pub received_packets: u64,
    /// Their bytes, without QUIC's.
    pub received_bytes: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Their bytes, without QUIC's.
    pub sent_bytes: u64,
}

/// The relay.
pub struct Relay {
    config: RelayConfig,
    entropy: Box<dyn Entropy>,
    paths: BTreeMap<PathId, RelayPath>,
    seats: BTreeMap<SeatId, Seat>,
    accounts: Accounts,
    /// The seat that parcels for a node go to: the newest one of an agent or service.
    newest: BTreeMap<NodeName, SeatId>,
    routes: Routes,
    /// When the certificates of paths end.
    ends: BTreeSet<(MonoTime, PathId)>,
    /// The newest list of revocations, as parcels for nodes.
    bulletin: Vec<Arc<[u8]>>,
    /// Whose revocations count; none before [`Relay::believe`].
    fleet: Option<Fleet>,
    revoking: Revoking,
    wall: WallClock,
    /// The fleet's hub, if it is here.
    hosted: Option<Hosted>,
    timeouts: BTreeSet<(MonoTime, SeatId)>,
    /// When to look whether a seat is silent.
    looks: BTreeSet<(MonoTime, SeatId)>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<RelayEvent>,
    counters: RelayCounters,
    delays: ForwardingDelays,
    draining: bool,
}

#[derive(Debug)]
struct RelayPath {
    /// Who it is to this relay.
    node: NodeName,
    /// Of the certificate that the connection was made with.
    peer: Peer,
    seat: Option<SeatId>,
    /// Until when it may be here.
    ends: MonoTime,
    /// Where it comes from, once that is known.
    remote: Option<IpAddr>,
    /// Its link's name, when its node wants to be told where it comes from.
    told_as: Option<Name>,
}

impl Relay {
    /// A relay that knows nobody yet.
    pub fn new(config: RelayConfig, entropy: Box<dyn Entropy>) -> Relay {
        Relay {
            config,
            entropy,
            paths: BTreeMap::new(),
            seats: BTreeMap::new(),
            accounts: Accounts::default(),
            newest: BTreeMap::new(),
            routes: Routes::default(),
            ends: BTreeSet::new(),
            bulletin: Vec::new(),
            fleet: None,
            revoking: Revoking::default(),
            wall: WallClock::default(),
            hosted: None,
            timeouts: BTreeSet::new(),
            looks: BTreeSet::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: RelayCounters::default(),
            delays: ForwardingDelays::default(),
            draining: false,
        }
    }

    /// Whose revocations count, with those that are known already.
    pub fn believe(&mut self, fleet: Fleet) {
        self.bulletin = revocations::parcels(&fleet);
        self.fleet = Some(fleet);
    }

    /// Tells every node that this relay ends soon.
    pub fn drain(&mut self, now: MonoTime) {
        self.draining = true;
        let seats: Vec<SeatId> = self.seats.keys().copied().collect();
        for seat in seats {
            self.notify(now, seat, Notice::Draining);
        }
    }

    /// Whether it ends soon.
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Nodes that are here.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeName> {
        self.newest.keys()
    }

    /// Parcels that wait on the fullest leg.
    pub fn waiting(&self) -> usize {
        let legs = self.seats.values().map(|seat| seat.leg.waiting());
        legs.max().unwrap_or(0)
    }

    /// What was forwarded and dropped so far.
    pub fn counters(&self) -> RelayCounters {
        self.counters
    }

    fn on_packet(&mut self, now: MonoTime, path: PathId, bytes: &[u8]) {
        self.counters.received_packets += 1;
        self.counters.received_bytes += bytes.len() as u64;
        let Ok(packet) = Packet::decode(bytes) else {
            self.counters.malformed_packets += 1;
            return;
        };
        let hello = packet.chunks.iter().find_map(|chunk| match chunk {
            Chunk::Hello {
                version_min,
                version_max,
                incarnation,
                features,
                link,
            } if (*version_min..=*version_max).contains(&VERSION) => {
                Some((*incarnation, *features, link.clone()))
            }
            Chunk::Hello { .. }
            | Chunk::Welcome { .. }
            | Chunk::Floor { .. }
            | Chunk::Allowance { .. }
            | Chunk::Tracked { .. }
            | Chunk::Untracked { .. } => None,
        });
        if let Some((incarnation, features, link)) = hello {
            if features & FEATURE_VISIT != 0 {
                self.take_as_visitor(path);
            }
            self.on_hello(now, path, (incarnation, features), link);
            return;
        }
        let Some(seat_id) = self.paths.get(&path).and_then(|path| path.seat) else {
            self.counters.unexpected_packets += 1;
            return;
        };
        let Some(seat) = self.seats.get_mut(&seat_id) else {
            return;
        };
        let arrivals = seat.leg.on_packet(now, path, packet);
        for arrival in arrivals {
            self.on_arrival(now, seat_id, &arrival);
        }
        self.on_hub_delivered(now, seat_id);
        self.on_heard(now, seat_id, path);
        self.collect(now, seat_id);
    }

    fn on_timeout(&mut self, now: MonoTime) {
        // What is due beyond these waits for the next time, a moment later: who drives is not to wait for the heartbeats of thousands.
        for _ in 0..TIMEOUTS_AT_ONCE {
            let Some((at, seat_id)) = self.timeouts.first().copied().filter(|(at, _)| *at <= now)
            else {
                break;
            };
            self.timeouts.remove(&(at, seat_id));
            if let Some(seat) = self.seats.get_mut(&seat_id) {
                seat.timeout = None;
                seat.leg.on_timeout(now);
                self.counters.overflows += seat.bulletin.work(now, &mut seat.leg);
            }
            self.collect(now, seat_id);
        }
        self.look_at_due(now);
    }

    /// Takes out what a seat's leg has to send and to say, and notes when it wants to be woken.
    fn collect(&mut self, now: MonoTime, id: SeatId) {
        self.count_held(id);
        let Some(seat) = self.seats.get_mut(&id) else {
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
        let timeout = seat.next_timeout();
        if timeout != seat.timeout {
            if let Some(old) = seat.timeout {
                self.timeouts.remove(&(old, id));
            }
            if let Some(new) = timeout {
                self.timeouts.insert((new, id));
            }
            seat.timeout = timeout;
        }
        if let Some(present) = presence {
            let node = seat.node.clone();
            self.tell_presence(now, &node, present);
            if present {
                self.tell_routes(now, id);
            }
        }
    }
}

impl Role for Relay {
    type Event = RelayEvent;

    fn handle(&mut self, now: MonoTime, input: Input<'_>) {
        match input {
            Input::PathUp { path, peer, .. } => self.on_path_up(now, path, peer),
            Input::Remote { path, address } => self.on_remote(now, path, address),
            Input::PathDown { path } => self.on_path_down(now, path),
            Input::Packet { path, bytes } => self.on_packet(now, path, bytes),
            Input::Timeout => self.on_timeout(now),
            Input::Wall { unix_ms } => self.wall.on_reading(now, unix_ms),
            Input::Persisted { .. } => {}
        }
        self.end_expired(now);
        self.work_for_hub(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = self.transmits.pop_front()?;
        self.counters.sent_packets += 1;
        self.counters.sent_bytes += transmit.bytes.len() as u64;
        Some(transmit)
    }

    fn poll_event(&mut self) -> Option<RelayEvent> {
        self.events.pop_front()
    }

    fn poll_redial(&mut self) -> Option<Redial> {
        None
    }

    fn next_timeout(&self) -> Option<MonoTime> {
        let first = |list: &BTreeSet<(MonoTime, SeatId)>| list.first().map(|(at, _)| *at);
        let own = first(&self.timeouts).into_iter().chain(first(&self.looks));
        own.chain(self.next_hub_timeout()).min()
    }
}

/// Seats whose time has come that are worked for at one go: a quarter of a millisecond of a relay's processor.
const TIMEOUTS_AT_ONCE: usize = 16;
