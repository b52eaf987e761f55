//! Behaviours of the whole, on virtual time: real roles with real seals and handshakes. One file each.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a scenario asks for the events that it knows"
)]

mod agent_end;
mod audit;
mod bufferbloat;
mod bursts;
mod chaos;
mod clock;
mod clock_drift;
mod compression;
mod controllers_killed;
mod device_lost;
mod duplicate_storm;
mod enrolment;
mod expiry;
mod false_operator;
mod freeze;
mod greedy_controller;
mod greeting;
mod handover;
mod hostile_controller;
mod hostile_relay;
mod hub_rooms;
mod link_flap;
mod lying_relay;
mod metered;
mod one_way_cut;
mod own_software;
mod policer;
mod policy;
mod preempt;
mod presence;
mod reconnect_storm;
mod redundancy;
mod relay_death;
mod relay_quality;
mod relay_return;
mod reliable;
mod repeat;
mod reports;
mod returning_node;
mod revocation;
mod routes;
mod session_lost;
mod shared_address;
mod silent_paths;
mod steady_loss;
mod stop;
mod swallowing_relay;
mod twins;
mod two_controllers;
mod vehicle_at_hub;
mod wrong_clocks;
