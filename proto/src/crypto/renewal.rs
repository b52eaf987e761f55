//! When a node has its certificate renewed.

use std::time::Duration;

use rustls_pki_types::UnixTime;

use crate::base::limits::{
    CERTIFICATE_EARLY, RENEWAL_APART_MAX, RENEWAL_APART_MIN, RENEWALS_PER_LIFE,
};

/// From when on a certificate with these dates is to be renewed: when two thirds of its life are over.
// [WIRE-150]
pub fn renewal_due(not_before: UnixTime, not_after: UnixTime) -> UnixTime {
    let (begin, life) = life(not_before, not_after);
    UnixTime::since_unix_epoch(begin + life / 3 * 2)
}

/// Between attempts to renew a certificate with these dates: about a hundred in the last third of its life.
// [WIRE-150]
pub fn renewal_apart(not_before: UnixTime, not_after: UnixTime) -> Duration {
    let (_, life) = life(not_before, not_after);
    (life / RENEWALS_PER_LIFE).clamp(RENEWAL_APART_MIN, RENEWAL_APART_MAX)
}

/// When a certificate was made, as time since 1970, and for how long.
fn life(not_before: UnixTime, not_after: UnixTime) -> (Duration, Duration) {
    let end = Duration::from_secs(not_after.as_secs());
    let begin = Duration::from_secs(not_before.as_secs()).saturating_add(CERTIFICATE_EARLY);
    let begin = begin.min(end);
    (begin, end - begin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::test_authority::at;

    const HOUR_S: u64 = 3_600;
    const DAY_S: u64 = 24 * HOUR_S;

    /// Dates of a certificate that the authority made at 1,000,000 s.
    fn made(life_s: u64) -> (UnixTime, UnixTime) {
        let early_s = CERTIFICATE_EARLY.as_secs();
        (at(1_000_000 - early_s), at(1_000_000 + life_s))
    }

    // [WIRE-150]
    #[test]
    fn a_certificate_is_renewed_when_two_thirds_of_its_life_are_over() {
        for (life_s, due_s) in [
            (12, 8),
            (12 * HOUR_S, 8 * HOUR_S),
            (365 * DAY_S, 365 * DAY_S * 2 / 3),
            (0, 0),
        ] {
            let (not_before, not_after) = made(life_s);
            assert_eq!(renewal_due(not_before, not_after), at(1_000_000 + due_s));
        }
        // Nobody knows what another authority does; it is never after the end.
        assert_eq!(renewal_due(at(7), at(8)), at(8));
        assert_eq!(
            renewal_due(at(0), at(u64::MAX)).as_secs(),
            u64::MAX / 3 * 2 + 100
        );
    }

    // [WIRE-150]
    #[test]
    fn there_is_time_for_many_attempts_and_none_follows_at_once() {
        for (life_s, apart_s) in [(12, 1), (12 * HOUR_S, 144), (365 * DAY_S, HOUR_S)] {
            let (not_before, not_after) = made(life_s);
            let apart = renewal_apart(not_before, not_after);
            assert_eq!(apart, Duration::from_secs(apart_s));
        }
    }
}
