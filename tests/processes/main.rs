//! The real programs as processes, with real programs of others as their peers. `./dev test` builds what they start.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

mod applied_log;
mod child_log;
mod complaint;
mod fleet;
mod mavlink_peer;
mod mosquitto;
mod mqtt_desk;
mod network;
mod office;
mod openssl_authority;
mod papers;
mod pilot;
mod program;
mod rounds;
mod tap;
mod tunnel;
mod until;
mod web;

mod agent_killed;
mod agent_kills;
mod agent_paused;
mod agent_record;
mod api;
mod child_killed;
mod child_paused;
mod command;
mod controller_record;
mod controllers_killed;
mod dead_relay;
mod demo;
mod doctor;
mod enrolment;
mod full_disk;
mod garbage;
mod group_stop;
mod handover;
mod hub_kills;
mod hub_rooms;
mod local_connection;
mod local_vehicle;
mod mavlink;
mod mavlink_failsafe;
mod mavproxy;
mod metered;
mod metrics;
mod modems;
mod mqtt;
mod mqtt_crowd;
mod mqtt_panel;
mod mqtt_restarts;
mod mqtt_tls;
mod plain_errors;
mod policy;
mod renewal;
mod revocation;
mod two_controllers;
mod vehicle_at_hub;
mod wan_drive;
mod wan_flap;
mod wan_peers;
