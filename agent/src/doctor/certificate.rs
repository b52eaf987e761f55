//! The agent's own certificate.

use std::time::Duration;

use longrein_io::keys::Identity;
use longrein_io::{clock, date};
use longrein_proto::base::limits::GRACE;
use longrein_proto::crypto::renewal_due;
use rustls_pki_types::UnixTime;

use super::finding::Finding;

/// What is known of a certificate.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// Whom it names, as `agent/truck-17 of fleet yard`.
    name: String,
    not_before: UnixTime,
    not_after: UnixTime,
    is_revoked: bool,
    /// The time for certificates.
    now: UnixTime,
}

impl Facts {
    /// Of an identity whose fleet knows the list of revocations that is stored.
    pub(super) fn of(identity: &Identity) -> Facts {
        let (node, fleet) = (identity.node(), identity.fleet());
        Facts {
            name: format!("{node} of fleet {}", fleet.name()),
            not_before: identity.not_before(),
            not_after: identity.not_after(),
            is_revoked: fleet.is_revoked(node, identity.not_before()),
            now: fleet.time(clock::unix_time()),
        }
    }
}

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    vec![finding(facts)]
}

fn finding(facts: &Facts) -> Finding {
    let Facts {
        name,
        not_before,
        not_after,
        now,
        ..
    } = facts;
    let check = "certificate";
    let until = date::utc(*not_after);
    if facts.is_revoked {
        let what = format!("{name} is revoked");
        let advice = "ask the fleet's authority why; `longrein-agent enroll --replace` with a new token makes another";
        return Finding::fail(check, what, advice);
    }
    if now < not_before {
        let begin = date::utc(*not_before);
        let what = format!(
            "{name} is valid from {begin} only, and it is {} now",
            date::utc(*now)
        );
        return Finding::fail(check, what, "set this machine's clock right");
    }
    if now > not_after {
        let over = Duration::from_secs(now.as_secs() - not_after.as_secs());
        let advice = match over <= GRACE {
            true => {
                "the agent renews it by itself once it reaches the authority (`longrein authority serve`) through a relay"
            }
            false => {
                "it is over for too long to be renewed: `longrein-agent enroll --replace` with a new token"
            }
        };
        return Finding::fail(check, format!("{name} expired on {until}"), advice);
    }
    let days = (not_after.as_secs() - now.as_secs()) / 86_400;
    let due = renewal_due(*not_before, *not_after);
    if *now >= due {
        let what = format!(
            "{name} is valid until {until} ({days} days), and its renewal is due since {}",
            date::utc(due)
        );
        let advice = "the agent renews it while it runs and the authority serves: see its log for `certificate cannot be renewed yet`";
        return Finding::warn(check, what, advice);
    }
    let what = format!(
        "{name}, valid until {until} ({days} days); the agent renews it from {} on",
        date::utc(due)
    );
    Finding::ok(check, what)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    const DAY_S: u64 = 86_400;
    const BEGIN_S: u64 = 1_800_000_000;

    fn on_day(day: i64) -> Finding {
        judged(day, false)
    }

    /// A certificate of 90 days, on that day of it.
    fn judged(day: i64, is_revoked: bool) -> Finding {
        let at = |unix_s| UnixTime::since_unix_epoch(Duration::from_secs(unix_s));
        finding(&Facts {
            name: "agent/truck-17 of fleet yard".into(),
            not_before: at(BEGIN_S),
            not_after: at(BEGIN_S + 90 * DAY_S),
            is_revoked,
            now: at(BEGIN_S.saturating_add_signed(day * 86_400)),
        })
    }

    #[test]
    fn a_certificate_is_good_until_its_renewal_is_due_and_fails_after_its_end() {
        for (day, level) in [
            (-1, Level::Fail),
            (0, Level::Ok),
            (59, Level::Ok),
            (61, Level::Warn),
            (90, Level::Warn),
            (91, Level::Fail),
        ] {
            assert_eq!(on_day(day).level, level, "day {day}");
        }
        assert!(on_day(59).what.contains("(31 days)"));
    }

    #[test]
    fn one_that_is_over_too_long_has_to_be_made_anew() {
        assert!(on_day(400).advice.unwrap().contains("by itself"));
        assert!(on_day(456).advice.unwrap().contains("enroll --replace"));
    }

    #[test]
    fn one_that_is_revoked_fails_whenever_it_is_valid() {
        assert!(judged(1, true).what.contains("is revoked"));
        assert_eq!(judged(1, true).level, Level::Fail);
    }
}
