//! How far two nodes' wall clocks are apart.

use std::time::Duration;

use crate::session::Age;

/// How far the other end's wall clock is ahead of the own one, as a session's samples of the monotonic clocks tell. For records and
/// people: nothing is decided by it.
// [WIRE-166]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockDifference {
    /// In milliseconds; negative when it is behind.
    pub ahead_ms: i64,
    /// How far that may be wrong.
    pub error: Duration,
}

impl ClockDifference {
    /// From what the other clock showed as a message was sent, how old that is, and what the own clock shows.
    pub(super) fn new(their_unix_ms: u64, age: Age, own_unix_ms: u64) -> ClockDifference {
        let age_ms = i64::try_from(age.age.as_millis()).unwrap_or(i64::MAX);
        let ms = |unix_ms: u64| i64::try_from(unix_ms).unwrap_or(i64::MAX);
        ClockDifference {
            ahead_ms: ms(their_unix_ms)
                .saturating_add(age_ms)
                .saturating_sub(ms(own_unix_ms)),
            // Both readings are whole milliseconds.
            error: age.error + Duration::from_millis(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // [WIRE-166]
    #[test]
    fn the_age_of_a_reading_counts_and_its_error_too() {
        let age = Age {
            age: Duration::from_millis(30),
            error: Duration::from_millis(7),
        };
        for (theirs, own, ahead_ms) in [
            (1_000_000, 1_000_030, 0),
            (1_049_000, 1_000_030, 49_000),
            (951_000, 1_000_030, -49_000),
            (0, 1_893_456_000_000, -1_893_455_999_970),
        ] {
            let difference = ClockDifference::new(theirs, age, own);
            assert_eq!(difference.ahead_ms, ahead_ms);
            assert_eq!(difference.error, Duration::from_millis(8));
        }
    }
}
