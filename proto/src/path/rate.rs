//! How fast a path may send.

use std::time::Duration;

use super::Reported;
use crate::base::MonoTime;
use crate::base::limits::{
    BREAKER_AFTER, BREAKER_BITS_PER_S, CLOGGED_AFTER, PROBE_INTERVAL, PROBE_INTERVAL_POLICED,
    PROBE_LENGTH, PROBE_LOSS_MIN, QUEUE_SLACK, RATE_FLOOR_BITS_PER_S, RATE_STEP,
};

/// The rate of a path within its budget: falls when packets queue or the carrier polices, nearly stops when nothing gets
/// through. Random loss does not lower it.
///
/// It has no timer: whatever is sent asks it first.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Bits a second that are never exceeded.
    budget: f64,
    current: f64,
    /// What a policer was found to let through; the budget when none was.
    ceiling: f64,
    stepped_at: MonoTime,
    /// Since when the queue was long although the rate is at its floor.
    clogged_since: Option<MonoTime>,
    /// When the peer last reported something new.
    reported_at: MonoTime,
    reported: Reported,
    standing: Standing,
    /// When the first packet after that was sent.
    unreported_since: Option<MonoTime>,
    sent: Sent,
    probe: Probe,
    /// The probe before found that losses are our own.
    suspicion: bool,
    cleared: Cleared,
}

/// The shortest queue of the reports since the last judgement: jitter comes and goes between packets, a queue stands.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    reports: u32,
    least: Duration,
    is_long: bool,
}

impl Standing {
    fn on_report(&mut self, queue: Duration) {
        self.least = if self.reports == 0 {
            queue
        } else {
            self.least.min(queue)
        };
        self.reports += 1;
    }

    /// Whether the reports say enough for a new judgement, which uses them up.
    fn judge(&mut self) -> bool {
        let is_short = self.reports > 0 && self.least <= QUEUE_SLACK;
        let judged = is_short || self.reports >= REPORTS_MIN;
        if judged {
            *self = Standing {
                is_long: !is_short,
                ..Standing::default()
            };
        }
        judged
    }
}

/// What was sent, to know how fast that is.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    bytes: f64,
    bits_per_s: f64,
}

/// A look whether the losses are our own: halve the rate and see.
#[derive(Clone, Copy, Debug)]
enum Probe {
    Waiting {
        until: MonoTime,
    },
    Running {
        until: MonoTime,
        limit: f64,
        loss: f64,
        delivered: f64,
        began: Reported,
    },
}

/// How often looks in a row found that losses are not our own, and how high those were.
#[derive(Clone, Copy, Debug, Default)]
struct Cleared {
    times: u32,
    loss: f64,
}

impl Cleared {
    /// It was found again.
    fn again(self, loss: f64) -> Cleared {
        Cleared {
            times: (self.times + 1).min(PROBE_DOUBLINGS_MAX),
            loss,
        }
    }

    /// Whether losses are so much higher now that it says nothing of them.
    fn is_outdated(self, loss: f64) -> bool {
        self.times > 0 && loss > self.loss + PROBE_LOSS_NEWS
    }
}

/// What the path knows at a step.
#[derive(Clone, Copy, Debug)]
pub struct Signs {
    /// Queueing delay of our newest packets.
    pub queue: Duration,
    /// Share of our packets that get lost.
    pub loss: f64,
    /// What the peer reported last.
    pub reported: Reported,
    /// Another path of the leg looks for a policer: one at a time.
    pub other_probes: bool,
}

/// Why a path sends less than its budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strain {
    /// It does not.
    #[default]
    None,
    /// Its packets queue although it sends hardly anything: only `latest` and stops go. A person should know.
    Clogged,
    /// Nothing of what it sends was reported for long: it only probes. A person should know.
    Broken,
}

impl Rate {
    /// Of a new path: half of its budget, until delay says more.
    pub fn new(now: MonoTime, budget_bits_per_s: u64) -> Rate {
        let budget = bits(budget_bits_per_s);
        Rate {
            budget,
            current: (budget / 2.0).max(FLOOR),
            ceiling: budget,
            stepped_at: now,
            clogged_since: None,
            reported_at: now,
            reported: Reported::default(),
            standing: Standing::default(),
            unreported_since: None,
            sent: Sent::default(),
            probe: Probe::Waiting {
                until: now + PROBE_INTERVAL,
            },
            suspicion: false,
            cleared: Cleared::default(),
        }
    }

    /// Whether it looks for a policer now.
    pub const fn is_probing(&self) -> bool {
        matches!(self.probe, Probe::Running { .. })
    }

    /// The budget is this from now on.
    pub fn set_budget(&mut self, bits_per_s: u64) {
        let budget = bits(bits_per_s);
        if self.ceiling >= self.budget {
            self.ceiling = budget;
        }
        // The half of a budget that a new path begins with is the half of the new one.
        self.current = (self.current / self.budget * budget).clamp(FLOOR, budget);
        self.budget = budget;
        self.ceiling = self.ceiling.min(budget);
    }

    /// Bits a second that may be sent now.
    pub fn bits_per_s(&self, now: MonoTime) -> f64 {
        match (self.strain(now), self.probe) {
            (Strain::Broken, _) => f64::from(BREAKER_BITS_PER_S),
            (_, Probe::Running { limit, .. }) => self.current.min(limit),
            (_, Probe::Waiting { .. }) => self.current,
        }
    }

    /// Bits a second that the link is taken to carry: what its owner says, or less when packets queue. A look for a policer
    /// changes nothing here.
    pub fn wire_bits_per_s(&self) -> f64 {
        self.current.max(self.budget / 2.0)
    }

    /// Why it is less than the budget, when that is beyond what the rate alone mends.
    pub fn strain(&self, now: MonoTime) -> Strain {
        let for_long =
            |since: Option<MonoTime>, span| since.is_some_and(|at| now.since(at) >= span);
        if for_long(self.unreported_since, BREAKER_AFTER) {
            Strain::Broken
        } else if for_long(self.clogged_since, CLOGGED_AFTER) {
            Strain::Clogged
        } else {
            Strain::None
        }
    }

    /// So many bytes are sent.
    pub fn on_sent(&mut self, now: MonoTime, bytes: usize) {
        self.sent.bytes += u32::try_from(bytes).map_or(0.0, f64::from);
        self.unreported_since.get_or_insert(now);
    }

    /// Looks whether a step is due.
    pub fn advance(&mut self, now: MonoTime, signs: &Signs) {
        if signs.reported.highest > self.reported.highest {
            self.reported_at = now;
            self.reported = signs.reported;
            self.standing.on_report(signs.queue);
            self.unreported_since = None;
        }
        let passed = now.since(self.stepped_at);
        if passed < RATE_STEP {
            return;
        }
        self.stepped_at = now;
        let speed = self.sent.bytes * 8.0 / passed.as_secs_f64();
        self.sent = Sent {
            bytes: 0.0,
            bits_per_s: self.sent.bits_per_s + (speed - self.sent.bits_per_s) / 4.0,
        };
        self.probe(now, signs);
        self.step(now, passed);
    }

    fn step(&mut self, now: MonoTime, passed: Duration) {
        let judged = self.standing.judge();
        if self.standing.is_long {
            // Once for what is reported: it takes a round trip until a lower rate shows.
            if judged {
                if self.current <= FLOOR {
                    self.clogged_since.get_or_insert(now);
                }
                self.current = (self.current * CUT).max(FLOOR);
            }
            return;
        }
        self.clogged_since = None;
        // Old news says nothing of the queue now.
        if now.since(self.reported_at) > NEWS_AGE_MAX {
            return;
        }
        let steps = (passed.as_secs_f64() / RATE_STEP.as_secs_f64()).min(STEPS_MAX);
        let grown = self.current * GROWTH.powf(steps);
        self.current = grown.min(self.ceiling).max(FLOOR);
    }

    /// The policer probe.
    fn probe(&mut self, now: MonoTime, signs: &Signs) {
        match self.probe {
            Probe::Waiting { .. } if self.cleared.is_outdated(signs.loss) => {
                self.wait_for_probe(now, false, Cleared::default());
            }
            Probe::Waiting { until } if now < until || signs.other_probes => {}
            Probe::Waiting { .. } => {
                let limit = (self.current / 2.0).max(FLOOR);
                let worth_it = signs.loss > PROBE_LOSS_MIN && self.sent.bits_per_s > limit;
                if worth_it {
                    self.probe = Probe::Running {
                        until: now + PROBE_LENGTH,
                        limit,
                        loss: signs.loss,
                        delivered: self.sent.bits_per_s * (1.0 - signs.loss),
                        began: signs.reported,
                    };
                } else {
                    self.raise_ceiling(now, self.cleared);
                }
            }
            Probe::Running { until, .. } if now < until => {}
            Probe::Running {
                loss,
                delivered,
                began,
                ..
            } => {
                let packets = signs.reported.highest.saturating_sub(began.highest);
                let lost = signs.reported.missing.saturating_sub(began.missing);
                let share = ratio(lost, packets);
                let fell = packets >= PROBE_PACKETS_MIN && share < loss * PROBE_RELIEF;
                if fell && (self.suspicion || self.ceiling < self.budget) {
                    self.ceiling = (delivered * PROBE_MARGIN).clamp(FLOOR, self.budget);
                    self.current = self.current.min(self.ceiling);
                    self.wait_for_probe(now, true, Cleared::default());
                } else if fell {
                    self.wait_for_probe(now, true, Cleared::default());
                } else {
                    self.raise_ceiling(now, self.cleared.again(signs.loss));
                }
            }
        }
    }

    /// No policer was found: it may have gone.
    fn raise_ceiling(&mut self, now: MonoTime, cleared: Cleared) {
        self.ceiling = (self.ceiling * CEILING_GROWTH).min(self.budget);
        self.wait_for_probe(now, false, cleared);
    }

    fn wait_for_probe(&mut self, now: MonoTime, suspicion: bool, cleared: Cleared) {
        (self.suspicion, self.cleared) = (suspicion, cleared);
        let policed = suspicion || self.ceiling < self.budget;
        let wait = if policed {
            PROBE_INTERVAL_POLICED
        } else {
            PROBE_INTERVAL * (1 << cleared.times)
        };
        self.probe = Probe::Waiting { until: now + wait };
    }
}

fn bits(per_s: u64) -> f64 {
    u32::try_from(per_s)
        .map_or(f64::from(u32::MAX), f64::from)
        .max(FLOOR)
}

fn ratio(part: u64, whole: u64) -> f64 {
    let float = |number: u64| u32::try_from(number).map_or(f64::from(u32::MAX), f64::from);
    float(part) / float(whole.max(1))
}

const FLOOR: f64 = RATE_FLOOR_BITS_PER_S as f64;
/// What a queue leaves of the rate, each step.
const CUT: f64 = 0.8;
/// By what the rate grows without one, each step.
const GROWTH: f64 = 1.05;
/// So many reports of a long queue, and none of a short one, make a queue: packets that jitter by 60 ms look like one in every
/// ninth judgement, which growth makes up for.
const REPORTS_MIN: u32 = 4;
/// For so long a short queue is taken to stay short: at 80 % loss news are rare.
const NEWS_AGE_MAX: Duration = Duration::from_secs(1);
/// Steps that are made up at once after a silence.
const STEPS_MAX: f64 = 2.0;
/// Fewest packets that make a probe's result.
const PROBE_PACKETS_MIN: u64 = 20;
/// Loss that falls below this share of what it was had been our own.
const PROBE_RELIEF: f64 = 0.6;
/// Each look that finds nothing doubles the time to the next one so often at most: it halves the rate of a path that needs it.
const PROBE_DOUBLINGS_MAX: u32 = 3;
/// Losses that are so much higher than at the last look may be our own again.
const PROBE_LOSS_NEWS: f64 = 0.15;
/// What is tried above the rate that got through.
const PROBE_MARGIN: f64 = 1.1;
/// By what the ceiling grows when no policer shows.
const CEILING_GROWTH: f64 = 1.25;

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: u64 = 1_000_000;

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(ms)
    }

    /// A path under test: what is sent and what the network makes of it.
    struct Run {
        rate: Rate,
        now_ms: u64,
        reported: Reported,
        /// By how much longer each of so many packets in turn takes.
        jitter_ms: [u64; 4],
        other_probes: bool,
    }

    impl Run {
        fn new() -> Run {
            Run {
                rate: Rate::new(at(0), BUDGET),
                now_ms: 0,
                reported: Reported::default(),
                jitter_ms: [0; 4],
                other_probes: false,
            }
        }

        /// Sends packets of 125 bytes at full rate, 1 ms a step; `lost` says what share of them gets lost at a rate.
        fn run(&mut self, ms: u64, queue_ms: u64, lost: impl Fn(f64) -> f64) {
            let mut owed = 0.0;
            let mut missing = 0.0;
            for _ in 0..ms {
                self.now_ms += 1;
                let now = at(self.now_ms);
                let speed = self.rate.bits_per_s(now);
                owed += speed / 1_000_000.0;
                while owed >= 1.0 {
                    owed -= 1.0;
                    self.rate.on_sent(now, 125);
                    self.reported.highest += 1;
                    missing += lost(speed);
                    if missing >= 1.0 {
                        missing -= 1.0;
                        self.reported.missing += 1;
                    }
                }
                let jitter_ms = self.jitter_ms[(self.reported.highest % 4) as usize];
                let signs = Signs {
                    queue: Duration::from_millis(queue_ms + jitter_ms),
                    loss: lost(speed),
                    reported: self.reported,
                    other_probes: self.other_probes,
                };
                self.rate.advance(now, &signs);
            }
        }

        fn kbit_s(&self) -> f64 {
            self.rate.bits_per_s(at(self.now_ms)) / 1_000.0
        }
    }

    #[test]
    fn a_path_begins_with_half_its_budget_and_has_all_of_it_after_two_seconds() {
        let mut run = Run::new();
        assert!((run.kbit_s() - 500.0).abs() < 1.0);
        run.run(2_000, 0, |_| 0.0);
        assert!((run.kbit_s() - 1_000.0).abs() < 1.0);
    }

    #[test]
    fn a_queue_lowers_the_rate_to_the_floor_and_then_says_so() {
        let mut run = Run::new();
        run.run(300, 26, |_| 0.0);
        assert!((run.kbit_s() - 256.0).abs() < 1.0, "{}", run.kbit_s());
        run.run(3_000, 26, |_| 0.0);
        assert!((run.kbit_s() - 64.0).abs() < 1.0);
        assert_eq!(run.rate.strain(at(run.now_ms)), Strain::None);
        run.run(2_000, 26, |_| 0.0);
        assert_eq!(run.rate.strain(at(run.now_ms)), Strain::Clogged);
        run.run(200, 0, |_| 0.0);
        assert_eq!(run.rate.strain(at(run.now_ms)), Strain::None);
    }

    #[test]
    fn jitter_is_no_queue() {
        let mut run = Run::new();
        run.jitter_ms = [40, 60, 0, 50];
        run.run(4_000, 0, |_| 0.0);
        assert!((run.kbit_s() - 1_000.0).abs() < 1.0, "{}", run.kbit_s());
    }

    #[test]
    fn random_loss_does_not_lower_it() {
        let mut run = Run::new();
        run.run(60_000, 0, |_| 0.8);
        let rate = run.rate.bits_per_s(at(run.now_ms));
        run.run(1_000, 0, |_| 0.8);
        assert!(rate.max(run.rate.bits_per_s(at(run.now_ms))) > 999_000.0);
    }

    /// When it began to look for a policer, in seconds.
    fn looks(run: &mut Run, ms: u64, loss: f64) -> Vec<u64> {
        let mut looks = Vec::new();
        for _ in 0..ms / 100 {
            let before = run.rate.is_probing();
            run.run(100, 0, |_| loss);
            if run.rate.is_probing() && !before {
                looks.push(run.now_ms / 1_000);
            }
        }
        looks
    }

    #[test]
    fn losses_that_are_not_our_own_are_looked_at_ever_more_rarely_until_they_grow() {
        let mut run = Run::new();
        assert_eq!(looks(&mut run, 200_000, 0.5), [10, 30, 71, 152]);
        assert_eq!(looks(&mut run, 40_000, 0.8), [210, 230]);
    }

    #[test]
    fn one_path_looks_at_a_time() {
        let mut run = Run::new();
        run.other_probes = true;
        assert_eq!(looks(&mut run, 30_000, 0.8), []);
        run.other_probes = false;
        assert_eq!(looks(&mut run, 1_000, 0.8), [30]);
    }

    #[test]
    fn a_policer_is_found_and_left_again_when_it_goes() {
        let mut run = Run::new();
        let policed = |speed: f64| (1.0 - 400_000.0 / speed).max(0.0);
        run.run(20_000, 0, policed);
        let mut most = 0.0_f64;
        for _ in 0..100 {
            run.run(100, 0, policed);
            most = most.max(run.kbit_s());
        }
        assert!(most < 700.0, "{most}");
        run.run(20_000, 0, |_| 0.0);
        assert!((run.kbit_s() - 1_000.0).abs() < 1.0);
    }

    #[test]
    fn without_any_news_of_what_was_sent_it_only_probes_until_there_is_some() {
        let mut rate = Rate::new(at(0), BUDGET);
        let signs = |highest| Signs {
            queue: Duration::ZERO,
            loss: 0.1,
            reported: Reported {
                highest,
                missing: 0,
            },
            other_probes: false,
        };
        rate.on_sent(at(100), 100);
        rate.advance(at(10_099), &signs(0));
        assert_eq!(rate.strain(at(10_099)), Strain::None);
        rate.advance(at(10_100), &signs(0));
        assert_eq!(rate.strain(at(10_100)), Strain::Broken);
        assert!((rate.bits_per_s(at(10_100)) - 16_000.0).abs() < 1.0);
        rate.advance(at(10_101), &signs(1));
        assert_eq!(rate.strain(at(10_101)), Strain::None);
        assert!(rate.bits_per_s(at(10_101)) > 400_000.0);
    }

    #[test]
    fn a_new_budget_keeps_its_proportion() {
        let mut rate = Rate::new(at(0), BUDGET);
        rate.set_budget(400_000);
        assert!((rate.bits_per_s(at(0)) - 200_000.0).abs() < 1.0);
        rate.set_budget(0);
        assert!((rate.bits_per_s(at(0)) - 64_000.0).abs() < 1.0);
    }
}
