//! What the longrein programs share: QUIC, the drive loop, keys, configuration, logs.
//!
//! A program makes a role, gives it to a [`drive::Driver`], and lets it [dial](mod@dial) relays or
//! [listen](mod@listen) as one. All of it runs on the one thread of [`runtime::run`].

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::cast_possible_truncation
    )
)]

mod alarm;
mod backlog;
pub mod backoff;
pub mod clock;
pub mod config;
pub mod congestion;
mod connection;
pub mod credentials;
mod damper;
pub mod date;
pub mod dial;
mod dialer;
pub mod dictionaries;
pub mod drive;
pub mod ending;
mod endpoint;
mod engine;
pub mod enrol;
pub mod entropy;
pub mod exit;
pub mod files;
mod interface_table;
mod interfaces;
pub mod keys;
pub mod known_time;
mod lane;
mod link;
mod link_plan;
pub mod listen;
pub mod log;
mod outcome;
pub mod path;
mod pattern;
mod port;
pub mod priority;
pub mod probe;
pub mod recorder;
pub mod remote;
mod repeats;
pub mod revocation_file;
pub mod runtime;
pub mod sections;
pub mod service_manager;
mod shown;
pub mod shutdown;
pub mod socket;
mod sources;
mod sparse;
mod timer;
pub mod tls;
pub mod transport;
mod turns;
mod wire_bytes;
