//! Behaviours of the whole, on virtual time: real roles with real seals and handshakes. One file each.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a scenario asks for the events that it knows"
)]

mod relay_death;
mod swallowing_relay;
