//! The simulator: real roles with real seals and handshakes, on virtual time and a seeded network.
//!
//! A scenario builds a [`World`], lets it run, and asks what happened; the [`check`]s run at the end of every world. For real
//! programs in real time there is [`wan`].

#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and says what it looks for in an event"
)]

mod account;
mod bucket;
mod chance;
pub mod check;
mod clock;
mod cockpit;
mod hostile_hub;
mod hostile_relay;
mod identity;
mod ledger;
mod link;
mod medium;
mod raw_node;
mod raw_session;
mod seeds;
mod stage_set;
mod trial;
mod vehicle;
#[path = "../wan/mod.rs"]
pub mod wan;
mod world;

pub use account::Account;
pub use chance::Chance;
pub use clock::Clock;
pub use cockpit::{Answer, PERIOD};
pub use hostile_relay::HostileRelay;
pub use identity::TestFleet;
pub use ledger::{Key, Ledger, Sent};
pub use link::{Burst, Link, Policer, Queue, Tamper};
pub use raw_node::RawNode;
pub use raw_session::RawSession;
pub use seeds::each_seed;
pub use stage_set::StageSet;
pub use trial::{Figures, Trial};
pub use vehicle::{AppliedCommand, Audit, Granted, Vehicle};
pub use world::{Carried, Redialled, Station, World};
