//! The certificate that a relay showed as a path came up.

use std::time::Duration;

use rustls_pki_types::UnixTime;

use super::wall::end_of;
use crate::base::MonoTime;
use crate::base::limits::PATH_RENEWAL_MIN;
use crate::crypto::Peer;

/// A relay's certificate: from when until when it is valid, and when to look whether there is a newer one.
#[derive(Debug)]
pub(super) struct RelayPapers {
    pub(super) not_before: UnixTime,
    not_after: UnixTime,
    /// None while the time is not known; then nothing happens.
    times: Option<Times>,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    look_at: MonoTime,
    ends: MonoTime,
}

impl RelayPapers {
    pub(super) const fn new(relay: &Peer) -> RelayPapers {
        RelayPapers {
            not_before: relay.not_before,
            not_after: relay.not_after,
            times: None,
        }
    }

    /// The time for certificates is this; what is made of it as it is known first stays. A newer certificate is looked for when between
    /// half and three quarters of the time that was left at first is over, by the node's `chance`, so that not all nodes come at once: a
    /// relay that renews at two thirds is so seen with its newer one after a few looks.
    // [WIRE-163]
    pub(super) fn note(&mut self, now: MonoTime, at: UnixTime, chance: u64) {
        if self.times.is_some() {
            return;
        }
        let never = MonoTime::from_us(u64::MAX);
        self.times = Some(if self.not_after < at {
            // Whoever made the connection accepted it by another time: it is not for this one to end it.
            Times {
                look_at: never,
                ends: never,
            }
        } else {
            let left_s = self.not_after.as_secs() - at.as_secs();
            let wait_s = left_s / 2 + left_s / 4 * (chance % CHANCES) / CHANCES;
            Times {
                look_at: now + Duration::from_secs(wait_s).max(PATH_RENEWAL_MIN),
                ends: end_of(now, at, self.not_after),
            }
        });
    }

    /// Whether the relay may have a newer one.
    // [WIRE-163]
    pub(super) fn may_be_outdated(&self, now: MonoTime) -> bool {
        self.times.is_some_and(|times| times.look_at <= now)
    }

    /// Whether it has ended.
    // [WIRE-160]
    pub(super) fn is_over(&self, now: MonoTime) -> bool {
        self.times.is_some_and(|times| times.ends <= now)
    }
}

/// Nodes that come to one relay at different times.
const CHANCES: u64 = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: u64 = 86_400;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn after(seconds: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_secs(seconds)
    }

    fn papers(not_after_s: u64) -> RelayPapers {
        RelayPapers {
            not_before: at(0),
            not_after: at(not_after_s),
            times: None,
        }
    }

    /// How long after a path came up it is dialled anew, in seconds.
    fn look_after(left_s: u64, chance: u64) -> u64 {
        let mut papers = papers(1_000 + left_s);
        papers.note(after(7), at(1_000), chance);
        let looked = (0..).find(|s| papers.may_be_outdated(after(7 + s)));
        looked.expect("in time")
    }

    // [WIRE-163]
    #[test]
    fn a_path_is_dialled_anew_between_half_and_three_quarters_of_the_time_left() {
        for (chance, expected_s) in [(0, 5 * DAY_S), (512, 6 * DAY_S + DAY_S / 4)] {
            assert_eq!(look_after(10 * DAY_S, chance), expected_s);
        }
        assert!(look_after(10 * DAY_S, 1_023) < 10 * DAY_S * 3 / 4);
    }

    // [WIRE-163]
    #[test]
    fn the_same_certificate_again_is_looked_at_less_than_once_a_minute() {
        let (mut left_s, mut looks) = (DAY_S, 0);
        while left_s > 0 {
            let wait_s = look_after(left_s, 0);
            assert!(wait_s >= 60);
            left_s = left_s.saturating_sub(wait_s);
            looks += 1;
        }
        assert!(looks <= 13, "{looks}");
    }

    // [WIRE-160]
    #[test]
    fn what_was_made_of_the_time_at_first_stays_whatever_the_clock_is_set_to() {
        let mut papers = papers(1_100);
        assert!(!papers.is_over(after(1_000_000)), "nothing is known");
        papers.note(after(7), at(1_000), 0);
        papers.note(after(8), at(4_000_000_000), 0);
        assert!(!papers.is_over(after(107)), "its last second");
        assert!(papers.is_over(after(108)));
        let mut accepted_by_another_time = self::papers(1_100);
        accepted_by_another_time.note(after(7), at(1_101), 0);
        assert!(!accepted_by_another_time.is_over(after(1_000_000)));
    }
}
