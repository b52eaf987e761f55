//! Where a command's time went.

use std::time::Duration;

use crate::base::{MonoTime, Name, NodeName};
use crate::role::node::Way;
use crate::session::Age;
use crate::wire::LegTimes;

/// Where a command's time went before it was applied; the way parts are estimates of the legs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journey {
    /// The relay of the copy that came first.
    pub relay: NodeName,
    /// The link of that copy.
    pub link: Option<Name>,
    /// When it was sent, on the controller's clock.
    pub sent_at_us: u64,
    /// Held by the controller.
    pub controller: Duration,
    /// On the way from the controller to the relay.
    pub uplink: Duration,
    /// Held by the relay.
    pub relay_held: Duration,
    /// On the way from the relay to the agent.
    pub downlink: Duration,
    /// When it arrived, on the agent's clock; of a command that had to wait for earlier ones, when its turn came.
    pub arrived: MonoTime,
    /// How old it was then.
    pub age: Option<Age>,
}

impl Journey {
    /// The journey of what came this way and is delivered now.
    pub(super) fn new(now: MonoTime, way: &Way, sent_at_us: u64, age: Option<Age>) -> Journey {
        let (up, held) = way.trail.relayed.unwrap_or_default();
        Journey {
            relay: way.relay.clone(),
            link: way.link.clone(),
            sent_at_us,
            controller: tens(way.trail.sender_10us),
            uplink: tens(up),
            relay_held: tens(held),
            downlink: way.transit,
            arrived: now,
            age,
        }
    }

    /// The same for the controller; the agent's own part ends at `applied`.
    pub(super) fn times(&self, applied: MonoTime) -> LegTimes {
        LegTimes {
            controller_10us: in_tens(self.controller),
            uplink_10us: in_tens(self.uplink),
            relay_10us: in_tens(self.relay_held),
            downlink_10us: in_tens(self.downlink),
            agent_10us: in_tens(applied.since(self.arrived)),
        }
    }
}

fn tens(units: u32) -> Duration {
    Duration::from_micros(u64::from(units) * 10)
}

fn in_tens(span: Duration) -> u32 {
    u32::try_from(span.as_micros() / 10).unwrap_or(u32::MAX)
}
