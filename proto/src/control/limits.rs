//! What the agent enforces on typed commands, whatever is sent.

use std::time::Duration;

/// Bounds of the typed drive command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriveLimits {
    /// Highest speed in both directions, in mm/s (SAFE-50).
    pub speed_max_mm_s: u16,
    /// Highest curvature in both directions, in 1/km (SAFE-50).
    pub curvature_max_per_km: u16,
    /// Commands a second (SAFE-51).
    pub rate_max_hz: u16,
    /// How fast speed may grow, in mm/s²; slowing down is never limited (SAFE-53).
    pub acceleration_max_mm_s2: Option<u16>,
    /// How fast curvature may change, in 1/km per second (SAFE-54).
    pub steering_max_per_km_s: Option<u16>,
    /// Whether the highest speed falls with the delay between picture and motion (SAFE-55).
    pub latency_cap: bool,
    /// How old the picture may be that the operator saw (SAFE-56).
    pub picture_age_max: Option<Duration>,
}

impl DriveLimits {
    /// The delay for which the highest speed is made: a longer one lowers the speed in proportion.
    pub const LATENCY_REFERENCE: Duration = Duration::from_millis(200);

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
            acceleration_max_mm_s2: None,
            steering_max_per_km_s: None,
            latency_cap: false,
            picture_age_max: None,
        })
    }

    /// The highest speed when picture and command together are this old, in mm/s.
    // [SAFE-55]
    pub(super) fn speed_max(&self, delay: Duration) -> u16 {
        if !self.latency_cap || delay <= Self::LATENCY_REFERENCE {
            return self.speed_max_mm_s;
        }
        let allowed = u128::from(self.speed_max_mm_s) * Self::LATENCY_REFERENCE.as_micros()
            / delay.as_micros();
        u16::try_from(allowed).unwrap_or(self.speed_max_mm_s)
    }
}

/// Why bounds are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriveLimitsError {
    /// No commands a second.
    #[error("the highest rate of commands must not be zero")]
    RateZero,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_of_zero_is_refused() {
        assert_eq!(DriveLimits::new(1, 1, 0), Err(DriveLimitsError::RateZero));
    }

    /// SAFE-55
    #[test]
    fn the_highest_speed_falls_with_the_delay() {
        let mut limits = DriveLimits::new(5_000, 300, 50).unwrap();
        let at = |limits: &DriveLimits, ms| limits.speed_max(Duration::from_millis(ms));
        assert_eq!(at(&limits, 10_000), 5_000, "only where it is wanted");
        limits.latency_cap = true;
        for (ms, speed) in [
            (0, 5_000),
            (200, 5_000),
            (250, 4_000),
            (400, 2_500),
            (10_000, 100),
        ] {
            assert_eq!(at(&limits, ms), speed, "{ms}");
        }
        assert_eq!(limits.speed_max(Duration::MAX), 0);
    }
}
