//! Wall-clock times for people.

use rustls_pki_types::UnixTime;
use std::time::Duration;

/// As `2026-11-21 09:30 UTC`.
pub fn utc(time: UnixTime) -> String {
    let seconds = time.as_secs();
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute) = (of_day / 3_600, of_day % 3_600 / 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

/// As `2026-11-21 09:30:00.000123 UTC`, of µs since 1970.
pub fn utc_us(us: u64) -> String {
    let (seconds, us) = (us / 1_000_000, us % 1_000_000);
    let minute = utc(UnixTime::since_unix_epoch(Duration::from_secs(seconds)));
    let minute = minute.trim_end_matches(" UTC");
    format!("{minute}:{:02}.{us:06} UTC", seconds % 60)
}

/// Year, month and day of a day since 1970 in the Gregorian calendar, counted in eras of 400 years that begin in March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_767_225_599, "2025-12-31 23:59 UTC"),
            (1_795_253_400, "2026-11-21 09:30 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            assert_eq!(utc(time), text);
        }
        assert_eq!(
            utc_us(1_795_253_407_000_123),
            "2026-11-21 09:30:07.000123 UTC"
        );
    }
}
