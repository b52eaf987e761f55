//! What the agent enforces on typed commands, whatever is sent.

use std::time::Duration;

use crate::base::{MonoTime, Refusal};
use crate::wire::Drive;

/// Bounds of the typed drive command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriveLimits {
    speed_max_mm_s: u16,
    curvature_max_per_km: u16,
    rate_max_hz: u16,
}

impl DriveLimits {
    /// These bounds: of speed and curvature in both directions, and of commands a second.
    ///
    /// # Errors
    /// When the rate is zero: nothing could ever be commanded.
    pub const fn new(
        speed_max_mm_s: u16,
        curvature_max_per_km: u16,
        rate_max_hz: u16,
    ) -> Result<DriveLimits, DriveLimitsError> {
        if rate_max_hz == 0 {
            return Err(DriveLimitsError::RateZero);
        }
        Ok(DriveLimits {
            speed_max_mm_s,
            curvature_max_per_km,
            rate_max_hz,
        })
    }

    /// The command within the bounds (SAFE-50).
    pub fn clamp(&self, drive: Drive) -> Drive {
        Drive {
            speed_mm_s: within(drive.speed_mm_s, self.speed_max_mm_s),
            curvature_per_km: within(drive.curvature_per_km, self.curvature_max_per_km),
        }
    }
}

/// Why bounds are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriveLimitsError {
    /// No commands a second.
    #[error("the highest rate of commands must not be zero")]
    RateZero,
}

/// A token bucket that holds [`Limiter::BURST`] worth of commands.
#[derive(Clone, Debug)]
pub struct Limiter {
    period: Duration,
    /// When the bucket is full again: each command moves it one period on.
    full_at: MonoTime,
}

impl Limiter {
    /// Commands that a cut path held back arrive together; this much of them is taken at once.
    pub const BURST: Duration = Duration::from_millis(200);

    /// A full bucket that refills at the limits' rate.
    pub fn new(limits: &DriveLimits) -> Limiter {
        Limiter {
            period: Duration::from_secs(1) / u32::from(limits.rate_max_hz.max(1)),
            full_at: MonoTime::ZERO,
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
}

fn within(value: i16, max: u16) -> i16 {
    let max = i16::try_from(max).unwrap_or(i16::MAX);
    value.clamp(-max, max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SAFE-50
    #[test]
    fn speed_and_curvature_are_clamped_in_both_directions() {
        let limits = DriveLimits::new(2_000, 300, 50).unwrap();
        let clamp = |speed_mm_s, curvature_per_km| {
            let drive = limits.clamp(Drive {
                speed_mm_s,
                curvature_per_km,
            });
            (drive.speed_mm_s, drive.curvature_per_km)
        };
        assert_eq!(clamp(1_999, -299), (1_999, -299));
        assert_eq!(clamp(i16::MAX, i16::MIN), (2_000, -300));
        assert_eq!(clamp(i16::MIN, i16::MAX), (-2_000, 300));
        let wide = DriveLimits::new(u16::MAX, u16::MAX, 1).unwrap();
        assert_eq!(
            wide.clamp(Drive {
                speed_mm_s: i16::MIN,
                curvature_per_km: 0
            })
            .speed_mm_s,
            -i16::MAX
        );
    }

    /// SAFE-51
    #[test]
    fn commands_above_the_rate_are_refused_after_a_burst() {
        let limits = DriveLimits::new(1, 1, 50).unwrap();
        let mut limiter = Limiter::new(&limits);
        let now = MonoTime::from_us(1_000_000);
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
    fn a_rate_of_one_a_second_takes_one_a_second_and_zero_is_refused() {
        let mut limiter = Limiter::new(&DriveLimits::new(1, 1, 1).unwrap());
        let now = MonoTime::from_us(5_000_000);
        assert_eq!(limiter.on_command(now, false), Ok(()));
        let soon = now + Duration::from_millis(999);
        assert_eq!(limiter.on_command(soon, false), Err(Refusal::TooOften));
        let later = now + Duration::from_secs(1);
        assert_eq!(limiter.on_command(later, false), Ok(()));
        assert_eq!(DriveLimits::new(1, 1, 0), Err(DriveLimitsError::RateZero));
    }
}
