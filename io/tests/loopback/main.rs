//! Nodes and relays over real QUIC on the loopback interface.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod certificates;
mod datagrams;
mod driver;
mod echo;
mod fleet;
mod forwarder;
mod identity;
mod papers;
mod reconnect;
mod stranger;
mod weak_link;
