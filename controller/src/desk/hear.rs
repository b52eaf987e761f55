//! What the controller role tells goes to whoever waits for it.

use longrein_proto::base::{Channel, FencingToken, MonoTime, NodeName, StopId};
use longrein_proto::role::{ControllerEvent, Role};

use super::Desk;
use super::ask::Ask;
use crate::{Lease, Stopped, VehicleEvent};

impl Desk {
    /// Hands out what the role tells.
    pub(super) fn dispatch(&mut self, now: MonoTime) {
        while let Some(event) = self.controller.poll_event() {
            if let Some(black_box) = &self.black_box {
                black_box.on_event(now, &event, self.function_of(&event));
            }
            self.on_event(now, event);
        }
    }

    /// What the record calls the function that this is about.
    fn function_of(&self, event: &ControllerEvent) -> String {
        if let ControllerEvent::Granted {
            vehicle, channel, ..
        }
        | ControllerEvent::LeaseLost {
            vehicle, channel, ..
        }
        | ControllerEvent::Telemetry {
            vehicle, channel, ..
        }
        | ControllerEvent::Receipt {
            vehicle, channel, ..
        } = event
        {
            self.function(vehicle, *channel)
        } else if let ControllerEvent::News { vehicle, news } = event {
            self.function(vehicle, news.channel())
        } else {
            String::new()
        }
    }

    fn on_event(&mut self, now: MonoTime, event: ControllerEvent) {
        match event {
            ControllerEvent::Nodes {
                ask,
                relay,
                names,
                more,
            } => self.on_nodes(ask, &relay, &names, more),
            ControllerEvent::RelayUp { relay } => self.on_relay_up(now, relay),
            ControllerEvent::Draining { relay } => {
                for seat in self.seats.values() {
                    seat.tell(&VehicleEvent::Draining {
                        relay: relay.clone(),
                    });
                }
            }
            ControllerEvent::Revocations { .. } => {
                if let Some(file) = &self.revocations {
                    file.keep();
                }
            }
            // For the record.
            ControllerEvent::Clock { .. } => {}
            // Quality tells it, with all that belongs to it.
            ControllerEvent::Health { .. } => {}
            ControllerEvent::Done { ask, .. } => self.asks.on_done(ask),
            ControllerEvent::Refused { ask, why, .. } => self.asks.on_refused(ask, why),
            ControllerEvent::Granted {
                vehicle,
                channel,
                ask,
                token,
            } => self.on_granted(now, &vehicle, channel, ask, token),
            // An accepted offer is a lease: its commands have to go before it is in force.
            ControllerEvent::Coming {
                vehicle,
                channel,
                ask,
                token,
            } => self.on_granted(now, &vehicle, channel, ask, token),
            ControllerEvent::Offered { ask, offer, .. } => self.asks.on_offered(ask, offer),
            ControllerEvent::Stopped {
                id,
                generation,
                latched,
                ..
            } => self.on_stop_answer(
                id,
                Some(Stopped {
                    generation,
                    latched,
                }),
            ),
            ControllerEvent::StopUnanswered { id, .. } => self.on_stop_answer(id, None),
            ControllerEvent::Presence { .. }
            | ControllerEvent::SessionUp { .. }
            | ControllerEvent::SessionDown { .. }
            | ControllerEvent::LeaseLost { .. }
            | ControllerEvent::News { .. }
            | ControllerEvent::Described { .. }
            | ControllerEvent::Telemetry { .. }
            | ControllerEvent::Receipt { .. }
            | ControllerEvent::Status { .. } => self.on_vehicle_event(event),
        }
    }

    fn on_vehicle_event(&mut self, event: ControllerEvent) {
        let Some(vehicle) = vehicle_of(&event).cloned() else {
            return;
        };
        if let ControllerEvent::SessionDown { .. } = event {
            self.asks.on_session_down(&vehicle);
        }
        let Some(seat) = self.seats.get_mut(&vehicle) else {
            return;
        };
        match event {
            ControllerEvent::Presence { relay, present, .. } => seat.on_presence(relay, present),
            ControllerEvent::SessionUp { description, .. } => seat.on_session_up(description),
            ControllerEvent::SessionDown { why, .. } => seat.on_session_down(why),
            ControllerEvent::LeaseLost { channel, how, .. } => seat.on_lease_lost(channel, how),
            ControllerEvent::News { news, .. } => seat.on_news(news),
            ControllerEvent::Described { description, .. } => seat.on_described(description),
            ControllerEvent::Receipt {
                channel,
                number,
                outcome,
                ..
            } => seat.on_receipt(channel, number, outcome),
            ControllerEvent::Status { status, .. } => seat.on_status(status),
            ControllerEvent::Telemetry {
                channel,
                telemetry,
                age,
                ..
            } => {
                // Before the description it is not known what it belongs to.
                if let Some(function) = seat.function(channel) {
                    seat.tell(&VehicleEvent::Telemetry {
                        function,
                        telemetry,
                        age,
                    });
                }
            }
            ControllerEvent::Nodes { .. }
            | ControllerEvent::RelayUp { .. }
            | ControllerEvent::Draining { .. }
            | ControllerEvent::Granted { .. }
            | ControllerEvent::Coming { .. }
            | ControllerEvent::Offered { .. }
            | ControllerEvent::Done { .. }
            | ControllerEvent::Refused { .. }
            | ControllerEvent::Stopped { .. }
            | ControllerEvent::StopUnanswered { .. }
            | ControllerEvent::Revocations { .. }
            | ControllerEvent::Clock { .. }
            | ControllerEvent::Health { .. } => {}
        }
    }

    fn on_nodes(&mut self, ask: u32, relay: &NodeName, names: &[NodeName], more: bool) {
        for census in &mut self.censuses {
            census.on_answer(ask, relay, names, more);
        }
        for census in self.censuses.extract_if(.., |census| census.is_complete()) {
            census.finish();
        }
    }

    fn on_relay_up(&mut self, now: MonoTime, relay: NodeName) {
        self.contact
            .send_modify(|contact| contact.on_welcome(relay));
        for census in &mut self.censuses {
            census.ask(now, &mut self.controller);
        }
    }

    fn on_granted(
        &mut self,
        now: MonoTime,
        vehicle: &NodeName,
        channel: Channel,
        ask: u32,
        token: FencingToken,
    ) {
        let wanted = match self.asks.remove(ask) {
            Some(Ask::Take(take)) if take.channel == channel => Some(take),
            _ => None,
        };
        let (Some(take), Some(seat)) = (wanted, self.seats.get_mut(vehicle)) else {
            // Whoever asked has given up: nobody would ever release it.
            self.controller.release(now, vehicle, channel);
            return;
        };
        let lost = seat.on_granted(channel, token, &self.me);
        let lease = Lease::new(take.vehicle, take.function, channel, token, lost);
        // A lease that is not taken here is released by its drop.
        drop(take.answer.send(Ok(lease)));
    }

    fn on_stop_answer(&mut self, id: StopId, answer: Option<Stopped>) {
        if let Some(waiting) = self.stops.remove(&id) {
            // Whoever asked may have given up; the stop was repeated all the same.
            waiting.send(answer).ok();
        }
    }
}

fn vehicle_of(event: &ControllerEvent) -> Option<&NodeName> {
    match event {
        ControllerEvent::Presence { vehicle, .. }
        | ControllerEvent::SessionUp { vehicle, .. }
        | ControllerEvent::SessionDown { vehicle, .. }
        | ControllerEvent::Granted { vehicle, .. }
        | ControllerEvent::Coming { vehicle, .. }
        | ControllerEvent::Offered { vehicle, .. }
        | ControllerEvent::News { vehicle, .. }
        | ControllerEvent::Described { vehicle, .. }
        | ControllerEvent::Done { vehicle, .. }
        | ControllerEvent::Refused { vehicle, .. }
        | ControllerEvent::LeaseLost { vehicle, .. }
        | ControllerEvent::Telemetry { vehicle, .. }
        | ControllerEvent::Receipt { vehicle, .. }
        | ControllerEvent::Status { vehicle, .. }
        | ControllerEvent::Stopped { vehicle, .. }
        | ControllerEvent::StopUnanswered { vehicle, .. } => Some(vehicle),
        ControllerEvent::Nodes { .. }
        | ControllerEvent::RelayUp { .. }
        | ControllerEvent::Draining { .. }
        | ControllerEvent::Revocations { .. }
        | ControllerEvent::Clock { .. }
        | ControllerEvent::Health { .. } => None,
    }
}
