//! How long it takes to the peer and back.

use std::collections::VecDeque;
use std::time::Duration;

use super::minimum::Minimum;
use crate::base::MonoTime;
use crate::base::limits::SENT_TIMES_MAX;

/// Numbers the packets of a path and times their round trips.
#[derive(Clone, Debug)]
pub struct RoundTrip {
    /// Number of the last packet, 0 before the first.
    last: u64,
    /// When the newest packets were sent; the last entry is that of `last`.
    sent: VecDeque<MonoTime>,
    smoothed: Option<Duration>,
    min: Minimum<Duration>,
}

impl RoundTrip {
    /// Before the first packet.
    pub fn new(now: MonoTime) -> RoundTrip {
        RoundTrip {
            last: 0,
            sent: VecDeque::new(),
            smoothed: None,
            min: Minimum::new(now),
        }
    }

    /// The number of a packet that is sent now.
    // [WIRE-51]
    pub fn on_sent(&mut self, now: MonoTime) -> u64 {
        if self.sent.len() == SENT_TIMES_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
        self.last += 1;
        self.last
    }

    /// Number of the last packet, 0 before the first.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// The peer had packet `number` for `hold` when it sent what arrives now. False when that is impossible.
    // [WIRE-52]
    pub fn on_sample(&mut self, now: MonoTime, number: u64, hold: Duration) -> bool {
        let Some(sent) = self.sent_at(number) else {
            return number <= self.last;
        };
        let Some(sample) = now.since(sent).checked_sub(hold) else {
            return false;
        };
        self.min.observe(now, sample);
        // RFC 6298 §2.3
        self.smoothed = Some(match self.smoothed {
            Some(smoothed) => (smoothed * 7 + sample) / 8,
            None => sample,
        });
        true
    }

    /// Average of the newest samples.
    pub const fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// Least of the last 15 to 30 s: the round trip without queues.
    pub fn min(&self) -> Option<Duration> {
        self.min.value()
    }

    /// When packet `number` was sent, if that is still known.
    fn sent_at(&self, number: u64) -> Option<MonoTime> {
        let back = usize::try_from(self.last.checked_sub(number)?).ok()?;
        let index = self.sent.len().checked_sub(back + 1)?;
        self.sent.get(index).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn the_time_that_the_peer_held_the_packet_does_not_count() {
        let mut trip = RoundTrip::new(at(0));
        assert_eq!(trip.on_sent(at(0)), 1);
        assert!(trip.on_sample(at(50), 1, Duration::from_millis(30)));
        assert_eq!(trip.smoothed(), Some(Duration::from_millis(20)));
        assert_eq!(trip.on_sent(at(100)), 2);
        assert!(trip.on_sample(at(128), 2, Duration::ZERO));
        assert_eq!(trip.smoothed(), Some(Duration::from_millis(21)));
        assert_eq!(trip.min(), Some(Duration::from_millis(20)));
    }

    #[test]
    fn impossible_samples_are_told_and_forgotten_ones_skipped() {
        // [WIRE-52]
        let mut trip = RoundTrip::new(at(0));
        for ms in 0..1_000 {
            trip.on_sent(at(ms));
        }
        assert!(!trip.on_sample(at(1_000), 1_001, Duration::ZERO));
        assert!(!trip.on_sample(at(1_000), 1_000, Duration::from_secs(1)));
        assert!(trip.on_sample(at(1_000), 1, Duration::ZERO));
        assert_eq!(trip.smoothed(), None);
        assert!(trip.on_sample(at(1_009), 1_000, Duration::ZERO));
        assert_eq!(trip.smoothed(), Some(Duration::from_millis(10)));
        assert_eq!(trip.sent.len(), SENT_TIMES_MAX);
    }
}
