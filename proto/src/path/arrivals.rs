//! What arrived on a path.

use std::time::Duration;

use super::minimum::Minimum;
use super::{Clumps, Loss};
use crate::base::MonoTime;
use crate::base::limits::DOWN_AFTER;
use crate::wire::PathReport;

/// The receiving side of a path: counts what is missing and measures how long packets queued on the way.
#[derive(Clone, Debug)]
pub struct Arrivals {
    /// Highest number received, 0 before the first.
    highest: u64,
    highest_at: MonoTime,
    /// Different numbers received.
    received: u64,
    /// Bit n: number `highest - n` was received.
    recent: u128,
    /// Local clock minus the peer's, as far as it shows in the newest packet: one-way delay plus an unknown constant.
    delay_us: i64,
    delay_min_us: Minimum<i64>,
    queue_us: i64,
    loss: Loss,
    clumps: Clumps,
    /// Whether something arrived since the last report.
    news: bool,
}

impl Arrivals {
    /// Before the first packet.
    pub fn new(now: MonoTime) -> Arrivals {
        Arrivals {
            highest: 0,
            highest_at: now,
            received: 0,
            recent: 0,
            delay_us: 0,
            delay_min_us: Minimum::new(now),
            queue_us: 0,
            loss: Loss::new(now),
            clumps: Clumps::default(),
            news: false,
        }
    }

    /// Takes in the head of a packet; returns how long this packet queued on the way.
    pub fn on_packet(&mut self, now: MonoTime, path_sequence: u32, tx_time_us: u32) -> Duration {
        self.count(now, expand(path_sequence, self.highest));
        let missing = u32::try_from(self.missing()).unwrap_or(u32::MAX);
        self.loss.on_report(now, self.highest, missing);
        self.news = true;
        self.measure(now, tx_time_us)
    }

    /// What to tell the peer; none when nothing is new since the last time.
    // [WIRE-52]
    pub fn report(&mut self, now: MonoTime) -> Option<PathReport> {
        std::mem::take(&mut self.news).then(|| PathReport {
            highest: low24(self.highest),
            missing: u32::try_from(self.missing()).unwrap_or(u32::MAX),
            queue_100us: saturated(self.queue().as_micros() / 100),
            hold_10us: saturated(now.since(self.highest_at).as_micros() / 10),
        })
    }

    /// How many numbers up to the highest one did not arrive.
    pub const fn missing(&self) -> u64 {
        self.highest.saturating_sub(self.received)
    }

    /// Queueing delay of the newest packets.
    pub fn queue(&self) -> Duration {
        Duration::from_micros(self.queue_us.unsigned_abs())
    }

    /// Share of the peer's packets that get lost.
    pub const fn loss(&self) -> f64 {
        self.loss.share()
    }

    /// How much the losses come together, see [`Clumps::factor`].
    pub fn clumps(&self) -> f64 {
        self.clumps.factor()
    }

    fn count(&mut self, now: MonoTime, number: u64) {
        if number > self.highest {
            let ahead = number - self.highest;
            if now.since(self.highest_at) < DOWN_AFTER {
                self.settle(ahead);
                self.recent = u32::try_from(ahead)
                    .ok()
                    .and_then(|ahead| self.recent.checked_shl(ahead))
                    .unwrap_or(0)
                    | 1;
            } else {
                // What is lost in the dark says nothing about how losses come on the path that is back: it is settled.
                self.recent = u128::MAX;
            }
            self.highest = number;
            self.highest_at = now;
            self.received += 1;
            return;
        }
        // Numbers begin with 1: this one is not the path's own.
        if number == 0 {
            return;
        }
        // Later than the window remembers: it stays missing.
        let behind = u32::try_from(self.highest - number).unwrap_or(u32::MAX);
        if let Some(bit) = 1_u128.checked_shl(behind)
            && self.recent & bit == 0
        {
            self.recent |= bit;
            self.received += 1;
        }
    }

    /// The newest number goes `ahead`: what is far enough behind it now is lost for good when it is not here.
    fn settle(&mut self, ahead: u64) {
        let passed = ahead.min(SETTLED);
        for behind in (SETTLED - passed..SETTLED).rev() {
            if self.highest > behind {
                self.clumps.on_packet(self.recent >> behind & 1 == 0);
            }
        }
        for _ in passed..ahead.min(2 * SETTLED) {
            self.clumps.on_packet(true);
        }
    }

    fn measure(&mut self, now: MonoTime, tx_time_us: u32) -> Duration {
        let delay = low32(now.as_us()).wrapping_sub(tx_time_us);
        let step = delay.wrapping_sub(low32(self.delay_us.cast_unsigned()));
        self.delay_us = self.delay_us.saturating_add(step.cast_signed().into());
        let least = self.delay_min_us.observe(now, self.delay_us);
        let sample = self.delay_us.saturating_sub(least).clamp(0, QUEUE_MAX_US);
        // It falls at once: what jitters only seldom takes long, and few packets may be left to say that a queue is gone.
        self.queue_us = sample.min(self.queue_us + (sample - self.queue_us) / 4);
        Duration::from_micros(sample.unsigned_abs())
    }
}

/// The number with these low 24 bits that is nearest to `near`.
// [WIRE-51]
fn expand(sequence: u32, near: u64) -> u64 {
    const SPAN: u64 = 1 << 24;
    let same = (near & !(SPAN - 1)) | u64::from(sequence);
    if same > near.saturating_add(SPAN / 2) {
        same.checked_sub(SPAN).unwrap_or(same)
    } else if same.saturating_add(SPAN / 2) < near {
        same.saturating_add(SPAN)
    } else {
        same
    }
}

pub(super) fn low32(wide: u64) -> u32 {
    let [.., a, b, c, d] = wide.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

pub(super) fn low24(wide: u64) -> u32 {
    low32(wide) & 0x00ff_ffff
}

fn saturated(wide: u128) -> u16 {
    u16::try_from(wide).unwrap_or(u16::MAX)
}

/// No packet is overtaken by more.
const SETTLED: u64 = 64;
/// No packet queues longer: more is a jump of the peer's clock.
const QUEUE_MAX_US: i64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn darkness_is_no_burst() {
        for (dark_ms, in_bursts) in [(2_900, true), (3_000, false)] {
            let mut arrivals = Arrivals::new(at(0));
            for number in 1..=300 {
                arrivals.on_packet(at(u64::from(number)), number, number * 1_000);
            }
            for number in 701..=900_u32 {
                let ms = u64::from(number) + dark_ms - 401;
                arrivals.on_packet(at(ms), number, number * 1_000);
            }
            assert_eq!(arrivals.clumps() > 2.0, in_bursts, "{}", arrivals.clumps());
        }
    }

    #[test]
    fn missing_numbers_are_counted_and_late_ones_are_not_missing() {
        let mut arrivals = Arrivals::new(at(0));
        assert_eq!(arrivals.report(at(0)), None);
        for sequence in [0, 1, 2, 5, 4, 4, 5] {
            arrivals.on_packet(at(7), sequence, 0);
        }
        assert_eq!(arrivals.missing(), 1);
        let report = arrivals.report(at(10)).unwrap();
        assert_eq!((report.highest, report.missing), (5, 1));
        assert_eq!(report.hold_10us, 300);
        // [WIRE-52]
        assert_eq!(arrivals.report(at(11)), None);
        assert_eq!(arrivals.on_packet(at(12), 900, 0), Duration::from_millis(5));
        arrivals.on_packet(at(12), 3, 0);
        assert_eq!(arrivals.missing(), 895);
    }

    #[test]
    fn numbers_are_expanded_to_the_nearest() {
        // [WIRE-51]
        assert_eq!(expand(1, 0), 1);
        assert_eq!(expand(0xff_ffff, 0), 0xff_ffff);
        assert_eq!(expand(2, 0xff_fffe), 0x100_0002);
        assert_eq!(expand(0xff_fffe, 0x100_0002), 0xff_fffe);
    }

    #[test]
    fn a_queue_on_the_way_is_seen_over_the_wrap_of_the_peers_clock() {
        let mut arrivals = Arrivals::new(at(0));
        let peer = |ms: u64| low32((u64::from(u32::MAX) - 5_000_000) + ms * 1_000);
        let mut sequence = 0;
        for ms in (0..20_000).step_by(20) {
            sequence += 1;
            let queue = if ms > 10_000 { 40 } else { 0 };
            let seen = arrivals.on_packet(at(ms + 10 + queue), sequence, peer(ms));
            assert_eq!(seen, Duration::from_millis(queue));
        }
        assert!(arrivals.queue() > Duration::from_millis(39));
        let report = arrivals.report(at(21_000)).unwrap();
        assert_eq!(report.queue_100us, 399);
        assert_eq!(report.hold_10us, u16::MAX);
    }

    #[test]
    fn a_peer_whose_clock_jumps_is_clamped() {
        let mut arrivals = Arrivals::new(at(0));
        arrivals.on_packet(at(0), 1, 0);
        let seen = arrivals.on_packet(at(1), 2, u32::MAX / 3 * 2);
        assert!(seen <= Duration::from_secs(10));
    }
}
