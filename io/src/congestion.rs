//! The congestion controller of our connections: a fuse, not a budget.
//!
//! The usual controllers take every loss for congestion, so at 80 % random loss they stop sending and the connection
//! dies. The leg above plans and limits what is sent by delay and budget. This controller only keeps a mistake up there
//! from flooding the network: it ignores loss, limits the rate, and lowers it when the delay grows.

use longrein_proto::base::limits::LINK_BUDGET_BITS_PER_S_MAX;
use quinn_proto::RttEstimator;
use quinn_proto::congestion::{Controller, ControllerFactory};
use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rates and times of the fuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fuse {
    /// Bits a second that are never exceeded.
    pub budget_bps: u64,
    /// Bits a second that growing delay never goes below: a drive flow with its copies must fit.
    pub floor_bps: u64,
    /// Bits a second while nothing is acknowledged.
    pub probe_bps: u64,
    /// Sending at full rate for this long may happen at once.
    pub burst: Duration,
    /// Delay above the windowed minimum that counts as a standing queue.
    pub rtt_slack: Duration,
    /// Without an acknowledgement for this long, the path is only probed.
    pub dead_after: Duration,
}

impl Default for Fuse {
    fn default() -> Fuse {
        Fuse {
            // So that it never acts while the leg keeps its budget.
            budget_bps: LINK_BUDGET_BITS_PER_S_MAX * 2,
            floor_bps: 256_000,
            probe_bps: 16_000,
            burst: Duration::from_millis(200),
            rtt_slack: Duration::from_millis(100),
            dead_after: Duration::from_secs(10),
        }
    }
}

impl ControllerFactory for Fuse {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Thin::new(*self, now, current_mtu))
    }
}

/// The controller: a rate limit that knows no loss.
#[derive(Clone, Debug)]
pub struct Thin {
    fuse: Fuse,
    mtu_bytes: u64,
    rate_bps: u64,
    /// Bits that were sent faster than the rate, as of `counted_at`. Not the time that they take: a rate that recovers is rid
    /// of them at once.
    owed_bits: u64,
    counted_at: Instant,
    rate_changed: Instant,
    /// First packet sent after the last acknowledgement.
    unanswered_since: Option<Instant>,
    recent: WindowedMin,
    base: WindowedMin,
}

impl Thin {
    fn new(fuse: Fuse, now: Instant, mtu: u16) -> Thin {
        Thin {
            fuse,
            mtu_bytes: u64::from(mtu),
            rate_bps: fuse.budget_bps,
            owed_bits: 0,
            counted_at: now,
            rate_changed: now,
            unanswered_since: None,
            recent: WindowedMin::new(RECENT_HALF, now),
            base: WindowedMin::new(BASE_HALF, now),
        }
    }

    /// Bits a second that the fuse lets through now.
    fn rate_at(&self, now: Instant) -> u64 {
        let dead = self
            .unanswered_since
            .is_some_and(|since| now.saturating_duration_since(since) >= self.fuse.dead_after);
        if dead {
            self.fuse.probe_bps
        } else {
            self.rate_bps
        }
    }

    fn owed_at(&self, now: Instant) -> u64 {
        let paid = bits(
            self.rate_at(now),
            now.saturating_duration_since(self.counted_at),
        );
        self.owed_bits.saturating_sub(paid)
    }

    fn window_at(&self, now: Instant) -> u64 {
        if self.owed_at(now) <= bits(self.rate_at(now), self.fuse.burst) {
            OPEN
        } else {
            2 * self.mtu_bytes
        }
    }

    /// Own samples are compared, not the stack's estimate: under loss of acknowledgements its smoothed round trip grows
    /// by hundreds of milliseconds without any queue, and its minimum is of the whole lifetime.
    fn adapt(&mut self, now: Instant) {
        if now.saturating_duration_since(self.rate_changed) < RATE_STEP {
            return;
        }
        self.rate_changed = now;
        let (Some(recent), Some(base)) = (self.recent.least(), self.base.least()) else {
            return;
        };
        let queue = recent.saturating_sub(base);
        self.rate_bps = if queue > self.fuse.rtt_slack && self.recent.samples() >= SAMPLES_MIN {
            (self.rate_bps * 4 / 5).max(self.fuse.floor_bps)
        } else {
            (self.rate_bps * 21 / 20).min(self.fuse.budget_bps)
        };
    }
}

impl Controller for Thin {
    fn on_sent(&mut self, now: Instant, bytes: u64, _last_packet_number: u64) {
        self.unanswered_since.get_or_insert(now);
        let owed_max = bits(self.rate_at(now), self.fuse.burst + DEBT_MAX);
        self.owed_bits = (self.owed_at(now) + bytes.saturating_mul(8)).min(owed_max);
        self.counted_at = now;
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        _bytes: u64,
        _app_limited: bool,
        _rtt: &RttEstimator,
    ) {
        self.unanswered_since = None;
        let sample = now.saturating_duration_since(sent);
        self.recent.on_sample(now, sample);
        self.base.on_sample(now, sample);
        self.adapt(now);
    }

    fn on_congestion_event(
        &mut self,
        _now: Instant,
        _sent: Instant,
        _is_persistent_congestion: bool,
        _lost_bytes: u64,
    ) {
        // Loss is what this controller ignores.
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.mtu_bytes = u64::from(new_mtu);
    }

    fn window(&self) -> u64 {
        // The trait passes no time here, and nothing else tells how much was refilled since the last packet.
        self.window_at(Instant::now())
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        OPEN
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// What this many bits a second send in this time.
fn bits(rate_bps: u64, time: Duration) -> u64 {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    rate_bps.saturating_mul(micros) / 1_000_000
}

/// The least sample of the last one to two `half` spans.
#[derive(Clone, Debug)]
struct WindowedMin {
    half: Duration,
    since: Instant,
    current: Option<Duration>,
    previous: Option<Duration>,
    current_samples: u32,
    previous_samples: u32,
}

impl WindowedMin {
    fn new(half: Duration, now: Instant) -> WindowedMin {
        WindowedMin {
            half,
            since: now,
            current: None,
            previous: None,
            current_samples: 0,
            previous_samples: 0,
        }
    }

    fn on_sample(&mut self, now: Instant, sample: Duration) {
        let age = now.saturating_duration_since(self.since);
        if age >= self.half {
            let fresh = age < self.half * 2;
            self.previous = self.current.take().filter(|_| fresh);
            self.previous_samples = if fresh { self.current_samples } else { 0 };
            self.current_samples = 0;
            self.since = now;
        }
        self.current = Some(self.current.map_or(sample, |least| least.min(sample)));
        self.current_samples = self.current_samples.saturating_add(1);
    }

    fn least(&self) -> Option<Duration> {
        match (self.current, self.previous) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn samples(&self) -> u32 {
        self.current_samples.saturating_add(self.previous_samples)
    }
}

/// Bytes: a window above `u32::MAX`, which also turns quinn's pacer off.
const OPEN: u64 = 1 << 40;
/// A deeper debt than this is forgiven, so that packets that had to go (acknowledgements, probes) cannot close the
/// window for long.
const DEBT_MAX: Duration = Duration::from_secs(1);
/// How often the rate moves.
const RATE_STEP: Duration = Duration::from_millis(100);
/// The recent delay is the minimum of 1 to 2 s: under 80 % loss most samples carry the wait for a later acknowledgement.
const RECENT_HALF: Duration = Duration::from_secs(1);
/// The base delay is the minimum of 15 to 30 s: a new route with more delay is the new base after that.
const BASE_HALF: Duration = Duration::from_secs(15);
/// With fewer recent samples their minimum says nothing about the queue.
const SAMPLES_MIN: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Acknowledges one packet every 20 ms for `span`, each `delay` after it was sent.
    fn acknowledge(thin: &mut Thin, now: &mut Instant, span: Duration, delay: Duration) {
        let end = *now + span;
        while *now < end {
            *now += 20 * MS;
            thin.recent.on_sample(*now, delay);
            thin.base.on_sample(*now, delay);
            thin.unanswered_since = None;
            thin.adapt(*now);
        }
    }

    fn thin(now: Instant) -> Thin {
        Thin::new(Fuse::default(), now, 1_200)
    }

    #[test]
    fn loss_changes_nothing() {
        let now = Instant::now();
        let mut thin = thin(now);
        for _ in 0..1_000 {
            thin.on_congestion_event(now, now, true, 1_200);
        }
        assert_eq!((thin.window_at(now), thin.rate_bps), (OPEN, 4_000_000));
    }

    #[test]
    fn sending_above_the_budget_closes_the_window_and_time_opens_it() {
        let now = Instant::now();
        let mut thin = thin(now);
        let mut sent = 0_u64;
        while thin.window_at(now) == OPEN {
            thin.on_sent(now, 1_200, 0);
            sent += 1_200;
        }
        assert!(
            (100_000..=102_400).contains(&sent),
            "200 ms of 4 Mbit/s: {sent}"
        );
        assert_eq!(thin.window_at(now), 2_400);
        assert_eq!(thin.window_at(now + 3 * MS), OPEN);
    }

    #[test]
    fn a_standing_queue_lowers_the_rate_to_the_floor_and_no_further() {
        let mut now = Instant::now();
        let mut thin = thin(now);
        acknowledge(&mut thin, &mut now, Duration::from_secs(3), 20 * MS);
        acknowledge(&mut thin, &mut now, Duration::from_secs(8), 200 * MS);
        assert_eq!(thin.rate_bps, 256_000);
        acknowledge(&mut thin, &mut now, Duration::from_secs(10), 20 * MS);
        assert_eq!(thin.rate_bps, 4_000_000);
    }

    #[test]
    fn a_longer_route_is_the_new_base_after_the_window() {
        let mut now = Instant::now();
        let mut thin = thin(now);
        acknowledge(&mut thin, &mut now, Duration::from_secs(3), 20 * MS);
        acknowledge(&mut thin, &mut now, Duration::from_secs(40), 200 * MS);
        assert_eq!(thin.rate_bps, 4_000_000);
    }

    #[test]
    fn few_late_acknowledgements_are_no_queue() {
        let mut now = Instant::now();
        let mut thin = thin(now);
        acknowledge(&mut thin, &mut now, Duration::from_secs(3), 20 * MS);
        for _ in 0..20 {
            now += 400 * MS;
            thin.recent.on_sample(now, 600 * MS);
            thin.base.on_sample(now, 600 * MS);
            thin.adapt(now);
        }
        assert_eq!(thin.rate_bps, 4_000_000);
    }

    #[test]
    fn ten_seconds_without_an_acknowledgement_leave_a_probe() {
        let now = Instant::now();
        let mut thin = thin(now);
        thin.on_sent(now, 100, 0);
        assert_eq!(thin.rate_at(now + Duration::from_secs(9)), 4_000_000);
        assert_eq!(thin.rate_at(now + Duration::from_secs(10)), 16_000);
        thin.unanswered_since = None;
        assert_eq!(thin.rate_at(now + Duration::from_secs(11)), 4_000_000);
    }

    #[test]
    fn what_was_sent_into_the_dark_does_not_close_the_window_of_a_path_that_is_back() {
        let now = Instant::now();
        let mut thin = thin(now);
        thin.on_sent(now, 100, 0);
        let dark = now + Duration::from_secs(30);
        for _ in 0..100 {
            thin.on_sent(dark, 1_200, 0);
        }
        assert_eq!(thin.window_at(dark), 2_400);
        thin.unanswered_since = None;
        assert_eq!(thin.window_at(dark), OPEN);
    }

    #[test]
    fn the_window_is_never_zero() {
        let now = Instant::now();
        let mut thin = thin(now);
        for _ in 0..10_000 {
            thin.on_sent(now, 65_000, 0);
        }
        assert_eq!(thin.window_at(now), 2_400);
        assert_eq!(thin.window_at(now + Duration::from_secs(1)), OPEN);
    }
}
