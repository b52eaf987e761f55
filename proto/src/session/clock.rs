//! The far end's clock, known by bounds.

use std::time::Duration;

use crate::base::limits::CLOCK_DRIFT_PPM;
use crate::base::{ClockSample, MonoTime};

/// What this end knows of the far end's clock: bounds of its offset, which widen as the clocks drift apart.
///
/// A message cannot arrive before it is sent. So each exchange bounds the offset (far minus local) from both sides, by
/// `far_sent - received` from below and by `far_received - sent` from above, however unequal the two directions are.
#[derive(Clone, Debug, Default)]
pub struct FarClock {
    bounds: Option<Bounds>,
    rejected: u64,
    stepped: u64,
}

/// How long ago something was sent: the truth is within `error` of `age`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// The middle of what is possible.
    pub age: Duration,
    /// How far the truth may be from the middle.
    pub error: Duration,
}

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleUse {
    /// It agrees with what was known.
    Agreed,
    /// It does not: a clock was stepped. What was known before is forgotten.
    Stepped,
    /// It contradicts itself, or it is old and contradicts what is newer: ignored.
    Rejected,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    lower_us: i128,
    upper_us: i128,
    at: MonoTime,
}

impl FarClock {
    /// A clock of which nothing is known.
    pub const fn new() -> FarClock {
        FarClock {
            bounds: None,
            rejected: 0,
            stepped: 0,
        }
    }

    /// Learns from one exchange with the far end.
    // [WIRE-89] [WIRE-91]
    pub fn on_sample(&mut self, sample: ClockSample) -> SampleUse {
        let Some(new) = Bounds::of(sample) else {
            self.rejected = self.rejected.saturating_add(1);
            return SampleUse::Rejected;
        };
        let Some(old) = self.bounds else {
            self.bounds = Some(new);
            return SampleUse::Agreed;
        };
        let at = new.at.max(old.at);
        let (wide_old, wide_new) = (old.widened(at), new.widened(at));
        let both = Bounds {
            lower_us: wide_old.lower_us.max(wide_new.lower_us),
            upper_us: wide_old.upper_us.min(wide_new.upper_us),
            at,
        };
        if both.lower_us <= both.upper_us {
            self.bounds = Some(both);
            SampleUse::Agreed
        } else if new.at >= old.at {
            self.bounds = Some(new);
            self.stepped = self.stepped.saturating_add(1);
            SampleUse::Stepped
        } else {
            self.rejected = self.rejected.saturating_add(1);
            SampleUse::Rejected
        }
    }

    /// How long ago something was sent that the far end sent at `far_sent_us` on its clock. None before the first sample,
    /// and when it was sent in the future by all that is known: then a clock was stepped, and the age is unknown too.
    // [WIRE-90]
    pub fn age(&self, now: MonoTime, far_sent_us: u64) -> Option<Age> {
        let bounds = self.bounds?.widened(now);
        let since_origin = i128::from(now.as_us()) - i128::from(far_sent_us);
        let upper = u64::try_from(since_origin + bounds.upper_us).ok()?;
        let lower = u64::try_from(since_origin + bounds.lower_us).unwrap_or(0);
        let half = (upper - lower).div_ceil(2);
        Some(Age {
            age: Duration::from_micros(upper - half),
            error: Duration::from_micros(half),
        })
    }

    /// The point of this machine's clock that fits `far_us` best. None before the first sample.
    pub fn to_local(&self, far_us: u64) -> Option<MonoTime> {
        let bounds = self.bounds?;
        let offset = (bounds.lower_us + bounds.upper_us).div_euclid(2);
        let local = (i128::from(far_us) - offset).max(0);
        Some(MonoTime::from_us(u64::try_from(local).unwrap_or(u64::MAX)))
    }

    /// Half the distance of the bounds at `now`. None before the first sample.
    pub fn error(&self, now: MonoTime) -> Option<Duration> {
        let bounds = self.bounds?.widened(now);
        let width = u64::try_from(bounds.upper_us - bounds.lower_us).unwrap_or(u64::MAX);
        Some(Duration::from_micros(width.div_ceil(2)))
    }

    /// Samples that were ignored because they contradict themselves or something newer.
    pub const fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Times that a sample contradicted everything before.
    pub const fn stepped(&self) -> u64 {
        self.stepped
    }
}

impl Age {
    /// The oldest that it can be.
    pub fn upper(self) -> Duration {
        self.age + self.error
    }
}

impl Bounds {
    fn of(sample: ClockSample) -> Option<Bounds> {
        let far_held = sample.far_sent_us.checked_sub(sample.far_received_us)?;
        let round = sample.received.as_us().checked_sub(sample.sent.as_us())?;
        if far_held > round.saturating_add(drift_us(round)).saturating_add(2) {
            return None;
        }
        let bound = |far: u64, local: MonoTime| i128::from(far) - i128::from(local.as_us());
        let slack = i128::from(drift_us(round)) + READING_US;
        Some(Bounds {
            lower_us: bound(sample.far_sent_us, sample.received) - slack,
            upper_us: bound(sample.far_received_us, sample.sent) + slack,
            at: sample.received,
        })
    }

    fn widened(self, now: MonoTime) -> Bounds {
        let elapsed = now.as_us().saturating_sub(self.at.as_us());
        let drift = i128::from(drift_us(elapsed));
        Bounds {
            lower_us: self.lower_us - drift,
            upper_us: self.upper_us + drift,
            at: now.max(self.at),
        }
    }
}

/// Readings of both clocks are whole microseconds, and so may be up to one too early each.
const READING_US: i128 = 2;

fn drift_us(span_us: u64) -> u64 {
    (span_us / 1_000_000)
        .saturating_mul(CLOCK_DRIFT_PPM)
        .saturating_add((span_us % 1_000_000 * CLOCK_DRIFT_PPM).div_ceil(1_000_000))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> MonoTime {
        MonoTime::from_us(ms * 1_000)
    }

    /// A far clock that is `offset_us` ahead and `ppm` too fast.
    #[derive(Clone, Copy, Debug)]
    struct Truth {
        offset_us: i64,
        ppm: i64,
    }

    impl Truth {
        fn far(self, local_us: u64) -> u64 {
            let local = i128::from(local_us);
            let far = local + i128::from(self.offset_us) + local * i128::from(self.ppm) / 1_000_000;
            u64::try_from(far).unwrap()
        }

        fn sample(self, sent_us: u64, up_us: u64, held_us: u64, down_us: u64) -> ClockSample {
            ClockSample {
                sent: MonoTime::from_us(sent_us),
                far_received_us: self.far(sent_us + up_us),
                far_sent_us: self.far(sent_us + up_us + held_us),
                received: MonoTime::from_us(sent_us + up_us + held_us + down_us),
            }
        }
    }

    fn holds(age: Age, truth_us: u64) -> bool {
        let truth = Duration::from_micros(truth_us);
        age.age.saturating_sub(age.error) <= truth && truth <= age.upper()
    }

    #[test]
    fn nothing_is_known_before_the_first_sample() {
        let clock = FarClock::new();
        assert_eq!(clock.age(ms(5), 0), None);
        assert_eq!(clock.to_local(0), None);
        assert_eq!(clock.error(ms(5)), None);
    }

    // [WIRE-89] [WIRE-90]
    #[test]
    fn one_direction_delayed_by_300_ms_more_stays_within_the_error() {
        for (up, down) in [(310_000, 10_000), (10_000, 310_000)] {
            let truth = Truth {
                offset_us: 7_000_000,
                ppm: 0,
            };
            let mut clock = FarClock::new();
            clock.on_sample(truth.sample(1_000_000, up, 500, down));
            for true_age in [0, 1_000, 10_000, 310_000, 900_000] {
                let age = clock
                    .age(
                        MonoTime::from_us(2_000_000 + true_age),
                        truth.far(2_000_000),
                    )
                    .unwrap();
                assert!(holds(age, true_age), "{age:?} for {true_age} us");
                assert!(age.error < Duration::from_micros(161_000), "{age:?}");
            }
        }
    }

    #[test]
    fn the_error_grows_with_the_age_of_the_sample() {
        let truth = Truth {
            offset_us: 0,
            ppm: 0,
        };
        let mut clock = FarClock::new();
        clock.on_sample(truth.sample(0, 1_000, 0, 1_000));
        let soon = clock.error(ms(2)).unwrap();
        let late = clock.error(ms(100_002)).unwrap();
        assert_eq!(late - soon, Duration::from_millis(20));
    }

    // [WIRE-91]
    #[test]
    fn samples_that_contradict_themselves_are_counted_and_ignored() {
        let truth = Truth {
            offset_us: 50_000,
            ppm: 0,
        };
        let mut clock = FarClock::new();
        clock.on_sample(truth.sample(0, 1_000, 0, 1_000));
        let before = clock.to_local(60_000);
        let good = truth.sample(10_000, 1_000, 500, 1_000);
        for bad in [
            ClockSample {
                far_sent_us: good.far_received_us - 1,
                ..good
            },
            ClockSample {
                received: MonoTime::from_us(9_999),
                ..good
            },
            ClockSample {
                far_sent_us: good.far_received_us + 100_000,
                ..good
            },
        ] {
            assert_eq!(clock.on_sample(bad), SampleUse::Rejected);
        }
        assert_eq!(clock.rejected(), 3);
        assert_eq!(clock.to_local(60_000), before);
    }

    // [WIRE-91]
    #[test]
    fn after_a_step_of_the_far_clock_the_newest_sample_is_the_truth() {
        let before = Truth {
            offset_us: 0,
            ppm: 0,
        };
        let after = Truth {
            offset_us: 5_000_000,
            ppm: 0,
        };
        let mut clock = FarClock::new();
        clock.on_sample(before.sample(0, 1_000, 0, 1_000));
        assert_eq!(
            clock.age(ms(20), after.far(19_000)),
            None,
            "from the future"
        );
        assert_eq!(
            clock.on_sample(after.sample(20_000, 1_000, 0, 1_000)),
            SampleUse::Stepped
        );
        assert_eq!(clock.stepped(), 1);
        assert!(holds(clock.age(ms(40), after.far(30_000)).unwrap(), 10_000));
        assert_eq!(
            clock.on_sample(before.sample(5_000, 1_000, 0, 1_000)),
            SampleUse::Rejected,
            "an older one does not bring the old truth back"
        );
        assert!(holds(clock.age(ms(40), after.far(30_000)).unwrap(), 10_000));
    }

    #[test]
    fn a_wide_or_old_sample_never_widens_what_is_known() {
        let truth = Truth {
            offset_us: -3_000,
            ppm: 0,
        };
        let mut clock = FarClock::new();
        clock.on_sample(truth.sample(1_000_000, 1_000, 0, 1_000));
        let error = clock.error(ms(1_100));
        assert_eq!(
            clock.on_sample(truth.sample(900_000, 50_000, 40_000, 90_000)),
            SampleUse::Agreed
        );
        assert!(clock.error(ms(1_100)) <= error);
    }

    proptest! {
        // [WIRE-89] [WIRE-90]
        #[test]
        fn the_true_age_is_always_within_the_error(
            offset_us in 100_000_000_i64..10_000_000_000,
            ppm in -200_i64..=200,
            samples in prop::collection::vec(
                (0_u64..3_000_000, 0_u64..400_000, 0_u64..50_000, 0_u64..400_000, 0_u64..2_000_000),
                1..40,
            ),
        ) {
            let truth = Truth { offset_us, ppm };
            let mut clock = FarClock::new();
            let mut now = 0;
            for (wait, up, held, down, true_age) in samples {
                now += wait;
                let sample = truth.sample(now, up, held, down);
                prop_assert_eq!(clock.on_sample(sample), SampleUse::Agreed);
                now = sample.received.as_us() + true_age;
                let sent = now - true_age;
                let age = clock.age(MonoTime::from_us(now), truth.far(sent)).unwrap();
                prop_assert!(holds(age, true_age), "{:?} for {}", age, true_age);
                prop_assert!(age.error >= Duration::from_micros(0));
            }
        }
    }
}
