//! How fast the peer may send on a path: the node says it, the relay obeys.

use crate::base::MonoTime;
use crate::base::limits::ALLOWANCE_AGAIN;

/// What is told to the peer and what the peer told. It is state: told again and again, the newest counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowance {
    granted_kbit_s: Option<u32>,
    said_at: Option<MonoTime>,
    /// Number of the packet that told the last one.
    heard_in: Option<u32>,
}

impl Allowance {
    /// The peer may send so much from now on.
    pub fn grant(&mut self, kbit_s: u32) {
        if self.granted_kbit_s != Some(kbit_s) {
            self.granted_kbit_s = Some(kbit_s);
            self.said_at = None;
        }
    }

    /// What the next packet should say.
    // [WIRE-123]
    pub fn due(&self, now: MonoTime) -> Option<u32> {
        let due = self.said_at.is_none_or(|at| now >= at + ALLOWANCE_AGAIN);
        self.granted_kbit_s.filter(|_| due)
    }

    /// A packet says it.
    pub const fn on_said(&mut self, now: MonoTime) {
        self.said_at = Some(now);
    }

    /// Packet `sequence` says this; whether it is to be obeyed. Who grants does not obey, and old news does not count.
    // [WIRE-123]
    pub fn on_heard(&mut self, sequence: u32) -> bool {
        let is_newer = |last: u32| sequence.wrapping_sub(last) & SEQUENCE_MASK < SEQUENCE_MASK / 2;
        let obeyed = self.granted_kbit_s.is_none() && self.heard_in.is_none_or(is_newer);
        if obeyed {
            self.heard_in = Some(sequence);
        }
        obeyed
    }
}

/// Packets tell the low 24 bits of their number.
const SEQUENCE_MASK: u32 = 0x00ff_ffff;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_is_told_at_once_when_it_changes_and_again_with_every_heartbeat() {
        // [WIRE-123]
        let at = |ms| MonoTime::ZERO + Duration::from_millis(ms);
        let mut allowance = Allowance::default();
        assert_eq!(allowance.due(at(0)), None);
        allowance.grant(500);
        assert_eq!(allowance.due(at(0)), Some(500));
        allowance.on_said(at(0));
        allowance.grant(500);
        assert_eq!(allowance.due(at(199)), None);
        assert_eq!(allowance.due(at(200)), Some(500));
        allowance.on_said(at(200));
        allowance.grant(1_000);
        assert_eq!(allowance.due(at(201)), Some(1_000));
    }

    #[test]
    fn only_the_newest_counts_and_only_for_who_grants_none() {
        // [WIRE-123]
        let mut relay = Allowance::default();
        assert!(relay.on_heard(0xff_fffe));
        assert!(relay.on_heard(3));
        assert!(!relay.on_heard(0xff_ffff));
        let mut node = Allowance::default();
        node.grant(500);
        assert!(!node.on_heard(1));
    }
}
