//! Holds typed commands to their bounds.

use std::time::Duration;

use super::DriveLimits;
use crate::base::{MonoTime, Refusal};
use crate::wire::Drive;

/// Holds the typed commands of one function to its bounds: how often they come, how fast, how much faster than before.
#[derive(Clone, Debug)]
pub struct Limiter {
    limits: DriveLimits,
    period: Duration,
    /// When the bucket of commands is full again: each command moves it one period on.
    full_at: MonoTime,
    /// What was applied last.
    last: Option<Drive>,
    /// Up to when the changes of speed and of curvature have used up their time.
    speed_at: MonoTime,
    curvature_at: MonoTime,
}

impl Limiter {
    /// Commands that a cut path held back arrive together; this much of them is taken at once.
    pub const BURST: Duration = Duration::from_millis(200);
    /// Time between two commands that counts for a change of speed or curvature at most: after a longer silence a vehicle is
    /// not let go faster at once.
    pub const STEP_MAX: Duration = Duration::from_millis(100);

    /// With a full bucket of commands that refills at the limits' rate.
    pub fn new(limits: DriveLimits) -> Limiter {
        Limiter {
            limits,
            period: Duration::from_secs(1) / u32::from(limits.rate_max_hz.max(1)),
            full_at: MonoTime::ZERO,
            last: None,
            speed_at: MonoTime::ZERO,
            curvature_at: MonoTime::ZERO,
        }
    }

    /// A command is there. One that asks for no motion is never refused for its rate (SAFE-51).
    ///
    /// # Errors
    /// `TooOften` when the bucket is empty.
    pub fn on_command(&mut self, now: MonoTime, neutral: bool) -> Result<(), Refusal> {
        let full_at = self.full_at.max(now) + self.period;
        // One command always fits, also at rates below one in a burst.
        let capacity = Self::BURST.max(self.period);
        if full_at > now + capacity {
            return if neutral {
                Ok(())
            } else {
                Err(Refusal::TooOften)
            };
        }
        self.full_at = full_at;
        Ok(())
    }

    /// Whether the operator saw what is there now, as far as that is asked for; a neutral command needs no picture.
    ///
    /// # Errors
    /// `OldPicture` when the picture is too old, or its age is not said.
    // [SAFE-56]
    pub fn check_picture(&self, age: Option<Duration>, neutral: bool) -> Result<(), Refusal> {
        match self.limits.picture_age_max {
            Some(max) if !neutral && age.is_none_or(|age| age > max) => Err(Refusal::OldPicture),
            Some(_) | None => Ok(()),
        }
    }

    /// The command within the bounds, `delay` after what the operator saw, or after it was sent when no picture is told of.
    // [SAFE-50] [SAFE-53] [SAFE-54] [SAFE-55]
    pub fn clamp(&self, now: MonoTime, drive: Drive, delay: Duration) -> Drive {
        let limits = &self.limits;
        let speed = within(drive.speed_mm_s, limits.speed_max(delay));
        let curvature = within(drive.curvature_per_km, limits.curvature_max_per_km);
        let last = self.last.unwrap_or(Drive::NEUTRAL);
        Drive {
            speed_mm_s: match limits.acceleration_max_mm_s2 {
                Some(max) => grown(
                    speed,
                    last.speed_mm_s,
                    change(max, step(now, self.speed_at, max)),
                ),
                None => speed,
            },
            curvature_per_km: match limits.steering_max_per_km_s {
                Some(max) => near(
                    curvature,
                    last.curvature_per_km,
                    change(max, step(now, self.curvature_at, max)),
                ),
                None => curvature,
            },
        }
    }

    /// This command was applied.
    pub fn on_applied(&mut self, now: MonoTime, drive: Drive) {
        let last = self.last.replace(drive).unwrap_or(Drive::NEUTRAL);
        let turned = drive.curvature_per_km.abs_diff(last.curvature_per_km);
        let same_way = (drive.speed_mm_s > 0) == (last.speed_mm_s > 0);
        let from = if same_way {
            last.speed_mm_s.unsigned_abs()
        } else {
            0
        };
        let grown = drive.speed_mm_s.unsigned_abs().saturating_sub(from);
        let limits = &self.limits;
        self.speed_at = used(now, self.speed_at, limits.acceleration_max_mm_s2, grown);
        self.curvature_at = used(now, self.curvature_at, limits.steering_max_per_km_s, turned);
    }

    /// Nothing is in force any more: the vehicle comes to a stand, and speed grows from there.
    pub fn on_nothing_in_force(&mut self) {
        if let Some(drive) = &mut self.last {
            drive.speed_mm_s = 0;
        }
    }
}

/// The speed that may be commanded after the last one: slower at once, faster only by this change, and in the other direction
/// only from a stand.
fn grown(speed: i16, last: i16, change: i16) -> i16 {
    if speed == 0 || last == 0 || (speed > 0) != (last > 0) {
        return speed.clamp(change.saturating_neg(), change);
    }
    if speed > 0 {
        speed.min(last.saturating_add(change))
    } else {
        speed.max(last.saturating_sub(change))
    }
}

/// The time that a change of `max` a second may use now: at least that of a whole unit and what is left of the one before.
fn step(now: MonoTime, at: MonoTime, max: u16) -> Duration {
    let units = Duration::from_secs(2) / u32::from(max.max(1));
    now.since(at).min(Limiter::STEP_MAX.max(units))
}

/// Up to when a change has used up its time: what was not enough for a whole unit counts for the next one.
fn used(now: MonoTime, at: MonoTime, max: Option<u16>, units: u16) -> MonoTime {
    let Some(max) = max else { return now };
    let begin = now.before(step(now, at, max));
    let used = Duration::from_secs(1) * u32::from(units) / u32::from(max.max(1));
    (begin + used).min(now)
}

/// How much something may change in this time, at `max` a second.
fn change(max: u16, step: Duration) -> i16 {
    let change = u128::from(max) * step.as_micros() / 1_000_000;
    i16::try_from(change).unwrap_or(i16::MAX)
}

fn within(value: i16, max: u16) -> i16 {
    let max = i16::try_from(max).unwrap_or(i16::MAX);
    value.clamp(-max, max)
}

fn near(value: i16, last: i16, change: i16) -> i16 {
    value.clamp(last.saturating_sub(change), last.saturating_add(change))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(rate_max_hz: u16) -> DriveLimits {
        DriveLimits::new(2_000, 300, rate_max_hz).unwrap()
    }

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_us(5_000_000 + ms * 1_000)
    }

    fn drive(speed_mm_s: i16, curvature_per_km: i16) -> Drive {
        Drive {
            speed_mm_s,
            curvature_per_km,
        }
    }

    /// Commands this each 20 ms, and what is applied.
    fn ask(limiter: &mut Limiter, ticks: std::ops::Range<u64>, wanted: Drive) -> Drive {
        let mut applied = drive(0, 0);
        for tick in ticks {
            let now = at(20 * tick);
            applied = limiter.clamp(now, wanted, Duration::ZERO);
            limiter.on_applied(now, applied);
        }
        applied
    }

    /// SAFE-50
    #[test]
    fn speed_and_curvature_are_clamped_in_both_directions() {
        let limiter = Limiter::new(limits(50));
        let clamp = |speed, curvature| {
            let drive = limiter.clamp(at(0), drive(speed, curvature), Duration::ZERO);
            (drive.speed_mm_s, drive.curvature_per_km)
        };
        assert_eq!(clamp(1_999, -299), (1_999, -299));
        assert_eq!(clamp(i16::MAX, i16::MIN), (2_000, -300));
        assert_eq!(clamp(i16::MIN, i16::MAX), (-2_000, 300));
        let wide = Limiter::new(DriveLimits::new(u16::MAX, u16::MAX, 1).unwrap());
        let least = wide.clamp(at(0), drive(i16::MIN, 0), Duration::ZERO);
        assert_eq!(least.speed_mm_s, -i16::MAX);
    }

    /// SAFE-51
    #[test]
    fn commands_above_the_rate_are_refused_after_a_burst() {
        let mut limiter = Limiter::new(limits(50));
        let now = at(0);
        let taken = (0..100)
            .filter(|_| limiter.on_command(now, false).is_ok())
            .count();
        assert_eq!(taken, 10, "200 ms of 50 Hz");
        assert_eq!(limiter.on_command(now, false), Err(Refusal::TooOften));
        assert_eq!(limiter.on_command(now, true), Ok(()), "neutral");
        let later = now + Duration::from_millis(20);
        assert_eq!(limiter.on_command(later, false), Ok(()));
        assert_eq!(limiter.on_command(later, false), Err(Refusal::TooOften));
    }

    #[test]
    fn a_rate_of_one_a_second_takes_one_a_second() {
        let mut limiter = Limiter::new(limits(1));
        assert_eq!(limiter.on_command(at(0), false), Ok(()));
        assert_eq!(limiter.on_command(at(999), false), Err(Refusal::TooOften));
        assert_eq!(limiter.on_command(at(1_000), false), Ok(()));
    }

    /// SAFE-53
    #[test]
    fn speed_grows_step_by_step_and_falls_at_once() {
        let mut limiter = Limiter::new(DriveLimits {
            acceleration_max_mm_s2: Some(1_000),
            ..limits(50)
        });
        // The first command has no longer to accelerate than any after a silence.
        assert_eq!(ask(&mut limiter, 0..1, drive(2_000, 0)).speed_mm_s, 100);
        assert_eq!(ask(&mut limiter, 1..46, drive(2_000, 0)).speed_mm_s, 1_000);
        assert_eq!(ask(&mut limiter, 46..47, drive(100, 0)).speed_mm_s, 100);
        let back = ask(&mut limiter, 47..48, drive(-900, 0)).speed_mm_s;
        assert!((-100..=-20).contains(&back), "{back}");
        assert_eq!(ask(&mut limiter, 48..49, drive(0, 0)).speed_mm_s, 0);
        // A long silence does not count as time to accelerate, and a stop in between begins anew.
        assert_eq!(ask(&mut limiter, 500..501, drive(900, 0)).speed_mm_s, 100);
        limiter.on_nothing_in_force();
        assert_eq!(ask(&mut limiter, 501..502, drive(900, 0)).speed_mm_s, 20);
    }

    /// SAFE-54
    #[test]
    fn the_wheels_turn_step_by_step_in_both_directions() {
        let mut limiter = Limiter::new(DriveLimits {
            steering_max_per_km_s: Some(500),
            ..limits(50)
        });
        assert_eq!(ask(&mut limiter, 0..1, drive(0, 300)).curvature_per_km, 50);
        assert_eq!(ask(&mut limiter, 1..6, drive(0, 300)).curvature_per_km, 100);
        assert_eq!(ask(&mut limiter, 6..7, drive(0, -300)).curvature_per_km, 90);
        limiter.on_nothing_in_force();
        assert_eq!(
            ask(&mut limiter, 7..8, drive(0, -300)).curvature_per_km,
            80,
            "the wheels stay where they are"
        );
    }

    /// SAFE-53 SAFE-54
    #[test]
    fn slow_changes_add_up_however_often_commands_come() {
        for (rate, ticks) in [(40, 250), (90, 100), (7, 500)] {
            let mut limiter = Limiter::new(DriveLimits {
                acceleration_max_mm_s2: Some(rate),
                steering_max_per_km_s: Some(rate),
                ..limits(50)
            });
            let applied = ask(&mut limiter, 0..ticks, drive(2_000, 300));
            let due = i64::from(rate) * i64::try_from(ticks).unwrap() / 50;
            for got in [applied.speed_mm_s, applied.curvature_per_km] {
                // The first command has the time of a few.
                let over = i64::from(got) - due;
                assert!(
                    (-1..=i64::from(rate) / 10 + 2).contains(&over),
                    "{rate}: {got}"
                );
            }
        }
    }

    /// SAFE-55
    #[test]
    fn a_late_command_may_only_drive_slowly() {
        let limiter = Limiter::new(DriveLimits {
            latency_cap: true,
            ..limits(50)
        });
        let late = limiter.clamp(at(0), drive(-2_000, 50), Duration::from_millis(400));
        assert_eq!(late, drive(-1_000, 50));
    }

    /// SAFE-56
    #[test]
    fn motion_needs_a_picture_that_is_new_enough_where_one_is_asked_for() {
        let ms = Duration::from_millis;
        let any = Limiter::new(limits(50));
        assert_eq!(any.check_picture(None, false), Ok(()));
        let strict = Limiter::new(DriveLimits {
            picture_age_max: Some(ms(300)),
            ..limits(50)
        });
        assert_eq!(strict.check_picture(Some(ms(300)), false), Ok(()));
        let refused = Err(Refusal::OldPicture);
        assert_eq!(strict.check_picture(Some(ms(301)), false), refused);
        assert_eq!(strict.check_picture(None, false), refused);
        assert_eq!(strict.check_picture(None, true), Ok(()), "neutral");
    }
}
