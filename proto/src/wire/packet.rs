//! A packet: one datagram of a leg.

use super::Chunk;

/// One QUIC datagram between a node and a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Low 24 bits of the packet's number on its path.
    pub path_sequence: u32,
    /// Low 32 bits of the sender's clock when it was sent, in microseconds.
    pub tx_time_us: u32,
    /// What the sender saw of the other direction of this path.
    pub report: Option<PathReport>,
    /// What the sender received of the leg's tracked parcels, over all paths.
    pub ack: AckState,
    /// What the packet carries.
    pub chunks: Vec<Chunk>,
}

/// What one end saw of the other's packets on one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathReport {
    /// Low 24 bits of the highest path sequence received.
    pub highest: u32,
    /// How many numbers up to `highest` were not received, since the path began.
    pub missing: u32,
    /// Queueing delay of the newest packets, in units of 100 µs, saturating.
    pub queue_100us: u16,
    /// How long ago the packet `highest` arrived when this report was sent, in units of 10 µs, saturating at 65,535 (then
    /// it is no round-trip sample).
    pub hold_10us: u16,
}

/// The state of a receiver of tracked parcels: everything up to `cumulative`, and of the ids after it those whose bit is
/// set (bit 0 of byte 0 is `cumulative + 1`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AckState {
    /// Highest id below which nothing is missing; 0 before the first.
    pub cumulative: u64,
    /// At most 16 bytes; the last byte is never zero.
    pub bitmap: Vec<u8>,
}
