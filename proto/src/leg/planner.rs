//! Which paths get a copy of a parcel now, and when to ask again.
//!
//! This is the border of all cleverness about redundancy: it sees figures, it decides, it holds no state. Today's rule is
//! simple: a copy on every path that is not down, and of what is tracked a retry on all of them by round trip.

use std::time::Duration;

use crate::base::{Class, MonoTime, PathId};
use crate::path::{Health, Quality};

/// One path as the planner sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathView {
    /// The path.
    pub path: PathId,
    /// Whether it works.
    pub health: Health,
    /// Its figures.
    pub quality: Quality,
}

/// One parcel that wants to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Its class.
    pub class: Class,
    /// Its size.
    pub bytes: usize,
    /// When it is no longer worth sending.
    pub deadline: MonoTime,
    /// How often it was sent already, copies at one time counted once.
    pub attempts: u32,
}

/// What to do with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Paths that get a copy now.
    pub paths: Vec<PathId>,
    /// When to plan again unless it is acknowledged; none for never.
    pub again_at: Option<MonoTime>,
}

/// Plans one parcel.
// [WIRE-42]
pub fn plan(now: MonoTime, paths: &[PathView], demand: &Demand) -> Plan {
    let usable = |view: &&PathView| view.health != Health::Down;
    let some_work = paths.iter().any(|view| usable(&view));
    let chosen: Vec<PathId> = paths
        .iter()
        .filter(|view| !some_work || usable(view))
        .map(|view| view.path)
        .collect();
    let again_at = match demand.class {
        // A newer one is better than a retry.
        Class::Latest => None,
        Class::Unordered | Class::Reliable | Class::Stop if chosen.is_empty() => None,
        Class::Unordered | Class::Reliable | Class::Stop => {
            Some(now + retry_after(paths, demand.attempts))
        }
    };
    Plan {
        paths: chosen,
        again_at,
    }
}

/// A round trip of the fastest path and the time that the other end may hold its acknowledgement, growing with each
/// attempt.
fn retry_after(paths: &[PathView], attempts: u32) -> Duration {
    let fastest = paths.iter().filter_map(|view| view.quality.rtt).min();
    let first = fastest
        .map_or(RETRY_UNMEASURED, |rtt| rtt * 5 / 4 + ACK_DELAY)
        .max(RETRY_MIN);
    let growth = 1.5_f64.powi(i32::try_from(attempts.min(20)).unwrap_or(20));
    first.mul_f64(growth).min(first.max(RETRY_MAX))
}

/// Longest time that an end waits with an acknowledgement (3 ms), and the grain of timers.
const ACK_DELAY: Duration = Duration::from_millis(5);
/// First retry while no round trip is measured: a mobile network's.
const RETRY_UNMEASURED: Duration = Duration::from_millis(60);
/// Shortest time to a retry: below it, retries would only pre-empt acknowledgements.
const RETRY_MIN: Duration = Duration::from_millis(10);
/// Longest time to a retry, unless the round trip is longer.
const RETRY_MAX: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    fn view(path: u32, health: Health, rtt_ms: u64) -> PathView {
        let rtt = Some(Duration::from_millis(rtt_ms));
        PathView {
            path: PathId(path),
            health,
            quality: Quality {
                rtt,
                ..Quality::default()
            },
        }
    }

    fn demand(class: Class, attempts: u32) -> Demand {
        Demand {
            class,
            bytes: 100,
            deadline: MonoTime::from_us(1_000_000),
            attempts,
        }
    }

    // [WIRE-42]
    #[test]
    fn every_path_that_is_not_down_gets_a_copy_and_all_when_all_are_down() {
        use Health::{Down, Live, Suspect, Unknown};
        let chosen = |healths: &[Health]| {
            let paths: Vec<PathView> = healths
                .iter()
                .zip(0..)
                .map(|(health, path)| view(path, *health, 20))
                .collect();
            plan(MonoTime::ZERO, &paths, &demand(Class::Latest, 0)).paths
        };
        assert_eq!(
            chosen(&[Live, Down, Suspect, Unknown]),
            [PathId(0), PathId(2), PathId(3)]
        );
        assert_eq!(chosen(&[Down, Down]), [PathId(0), PathId(1)]);
        assert_eq!(chosen(&[]), []);
    }

    #[test]
    fn latest_is_never_retried_and_the_rest_by_the_fastest_round_trip_with_growing_gaps() {
        let paths = [view(1, Health::Live, 20), view(2, Health::Live, 90)];
        let again =
            |class, attempts| plan(MonoTime::ZERO, &paths, &demand(class, attempts)).again_at;
        assert_eq!(again(Class::Latest, 0), None);
        let gaps: Vec<u64> = (0..9)
            .map(|attempts| again(Class::Reliable, attempts).unwrap().as_us() / 1_000)
            .collect();
        assert_eq!(gaps, [30, 45, 67, 101, 151, 200, 200, 200, 200]);
    }
}
