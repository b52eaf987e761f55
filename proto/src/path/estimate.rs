//! Loss, round trip and queueing delay of one path.

use std::collections::VecDeque;
use std::time::Duration;

use super::window_min::WindowMin;
use crate::base::MonoTime;
use crate::wire::PathReport;

/// What one end knows of one path.
///
/// Packets are numbered per path. Each end reports the highest number it received and how many up to it are missing,
/// which gives the other end its loss and, with the sending time of the highest, the round trip.
#[derive(Clone, Debug)]
pub struct Estimate {
    sent: VecDeque<(u64, MonoTime)>,
    next_sequence: u64,
    /// The highest of the newest report.
    reported: u64,
    /// The report against which the next loss sample is taken.
    loss_base: (u64, u64),
    loss: f64,
    smoothed_rtt: Option<Duration>,
    min_rtt: WindowMin<Duration>,
    /// The highest number received, and when.
    highest: Option<(u64, MonoTime)>,
    received: u64,
    news: bool,
    /// Arrival minus sending time of the first packet, modulo 2^32 µs: the others are compared with it.
    offset_us: Option<u32>,
    min_delay_us: WindowMin<i32>,
    queue: Duration,
}

/// The figures of one path.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quality {
    /// Share of own packets that are lost, 0 to 1.
    pub loss: f64,
    /// Smoothed round trip.
    pub rtt: Option<Duration>,
    /// Smallest round trip of the last 10 to 20 s.
    pub min_rtt: Option<Duration>,
    /// Queueing delay of the newest packet from the other end.
    pub queue: Duration,
}

impl Default for Estimate {
    fn default() -> Estimate {
        Estimate::new()
    }
}

impl Estimate {
    /// A path of which nothing is known.
    pub const fn new() -> Estimate {
        Estimate {
            sent: VecDeque::new(),
            next_sequence: 0,
            reported: 0,
            loss_base: (0, 0),
            loss: LOSS_AT_FIRST,
            smoothed_rtt: None,
            min_rtt: WindowMin::new(MIN_SPAN),
            highest: None,
            received: 0,
            news: false,
            offset_us: None,
            min_delay_us: WindowMin::new(MIN_SPAN),
            queue: Duration::ZERO,
        }
    }

    /// The figures.
    pub fn quality(&self) -> Quality {
        Quality {
            loss: self.loss,
            rtt: self.smoothed_rtt,
            min_rtt: self.min_rtt.least(),
            queue: self.queue,
        }
    }

    /// How long the newest packet was on its way: half the smallest round trip and its queueing. Zero before the first
    /// round trip.
    pub fn transit(&self) -> Duration {
        self.min_rtt.least().unwrap_or_default() / 2 + self.queue
    }

    /// A packet is sent now; its number.
    pub fn on_sent(&mut self, now: MonoTime) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        if self.sent.len() >= SENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((sequence, now));
        sequence
    }

    /// A packet arrived with these fields of its head.
    pub fn on_received(&mut self, now: MonoTime, sequence: u32, tx_time_us: u32) {
        let sequence = expand(sequence, self.highest.map_or(0, |(highest, _)| highest));
        self.received += 1;
        if self.highest.is_none_or(|(highest, _)| sequence > highest) {
            self.highest = Some((sequence, now));
        }
        self.news = true;
        let passed = low_bits(now.as_us()).wrapping_sub(tx_time_us);
        let offset = *self.offset_us.get_or_insert(passed);
        let delay_us = passed.wrapping_sub(offset).cast_signed();
        self.min_delay_us.on_value(now, delay_us);
        let least = self.min_delay_us.least().unwrap_or(delay_us);
        let queue_us = u64::try_from(i64::from(delay_us) - i64::from(least)).unwrap_or(0);
        self.queue = Duration::from_micros(queue_us);
    }

    /// The other end's report arrived. One that speaks of packets that were never sent changes nothing: false.
    // [WIRE-47]
    pub fn on_report(&mut self, now: MonoTime, report: &PathReport) -> bool {
        let highest = expand(report.highest, self.reported);
        if highest >= self.next_sequence {
            return false;
        }
        if highest > self.reported || self.smoothed_rtt.is_none() {
            self.on_round_trip(now, highest, report.hold_10us);
        }
        if highest < self.reported {
            return true;
        }
        self.reported = highest;
        let missing = u64::from(report.missing).min(highest + 1);
        self.on_loss(highest + 1, missing);
        true
    }

    /// What to tell the other end, if there is news since the last call.
    pub fn take_report(&mut self, now: MonoTime) -> Option<PathReport> {
        let (highest, at) = self.highest.filter(|_| self.news)?;
        self.news = false;
        let missing = (highest + 1).saturating_sub(self.received);
        let hold_10us = now.since(at).as_micros() / 10;
        let queue_100us = self.queue.as_micros() / 100;
        Some(PathReport {
            highest: u32::try_from(highest % SEQUENCES).unwrap_or_default(),
            missing: u32::try_from(missing).unwrap_or(u32::MAX),
            queue_100us: u16::try_from(queue_100us).unwrap_or(u16::MAX),
            hold_10us: u16::try_from(hold_10us).unwrap_or(u16::MAX),
        })
    }

    fn on_round_trip(&mut self, now: MonoTime, highest: u64, hold_10us: u16) {
        let Some((_, sent)) = self.sent.iter().find(|(sequence, _)| *sequence == highest) else {
            return;
        };
        if hold_10us == u16::MAX {
            return;
        }
        let held = Duration::from_micros(u64::from(hold_10us) * 10);
        let sample = now.since(*sent).saturating_sub(held);
        self.min_rtt.on_value(now, sample);
        // RFC 9002 §5.3: one eighth of the new sample.
        self.smoothed_rtt = Some(match self.smoothed_rtt {
            None => sample,
            Some(smoothed) => (smoothed * 7 + sample) / 8,
        });
    }

    fn on_loss(&mut self, sent: u64, missing: u64) {
        let (sent_base, missing_base) = self.loss_base;
        let span = sent.saturating_sub(sent_base);
        if span < LOSS_SAMPLE_MIN {
            return;
        }
        self.loss_base = (sent, missing);
        let lost = missing.saturating_sub(missing_base).min(span);
        #[expect(
            clippy::cast_precision_loss,
            reason = "packets of one report are far below 2^52"
        )]
        let (sample, weight) = (
            lost as f64 / span as f64,
            (span as f64 / LOSS_SPAN).min(1.0),
        );
        self.loss += (sample - self.loss) * weight;
        self.loss = self.loss.clamp(LOSS_MIN, LOSS_MAX);
    }
}

/// The number next to `near` whose low 24 bits these are.
fn expand(low: u32, near: u64) -> u64 {
    let base = near - near % SEQUENCES + u64::from(low);
    let half = SEQUENCES / 2;
    if base + half < near {
        base + SEQUENCES
    } else if base > near + half && base >= SEQUENCES {
        base - SEQUENCES
    } else {
        base
    }
}

/// The low 32 bits of a clock.
fn low_bits(us: u64) -> u32 {
    u32::try_from(us & u64::from(u32::MAX)).unwrap_or_default()
}

/// Numbers before the 24 bits on the wire repeat.
const SEQUENCES: u64 = 1 << 24;
/// Sending times that are kept for round trips: 0.25 s at 2,000 packets a second, the most a path is planned for.
const SENT_MAX: usize = 512;
/// Half of what minima look back on: clocks drift 2 ms in it at 200 ppm, and a new route is learned.
const MIN_SPAN: Duration = Duration::from_secs(10);
/// Before the first sample: careful, as a good path shows itself within a second.
const LOSS_AT_FIRST: f64 = 0.3;
/// Fewer packets make no sample.
const LOSS_SAMPLE_MIN: u64 = 20;
/// Packets over which the estimate forgets (measured: 200 follows changes of a mobile network and is steady enough).
const LOSS_SPAN: f64 = 200.0;
/// Never sure of either.
const LOSS_MIN: f64 = 0.001;
const LOSS_MAX: f64 = 0.97;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_us(ms * 1_000)
    }

    /// Sends packets 20 ms apart over 10 ms each way; `lost` says which of them vanish.
    fn run(packets: u64, lost: impl Fn(u64) -> bool) -> (Estimate, Estimate) {
        let (mut here, mut there) = (Estimate::new(), Estimate::new());
        for n in 0..packets {
            let sent = at(1_000 + n * 20);
            let sequence = u32::try_from(here.on_sent(sent) % SEQUENCES).unwrap();
            if !lost(n) {
                // The far clock began at another time.
                let arrived = sent + Duration::from_millis(10) + Duration::from_secs(7_000);
                there.on_received(arrived, sequence, low_bits(sent.as_us()));
                let report = there
                    .take_report(arrived + Duration::from_millis(3))
                    .unwrap();
                assert!(here.on_report(sent + Duration::from_millis(23), &report));
            }
        }
        (here, there)
    }

    #[test]
    fn a_clean_path_shows_its_round_trip_without_the_hold_and_little_loss() {
        let (here, there) = run(2_000, |_| false);
        let quality = here.quality();
        assert_eq!(quality.min_rtt, Some(Duration::from_millis(20)));
        assert_eq!(quality.rtt, Some(Duration::from_millis(20)));
        assert!(quality.loss < 0.01, "{}", quality.loss);
        assert_eq!(there.quality().queue, Duration::ZERO);
    }

    #[test]
    fn the_loss_estimate_comes_near_the_truth() {
        for percent in [20, 50, 80] {
            let (here, _) = run(5_000, |n| n * 7_919 % 100 < percent);
            let loss = here.quality().loss;
            let truth = f64::from(u32::try_from(percent).unwrap()) / 100.0;
            assert!((loss - truth).abs() < 0.05, "{percent} %: {loss}");
        }
    }

    #[test]
    fn a_growing_queue_is_seen_by_the_receiver() {
        let mut there = Estimate::new();
        for n in 0..50_u64 {
            let sent = at(n * 20);
            let queue = Duration::from_millis(n);
            let arrived = sent + Duration::from_millis(10) + queue;
            there.on_received(arrived, u32::try_from(n).unwrap(), low_bits(sent.as_us()));
            assert_eq!(there.quality().queue, queue);
        }
    }

    // [WIRE-47]
    #[test]
    fn a_report_of_packets_that_were_never_sent_changes_nothing() {
        let mut here = Estimate::new();
        here.on_sent(at(0));
        let absurd = PathReport {
            highest: 5,
            missing: 3,
            queue_100us: 0,
            hold_10us: 0,
        };
        assert!(!here.on_report(at(10), &absurd));
        assert_eq!(here.quality(), Estimate::new().quality());
    }

    #[test]
    fn numbers_expand_to_the_nearest() {
        for near in [
            0,
            5,
            SEQUENCES - 1,
            SEQUENCES,
            SEQUENCES + 3,
            5 * SEQUENCES + 9,
        ] {
            for distance in -5_i64..=5 {
                let Some(number) = near.checked_add_signed(distance) else {
                    continue;
                };
                let low = u32::try_from(number % SEQUENCES).unwrap();
                assert_eq!(expand(low, near), number, "{low} near {near}");
            }
        }
    }
}
