//! The world: stations, the paths between them, and time that jumps from event to event.

mod network;
mod slot;
mod views;

use std::collections::BTreeMap;
use std::hash::DefaultHasher;
use std::time::Duration;

use longrein_proto::base::{Channel, Entropy, MonoTime, Name, NodeKind, PathId};
use longrein_proto::hub::{Hub, HubEffect, HubSettings, Loaded};
use longrein_proto::role::{
    Agent, AgentRecord, Applicant, Authority, Controller, Input, Redial, Relay, RelayConfig,
    RelayEvent, Role, Transmit, authority_of,
};

pub use self::network::{Carried, Redialled};
use self::network::{End, Path};
use self::slot::{AgentBody, Body, Freeze, Slot};
use crate::check::{Budgets, Load};
use crate::hostile_relay::HostileRelay;
use crate::ledger::Ledger;
use crate::medium::Medium;
use crate::{Chance, Clock, RawNode, Tamper, TestFleet, Vehicle, check};

/// Number of a station in its world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Station(usize);

/// Stations on virtual time. When it ends, everything that must hold in every scenario is checked.
pub struct World {
    /// The seed that repeats this world.
    pub seed: u64,
    now: MonoTime,
    chance: Chance,
    fleet: TestFleet,
    stations: Vec<Slot>,
    ledger: Ledger,
    paths: Vec<Path>,
    ends: BTreeMap<(Station, PathId), (usize, End)>,
    /// Each node's links, there and back.
    media: BTreeMap<((Station, Name), End), Medium>,
    arrivals: BTreeMap<(MonoTime, u64), (Station, PathId, Vec<u8>)>,
    next_arrival: u64,
    next_path: u32,
    redials: Vec<Redialled>,
    /// Steps that did not move time on.
    steps_now: usize,
    budgets: Budgets,
    /// Of every packet so far.
    digest: DefaultHasher,
}

impl World {
    /// An empty world.
    pub fn new(seed: u64) -> World {
        World {
            seed,
            now: MonoTime::ZERO,
            chance: Chance::new(seed),
            fleet: TestFleet::new(seed),
            stations: Vec::new(),
            ledger: Ledger::default(),
            paths: Vec::new(),
            ends: BTreeMap::new(),
            media: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            next_arrival: 0,
            next_path: 0,
            redials: Vec::new(),
            steps_now: 0,
            budgets: Budgets::default(),
            digest: DefaultHasher::new(),
        }
    }

    /// Adds a relay.
    pub fn relay(&mut self, name: &str) -> Station {
        self.relay_with(name, Clock::default())
    }

    /// Adds a relay that is the fleet's hub. Its store takes everything at once, and nothing is read from it.
    pub fn hub(&mut self, name: &str) -> Station {
        let station = self.relay(name);
        self.host_hub(station);
        station
    }

    /// Adds a relay with a clock of its own.
    pub fn relay_with(&mut self, name: &str, clock: Clock) -> Station {
        let mut role = Relay::new(RelayConfig::default(), self.entropy());
        role.believe(self.fleet.fleet());
        self.add(
            NodeKind::Relay,
            name,
            clock,
            Body::Relay {
                role: Box::new(role),
                events: Vec::new(),
            },
        )
    }

    /// Adds a relay that keeps every list of revocations to itself, and to none.
    pub fn withholding_relay(&mut self, name: &str) -> Station {
        let role = Relay::new(RelayConfig::default(), self.entropy());
        let body = Body::Relay {
            role: Box::new(role),
            events: Vec::new(),
        };
        self.add(NodeKind::Relay, name, Clock::default(), body)
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

    /// Adds the fleet's authority.
    pub fn authority(&mut self) -> Station {
        let me = authority_of(&self.fleet.fleet());
        let credential = self.fleet.credential(&me);
        let (fleet, entropy) = (self.fleet.fleet(), self.entropy());
        let role = Authority::new(me.clone(), credential, fleet, entropy);
        let body = Body::Authority {
            role: Box::new(role),
            events: Vec::new(),
        };
        self.add(me.kind, me.name.as_str(), Clock::default(), body)
    }

    /// Adds whoever asks the authority for a certificate of `node`, with the papers of a newcomer or of a node of the fleet.
    pub fn applicant(&mut self, kind: NodeKind, name: &str, node: &str) -> Station {
        let credential = self.fleet.credential(&slot::node_name(kind, name));
        let node = node.parse().expect("a valid name");
        let (fleet, entropy) = (self.fleet.fleet(), self.entropy());
        let role = Applicant::new(node, b"request".to_vec(), credential, fleet, entropy);
        let body = Body::Applicant {
            role: Box::new(role),
            events: Vec::new(),
        };
        self.add(kind, name, Clock::default(), body)
    }

    /// Adds a node that sends what the scenario likes.
    pub fn raw_node(&mut self, kind: NodeKind, name: &str) -> Station {
        let role = RawNode::new(self.chance.below(u64::MAX));
        self.add(kind, name, Clock::default(), Body::Raw(Box::new(role)))
    }

    /// Adds an agent with the functions `drive` (typed) and `tunnel` (opaque).
    pub fn agent(&mut self, name: &str, clock: Clock) -> Station {
        self.agent_at(name, clock, TestFleet::UNIX_MS)
    }

    /// Adds an agent whose wall clock is wrong.
    pub fn agent_at(&mut self, name: &str, clock: Clock, unix_ms: u64) -> Station {
        let vehicle = Vehicle::new(clock.at(self.now), AgentRecord::default().encode());
        let body = self.agent_body(name, vehicle);
        let station = self.place(NodeKind::Agent, name, clock, body);
        self.set_wall(station, unix_ms);
        station
    }

    /// Adds a controller.
    pub fn controller(&mut self, name: &str, clock: Clock) -> Station {
        let chance = self.branch();
        self.controller_with(name, clock, chance)
    }

    /// Adds a controller whose wall clock is wrong.
    pub fn controller_at(&mut self, name: &str, clock: Clock, unix_ms: u64) -> Station {
        let chance = self.branch();
        let station = self.unset_controller(name, clock, chance);
        self.set_wall(station, unix_ms);
        station
    }

    /// Adds a controller with randomness of its own.
    pub fn controller_with(&mut self, name: &str, clock: Clock, chance: Chance) -> Station {
        let station = self.unset_controller(name, clock, chance);
        self.set_wall(station, TestFleet::UNIX_MS);
        station
    }

    fn unset_controller(&mut self, name: &str, clock: Clock, chance: Chance) -> Station {
        let me = slot::node_name(NodeKind::Controller, name);
        let credential = self.fleet.credential(&me);
        let role = Controller::new(me, credential, self.fleet.fleet(), Box::new(chance));
        let body = Body::Controller {
            role: Box::new(role),
            events: Vec::new(),
        };
        self.place(NodeKind::Controller, name, clock, body)
    }

    /// Sets a station's wall clock.
    pub fn set_wall(&mut self, station: Station, unix_ms: u64) {
        self.handle(station, Input::Wall { unix_ms });
    }

    /// Gives a node a new key and a certificate that ends so long after the world's beginning; its paths stay as they are.
    pub fn renew(&mut self, station: Station, life: Duration) {
        let node = self.name_of(station).clone();
        self.fleet.certify(&node, life);
        let credential = self.fleet.credential(&node);
        let now = self.time_of(station);
        match &mut self.slot_mut(station).body {
            Body::Agent(body) => body.role.set_credential(now, credential),
            Body::Controller { role, .. } => role.set_credential(now, credential),
            // A relay shows its certificate in new connections only.
            _ => {}
        }
        self.collect(station);
    }

    /// Ends a station without a word, as `kill -9` does. A write that is under way is lost.
    pub fn kill(&mut self, station: Station) {
        let slot = self.slot_mut(station);
        if let Body::Agent(body) = std::mem::replace(&mut slot.body, Body::Dead) {
            slot.past.push(body.vehicle);
        }
    }

    /// Ends an agent in good order, as SIGTERM does.
    pub fn end_agent(&mut self, station: Station) {
        let now = self.time_of(station);
        let body = self.agent_body_mut(station);
        body.vehicle.end(now, &mut body.role);
        body.role.end(now);
        self.collect(station);
        self.kill(station);
    }

    /// Starts a dead agent again, with what was on its disk when it died; its paths connect anew.
    pub fn restart_agent(&mut self, station: Station) {
        let slot = self.slot(station);
        let name = slot.node.name.as_str().to_owned();
        let past = slot.past.last().expect("it was an agent");
        let (disk, revocations) = (past.disk.clone(), past.revocations.clone());
        let mut vehicle = Vehicle::new(self.time_of(station), disk);
        vehicle.revocations = revocations;
        self.slot_mut(station).body = self.agent_body(&name, vehicle);
        self.reconnect(station);
    }

    /// Starts a dead relay again; it knows nothing of before.
    pub fn restart_relay(&mut self, station: Station) {
        let mut role = Relay::new(RelayConfig::default(), self.entropy());
        role.believe(self.fleet.fleet());
        self.slot_mut(station).body = Body::Relay {
            role: Box::new(role),
            events: Vec::new(),
        };
        self.reconnect(station);
    }

    /// Starts a dead hub again, with nothing in its store.
    pub fn restart_hub(&mut self, station: Station) {
        self.restart_relay(station);
        self.host_hub(station);
    }

    fn host_hub(&mut self, station: Station) {
        let run = self.entropy().next_u64();
        if let Body::Relay { role, .. } = &mut self.slot_mut(station).body {
            role.host(Hub::new(HubSettings::default(), Loaded::default(), run));
        }
    }

    /// Stops a station's process as SIGSTOP does: its packets queue up in its socket.
    pub fn freeze(&mut self, station: Station) {
        let now = self.now;
        self.slot_mut(station).frozen = Some(Freeze::new(now));
    }

    /// Lets a stopped process go on: what waited arrives at once, and by chance before or after its overdue timers.
    pub fn thaw(&mut self, station: Station) {
        let (now, timers_first) = (self.now, self.chance.happens(0.5));
        let slot = self.slot_mut(station);
        let Some(freeze) = slot.frozen.take() else {
            return;
        };
        slot.frozen_spans.push((freeze.since, now));
        if timers_first {
            self.wake(station);
        }
        for waited in &freeze.waiting {
            self.handle(station, waited.input());
        }
        self.wake(station);
    }

    /// Lets a span of time pass.
    pub fn run(&mut self, span: Duration) {
        self.run_until(span, |_| false);
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
            self.steps_now = if at > self.now { 0 } else { self.steps_now + 1 };
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
            panic!("the station is no living controller")
        };
        let result = call(role, now);
        self.collect(station);
        result
    }

    /// Calls an agent's methods, then lets the network take what it sends.
    pub fn with_agent<T>(
        &mut self,
        station: Station,
        call: impl FnOnce(&mut Agent, MonoTime) -> T,
    ) -> T {
        let now = self.time_of(station);
        let result = call(&mut self.agent_body_mut(station).role, now);
        self.collect(station);
        result
    }

    /// Loses the device of an agent's function, or brings it back.
    pub fn set_device(&mut self, station: Station, channel: Channel, up: bool) {
        let now = self.time_of(station);
        let body = self.agent_body_mut(station);
        body.vehicle.device(now, channel, up, &mut body.role);
        self.collect(station);
    }

    /// The vehicle's own software latches the emergency stop: the devices first, then the role.
    pub fn stop_by_vehicle(&mut self, station: Station) {
        let now = self.time_of(station);
        let body = self.agent_body_mut(station);
        body.vehicle.stop(now, &mut body.role);
        body.role.stop_by_vehicle(now);
        self.collect(station);
    }

    /// The vehicle's own software asks for MinimalRisk of a function.
    pub fn request_minimal_risk(&mut self, station: Station, channel: Channel) {
        let now = self.time_of(station);
        let body = self.agent_body_mut(station);
        body.vehicle.own_request(now, channel, &mut body.role);
        self.collect(station);
    }

    /// Whether the device of an agent's function takes no command though it is there.
    pub fn set_full(&mut self, station: Station, channel: Channel, full: bool) {
        let vehicle = &mut self.agent_body_mut(station).vehicle;
        vehicle.full.retain(|other| *other != channel);
        vehicle.full.extend(full.then_some(channel));
    }

    /// Calls a relay's methods, then lets the network take what it sends.
    pub fn with_relay<T>(
        &mut self,
        station: Station,
        call: impl FnOnce(&mut Relay, MonoTime) -> T,
    ) -> T {
        let now = self.time_of(station);
        let Body::Relay { role, .. } = &mut self.slot_mut(station).body else {
            panic!("the station is no living relay")
        };
        let result = call(role, now);
        self.collect(station);
        result
    }

    /// Calls the authority's methods, then lets the network take what it sends.
    pub fn with_authority<T>(
        &mut self,
        station: Station,
        call: impl FnOnce(&mut Authority, MonoTime) -> T,
    ) -> T {
        let now = self.time_of(station);
        let Body::Authority { role, .. } = &mut self.slot_mut(station).body else {
            panic!("the station is no living authority")
        };
        let result = call(role, now);
        self.collect(station);
        result
    }

    /// Calls a hostile relay's methods, then lets the network take what it sends.
    pub fn with_hostile<T>(
        &mut self,
        station: Station,
        call: impl FnOnce(&mut HostileRelay, MonoTime) -> T,
    ) -> T {
        let now = self.time_of(station);
        let Body::Hostile(role) = &mut self.slot_mut(station).body else {
            panic!("the station is no hostile relay")
        };
        let result = call(role, now);
        self.collect(station);
        result
    }

    /// Calls a raw node's methods, then lets the network take what it sends.
    pub fn with_raw<T>(
        &mut self,
        station: Station,
        call: impl FnOnce(&mut RawNode, MonoTime) -> T,
    ) -> T {
        let now = self.time_of(station);
        let Body::Raw(role) = &mut self.slot_mut(station).body else {
            panic!("the station is no raw node")
        };
        let result = call(role, now);
        self.collect(station);
        result
    }

    fn agent_body_mut(&mut self, station: Station) -> &mut AgentBody {
        let Body::Agent(body) = &mut self.slot_mut(station).body else {
            panic!("the station is no living agent")
        };
        body
    }

    fn agent_body(&mut self, name: &str, vehicle: Vehicle) -> Body {
        let me = slot::node_name(NodeKind::Agent, name);
        let config = Vehicle::agent_config(me.clone());
        let credential = self.fleet.credential(&me);
        let record = AgentRecord::decode(&vehicle.disk).expect("the record is whole");
        let fleet = self.fleet.fleet();
        for part in &vehicle.revocations {
            fleet.take_revocations(part);
        }
        let mut role = Agent::new(config, credential, fleet, self.entropy(), record);
        role.report_to_hub();
        Body::Agent(Box::new(AgentBody::new(role, vehicle)))
    }

    fn add(&mut self, kind: NodeKind, name: &str, clock: Clock, body: Body) -> Station {
        let station = self.place(kind, name, clock, body);
        self.set_wall(station, TestFleet::UNIX_MS);
        station
    }

    fn place(&mut self, kind: NodeKind, name: &str, clock: Clock, body: Body) -> Station {
        self.stations.push(Slot::new(kind, name, clock, body));
        Station(self.stations.len() - 1)
    }

    fn reconnect(&mut self, station: Station) {
        self.set_wall(station, TestFleet::UNIX_MS);
        for path in self.paths_of(station) {
            self.connect(path);
        }
    }

    fn next_event(&mut self) -> Option<MonoTime> {
        let arrival = self.arrivals.keys().next().map(|(at, _)| *at);
        let wakes = self.stations.iter_mut().filter_map(Slot::next_wake);
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
            self.arrive(station, path, bytes);
        }
        for index in 0..self.stations.len() {
            let slot = &mut self.stations[index];
            let touched = slot.is_touched();
            let due = slot.next_wake().is_some_and(|at| at <= self.now);
            if due {
                self.wake(Station(index));
            }
            if due || touched {
                check::load(&self.load(Station(index)));
            }
        }
    }

    /// How much there is to do, in the world and at one station.
    fn load(&self, station: Station) -> Load {
        let slot = self.slot(station);
        let (waiting, writes) = match &slot.body {
            Body::Agent(body) => (body.role.waiting(), body.writes.len()),
            Body::Controller { role, .. } => (role.waiting(), 0),
            Body::Relay { role, .. } => (role.waiting(), 0),
            Body::Authority { .. }
            | Body::Applicant { .. }
            | Body::Hostile(_)
            | Body::Raw(_)
            | Body::Dead => (0, 0),
        };
        Load {
            waiting,
            writes,
            underway: self.arrivals.len(),
            steps_now: self.steps_now,
        }
    }

    fn arrive(&mut self, station: Station, path: PathId, bytes: Vec<u8>) {
        let now = self.now;
        self.slot_mut(station).arrived.note(now, &bytes);
        self.handle(
            station,
            Input::Packet {
                path,
                bytes: &bytes,
            },
        );
    }

    /// Lets a station's timers ring.
    fn wake(&mut self, station: Station) {
        let now = self.time_of(station);
        if self.slot(station).frozen.is_some() {
            return;
        }
        while let Some(ticket) = self.slot_mut(station).finish_write(now) {
            self.handle(station, Input::Persisted { ticket });
        }
        let due = self.slot_mut(station).ring(now);
        if due.is_some_and(|at| at <= now) {
            self.handle(station, Input::Timeout);
        } else {
            self.collect(station);
        }
    }

    fn handle(&mut self, station: Station, input: Input<'_>) {
        let now = self.time_of(station);
        let slot = self.slot_mut(station);
        if let Some(freeze) = &mut slot.frozen {
            freeze.hold(&input);
            return;
        }
        match &mut slot.body {
            Body::Agent(body) => body.role.handle(now, input),
            Body::Controller { role, .. } => role.handle(now, input),
            Body::Relay { role, .. } => role.handle(now, input),
            Body::Authority { role, .. } => role.handle(now, input),
            Body::Applicant { role, .. } => role.handle(now, input),
            Body::Hostile(role) => role.handle(now, input),
            Body::Raw(role) => role.handle(now, input),
            Body::Dead => return,
        }
        self.collect(station);
    }

    /// Takes a station's events and packets.
    fn collect(&mut self, station: Station) {
        let now = self.time_of(station);
        let mut sent: Vec<Transmit> = Vec::new();
        let mut redials: Vec<Redial> = Vec::new();
        let slot = &mut self.stations[station.0];
        slot.touch();
        match &mut slot.body {
            Body::Agent(body) => {
                // Verdicts and beats can follow from events.
                while let Some(event) = body.role.poll_event() {
                    body.on_event(now, event);
                }
                redials.extend(std::iter::from_fn(|| body.role.poll_redial()));
                sent.extend(std::iter::from_fn(|| body.role.poll_transmit()));
            }
            Body::Controller { role, events } => {
                while let Some(event) = role.poll_event() {
                    self.ledger.on_event(self.now, station, &event);
                    events.push((now, event));
                }
                redials.extend(std::iter::from_fn(|| role.poll_redial()));
                sent.extend(std::iter::from_fn(|| role.poll_transmit()));
            }
            Body::Relay { role, events } => {
                while let Some(event) = role.poll_event() {
                    match event {
                        RelayEvent::Hub(HubEffect::Commit { ticket, .. }) => {
                            role.with_hub(now, |hub, at| hub.on_committed(at, ticket, &[]));
                        }
                        event => events.push(event),
                    }
                }
                sent.extend(std::iter::from_fn(|| role.poll_transmit()));
            }
            Body::Authority { role, events } => {
                events.extend(std::iter::from_fn(|| role.poll_event()));
                sent.extend(std::iter::from_fn(|| role.poll_transmit()));
            }
            Body::Applicant { role, events } => {
                events.extend(std::iter::from_fn(|| role.poll_event()));
                sent.extend(std::iter::from_fn(|| role.poll_transmit()));
            }
            Body::Hostile(role) => sent.extend(std::iter::from_fn(|| role.poll_transmit())),
            Body::Raw(role) => sent.extend(std::iter::from_fn(|| role.poll_transmit())),
            Body::Dead => {}
        }
        for redial in redials {
            self.note_redial(station, redial);
        }
        for transmit in sent {
            self.transport(station, transmit);
        }
    }

    fn slot(&self, station: Station) -> &Slot {
        &self.stations[station.0]
    }

    fn slot_mut(&mut self, station: Station) -> &mut Slot {
        let slot = &mut self.stations[station.0];
        slot.touch();
        slot
    }

    fn entropy(&mut self) -> Box<Chance> {
        Box::new(self.branch())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            check::world(self);
        }
    }
}
