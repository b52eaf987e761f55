//! The hub with nodes at legs that bring everything, in any order, and a store that keeps what it is told.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test asks for the events that it knows"
)]

mod attributes;
mod delivery;
mod directed;
mod rig;
mod rooms;
mod storing;
