//! How long until an event is posted again.

use std::time::Duration;

/// After so many attempts that failed: twice as long each time up to an hour, and a quarter less or more by chance, so that not all
/// come at once when a receiver is back. `random` is any number.
pub(super) fn wait(failed: u32, random: u64) -> Duration {
    let doublings = failed.saturating_sub(1).min(DOUBLINGS_MAX);
    let middle = (FIRST * 2_u32.pow(doublings)).min(MOST);
    let permille = u32::try_from(random % 501).unwrap_or(0) + 750;
    middle * permille / 1_000
}

/// What a receiver asks for with `Retry-After`, as far as it is heard.
pub(super) fn wish(header: Option<&str>) -> Duration {
    let seconds = header.and_then(|text| text.trim().parse().ok());
    Duration::from_secs(seconds.unwrap_or(0)).min(MOST)
}

/// After the first attempt.
const FIRST: Duration = Duration::from_secs(1);
/// Between two attempts.
pub(super) const MOST: Duration = Duration::from_secs(3_600);
/// With which the first wait is longer than the longest.
const DOUBLINGS_MAX: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_an_hour_and_differ_by_chance() {
        let middle = |failed| wait(failed, 250).as_secs();
        assert_eq!(
            [1, 2, 3, 12, 13, 90].map(middle),
            [1, 2, 4, 2048, 3600, 3600]
        );
        assert_eq!(wait(1, 0), Duration::from_millis(750));
        assert_eq!(wait(1, 500), Duration::from_millis(1_250));
        assert_eq!(wait(u32::MAX, 501), Duration::from_secs(2_700));
    }

    #[test]
    fn the_attempts_of_the_default_are_made_in_about_a_day() {
        let seconds: u64 = (1..36).map(|failed| wait(failed, 250).as_secs()).sum();
        assert_eq!(seconds / 3_600, 24);
    }

    #[test]
    fn a_receiver_may_ask_for_an_hour_at_most() {
        assert_eq!(wish(Some("120")), Duration::from_secs(120));
        assert_eq!(wish(Some("99999")), MOST);
        assert_eq!(wish(Some("Wed, 21 Oct 2026 07:28:00 GMT")), Duration::ZERO);
        assert_eq!(wish(None), Duration::ZERO);
    }
}
