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
    /// What was applied last, and when.
    last: Option<(Drive, MonoTime)>,
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
        let step = self.step(now);
        Drive {
            speed_mm_s: match limits.acceleration_max_mm_s2 {
                Some(max) => self.grown(speed, change(max, step)),
                None => speed,
            },
            curvature_per_km: match (limits.steering_max_per_km_s, self.last) {
                (Some(max), Some((last, _))) => {
                    near(curvature, last.curvature_per_km, change(max, step))
                }
                (Some(max), None) => near(curvature, 0, change(max, step)),
                (None, _) => curvature,
            },
        }
    }

    /// This command was applied.
    pub fn on_applied(&mut self, now: MonoTime, drive: Drive) {
        self.last = Some((drive, now));
    }

    /// Nothing is in force any more: the vehicle comes to a stand, and speed grows from there.
    pub fn on_nothing_in_force(&mut self) {
        if let Some((drive, _)) = &mut self.last {
            drive.speed_mm_s = 0;
        }
    }

    /// The speed that may be commanded after the last one: slower at once, faster only by this change, and in the other
    /// direction only from a stand.
    fn grown(&self, speed: i16, change: i16) -> i16 {
        let last = self.last.map_or(0, |(drive, _)| drive.speed_mm_s);
        if speed == 0 || last == 0 || (speed > 0) != (last > 0) {
            return speed.clamp(change.saturating_neg(), change);
        }
        if speed > 0 {
            speed.min(last.saturating_add(change))
        } else {
            speed.max(last.saturating_sub(change))
        }
    }

    fn step(&self, now: MonoTime) -> Duration {
        let since = self.last.map_or(self.period, |(_, at)| now.since(at));
        since.min(Self::STEP_MAX)
    }
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
        assert_eq!(ask(&mut limiter, 0..1, drive(2_000, 0)).speed_mm_s, 20);
        assert_eq!(ask(&mut limiter, 1..50, drive(2_000, 0)).speed_mm_s, 1_000);
        assert_eq!(ask(&mut limiter, 50..51, drive(100, 0)).speed_mm_s, 100);
        assert_eq!(ask(&mut limiter, 51..52, drive(-900, 0)).speed_mm_s, -20);
        assert_eq!(ask(&mut limiter, 52..53, drive(0, 0)).speed_mm_s, 0);
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
        assert_eq!(ask(&mut limiter, 0..1, drive(0, 300)).curvature_per_km, 10);
        assert_eq!(
            ask(&mut limiter, 1..10, drive(0, 300)).curvature_per_km,
            100
        );
        assert_eq!(
            ask(&mut limiter, 10..11, drive(0, -300)).curvature_per_km,
            90
        );
        limiter.on_nothing_in_force();
        assert_eq!(
            ask(&mut limiter, 11..12, drive(0, -300)).curvature_per_km,
            80,
            "the wheels stay where they are"
        );
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
