//! The controller role with whoever waits for what it tells; lives on the drive loop's thread.

mod ask;
mod census;
mod hear;
mod seat;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use longrein_io::dial::Route;
use longrein_io::entropy::SystemEntropy;
use longrein_io::revocation_file::RevocationFile;
use longrein_proto::base::{
    ApplicationId, Channel, Class, Entropy, FencingToken, MonoTime, Name, NodeName, OfferId, StopId,
};
use longrein_proto::crypto::{Credential, Fleet};
use longrein_proto::role::{
    Controller, Input, Order, Redial, Role, SendCommandError, Transmit, VehicleStatus,
};
use longrein_proto::session::{Dictionaries, Resolution};
use longrein_proto::wire::Request;
use tokio::sync::{oneshot, watch};

use self::ask::{Ask, Asks, Take};
pub(crate) use self::census::Answers;
use self::census::Census;
use self::seat::Seat;
pub(crate) use self::seat::SessionState;
use crate::black_box::BlackBox;
use crate::contact::Contact;
use crate::events::Feed;
use crate::{Claim, Lease, Quality, RequestError, SendError, Stopped, Vehicle};

/// The controller role with whoever waits for what it tells. Its events go to them at once, so it has none of its own.
pub(crate) struct Desk {
    me: NodeName,
    controller: Controller,
    contact: Arc<watch::Sender<Contact>>,
    entropy: SystemEntropy,
    seats: BTreeMap<NodeName, Seat>,
    asks: Asks,
    stops: BTreeMap<StopId, oneshot::Sender<Option<Stopped>>>,
    censuses: Vec<Census>,
    black_box: Option<BlackBox>,
    revocations: Option<Arc<RevocationFile>>,
}

impl Desk {
    pub(crate) fn new(
        me: NodeName,
        credential: Arc<dyn Credential>,
        fleet: Fleet,
        contact: Arc<watch::Sender<Contact>>,
    ) -> Desk {
        let entropy = SystemEntropy::new();
        let controller = Controller::new(me.clone(), credential, fleet, Box::new(entropy.clone()));
        Desk {
            me,
            controller,
            contact,
            entropy,
            seats: BTreeMap::new(),
            asks: Asks::default(),
            stops: BTreeMap::new(),
            censuses: Vec::new(),
            black_box: None,
            revocations: None,
        }
    }

    /// What the links of the routes may carry.
    pub(crate) fn set_link_budgets(&mut self, routes: &[Route]) {
        let links: Vec<Name> = routes.iter().map(|route| route.link.clone()).collect();
        self.controller.keep_link_budgets(&links);
        for route in routes {
            self.controller
                .set_link_budget(route.link.clone(), route.budget_kbit_s);
        }
    }

    /// What vehicles that are opened from now on may be told in short.
    pub(crate) fn set_dictionaries(&mut self, dictionaries: Dictionaries) {
        self.controller.set_dictionaries(dictionaries);
    }

    /// The own certificate and key from now on.
    pub(crate) fn set_credential(&mut self, now: MonoTime, credential: Arc<dyn Credential>) {
        self.controller.set_credential(now, credential);
    }

    /// Keeps the newest list of revocations in this file.
    pub(crate) fn set_revocations(&mut self, file: Arc<RevocationFile>) {
        self.revocations = Some(file);
    }

    /// Records what happens from now on, or ends the record.
    pub(crate) fn set_black_box(&mut self, black_box: Option<BlackBox>) {
        self.black_box = black_box;
    }

    /// Asks all relays which vehicles, of a group or any, are there, and those that come up while the answer is awaited.
    pub(crate) fn count(
        &mut self,
        now: MonoTime,
        relays: BTreeSet<NodeName>,
        group: Option<Name>,
        done: oneshot::Sender<Answers>,
    ) {
        self.censuses.retain(|census| !census.is_abandoned());
        let mut census = Census::new(relays, group, done);
        census.ask(now, &mut self.controller);
        self.censuses.push(census);
    }

    /// Ends the questions that at least one relay has answered: the others took too long.
    pub(crate) fn end_count(&mut self) {
        for census in self.censuses.extract_if(.., |census| census.is_answered()) {
            census.finish();
        }
    }

    /// Opens a vehicle, which stays open while the handle lives.
    pub(crate) fn open(
        &mut self,
        now: MonoTime,
        vehicle: &NodeName,
    ) -> (Arc<()>, watch::Receiver<SessionState>) {
        let known = self.seats.get(vehicle);
        if let Some((seat, alive)) = known.and_then(|seat| Some((seat, seat.alive()?))) {
            return (alive, seat.session());
        }
        // A seat that is there has lost its last handle just now.
        self.sweep(now);
        let alive = Arc::new(());
        let seat = Seat::new(&alive);
        let session = seat.session();
        self.seats.insert(vehicle.clone(), seat);
        self.controller.open(now, vehicle);
        self.dispatch(now);
        (alive, session)
    }

    /// Closes the vehicles without handles and gives back the leases without handles.
    pub(crate) fn sweep(&mut self, now: MonoTime) {
        let gone = |seat: &Seat| seat.alive().is_none();
        let vehicles: Vec<NodeName> = self
            .seats
            .iter()
            .filter(|(_, seat)| gone(seat))
            .map(|(vehicle, _)| vehicle.clone())
            .collect();
        for vehicle in vehicles {
            self.controller.close(now, &vehicle);
            self.dispatch(now);
            self.asks.on_session_down(&vehicle);
            self.seats.remove(&vehicle);
        }
        let mut dropped = Vec::new();
        for (vehicle, seat) in &mut self.seats {
            for channel in seat.dropped_leases() {
                seat.remove_lease(channel);
                dropped.push((vehicle.clone(), channel));
            }
        }
        for (vehicle, channel) in dropped {
            self.controller.release(now, &vehicle, channel);
        }
        for (vehicle, channel) in self.asks.sweep() {
            let leave = Request::Leave { channel };
            self.controller.request(now, &vehicle, leave);
        }
        self.dispatch(now);
    }

    /// Ends all sessions.
    pub(crate) fn say_goodbye(&mut self, now: MonoTime) {
        let vehicles: Vec<NodeName> = self.seats.keys().cloned().collect();
        for vehicle in vehicles {
            self.controller.close(now, &vehicle);
        }
        self.dispatch(now);
        self.seats.clear();
    }

    /// Whether any relay sees the vehicle.
    pub(crate) fn is_present(&self, vehicle: &NodeName) -> bool {
        self.seats.get(vehicle).is_some_and(Seat::is_present)
    }

    pub(crate) fn watch(&mut self, vehicle: &NodeName, feed: Feed) {
        if let Some(seat) = self.seats.get_mut(vehicle) {
            seat.add_feed(feed);
        }
    }

    pub(crate) fn status(&self, vehicle: &NodeName) -> Option<VehicleStatus> {
        self.seats.get(vehicle)?.status().cloned()
    }

    pub(crate) fn quality(&self, now: MonoTime, vehicle: &NodeName) -> Quality {
        Quality {
            paths: self.controller.paths(),
            clock_error: self.controller.clock_error(now, vehicle),
            status: self.status(vehicle),
            counters: self.controller.leg_counters(),
        }
    }

    /// Asks for the lease of a function.
    pub(crate) fn claim(
        &mut self,
        now: MonoTime,
        vehicle: Vehicle,
        function: Name,
        claim: Claim,
        answer: oneshot::Sender<Result<Lease, RequestError>>,
    ) {
        let node = vehicle.node().clone();
        let waits = matches!(claim, Claim::Wait(_));
        let asked = self.channel(&node, &function).and_then(|channel| {
            let ask = self.controller.request(now, &node, claim.request(channel));
            Ok((channel, ask.ok_or(RequestError::NoSession)?))
        });
        match asked {
            Ok((channel, ask)) => {
                let take = Take {
                    vehicle,
                    function,
                    channel,
                    waits,
                    answer,
                };
                self.asks.insert(ask, Ask::Take(Box::new(take)));
            }
            Err(why) => drop(answer.send(Err(why))),
        }
        self.dispatch(now);
    }

    /// Gives back a lease of this connection; done at once when it is lost already.
    pub(crate) fn release(
        &mut self,
        now: MonoTime,
        vehicle: &NodeName,
        channel: Channel,
        token: FencingToken,
        answer: oneshot::Sender<Result<(), RequestError>>,
    ) {
        let held = self
            .seats
            .get_mut(vehicle)
            .filter(|seat| seat.holds(channel, token));
        let Some(seat) = held else {
            drop(answer.send(Ok(())));
            return;
        };
        seat.remove_lease(channel);
        let ask = self.controller.release(now, vehicle, channel);
        self.note_plain(ask, vehicle, answer);
        self.dispatch(now);
    }

    /// Asks for something about a function that is done or refused.
    pub(crate) fn ask_plain(
        &mut self,
        now: MonoTime,
        vehicle: &NodeName,
        function: &Name,
        request: impl FnOnce(Channel) -> Request,
        answer: oneshot::Sender<Result<(), RequestError>>,
    ) {
        match self.channel(vehicle, function) {
            Ok(channel) => {
                let ask = self.controller.request(now, vehicle, request(channel));
                self.note_plain(ask, vehicle, answer);
            }
            Err(why) => drop(answer.send(Err(why))),
        }
        self.dispatch(now);
    }

    /// Offers a lease that this identity holds.
    pub(crate) fn offer(
        &mut self,
        now: MonoTime,
        vehicle: &NodeName,
        (function, token): (&Name, FencingToken),
        to: NodeName,
        answer: oneshot::Sender<Result<OfferId, RequestError>>,
    ) {
        let asked = self.channel(vehicle, function).and_then(|channel| {
            let request = Request::Offer { channel, token, to };
            let ask = self.controller.request(now, vehicle, request);
            ask.ok_or(RequestError::NoSession)
        });
        match asked {
            Ok(ask) => {
                let vehicle = vehicle.clone();
                self.asks.insert(ask, Ask::Offer { vehicle, answer });
            }
            Err(why) => drop(answer.send(Err(why))),
        }
        self.dispatch(now);
    }

    pub(crate) fn reset_stop(
        &mut self,
        now: MonoTime,
        vehicle: &NodeName,
        generation: u32,
        answer: oneshot::Sender<Result<(), RequestError>>,
    ) {
        let ask = self.controller.reset_stop(now, vehicle, generation);
        self.note_plain(ask, vehicle, answer);
        self.dispatch(now);
    }

    pub(crate) fn stop(
        &mut self,
        now: MonoTime,
        vehicle: &NodeName,
        group: Option<Name>,
        patience: Duration,
        answer: oneshot::Sender<Option<Stopped>>,
    ) {
        self.stops.retain(|_, waiting| !waiting.is_closed());
        let mut id = StopId([0; 16]);
        self.entropy.fill(&mut id.0);
        self.stops.insert(id, answer);
        if let Some(black_box) = &self.black_box {
            black_box.on_stop(now, vehicle);
        }
        match group {
            Some(group) => (self.controller).stop_if_in_group(now, vehicle, id, group, patience),
            // Without a generation: one that is known here may be old by now, and an old one would be ignored.
            None => self.controller.stop(now, vehicle, id, None, patience),
        }
        self.dispatch(now);
    }

    /// Sends a command under the lease of this token; its number.
    pub(crate) fn command(
        &mut self,
        now: MonoTime,
        vehicle: &NodeName,
        (channel, token): (Channel, FencingToken),
        mut order: Order,
    ) -> Result<u64, SendError> {
        let held = self.seats.get(vehicle);
        if !held.is_some_and(|seat| seat.holds(channel, token)) {
            return Err(SendError::LeaseLost);
        }
        if order.class == Class::Reliable && order.application_id.is_none() {
            let mut id = ApplicationId([0; 8]);
            self.entropy.fill(&mut id.0);
            order.application_id = Some(id);
        }
        let recorded = self.black_box.is_some().then(|| order.clone());
        let sent = self.controller.command(now, vehicle, channel, order);
        if let (Some(black_box), Ok(number), Some(order)) = (&self.black_box, &sent, recorded) {
            let function = self.function(vehicle, channel);
            black_box.on_command(now, function, token, *number, order);
        }
        self.dispatch(now);
        match sent {
            Ok(number) => Ok(number),
            Err(SendCommandError::NoSession | SendCommandError::NoLease) => {
                Err(SendError::LeaseLost)
            }
            Err(why @ SendCommandError::Session(_)) => Err(why.into()),
        }
    }

    /// As [`Desk::command`], for one whose receipt somebody waits for.
    pub(crate) fn command_for_receipt(
        &mut self,
        now: MonoTime,
        vehicle: &NodeName,
        (channel, token): (Channel, FencingToken),
        order: Order,
        outcome: oneshot::Sender<Resolution>,
    ) -> Result<u64, SendError> {
        let number = self.command(now, vehicle, (channel, token), order)?;
        if let Some(seat) = self.seats.get_mut(vehicle) {
            seat.add_receipt(channel, number, outcome);
        }
        Ok(number)
    }

    /// What the record calls a vehicle's function.
    fn function(&self, vehicle: &NodeName, channel: Channel) -> String {
        let seat = self.seats.get(vehicle);
        let function = seat.and_then(|seat| seat.function(channel));
        let function = function.as_ref().map_or("?", Name::as_str);
        format!("{}/{function}", vehicle.name)
    }

    fn channel(&self, vehicle: &NodeName, function: &Name) -> Result<Channel, RequestError> {
        let known = self.controller.channel(vehicle, function.as_str());
        known.ok_or_else(|| {
            let seat = self.seats.get(vehicle);
            match seat.filter(|seat| seat.session().borrow().up) {
                Some(seat) => RequestError::NoSuchFunction {
                    function: function.clone(),
                    known: seat.functions(),
                },
                None => RequestError::NoSession,
            }
        })
    }

    fn note_plain(
        &mut self,
        ask: Option<u32>,
        vehicle: &NodeName,
        answer: oneshot::Sender<Result<(), RequestError>>,
    ) {
        let vehicle = vehicle.clone();
        let plain = Ask::Plain { vehicle, answer };
        match ask {
            Some(ask) => self.asks.insert(ask, plain),
            None => plain.fail(RequestError::NoSession),
        }
    }
}

impl Role for Desk {
    type Event = Infallible;

    fn handle(&mut self, now: MonoTime, input: Input<'_>) {
        let tidy = matches!(input, Input::Wall { .. });
        self.controller.handle(now, input);
        self.dispatch(now);
        if tidy {
            // A handle that was dropped while the drive loop was behind could not say so.
            self.sweep(now);
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.controller.poll_transmit()
    }

    fn poll_event(&mut self) -> Option<Infallible> {
        None
    }

    fn poll_redial(&mut self) -> Option<Redial> {
        self.controller.poll_redial()
    }

    fn next_timeout(&self) -> Option<MonoTime> {
        self.controller.next_timeout()
    }
}

#[cfg(test)]
mod tests;
