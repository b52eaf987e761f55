//! The controller: calls vehicles, takes leases, sends commands, hears telemetry and receipts.

mod call;
mod session_loss;
mod stops;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use self::call::{Call, Calling};
pub use self::session_loss::SessionLoss;
use self::stops::Stops;
use super::hub_line::HubLine;
use super::node::{Fact, Node};
use super::revoking::Revoking;
use super::seal_counters::SealCounters;
use super::wall::WallClock;
use super::{ClockDifference, Input, NodeCounters, PathView, Redial, Role, Transmit};
use crate::base::{
    ApplicationId, Channel, Class, Entropy, FencingToken, MonoTime, Name, NodeKind, NodeName,
    OfferId, PathId, Refusal, SessionId, StopId,
};
use crate::crypto::{Credential, Fleet, sign_statement, verify_statement};
use crate::hub::Caller;
use crate::leg;
use crate::path::Health;
use crate::session::{Age, Dictionaries, Resolution, SendError};
use crate::wire::{
    AgentBeat, Body, Description, News, Notice, Parcel, Removal, Request, SealedHeader, Signed,
    Statement, Telemetry,
};

/// What a controller tells its program.
#[derive(Clone, Debug)]
pub enum ControllerEvent {
    /// A relay's answer to a query; further parts may follow from it and from other relays.
    Nodes {
        /// The query's number.
        ask: u32,
        /// The relay that answers.
        relay: NodeName,
        /// Who is there.
        names: Vec<NodeName>,
        /// Whether this relay has more to say.
        more: bool,
    },
    /// A relay is reached.
    RelayUp {
        /// The relay.
        relay: NodeName,
    },
    /// A relay ends soon.
    Draining {
        /// The relay.
        relay: NodeName,
    },
    /// Whether a vehicle is connected to one relay.
    Presence {
        /// The vehicle.
        vehicle: NodeName,
        /// The relay that says so.
        relay: NodeName,
        /// Whether it is there.
        present: bool,
    },
    /// The session with a vehicle stands.
    SessionUp {
        /// The vehicle.
        vehicle: NodeName,
        /// What it is and does.
        description: Description,
    },
    /// The session has ended; its leases and unresolved messages with it.
    SessionDown {
        /// The vehicle.
        vehicle: NodeName,
        /// Why.
        why: SessionLoss,
    },
    /// How far a vehicle's wall clock is ahead of the own one: for records.
    Clock {
        /// The vehicle.
        vehicle: NodeName,
        /// How far.
        difference: ClockDifference,
    },
    /// A lease is granted.
    Granted {
        /// The vehicle.
        vehicle: NodeName,
        /// The function.
        channel: Channel,
        /// The request's number.
        ask: u32,
        /// The lease's token.
        token: FencingToken,
    },
    /// An offered lease is accepted, and comes into force when commands under its token have arrived for a while: send them.
    Coming {
        /// The vehicle.
        vehicle: NodeName,
        /// The function.
        channel: Channel,
        /// The request's number.
        ask: u32,
        /// The token that is to come into force.
        token: FencingToken,
    },
    /// Whoever a lease is offered to is being asked; [`ControllerEvent::News`] says what becomes of it.
    Offered {
        /// The vehicle.
        vehicle: NodeName,
        /// The request's number.
        ask: u32,
        /// The offer.
        offer: OfferId,
    },
    /// The vehicle says something of a lease.
    News {
        /// The vehicle.
        vehicle: NodeName,
        /// What it says.
        news: News,
    },
    /// What this controller may do with the vehicle has changed.
    Described {
        /// The vehicle.
        vehicle: NodeName,
        /// What it is and does, and lets this controller do.
        description: Description,
    },
    /// A request is done.
    Done {
        /// The vehicle.
        vehicle: NodeName,
        /// The request's number.
        ask: u32,
    },
    /// A request is refused.
    Refused {
        /// The vehicle.
        vehicle: NodeName,
        /// The request's number.
        ask: u32,
        /// Why.
        why: Refusal,
    },
    /// A lease lapsed or went to somebody else.
    LeaseLost {
        /// The vehicle.
        vehicle: NodeName,
        /// The function.
        channel: Channel,
        /// How it was taken away, when that was said.
        how: Option<Removal>,
    },
    /// Telemetry of a function.
    Telemetry {
        /// The vehicle.
        vehicle: NodeName,
        /// The function.
        channel: Channel,
        /// What it says.
        telemetry: Telemetry,
        /// How old it is; none before the first clock sample.
        age: Option<Age>,
    },
    /// What became of a reliable command.
    Receipt {
        /// The vehicle.
        vehicle: NodeName,
        /// The function.
        channel: Channel,
        /// The command's number.
        number: u64,
        /// What became of it.
        outcome: Resolution,
    },
    /// The vehicle's newest state.
    Status {
        /// The vehicle.
        vehicle: NodeName,
        /// Its state.
        status: VehicleStatus,
    },
    /// A vehicle answers a stop.
    Stopped {
        /// The vehicle.
        vehicle: NodeName,
        /// The stop.
        id: StopId,
        /// Its stop generation.
        generation: u32,
        /// Whether it is stopped now by this stop.
        latched: bool,
    },
    /// No answer to a stop within its time.
    StopUnanswered {
        /// The vehicle.
        vehicle: NodeName,
        /// The stop.
        id: StopId,
    },
    /// A path's health has changed.
    Health {
        /// The path.
        path: PathId,
        /// How it stands.
        health: Health,
    },
    /// A newer list of revocations counts from now on: store it, so that it also counts after a restart.
    Revocations {
        /// Its number.
        number: u64,
        /// Its parts.
        parts: Vec<Arc<[u8]>>,
    },
}

/// A vehicle's state, from its newest beat.
#[derive(Clone, Debug)]
pub struct VehicleStatus {
    /// The beat.
    pub beat: AgentBeat,
    /// How old it was on arrival.
    pub age: Option<Age>,
}

/// Why a command is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendCommandError {
    /// There is no session with this vehicle: wait for [`ControllerEvent::SessionUp`].
    #[error("no session with this vehicle")]
    NoSession,
    /// The function's lease is not held: take it first.
    #[error("the function's lease is not held")]
    NoLease,
    /// The session does not take it.
    #[error(transparent)]
    Session(#[from] SendError),
}

/// The controller.
pub struct Controller {
    me: NodeName,
    credential: Arc<dyn Credential>,
    fleet: Fleet,
    entropy: Box<dyn Entropy>,
    wall: WallClock,
    node: Node,
    hub: HubLine,
    calls: BTreeMap<NodeName, Call>,
    dictionaries: Dictionaries,
    stops: Stops,
    seals: SealCounters,
    revoking: Revoking,
    next_ask: u32,
    events: VecDeque<ControllerEvent>,
}

impl Controller {
    /// A controller with the identity of `credential`; its relays come with its first paths.
    pub fn new(
        me: NodeName,
        credential: Arc<dyn Credential>,
        fleet: Fleet,
        mut entropy: Box<dyn Entropy>,
    ) -> Controller {
        let node = Node::new(entropy.as_mut()).speaking_with_hub();
        Controller {
            me,
            credential,
            fleet,
            entropy,
            wall: WallClock::default(),
            node,
            hub: HubLine::default(),
            calls: BTreeMap::new(),
            dictionaries: Dictionaries::new(),
            stops: Stops::default(),
            seals: SealCounters::default(),
            revoking: Revoking::default(),
            next_ask: 1,
            events: VecDeque::new(),
        }
    }

    /// Asks every relay who of a kind is there; the number names the answers.
    pub fn query(&mut self, now: MonoTime, kind: NodeKind) -> u32 {
        let ask = self.take_ask();
        self.node.notify_all(now, &Notice::Query { ask, kind });
        ask
    }

    /// Asks every relay which agents of a group are there; the number names the answers.
    pub fn query_members(&mut self, now: MonoTime, group: Name) -> u32 {
        let ask = self.take_ask();
        self.node.notify_all(now, &Notice::Members { ask, group });
        ask
    }

    /// Opens a session with a vehicle, and again whenever it is lost.
    pub fn open(&mut self, now: MonoTime, vehicle: &NodeName) {
        if !self.calls.contains_key(vehicle) {
            let call = Call::new(vehicle.clone(), self.dictionaries.clone());
            self.calls.insert(vehicle.clone(), call);
            self.work(now, vehicle);
        }
    }

    /// Ends the session with a vehicle.
    pub fn close(&mut self, now: MonoTime, vehicle: &NodeName) {
        if let Some(mut call) = self.calls.remove(vehicle) {
            call.hang_up(now, &mut self.node);
            self.events.extend(call.take_events());
        }
    }

    /// Asks for the lease of a function; the number names the answer. None without a session.
    pub fn take(&mut self, now: MonoTime, vehicle: &NodeName, channel: Channel) -> Option<u32> {
        self.request(now, vehicle, Request::Take { channel })
    }

    /// Gives a lease back; the number names the answer. None when it is not held.
    pub fn release(&mut self, now: MonoTime, vehicle: &NodeName, channel: Channel) -> Option<u32> {
        let token = self.calls.get_mut(vehicle)?.drop_lease(channel)?;
        self.request(now, vehicle, Request::Release { channel, token })
    }

    /// Asks to clear a latched stop of a generation; the number names the answer. None without a session.
    pub fn reset_stop(
        &mut self,
        now: MonoTime,
        vehicle: &NodeName,
        generation: u32,
    ) -> Option<u32> {
        self.request(now, vehicle, Request::ResetStop { generation })
    }

    /// Sends a command under the held lease; its number in its flow.
    ///
    /// # Errors
    /// [`SendCommandError`]: nothing was sent.
    pub fn command(
        &mut self,
        now: MonoTime,
        vehicle: &NodeName,
        channel: Channel,
        order: Order,
    ) -> Result<u64, SendCommandError> {
        let call = self
            .calls
            .get_mut(vehicle)
            .ok_or(SendCommandError::NoSession)?;
        let number = call.command(now, channel, order)?;
        self.work(now, vehicle);
        Ok(number)
    }

    /// Stops a vehicle, with or without a session, and repeats that until it answers or `patience` is over.
    pub fn stop(
        &mut self,
        now: MonoTime,
        vehicle: &NodeName,
        id: StopId,
        generation: Option<u32>,
        patience: Duration,
    ) {
        let statement = Statement::Stop { id, generation };
        self.say_stop(now, vehicle, id, statement, patience);
    }

    /// As [`Controller::stop`], but only if the vehicle is in this group, as it says itself: relays can claim it of others.
    // [SAFE-106]
    pub fn stop_if_in_group(
        &mut self,
        now: MonoTime,
        vehicle: &NodeName,
        id: StopId,
        group: Name,
        patience: Duration,
    ) {
        let statement = Statement::StopOfGroup { id, group };
        self.say_stop(now, vehicle, id, statement, patience);
    }

    fn say_stop(
        &mut self,
        now: MonoTime,
        vehicle: &NodeName,
        id: StopId,
        statement: Statement,
        patience: Duration,
    ) {
        let signed = sign_statement(self.credential.as_ref(), &self.me, vehicle, statement);
        let parcel = Parcel::Signed {
            to: vehicle.clone(),
            body: signed.encode().into(),
        }
        .encode();
        let given_up = self
            .stops
            .insert(now, vehicle.clone(), id, parcel, now + patience);
        self.events.extend(given_up);
        self.stops.on_timeout(now, &mut self.node, &mut self.events);
    }

    /// The vehicle's channel for a function, once the session stands.
    pub fn channel(&self, vehicle: &NodeName, function: &str) -> Option<Channel> {
        self.calls.get(vehicle)?.channel(function)
    }

    /// Estimate of the vehicle's clock against this one's, as the age that a message sent by it now would have.
    pub fn clock_error(&self, now: MonoTime, vehicle: &NodeName) -> Option<Duration> {
        self.calls.get(vehicle)?.clock_error(now)
    }

    /// The own certificate and key from now on: sessions that stand are shown it, and paths are dialled anew with it.
    // [WIRE-161] [WIRE-163]
    pub fn set_credential(&mut self, now: MonoTime, credential: Arc<dyn Credential>) {
        self.credential = credential;
        for call in self.calls.values_mut() {
            call.show(self.credential.as_ref());
        }
        self.node.redial_all();
        self.work_all(now);
    }

    /// Dictionaries for vehicles that are opened from now on.
    pub fn set_dictionaries(&mut self, dictionaries: Dictionaries) {
        self.dictionaries = dictionaries;
    }

    /// What a link may carry each way on the wire, shared by its paths; 1,000 when nothing is said.
    pub fn set_link_budget(&mut self, link: Name, kbit_s: u32) {
        self.node.set_link_budget(link, kbit_s);
    }

    /// These are the links now: of others nothing is known any more.
    pub fn keep_link_budgets(&mut self, links: &[Name]) {
        self.node.keep_link_budgets(links);
    }

    /// How each path stands.
    pub fn paths(&self) -> Vec<PathView> {
        self.node.paths()
    }

    /// Parcels that wait on the fullest leg.
    pub fn waiting(&self) -> usize {
        self.node.waiting()
    }

    /// What all legs counted together.
    pub fn leg_counters(&self) -> leg::Counters {
        self.node.leg_counters()
    }

    /// What was dropped, by reason.
    pub fn counters(&self) -> NodeCounters {
        self.node.counters()
    }

    /// Sealed envelopes that were dropped, by reason.
    pub fn seal_counters(&self) -> SealCounters {
        self.seals
    }

    /// Asks a vehicle for something; the number names the answer. None without a session.
    pub fn request(&mut self, now: MonoTime, vehicle: &NodeName, request: Request) -> Option<u32> {
        let ask = self.take_ask();
        self.calls.get_mut(vehicle)?.request(now, ask, request)?;
        self.work(now, vehicle);
        Some(ask)
    }

    fn take_ask(&mut self) -> u32 {
        let ask = self.next_ask;
        self.next_ask = self.next_ask.wrapping_add(1);
        ask
    }

    /// Lets one vehicle's call do what is due, and takes its events.
    fn work(&mut self, now: MonoTime, vehicle: &NodeName) {
        let Some(call) = self.calls.get_mut(vehicle) else {
            return;
        };
        let mut calling = Calling {
            node: &mut self.node,
            entropy: self.entropy.as_mut(),
            believing: (&self.fleet, self.wall.at(now)),
            wall: &self.wall,
        };
        call.work(now, &mut calling);
        self.events.extend(call.take_events());
    }

    /// The conversation with the fleet's hub: what the application asks there, and hears. What it asks goes at once.
    pub fn with_hub<T>(&mut self, now: MonoTime, act: impl FnOnce(&mut Caller) -> T) -> T {
        let result = act(self.hub.caller());
        self.hub.work(now, &mut self.node);
        result
    }

    fn work_all(&mut self, now: MonoTime) {
        self.hub.work(now, &mut self.node);
        let vehicles: Vec<NodeName> = self.calls.keys().cloned().collect();
        for vehicle in vehicles {
            self.work(now, &vehicle);
        }
    }

    fn take_facts(&mut self, now: MonoTime) {
        while let Some(fact) = self.node.poll_fact() {
            match fact {
                Fact::LegUp { relay, is_hub } => {
                    self.hub.on_leg_up(&relay, is_hub);
                    for call in self.calls.values_mut() {
                        call.on_leg_up(now, &relay, &mut self.node);
                    }
                    self.stops.on_leg_up(now, &relay, &mut self.node);
                    self.events.push_back(ControllerEvent::RelayUp { relay });
                }
                Fact::Health { path, health, .. } => {
                    self.events
                        .push_back(ControllerEvent::Health { path, health });
                }
                Fact::Delivered { relay, parcel } => self.hub.on_delivered(&relay, &parcel),
                Fact::Arrival { way, parcel } => self.on_parcel(now, &way.relay, &parcel),
            }
        }
    }

    fn on_parcel(&mut self, now: MonoTime, relay: &NodeName, parcel: &[u8]) {
        match Parcel::decode(parcel) {
            Ok(Parcel::Sealed { header, ciphertext }) => {
                self.on_sealed(now, header, &ciphertext);
            }
            Ok(Parcel::Handshake {
                session,
                step: 2,
                body,
                ..
            }) => {
                let at = self.wall.at(now);
                if let Some(call) = self
                    .calls
                    .values_mut()
                    .find(|call| call.has_session(session))
                {
                    call.on_step2(
                        now,
                        session,
                        &body,
                        (&self.fleet, at),
                        self.credential.as_ref(),
                        &mut self.node,
                    );
                }
            }
            Ok(Parcel::Signed { to, body }) if to == self.me => self.on_statement(now, &body),
            Ok(Parcel::Notice(notice)) => self.on_notice(now, relay, notice),
            Ok(Parcel::Revocations(part)) => {
                if self.revoking.on_part(now, relay, &part, &self.fleet) {
                    self.on_revocations(now);
                }
            }
            Ok(Parcel::Hub(frame)) => self.hub.on_frame(relay, &frame, &mut self.node),
            Ok(Parcel::Handshake { .. } | Parcel::Signed { .. }) | Err(_) => {
                self.node.count_malformed_parcel()
            }
        }
    }

    /// A newer list of revocations counts.
    // [WIRE-147]
    fn on_revocations(&mut self, now: MonoTime) {
        let (number, _) = self.fleet.revocations_made();
        let parts = self.fleet.revocation_parts();
        self.events
            .push_back(ControllerEvent::Revocations { number, parts });
        self.node.drop_revoked(now, &self.fleet);
        for call in self.calls.values_mut() {
            call.end_if_revoked(now, &self.fleet, &mut self.node);
            self.events.extend(call.take_events());
        }
    }

    fn on_sealed(&mut self, now: MonoTime, header: SealedHeader, ciphertext: &[u8]) {
        let id = header.session;
        let Some(call) = self.calls.values_mut().find(|call| call.has_session(id)) else {
            self.seals.unknown_sessions += 1;
            return;
        };
        let credential = self.credential.as_ref();
        if let Err(why) = call.on_sealed(now, header, ciphertext, credential, &mut self.node) {
            self.seals.count(why);
        }
        self.events.extend(call.take_events());
    }

    fn on_notice(&mut self, now: MonoTime, relay: &NodeName, notice: Notice) {
        match notice {
            Notice::Nodes { ask, more, names } => {
                self.events.push_back(ControllerEvent::Nodes {
                    ask,
                    relay: relay.clone(),
                    names,
                    more,
                });
            }
            Notice::Routed { session, present } => {
                if let Some(call) = self.call_of(session) {
                    call.on_routed(relay, session, present);
                    let events = call.take_events();
                    self.events.extend(events);
                }
            }
            Notice::RouteRefused { session, why } => {
                if let Some(call) = self.call_of(session) {
                    call.on_route_refused(now, relay, session, why);
                }
            }
            Notice::Draining => self.events.push_back(ControllerEvent::Draining {
                relay: relay.clone(),
            }),
            Notice::Route { .. }
            | Notice::Unroute { .. }
            | Notice::Query { .. }
            | Notice::Members { .. }
            | Notice::Leased { .. }
            | Notice::Seen { .. } => {
                self.node.count_malformed_parcel();
            }
        }
    }

    fn on_statement(&mut self, now: MonoTime, body: &[u8]) {
        // A signature is checked only of an answer that is waited for.
        let awaited = Signed::decode(body)
            .ok()
            .filter(|signed| match signed.statement {
                Statement::Stopped { id, .. } => self.stops.awaits(id),
                Statement::Stop { .. } | Statement::StopOfGroup { .. } => false,
            });
        let verified = awaited.and_then(|signed| {
            let peer =
                verify_statement(&self.fleet, Some(self.wall.at(now)), &self.me, &signed).ok()?;
            Some((peer.node, signed.statement))
        });
        let Some((
            vehicle,
            Statement::Stopped {
                id,
                generation,
                latched,
            },
        )) = verified
        else {
            self.node.count_malformed_parcel();
            return;
        };
        if self.stops.remove(&vehicle, id) {
            self.events.push_back(ControllerEvent::Stopped {
                vehicle,
                id,
                generation,
                latched,
            });
        }
    }

    fn call_of(&mut self, session: SessionId) -> Option<&mut Call> {
        self.calls
            .values_mut()
            .find(|call| call.has_session(session))
    }
}

/// A command without its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The flow's promise.
    pub class: Class,
    /// How long it is worth applying.
    pub ttl: Duration,
    /// The operator's enabling hand is on.
    pub dead_man: bool,
    /// Wants motion again after Ramp or MinimalRisk.
    pub resume: bool,
    /// For reliable flows.
    pub application_id: Option<ApplicationId>,
    /// How old the picture is that the operator sees, where the vehicle asks for that.
    pub picture_age: Option<Duration>,
    /// What to do.
    pub body: Body,
}

impl Role for Controller {
    type Event = ControllerEvent;

    fn handle(&mut self, now: MonoTime, input: Input<'_>) {
        match input {
            Input::PathUp { path, link, peer } => self.node.on_path_up(now, path, link, peer),
            Input::Remote { .. } => {}
            Input::PathDown { path } => self.node.on_path_down(now, path),
            Input::Packet { path, bytes } => self.node.on_packet(now, path, bytes),
            Input::Wall { unix_ms } => self.wall.on_reading(now, unix_ms),
            Input::Persisted { .. } => {}
            Input::Timeout => {
                self.node
                    .on_timeout(now, self.fleet.time(self.wall.at(now)));
                self.stops.on_timeout(now, &mut self.node, &mut self.events);
            }
        }
        self.take_facts(now);
        self.work_all(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.node.poll_transmit()
    }

    fn poll_event(&mut self) -> Option<ControllerEvent> {
        self.events.pop_front()
    }

    fn poll_redial(&mut self) -> Option<Redial> {
        self.node.poll_redial()
    }

    fn next_timeout(&self) -> Option<MonoTime> {
        let calls = self.calls.values().filter_map(Call::next_timeout);
        calls
            .chain(self.node.next_timeout())
            .chain(self.hub.next_timeout())
            .chain(self.stops.next_timeout())
            .min()
    }
}
