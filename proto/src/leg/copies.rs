//! What was sent of one parcel.

use std::collections::VecDeque;
use std::time::Duration;

use super::planner::PathView;
use crate::base::limits::{COPIES_REMEMBERED_MAX, REPEAT_GAP_MAX};
use crate::base::{MonoTime, PathId};

/// The copies of one parcel that may still be on their way, or whose acknowledgement may.
#[derive(Clone, Debug, Default)]
pub struct Copies {
    recent: VecDeque<(MonoTime, PathId)>,
    sent: u32,
    /// How often all copies turned out to be lost.
    failures: u32,
    /// How much longer than a path explains an acknowledgement may take.
    patience: Duration,
}

impl Copies {
    /// None yet, of a parcel whose acknowledgement may take so much longer than its path explains.
    pub fn patient(patience: Duration) -> Copies {
        Copies {
            patience,
            ..Copies::default()
        }
    }

    /// How many were sent.
    pub const fn sent(&self) -> u32 {
        self.sent
    }

    /// One more goes.
    pub fn on_sent(&mut self, now: MonoTime, path: PathId) {
        if self.recent.len() == COPIES_REMEMBERED_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((now, path));
        self.sent = self.sent.saturating_add(1);
    }

    /// Forgets copies that should have been acknowledged by now.
    pub fn forget_overdue(&mut self, now: MonoTime, views: &[PathView]) {
        let before = self.recent.len();
        self.recent.retain(|(at, path)| {
            let view = views.iter().find(|view| view.path == *path);
            view.is_some_and(|view| now < *at + view.horizon + self.patience)
        });
        if before > 0 && self.recent.is_empty() {
            self.failures += 1;
        }
    }

    /// Probability that none of the copies arrives.
    pub fn doubt(&self, views: &[PathView]) -> f64 {
        let mut doubt = 1.0;
        let mut counted: Vec<(MonoTime, &PathView)> = Vec::new();
        for (at, path) in self.recent.iter().rev() {
            let Some(view) = views.iter().find(|view| view.path == *path) else {
                continue;
            };
            // Paths of one link that lose packets together count as one.
            let shares_fate = !view.in_pairs
                && counted.iter().any(|(other, peer)| {
                    peer.link == view.link
                        && peer.path != view.path
                        && other.since(*at).max(at.since(*other)) < REPEAT_GAP_MAX
                });
            if !shares_fate {
                doubt *= self.loss_of(view);
                counted.push((*at, view));
            }
        }
        doubt
    }

    /// Loss of a path as this parcel met it: when all copies were lost, the estimate is out of date. Whoever is patient knows better
    /// by then: the path's reports have told.
    pub fn loss_of(&self, view: &PathView) -> f64 {
        let met = match self.failures {
            _ if self.patience > Duration::ZERO => 0.0,
            0 => 0.0,
            1 => 0.3,
            _ => 0.5,
        };
        view.loss.max(met)
    }

    /// When the first copy will be overdue.
    pub fn overdue_at(&self, views: &[PathView]) -> Option<MonoTime> {
        let overdue = |(at, path): &(MonoTime, PathId)| {
            let view = views.iter().find(|view| view.path == *path)?;
            Some(*at + view.horizon + self.patience)
        };
        self.recent.iter().filter_map(overdue).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::{Carries, Health, LinkId};

    fn view(path: u32, link: u32, loss: f64, in_pairs: bool) -> PathView {
        PathView {
            path: PathId(path),
            link: LinkId(link),
            health: Health::Live,
            loss,
            horizon: Duration::from_millis(25),
            transit: Duration::from_millis(10),
            in_pairs,
            carries: Carries::All,
        }
    }

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(ms)
    }

    fn close(value: f64, expected: f64) -> bool {
        (value - expected).abs() < 1e-9
    }

    #[test]
    fn each_copy_lowers_the_doubt_until_it_is_overdue() {
        // [WIRE-58]
        let views = [view(1, 1, 0.5, true), view(2, 2, 0.2, true)];
        let mut copies = Copies::default();
        assert!(close(copies.doubt(&views), 1.0));
        copies.on_sent(at(0), PathId(1));
        copies.on_sent(at(0), PathId(2));
        copies.on_sent(at(10), PathId(1));
        assert!(close(copies.doubt(&views), 0.05));
        assert_eq!(copies.overdue_at(&views), Some(at(25)));
        copies.forget_overdue(at(25), &views);
        assert!(close(copies.doubt(&views), 0.5));
        assert_eq!(copies.sent(), 3);
    }

    #[test]
    fn when_all_copies_were_lost_the_estimate_is_doubted() {
        let clean = [view(1, 1, 0.0005, true)];
        let mut copies = Copies::default();
        for (ms, doubt) in [(0, 0.0005), (30, 0.3), (60, 0.5), (90, 0.5)] {
            copies.forget_overdue(at(ms), &clean);
            copies.on_sent(at(ms), PathId(1));
            assert!(close(copies.doubt(&clean), doubt), "{ms}");
        }
    }

    /// [WIRE-58] Where a thousand are told the same, the last acknowledgement comes long after the path would have brought it.
    #[test]
    fn who_is_patient_waits_longer_for_an_acknowledgement_and_doubts_no_estimate() {
        let clean = [view(1, 1, 0.0005, true)];
        let mut copies = Copies::patient(Duration::from_millis(100));
        copies.on_sent(at(0), PathId(1));
        assert_eq!(copies.overdue_at(&clean), Some(at(125)));
        copies.forget_overdue(at(124), &clean);
        assert!(close(copies.doubt(&clean), 0.0005));
        copies.forget_overdue(at(125), &clean);
        assert!(close(copies.doubt(&clean), 1.0));
        copies.on_sent(at(125), PathId(1));
        assert!(close(copies.doubt(&clean), 0.0005));
    }

    #[test]
    fn copies_on_a_path_that_is_gone_are_lost() {
        let mut copies = Copies::default();
        copies.on_sent(at(0), PathId(9));
        assert!(close(copies.doubt(&[view(1, 1, 0.5, true)]), 1.0));
        assert_eq!(copies.overdue_at(&[]), None);
    }

    #[test]
    fn paths_of_one_link_count_as_one_where_losses_come_together() {
        for (links, in_pairs, doubt) in [
            ([1, 2], false, 0.25),
            ([1, 1], false, 0.5),
            ([1, 1], true, 0.25),
        ] {
            let [first, second] = links;
            let views = [
                view(1, first, 0.5, in_pairs),
                view(2, second, 0.5, in_pairs),
            ];
            let mut copies = Copies::default();
            copies.on_sent(at(0), PathId(1));
            copies.on_sent(at(1), PathId(2));
            assert!(close(copies.doubt(&views), doubt), "{links:?} {in_pairs}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let views = [view(1, 1, 0.97, true)];
        let mut copies = Copies::default();
        for _ in 0..1_000 {
            copies.on_sent(at(0), PathId(1));
        }
        assert_eq!(copies.recent.len(), COPIES_REMEMBERED_MAX);
        assert_eq!(copies.sent(), 1_000);
        assert!(copies.doubt(&views) > 0.0);
    }
}
