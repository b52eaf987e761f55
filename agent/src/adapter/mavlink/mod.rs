//! What the agent itself tells an autopilot that speaks MAVLink, when the operator's commands end or are stopped.

mod config;
mod failsafe;
mod mode;

pub use config::{MavlinkAction, MavlinkConfig, MavlinkManual, MavlinkVehicle, ModeName};
pub use failsafe::Failsafe;
