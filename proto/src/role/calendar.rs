//! Which day it is, for what a link may carry in one.

use rustls_pki_types::UnixTime;

use crate::base::MonoTime;
use crate::base::limits::CLOCKS_AGREE;

/// Counts days by the monotonic clock from the first time on that is known: no setting of the wall clock begins another day while the
/// program runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Calendar {
    /// Seconds since 1970 at a moment of the monotonic clock.
    since: Option<(MonoTime, u64)>,
}

impl Calendar {
    /// Days since 1970. Until the wall clock agrees with the time that has passed for sure, the latter counts, and it may leap once: a
    /// machine that was off does not know for how long.
    // [SAFE-111]
    pub(super) fn day(&mut self, now: MonoTime, known: UnixTime, wall: UnixTime) -> u64 {
        let (known_s, wall_s) = (known.as_secs(), wall.as_secs());
        if self.since.is_none() && known_s.abs_diff(wall_s) <= CLOCKS_AGREE.as_secs() {
            self.since = Some((now, known_s.max(wall_s)));
        }
        let now_s = match self.since {
            Some((at, at_s)) => at_s.saturating_add(now.since(at).as_secs()),
            None => known_s,
        };
        now_s / DAY_S
    }
}

const DAY_S: u64 = 86_400;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(hours: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_secs(hours * 3_600)
    }

    /// Hours since 1970.
    fn unix(hours: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(hours * 3_600))
    }

    // [SAFE-111]
    #[test]
    fn a_clock_that_jumps_while_the_program_runs_begins_no_day() {
        let mut calendar = Calendar::default();
        let noon = 24 * 20_000 + 12;
        assert_eq!(calendar.day(at(0), unix(noon - 1), unix(noon)), 20_000);
        // A day ahead, believed after a while, then back, then in 1970.
        for (known, wall) in [(1, 25), (25, 25), (25, 1)] {
            let day = calendar.day(at(1), unix(noon + known), unix(noon + wall));
            assert_eq!(day, 20_000);
        }
        assert_eq!(calendar.day(at(11), unix(noon + 25), unix(0)), 20_000);
        assert_eq!(calendar.day(at(12), unix(noon + 25), unix(0)), 20_001);
        assert_eq!(calendar.day(at(36), unix(noon + 99), unix(0)), 20_002);
    }

    // [SAFE-111]
    #[test]
    fn a_machine_that_was_off_leaps_once_to_the_day_that_is_known_in_the_end() {
        let mut calendar = Calendar::default();
        let kept = 24 * 20_000 + 12;
        // A clock that begins in 1970, then one that is set and not believed yet, then believed.
        assert_eq!(calendar.day(at(0), unix(kept), unix(0)), 20_000);
        let set = kept + 72;
        assert_eq!(calendar.day(at(1), unix(kept + 1), unix(set)), 20_000);
        assert_eq!(calendar.day(at(2), unix(set + 1), unix(set + 1)), 20_003);
        assert_eq!(calendar.day(at(3), unix(set + 99), unix(set + 99)), 20_003);
    }

    #[test]
    fn without_any_clock_the_time_that_has_passed_makes_days() {
        let mut calendar = Calendar::default();
        let kept = 24 * 20_000;
        assert_eq!(calendar.day(at(0), unix(kept), unix(0)), 20_000);
        assert_eq!(calendar.day(at(24), unix(kept + 24), unix(24)), 20_001);
    }
}
