//! The simulator: real roles with real seals and handshakes, on virtual time and a seeded network.
//!
//! A scenario builds a [`World`], lets it run, and asks what happened; the [`check`]s run in every scenario.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a simulator fails loudly"
)]

mod chance;

pub mod check;
mod clock;
mod drive;
mod hostile_relay;
mod identity;
mod link;
mod vehicle;
mod world;

pub use chance::Chance;
pub use clock::Clock;
pub use hostile_relay::HostileRelay;
pub use identity::TestFleet;
pub use link::{Link, Tamper};
pub use vehicle::{AppliedCommand, Vehicle};
pub use world::{Station, World};
