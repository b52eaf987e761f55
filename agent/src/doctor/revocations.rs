//! The list of revocations that the agent knows.

use std::time::Duration;

use longrein_io::{clock, date};
use longrein_proto::crypto::Fleet;
use rustls_pki_types::UnixTime;

use super::finding::Finding;

/// What is known of the list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// Its number; 0 when there is none.
    number: u64,
    made: UnixTime,
    /// How old it may be, if the configuration asks for one.
    max_age: Option<Duration>,
    now: UnixTime,
}

impl Facts {
    pub(super) fn of(fleet: &Fleet, max_age: Option<Duration>) -> Facts {
        let (number, made_s) = fleet.revocations_made();
        Facts {
            number,
            made: UnixTime::since_unix_epoch(Duration::from_secs(made_s)),
            max_age,
            now: fleet.time(clock::unix_time()),
        }
    }
}

pub(super) fn findings(facts: Facts) -> Vec<Finding> {
    vec![finding(facts)]
}

fn finding(facts: Facts) -> Finding {
    let check = "revocations";
    let (number, made) = (facts.number, date::utc(facts.made));
    let age = Duration::from_secs(facts.now.as_secs().saturating_sub(facts.made.as_secs()));
    let advice = "see that `longrein authority serve` runs behind a relay: it brings the list";
    match facts.max_age {
        Some(_) if number == 0 => {
            let what =
                "no list is known, and `revocations_max_age_h` asks for one: nobody gets a session";
            Finding::fail(check, what, advice)
        }
        Some(max_age) if age > max_age => {
            let what = format!(
                "list {number} of {made} is older than `revocations_max_age_h` allows: nobody gets a session"
            );
            Finding::fail(check, what, advice)
        }
        Some(_) | None if number > 0 => {
            Finding::ok(check, format!("list {number} of {made} is known"))
        }
        Some(_) | None => Finding::ok(check, "no list is known, and none is asked for"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_list_that_is_asked_for_has_to_be_there_and_young() {
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        let at = |hour: u64| UnixTime::since_unix_epoch(hours(500_000 + hour));
        for (number, age_h, max_age_h, level) in [
            (0, 0, None, Level::Ok),
            (0, 0, Some(24), Level::Fail),
            (7, 24, Some(24), Level::Ok),
            (7, 25, Some(24), Level::Fail),
            (7, 999, None, Level::Ok),
        ] {
            let found = finding(Facts {
                number,
                made: at(0),
                max_age: max_age_h.map(hours),
                now: at(age_h),
            });
            assert_eq!(found.level, level, "{found:?}");
        }
    }
}
