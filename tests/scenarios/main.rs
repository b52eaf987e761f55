//! Behaviours of the whole, on virtual time: real roles with real seals and handshakes. One file each.

#![allow(
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a scenario asks for the events that it knows"
)]

mod audit;
mod chaos;
mod clock;
mod controllers_killed;
mod device_lost;
mod false_operator;
mod freeze;
mod greedy_controller;
mod hostile_relay;
mod relay_death;
mod reliable;
mod returning_node;
mod routes;
mod session_lost;
mod stop;
mod swallowing_relay;
mod twins;
mod two_controllers;
