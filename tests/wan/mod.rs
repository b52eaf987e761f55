//! A wide-area network on this machine, for real programs and any protocol over IPv4: nodes are network namespaces, their
//! interfaces are TUN devices, and one thread carries each packet from device to device, as late, as seldom and as slowly as
//! the interfaces' profiles say.
//!
//! ```text
//!  vehicle            forwarder thread                        relay-a
//!  ┌───────────┐   ┌──────────────────────────────────┐   ┌───────────┐
//!  │ lte   TUN │──▶│ up of lte ─▶ route ─▶ down of wan │──▶│ TUN   wan │
//!  │ wifi  TUN │──▶│ up of wifi                        │   └───────────┘
//!  └───────────┘   └──────────────────────────────────┘
//! ```
//!
//! `Network` decides and knows no clock; [`Wan`] holds namespaces, devices and the thread. It needs
//! root ([`Wan::missing`]). The namespaces have no names and the devices are not persistent, so that nothing of a network
//! outlives the process that made it, however that ends.

mod device;
mod flap;
mod fleet;
mod forwarder;
mod lateness;
mod loss;
mod namespace;
mod network;
mod plan;
mod profile;
mod shaper;
#[allow(
    clippy::module_inception,
    reason = "a file is named after its main type"
)]
mod wan;

pub use flap::{Flap, FlappedDrive, Flaps, resident_kib};
pub use fleet::{WanFleet, WanFleetError};
pub use lateness::Lateness;
pub use namespace::Namespace;
pub use plan::{CONTROLLER, Interface, NodePlan, VEHICLE, fleet_nodes};
pub use profile::{Bursts, Loss, Profile, ProfileError, Queue, Rate};
pub use shaper::Counters;
pub use wan::{Node, Wan, WanError};
