//! What to send where and when: the redundancy of a leg, decided for one parcel at a time.
//!
//! A pure function of what is known: it keeps nothing, so that whatever it spends follows from its arguments.

use std::time::Duration;

use crate::base::limits::{RETRY_MAX, RETRY_MIN};
use crate::base::{Class, MonoTime, PathId};
use crate::path::{Health, LinkId, PathStatus};

/// What the planner knows of a path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathView {
    /// Which one.
    pub path: PathId,
    /// Its link: paths with the same one lose the same packets.
    pub link: LinkId,
    /// Whether it works.
    pub health: Health,
    /// Share of our packets that get lost.
    pub loss: f64,
    /// Smoothed round trip.
    pub rtt: Option<Duration>,
    /// Round trip without queues.
    pub rtt_min: Option<Duration>,
    /// How long our newest packets queued on the way.
    pub queue: Duration,
}

impl From<&PathStatus> for PathView {
    fn from(status: &PathStatus) -> PathView {
        PathView {
            path: status.path,
            link: status.link,
            health: status.health,
            loss: status.loss,
            rtt: status.rtt,
            rtt_min: status.rtt_min,
            queue: status.queue,
        }
    }
}

/// What is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Its class; all but `latest` are acknowledged.
    pub class: Class,
    /// Its bytes in a packet.
    pub bytes: usize,
    /// Until when it is worth anything.
    pub deadline: MonoTime,
    /// How often it was sent so far; copies on several paths at once are one time.
    pub attempts: u32,
    /// When it was sent last.
    pub last_attempt: Option<MonoTime>,
}

/// What to do with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Send one copy on each of these paths now, in this order.
    pub paths: Vec<PathId>,
    /// Ask again then, unless it is acknowledged before; if not at all, it is done (`latest`) or only waits for its
    /// acknowledgement.
    pub again: Option<MonoTime>,
}

/// Plans for one parcel whose time to ask has come: one copy on each path that is not down (on each when all are), and for
/// what is acknowledged another round when the acknowledgement should be here.
// [WIRE-58]
pub fn plan(now: MonoTime, paths: &[PathView], demand: &Demand) -> Plan {
    let again = match demand.class {
        Class::Latest => None,
        Class::Unordered | Class::Reliable | Class::Stop => {
            Some(now + retry_after(paths, demand.attempts))
        }
    };
    Plan {
        paths: usable(paths),
        again,
    }
}

/// Paths that are worth a packet.
pub fn usable(paths: &[PathView]) -> Vec<PathId> {
    let all_down = paths.iter().all(|view| view.health == Health::Down);
    paths
        .iter()
        .filter(|view| all_down || view.health != Health::Down)
        .map(|view| view.path)
        .collect()
}

/// How long until the acknowledgement of what is sent now should be here, with a mild back-off: the fastest path counts,
/// because it may well be another's copy that is lost.
fn retry_after(paths: &[PathView], attempts: u32) -> Duration {
    let alive = paths.iter().filter(|view| view.health != Health::Down);
    let rtt = alive.filter_map(|view| view.rtt).min();
    let first = (rtt.unwrap_or(RTT_START) * 5 / 4 + PEER_DELAY).max(RETRY_MIN);
    let longest = RETRY_MAX.max(first);
    let mut wait = first;
    for _ in 0..attempts.min(BACK_OFFS_MAX) {
        wait = (wait * 3 / 2).min(longest);
    }
    wait
}

/// Assumed round trip of a leg that is new.
const RTT_START: Duration = Duration::from_millis(50);
/// What the peer's acknowledgement may wait, and a little for its timer.
const PEER_DELAY: Duration = Duration::from_millis(5);
/// After this many steps of 1.5 from the shortest wait the longest is reached.
const BACK_OFFS_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn view(path: u32, health: Health, rtt_ms: Option<u64>) -> PathView {
        PathView {
            path: PathId(path),
            link: LinkId(path),
            health,
            loss: 0.1,
            rtt: rtt_ms.map(Duration::from_millis),
            rtt_min: rtt_ms.map(Duration::from_millis),
            queue: Duration::ZERO,
        }
    }

    fn demand(class: Class, attempts: u32) -> Demand {
        Demand {
            class,
            bytes: 100,
            deadline: MonoTime::from_us(60_000_000),
            attempts,
            last_attempt: None,
        }
    }

    const NOW: MonoTime = MonoTime::from_us(1_000_000);

    #[test]
    fn every_path_that_is_not_down_gets_a_copy_and_each_when_all_are() {
        // [WIRE-58]
        let paths = [
            view(1, Health::Live, Some(20)),
            view(2, Health::Down, Some(20)),
            view(3, Health::Unknown, None),
            view(4, Health::Suspect, Some(30)),
        ];
        let wanted = demand(Class::Latest, 0);
        assert_eq!(
            plan(NOW, &paths, &wanted).paths,
            [PathId(1), PathId(3), PathId(4)]
        );
        let down = [view(1, Health::Down, None), view(2, Health::Down, None)];
        assert_eq!(plan(NOW, &down, &wanted).paths, [PathId(1), PathId(2)]);
        assert_eq!(plan(NOW, &[], &wanted).paths, []);
    }

    #[test]
    fn what_is_latest_is_sent_once_and_the_rest_again_until_acknowledged() {
        let paths = [view(1, Health::Live, Some(20))];
        assert_eq!(plan(NOW, &paths, &demand(Class::Latest, 0)).again, None);
        for class in [Class::Unordered, Class::Reliable, Class::Stop] {
            let again = plan(NOW, &paths, &demand(class, 0)).again;
            assert_eq!(again, Some(NOW + Duration::from_millis(30)));
        }
    }

    #[test]
    fn retries_back_off_mildly_and_up_to_a_bound() {
        let wait = |rtt_ms, attempts| {
            let paths = [view(1, Health::Live, rtt_ms)];
            let plan = plan(NOW, &paths, &demand(Class::Reliable, attempts));
            plan.again.unwrap().since(NOW).as_millis()
        };
        let waits: Vec<_> = (0..8).map(|attempts| wait(Some(20), attempts)).collect();
        assert_eq!(waits, [30, 45, 67, 101, 151, 200, 200, 200]);
        assert_eq!(wait(Some(0), 0), 10);
        assert_eq!(wait(Some(0), 1_000), 200);
        assert_eq!(wait(Some(300), 5), 380);
        assert_eq!(wait(None, 0), 67);
    }
}
