//! What goes and comes over a link, as whoever carries it counts it.

use std::cell::Cell;
use std::net::IpAddr;

/// Bytes of IP packets, both ways, whatever is in them: handshakes, repeats and strangers' too.
#[derive(Debug, Default)]
pub(crate) struct WireBytes(Cell<u64>);

impl WireBytes {
    /// So many datagrams with so many bytes together went to this address or came from it.
    pub(crate) fn add(&self, datagrams: u64, bytes: usize, peer: IpAddr) {
        let head = if peer.to_canonical().is_ipv4() {
            IPV4_UDP_BYTES
        } else {
            IPV6_UDP_BYTES
        };
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let more = datagrams.saturating_mul(head).saturating_add(bytes);
        self.0.set(self.0.get().saturating_add(more));
    }

    /// Of all so far.
    pub(crate) fn total(&self) -> u64 {
        self.0.get()
    }
}

/// Heads of IPv4 without options (RFC 791 §3.1) and UDP (RFC 768).
const IPV4_UDP_BYTES: u64 = 20 + 8;
/// Heads of IPv6 without extensions (RFC 8200 §3) and UDP.
const IPV6_UDP_BYTES: u64 = 40 + 8;
