//! How good a path is, both ways.

use std::time::Duration;

use super::arrivals::low24;
use super::{Arrivals, Loss, RoundTrip};
use crate::base::MonoTime;
use crate::wire::PathReport;

/// Loss, round trip and queues of a path: what the peer reports of our packets, and what we see of its own.
#[derive(Clone, Debug)]
pub struct Estimate {
    loss: Loss,
    round_trip: RoundTrip,
    arrivals: Arrivals,
    queue: Duration,
    reported: Reported,
}

/// What the peer reported last of our packets, since the path began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// The newest number that arrived.
    pub highest: u64,
    /// How many numbers up to it did not.
    pub missing: u64,
}

impl Estimate {
    /// Of a path that is new.
    pub fn new(now: MonoTime) -> Estimate {
        Estimate {
            loss: Loss::new(now),
            round_trip: RoundTrip::new(now),
            arrivals: Arrivals::new(now),
            queue: Duration::ZERO,
            reported: Reported::default(),
        }
    }

    /// Low 24 bits of the number of a packet that is sent now.
    pub fn on_sent(&mut self, now: MonoTime) -> u32 {
        low24(self.round_trip.on_sent(now))
    }

    /// Takes in the head of a packet; returns how long it was on its way: half the shortest round trip and its own queueing
    /// delay, or zero while no round trip is known.
    pub fn on_packet(&mut self, now: MonoTime, path_sequence: u32, tx_time_us: u32) -> Duration {
        let queued = self.arrivals.on_packet(now, path_sequence, tx_time_us);
        self.round_trip
            .min()
            .map_or(Duration::ZERO, |round_trip| round_trip / 2 + queued)
    }

    /// Takes in what the peer saw. False when it saw what cannot be; then nothing changes.
    // [WIRE-52]
    pub fn on_report(&mut self, now: MonoTime, report: &PathReport) -> bool {
        let Some(highest) = self.sent_number(report.highest) else {
            return false;
        };
        let hold = Duration::from_micros(u64::from(report.hold_10us) * 10);
        if report.hold_10us < u16::MAX && !self.round_trip.on_sample(now, highest, hold) {
            return false;
        }
        let missing = u64::from(report.missing).min(highest);
        self.loss
            .on_report(now, highest, u32::try_from(missing).unwrap_or(u32::MAX));
        if highest >= self.reported.highest {
            self.queue = Duration::from_micros(u64::from(report.queue_100us) * 100);
            self.reported = Reported { highest, missing };
        }
        true
    }

    /// What to tell the peer; none when nothing is new since the last time.
    pub fn report(&mut self, now: MonoTime) -> Option<PathReport> {
        self.arrivals.report(now)
    }

    /// Share of our packets that get lost.
    pub const fn loss(&self) -> f64 {
        self.loss.share()
    }

    /// Share of the peer's packets that get lost: its acknowledgements among them.
    pub const fn loss_in(&self) -> f64 {
        self.arrivals.loss()
    }

    /// How much losses come together. Seen on what arrives and taken for both directions: they share the radio.
    pub fn clumps(&self) -> f64 {
        self.arrivals.clumps()
    }

    /// Our newest packet that the peer reported, and how many up to it were missing.
    pub const fn reported(&self) -> Reported {
        self.reported
    }

    /// Whether the peer has reported the last packet.
    pub const fn is_all_reported(&self) -> bool {
        self.reported.highest >= self.round_trip.last()
    }

    /// Smoothed round trip.
    pub const fn rtt(&self) -> Option<Duration> {
        self.round_trip.smoothed()
    }

    /// Round trip without queues.
    pub fn rtt_min(&self) -> Option<Duration> {
        self.round_trip.min()
    }

    /// How long our newest packets queued on the way.
    pub const fn queue(&self) -> Duration {
        self.queue
    }

    /// How long the peer's newest packets queued on the way.
    pub fn queue_in(&self) -> Duration {
        self.arrivals.queue()
    }

    /// The number of the newest packet of ours with these low 24 bits.
    fn sent_number(&self, sequence: u32) -> Option<u64> {
        let last = self.round_trip.last();
        let back = low24(last).wrapping_sub(sequence) & 0x00ff_ffff;
        last.checked_sub(back.into()).filter(|&number| number > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(ms)
    }

    fn report(highest: u32, missing: u32, hold_10us: u16) -> PathReport {
        PathReport {
            highest,
            missing,
            queue_100us: 25,
            hold_10us,
        }
    }

    #[test]
    fn two_ends_learn_loss_round_trip_and_queue_from_each_other() {
        let (mut here, mut there) = (Estimate::new(at(0)), Estimate::new(at(0)));
        for step in 0..2_000_u64 {
            let ms = step * 10;
            let queue = if step > 1_500 { 30 } else { 0 };
            let sequence = here.on_sent(at(ms));
            if step % 4 == 0 {
                continue;
            }
            let tx = u32::try_from(ms * 1_000).unwrap();
            there.on_packet(at(ms + 10 + queue), sequence, tx);
            let report = there.report(at(ms + 15 + queue)).unwrap();
            assert!(here.on_report(at(ms + 25 + queue), &report));
        }
        assert!((here.loss() - 0.25).abs() < 0.02, "{}", here.loss());
        assert_eq!(here.rtt_min(), Some(Duration::from_millis(20)));
        let rtt = here.rtt().unwrap();
        assert!(rtt > Duration::from_millis(48), "{rtt:?}");
        assert!(here.queue() > Duration::from_millis(29));
    }

    #[test]
    fn a_report_of_what_was_never_sent_changes_nothing() {
        // [WIRE-52]
        let mut estimate = Estimate::new(at(0));
        assert!(!estimate.on_report(at(0), &report(0, 0, 0)));
        for ms in 0..100 {
            estimate.on_sent(at(ms));
        }
        assert!(!estimate.on_report(at(100), &report(101, 0, 0)));
        assert!(!estimate.on_report(at(100), &report(0, 0, 0)));
        assert!(!estimate.on_report(at(100), &report(100, 0, u16::MAX - 1)));
        assert_eq!((estimate.rtt(), estimate.queue()), (None, Duration::ZERO));
        assert!((estimate.loss() - Loss::START).abs() < 1e-9);
        assert!(estimate.on_report(at(100), &report(100, u32::MAX, u16::MAX)));
        assert_eq!(estimate.rtt(), None);
        assert!(estimate.loss() <= Loss::MAX);
    }

    #[test]
    fn transit_is_zero_until_a_round_trip_is_known() {
        let mut estimate = Estimate::new(at(0));
        assert_eq!(estimate.on_packet(at(5), 1, 0), Duration::ZERO);
        let sequence = estimate.on_sent(at(10));
        assert!(estimate.on_report(at(40), &report(sequence, 0, 0)));
        let transit = estimate.on_packet(at(50), 2, 43_000);
        assert_eq!(transit, Duration::from_millis(15 + 2));
    }
}
