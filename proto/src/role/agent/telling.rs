//! Telemetry: what devices say, to whom it is told.

use std::time::Duration;

use super::{Agent, function_mut};
use crate::base::{Channel, Class, Flow, MonoTime, Right};
use crate::wire::Telemetry;

impl Agent {
    /// Sends telemetry of a function to every session.
    pub fn telemetry(
        &mut self,
        now: MonoTime,
        channel: Channel,
        class: Class,
        telemetry: &Telemetry,
    ) {
        // [SAFE-110]
        if self.node.withholds_telemetry() {
            self.node.count_withheld();
            return;
        }
        let flow = Flow::new(channel, class);
        let bytes = telemetry.encode();
        // [SAFE-81]
        let watching = self.guests.values_mut();
        for guest in watching.filter(|guest| guest.may(Right::Observe, channel)) {
            guest.tell(now, flow, &bytes, &mut self.node);
        }
    }

    /// Sends telemetry to the holder of the function's lease only: the answer of a device behind a tunnel.
    pub fn telemetry_to_holder(
        &mut self,
        now: MonoTime,
        channel: Channel,
        class: Class,
        telemetry: &Telemetry,
    ) {
        if self.node.withholds_telemetry() {
            self.node.count_withheld();
            return;
        }
        let holder =
            function_mut(&mut self.functions, channel).and_then(|function| function.session());
        if let Some(guest) = holder.and_then(|session| self.guests.get_mut(&session)) {
            let flow = Flow::new(channel, class);
            guest.tell(now, flow, &telemetry.encode(), &mut self.node);
        }
    }

    /// Reports what devices said to every session that observes the function, so that it arrives within `ttl`.
    pub fn report(&mut self, now: MonoTime, flow: Flow, ttl: Duration, telemetry: &Telemetry) {
        let bytes = telemetry.encode();
        // [SAFE-81]
        let watching = self.guests.values_mut();
        for guest in watching.filter(|guest| guest.may(Right::Observe, flow.channel)) {
            guest.report(now, flow, ttl, &bytes, &mut self.node);
        }
    }

    /// Whether every session that observes the function takes a report of so many envelopes now.
    pub fn has_room(&self, flow: Flow, envelopes: u64) -> bool {
        let watching = self.guests.values();
        watching
            .filter(|guest| guest.may(Right::Observe, flow.channel))
            .all(|guest| guest.line.session.room(flow) >= envelopes)
    }
}
