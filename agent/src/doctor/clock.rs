//! The wall clock: certificates are judged by it.

use longrein_io::{clock, date};
use rustix::time::{ClockId, DynamicClockId, clock_gettime_dynamic};
use rustls_pki_types::UnixTime;

use super::asked::asked;
use super::finding::Finding;

/// What is known of the machine's clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    wall: UnixTime,
    /// It is later than this for sure.
    known: UnixTime,
    /// Whether something keeps it right; none when nobody says.
    is_kept: Option<bool>,
    /// Whether there is a clock that counts while the machine is suspended.
    has_boottime: bool,
}

impl Facts {
    /// As it is now; `known` has passed for sure.
    pub(super) fn look(known: UnixTime) -> Facts {
        let said = asked("timedatectl", &["show", "-p", "NTPSynchronized", "--value"]);
        let boottime = clock_gettime_dynamic(DynamicClockId::Known(ClockId::Boottime));
        Facts {
            wall: clock::unix_time(),
            known,
            is_kept: said.map(|said| said.trim() == "yes"),
            has_boottime: boottime.is_ok(),
        }
    }
}

pub(super) fn findings(facts: Facts) -> Vec<Finding> {
    let shown = date::utc(facts.wall);
    let wall = if facts.wall < facts.known {
        let known = date::utc(facts.known);
        let what = format!("shows {shown}, and on this machine it was {known} before");
        let advice = "set it right (`timedatectl set-ntp true`); certificates are judged by the later time meanwhile";
        Finding::fail("clock", what, advice)
    } else {
        match facts.is_kept {
            Some(true) => Finding::ok("clock", format!("shows {shown}, and NTP keeps it")),
            Some(false) => {
                let what = format!("shows {shown}, and NTP does not keep it");
                let advice = "run `timedatectl set-ntp true`, or chrony";
                Finding::warn("clock", what, advice)
            }
            None => {
                let what =
                    format!("shows {shown}, and there is no timedatectl that tells who keeps it");
                Finding::warn("clock", what, "see that NTP or GNSS does")
            }
        }
    };
    let boottime = match facts.has_boottime {
        true => Finding::ok("boottime", "the clock that counts while suspended is there"),
        false => Finding::fail(
            "boottime",
            "there is no CLOCK_BOOTTIME",
            "use a kernel of Linux 2.6.39 or newer",
        ),
    };
    vec![wall, boottime]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::finding::Level;
    use super::*;

    const GOOD: Facts = Facts {
        wall: at(1_800_000_000),
        known: at(1_799_000_000),
        is_kept: Some(true),
        has_boottime: true,
    };

    const fn at(unix_s: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(unix_s))
    }

    fn wall(facts: Facts) -> Finding {
        findings(facts).swap_remove(0)
    }

    #[test]
    fn a_clock_that_is_behind_what_has_passed_fails_whoever_keeps_it() {
        let behind = Facts {
            wall: at(86_400),
            ..GOOD
        };
        let found = wall(behind);
        assert_eq!(found.level, Level::Fail);
        assert!(found.what.contains("1970-01-02"), "{}", found.what);
    }

    #[test]
    fn a_clock_that_nobody_keeps_is_warned_of() {
        for (is_kept, level) in [
            (Some(true), Level::Ok),
            (Some(false), Level::Warn),
            (None, Level::Warn),
        ] {
            assert_eq!(wall(Facts { is_kept, ..GOOD }).level, level);
        }
    }

    #[test]
    fn this_machine_counts_while_it_is_suspended() {
        let found = findings(Facts::look(at(0)));
        assert_eq!(found[1].level, Level::Ok);
        let has_boottime = false;
        let without = findings(Facts {
            has_boottime,
            ..GOOD
        });
        assert_eq!(without[1].level, Level::Fail);
    }
}
