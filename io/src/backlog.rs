//! Packets that the kernel did not take at once.

use quinn_proto::Transmit;
use std::collections::VecDeque;

/// Packets that wait for their socket, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    packets: VecDeque<(Transmit, Box<[u8]>)>,
    dropped: u64,
}

impl Backlog {
    /// Keeps a packet, or drops it when enough of them wait: what comes late is worth less than what goes first.
    pub(crate) fn push(&mut self, transmit: &Transmit, bytes: &[u8]) {
        if self.packets.len() >= PACKETS_MAX {
            self.dropped += 1;
            return;
        }
        let transmit = Transmit { ..*transmit };
        self.packets.push_back((transmit, bytes.into()));
    }

    /// The one to send next.
    pub(crate) fn first(&self) -> Option<(&Transmit, &[u8])> {
        let (transmit, bytes) = self.packets.front()?;
        Some((transmit, bytes))
    }

    /// Forgets the first, which was sent.
    pub(crate) fn pop(&mut self) {
        self.packets.pop_front();
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// How many were dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Packets of one socket: as many as an interface at 10 Mbit/s sends in 40 ms. Older ones would arrive stale.
const PACKETS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn transmit(size: usize) -> Transmit {
        Transmit {
            destination: "192.0.2.1:4433".parse().unwrap(),
            ecn: None,
            size,
            segment_size: None,
            src_ip: None,
        }
    }

    #[test]
    fn what_waits_is_bounded_and_the_rest_is_dropped_and_counted() {
        let mut backlog = Backlog::default();
        for number in 0..PACKETS_MAX + 5 {
            backlog.push(&transmit(1), &[number as u8]);
        }
        assert_eq!(backlog.dropped(), 5);
        for number in 0..PACKETS_MAX {
            let (_, bytes) = backlog.first().unwrap();
            assert_eq!(bytes, [number as u8]);
            backlog.pop();
        }
        assert!(backlog.is_empty());
    }

    #[test]
    fn a_packet_is_kept_as_it_was() {
        let mut backlog = Backlog::default();
        backlog.push(&transmit(3), b"abc");
        let (kept, bytes) = backlog.first().unwrap();
        assert_eq!((kept.destination, kept.size), (transmit(3).destination, 3));
        assert_eq!(bytes, b"abc");
    }
}
