//! The world: stations, the paths between them, and time that jumps from event to event.

use std::collections::BTreeMap;
use std::time::Duration;

use longrein_proto::base::{MonoTime, Name, NodeKind, NodeName, PathId};
use longrein_proto::role::{
    Agent, AgentEvent, AgentRecord, Controller, ControllerEvent, Input, Relay, RelayConfig,
    RelayEvent, Role, Transmit,
};

use crate::hostile_relay::HostileRelay;
use crate::{Chance, Clock, Link, Tamper, TestFleet, Vehicle};

/// Number of a station in its world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Station(usize);

/// Stations on virtual time.
pub struct World {
    /// The seed that repeats this world.
    pub seed: u64,
    now: MonoTime,
    chance: Chance,
    fleet: TestFleet,
    stations: Vec<Slot>,
    paths: Vec<Path>,
    ends: BTreeMap<(Station, PathId), (usize, End)>,
    arrivals: BTreeMap<(MonoTime, u64), (Station, PathId, Vec<u8>)>,
    next_arrival: u64,
    next_path: u32,
}

struct Slot {
    node: NodeName,
    clock: Clock,
    body: Body,
}

enum Body {
    Agent(Box<AgentBody>),
    Controller {
        role: Box<Controller>,
        events: Vec<(MonoTime, ControllerEvent)>,
    },
    Relay {
        role: Box<Relay>,
        events: Vec<RelayEvent>,
    },
    Hostile(Box<HostileRelay>),
    Dead,
}

struct AgentBody {
    role: Agent,
    vehicle: Vehicle,
    /// Writes under way: when they are on disk.
    writes: BTreeMap<(MonoTime, u64), Vec<u8>>,
    events: Vec<(MonoTime, String)>,
}

struct Path {
    node: Station,
    relay: Station,
    link_name: Name,
    link: Link,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Node,
    Relay,
}

impl World {
    /// An empty world.
    pub fn new(seed: u64) -> World {
        World {
            seed,
            now: MonoTime::ZERO,
            chance: Chance::new(seed),
            fleet: TestFleet::new(),
            stations: Vec::new(),
            paths: Vec::new(),
            ends: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            next_arrival: 0,
            next_path: 0,
        }
    }

    /// The world's time.
    pub fn now(&self) -> MonoTime {
        self.now
    }

    /// A station's own time.
    pub fn time_of(&self, station: Station) -> MonoTime {
        self.slot(station).clock.at(self.now)
    }

    /// A station's name.
    pub fn name_of(&self, station: Station) -> &NodeName {
        &self.slot(station).node
    }

    /// Adds a relay.
    pub fn relay(&mut self, name: &str) -> Station {
        let role = Relay::new(RelayConfig::default(), self.entropy());
        self.add(
            NodeKind::Relay,
            name,
            Clock::default(),
            Body::Relay {
                role: Box::new(role),
                events: Vec::new(),
            },
        )
    }

    /// Adds a hostile relay.
    pub fn hostile_relay(&mut self, name: &str, tamper: Tamper) -> Station {
        let role = HostileRelay::new(tamper, self.branch());
        self.add(
            NodeKind::Relay,
            name,
            Clock::default(),
            Body::Hostile(Box::new(role)),
        )
    }

    /// Adds an agent with the functions `drive` (typed) and `tunnel` (opaque).
    pub fn agent(&mut self, name: &str, clock: Clock) -> Station {
        let body = self.agent_body(name, AgentRecord::default(), Vehicle::new());
        self.add(NodeKind::Agent, name, clock, body)
    }

    /// Adds a controller.
    pub fn controller(&mut self, name: &str, clock: Clock) -> Station {
        let body = self.controller_body(name);
        self.add(NodeKind::Controller, name, clock, body)
    }

    /// Joins a node to a relay; gives the path's number for [`World::link`].
    pub fn join(&mut self, node: Station, relay: Station, link_name: &str, link: Link) -> usize {
        let link_name: Name = link_name.parse().expect("a valid link name");
        self.paths.push(Path {
            node,
            relay,
            link_name,
            link,
        });
        let index = self.paths.len() - 1;
        self.connect(index);
        index
    }

    /// The network of a path, to change it while the world runs.
    pub fn link(&mut self, path: usize) -> &mut Link {
        &mut self.paths[path].link
    }

    /// Ends a station without a word, as `kill -9` does.
    pub fn kill(&mut self, station: Station) {
        self.slot_mut(station).body = Body::Dead;
    }

    /// Starts a dead agent again, with what was on its disk when it died; its paths connect anew.
    pub fn restart_agent(&mut self, station: Station, disk: &[u8]) {
        let record = AgentRecord::decode(disk).expect("the record is whole");
        let name = self.slot(station).node.name.as_str().to_owned();
        let vehicle = Vehicle::new();
        self.slot_mut(station).body = self.agent_body(&name, record, vehicle);
        self.reconnect(station);
    }

    /// Starts a dead relay again; it knows nothing of before.
    pub fn restart_relay(&mut self, station: Station) {
        let role = Relay::new(RelayConfig::default(), self.entropy());
        self.slot_mut(station).body = Body::Relay {
            role: Box::new(role),
            events: Vec::new(),
        };
        self.reconnect(station);
    }

    /// Lets a span of time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.next_event().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.step();
        }
        self.now = end;
        self.step();
    }

    /// Runs until the condition holds, at most for a span; whether it held.
    pub fn run_until(&mut self, span: Duration, mut holds: impl FnMut(&mut World) -> bool) -> bool {
        let end = self.now + span;
        loop {
            if holds(self) {
                return true;
            }
            let Some(at) = self.next_event().filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            self.step();
        }
        self.now = end;
        self.step();
        holds(self)
    }

    /// Calls a controller's methods, then lets the network take what it sends.
    pub fn with_controller<T>(
        &mut self,
        station: Station,
        call: impl FnOnce(&mut Controller, MonoTime) -> T,
    ) -> T {
        let now = self.time_of(station);
        let Body::Controller { role, .. } = &mut self.slot_mut(station).body else {
            unreachable!("the station is a living controller")
        };
        let result = call(role, now);
        self.collect(station);
        result
    }

    /// Takes what a controller has told its program, with the controller's time.
    pub fn take_controller_events(&mut self, station: Station) -> Vec<(MonoTime, ControllerEvent)> {
        match &mut self.slot_mut(station).body {
            Body::Controller { events, .. } => std::mem::take(events),
            _ => Vec::new(),
        }
    }

    /// A controller's events so far.
    pub fn controller_events(&self, station: Station) -> &[(MonoTime, ControllerEvent)] {
        match &self.slot(station).body {
            Body::Controller { events, .. } => events,
            _ => &[],
        }
    }

    /// A living agent's role.
    pub fn agent_role(&self, station: Station) -> &Agent {
        match &self.slot(station).body {
            Body::Agent(body) => &body.role,
            _ => unreachable!("the station is a living agent"),
        }
    }

    /// A living agent's vehicle.
    pub fn vehicle(&self, station: Station) -> &Vehicle {
        match &self.slot(station).body {
            Body::Agent(body) => &body.vehicle,
            _ => unreachable!("the station is a living agent"),
        }
    }

    /// A living relay's role.
    pub fn relay_role(&self, station: Station) -> &Relay {
        match &self.slot(station).body {
            Body::Relay { role, .. } => role,
            _ => unreachable!("the station is a living relay"),
        }
    }

    /// Envelopes that a hostile relay did something to.
    pub fn tampered(&self, station: Station) -> u64 {
        match &self.slot(station).body {
            Body::Hostile(role) => role.tampered,
            _ => 0,
        }
    }

    fn agent_body(&mut self, name: &str, record: AgentRecord, vehicle: Vehicle) -> Body {
        let me = node_name(NodeKind::Agent, name);
        let config = Vehicle::agent_config(me.clone());
        let credential = self.fleet.credential(&me);
        let role = Agent::new(
            config,
            credential,
            self.fleet.fleet(),
            self.entropy(),
            record,
        );
        Body::Agent(Box::new(AgentBody {
            role,
            vehicle,
            writes: BTreeMap::new(),
            events: Vec::new(),
        }))
    }

    fn controller_body(&mut self, name: &str) -> Body {
        let me = node_name(NodeKind::Controller, name);
        let credential = self.fleet.credential(&me);
        let role = Controller::new(me, credential, self.fleet.fleet(), self.entropy());
        Body::Controller {
            role: Box::new(role),
            events: Vec::new(),
        }
    }

    fn add(&mut self, kind: NodeKind, name: &str, clock: Clock, body: Body) -> Station {
        self.stations.push(Slot {
            node: node_name(kind, name),
            clock,
            body,
        });
        let station = Station(self.stations.len() - 1);
        let unix_ms = TestFleet::UNIX_MS;
        self.handle(station, Input::Wall { unix_ms });
        station
    }

    fn reconnect(&mut self, station: Station) {
        self.handle(
            station,
            Input::Wall {
                unix_ms: TestFleet::UNIX_MS,
            },
        );
        for index in 0..self.paths.len() {
            let path = &self.paths[index];
            if path.node == station || path.relay == station {
                self.connect(index);
            }
        }
    }

    /// Gives both ends of a path new numbers, as a new connection does; the old ones are down.
    fn connect(&mut self, index: usize) {
        let old: Vec<(Station, PathId)> = self
            .ends
            .iter()
            .filter(|(_, (path, _))| *path == index)
            .map(|(end, _)| *end)
            .collect();
        for (station, path) in old {
            self.ends.remove(&(station, path));
            self.handle(station, Input::PathDown { path });
        }
        let (node, relay) = (self.paths[index].node, self.paths[index].relay);
        let link = self.paths[index].link_name.clone();
        for (station, other, end) in [(relay, node, End::Relay), (node, relay, End::Node)] {
            self.next_path += 1;
            let path = PathId(self.next_path);
            self.ends.insert((station, path), (index, end));
            let peer = self.fleet.peer(&self.slot(other).node.clone());
            self.handle(
                station,
                Input::PathUp {
                    path,
                    link: link.clone(),
                    peer,
                },
            );
        }
    }

    fn next_event(&self) -> Option<MonoTime> {
        let arrival = self.arrivals.keys().next().map(|(at, _)| *at);
        let wakes = self.stations.iter().filter_map(|slot| {
            let own = match &slot.body {
                Body::Agent(body) => {
                    let write = body.writes.keys().next().map(|(at, _)| *at);
                    body.role
                        .next_timeout()
                        .into_iter()
                        .chain(body.vehicle.next_timeout())
                        .chain(write)
                        .min()
                }
                Body::Controller { role, .. } => role.next_timeout(),
                Body::Relay { role, .. } => role.next_timeout(),
                Body::Hostile(role) => role.next_timeout(),
                Body::Dead => None,
            };
            own.map(|at| slot.clock.world_time(at))
        });
        wakes.chain(arrival).min()
    }

    /// Does everything that is due now.
    fn step(&mut self) {
        while let Some(entry) = self
            .arrivals
            .first_entry()
            .filter(|entry| entry.key().0 <= self.now)
        {
            let (station, path, bytes) = entry.remove();
            self.handle(
                station,
                Input::Packet {
                    path,
                    bytes: &bytes,
                },
            );
        }
        for index in 0..self.stations.len() {
            let station = Station(index);
            let now = self.time_of(station);
            self.finish_writes(station, now);
            let due = match &mut self.slot_mut(station).body {
                Body::Agent(body) => {
                    body.vehicle.on_timeout(now, &mut body.role);
                    body.role.next_timeout()
                }
                Body::Controller { role, .. } => role.next_timeout(),
                Body::Relay { role, .. } => role.next_timeout(),
                Body::Hostile(role) => role.next_timeout(),
                Body::Dead => None,
            };
            if due.is_some_and(|at| at <= now) {
                self.handle(station, Input::Timeout);
            } else {
                self.collect(station);
            }
        }
    }

    fn finish_writes(&mut self, station: Station, now: MonoTime) {
        loop {
            let Body::Agent(body) = &mut self.slot_mut(station).body else {
                return;
            };
            let Some(entry) = body
                .writes
                .first_entry()
                .filter(|entry| entry.key().0 <= now)
            else {
                return;
            };
            let ticket = entry.key().1;
            body.vehicle.disk = entry.remove();
            self.handle(station, Input::Persisted { ticket });
        }
    }

    fn handle(&mut self, station: Station, input: Input<'_>) {
        let now = self.time_of(station);
        match &mut self.slot_mut(station).body {
            Body::Agent(body) => body.role.handle(now, input),
            Body::Controller { role, .. } => role.handle(now, input),
            Body::Relay { role, .. } => role.handle(now, input),
            Body::Hostile(role) => role.handle(now, input),
            Body::Dead => return,
        }
        self.collect(station);
    }

    /// Takes a station's events and packets.
    fn collect(&mut self, station: Station) {
        let now = self.time_of(station);
        let mut sent: Vec<Transmit> = Vec::new();
        match &mut self.slot_mut(station).body {
            Body::Agent(body) => {
                // Verdicts and beats can follow from events.
                while let Some(event) = body.role.poll_event() {
                    body.on_event(now, event);
                }
                sent.extend(std::iter::from_fn(|| body.role.poll_transmit()));
            }
            Body::Controller { role, events } => {
                events.extend(std::iter::from_fn(|| role.poll_event()).map(|event| (now, event)));
                sent.extend(std::iter::from_fn(|| role.poll_transmit()));
            }
            Body::Relay { role, events } => {
                events.extend(std::iter::from_fn(|| role.poll_event()));
                sent.extend(std::iter::from_fn(|| role.poll_transmit()));
            }
            Body::Hostile(role) => sent.extend(std::iter::from_fn(|| role.poll_transmit())),
            Body::Dead => {}
        }
        for transmit in sent {
            self.transport(station, transmit);
        }
    }

    /// Puts a packet on its path's network.
    fn transport(&mut self, from: Station, transmit: Transmit) {
        let Some((index, end)) = self.ends.get(&(from, transmit.path)).copied() else {
            return;
        };
        let link = self.paths[index].link;
        let (delay, to) = match end {
            End::Node => (link.delay_up, End::Relay),
            End::Relay => (link.delay_down, End::Node),
        };
        let Some((station, path)) = self
            .ends
            .iter()
            .find(|(_, other)| **other == (index, to))
            .map(|(end, _)| *end)
        else {
            return;
        };
        if link.cut || self.chance.happens(link.loss) {
            return;
        }
        let copies = if self.chance.happens(link.duplicates) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let jitter_us = u64::try_from(link.jitter.as_micros()).unwrap_or(0);
            let jitter = Duration::from_micros(self.chance.below(jitter_us + 1));
            self.next_arrival += 1;
            let at = (self.now + delay + jitter, self.next_arrival);
            self.arrivals
                .insert(at, (station, path, transmit.bytes.clone()));
        }
    }

    fn slot(&self, station: Station) -> &Slot {
        &self.stations[station.0]
    }

    fn slot_mut(&mut self, station: Station) -> &mut Slot {
        &mut self.stations[station.0]
    }

    fn branch(&mut self) -> Chance {
        Chance::new(self.chance.below(u64::MAX))
    }

    fn entropy(&mut self) -> Box<Chance> {
        Box::new(self.branch())
    }
}

impl AgentBody {
    fn on_event(&mut self, now: MonoTime, event: AgentEvent) {
        match event {
            AgentEvent::Apply(apply) => self.vehicle.apply(now, *apply, &mut self.role),
            AgentEvent::Stop => self.vehicle.stop(now, &mut self.role),
            AgentEvent::StopReset => self.vehicle.reset(now, &mut self.role),
            AgentEvent::LeaseEnded { channel } => {
                self.vehicle.lease_ended(now, channel, &mut self.role)
            }
            AgentEvent::Persist { ticket, record } => {
                self.writes.insert((now + WRITE_TIME, ticket), record);
            }
            other => self.events.push((now, format!("{other:?}"))),
        }
    }
}

fn node_name(kind: NodeKind, name: &str) -> NodeName {
    NodeName::new(kind, name.parse().expect("a valid name"))
}

/// How long a write takes until it survives a power cut.
const WRITE_TIME: Duration = Duration::from_millis(3);
