//! How good the way to a vehicle is at one moment.

use std::time::Duration;

use longrein_proto::leg;
use longrein_proto::role::{PathView, VehicleStatus};

/// How good the way to a vehicle is at one moment.
#[derive(Clone, Debug)]
pub struct Quality {
    /// The paths to the relays.
    pub paths: Vec<PathView>,
    /// How well the vehicle's clock is known; none before the first sample.
    pub clock_error: Option<Duration>,
    /// The vehicle's newest state; none before the first beat.
    pub status: Option<VehicleStatus>,
    /// What the legs to the relays counted, for all vehicles together.
    pub counters: leg::Counters,
}
