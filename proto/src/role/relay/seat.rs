//! One run of a node's program at the relay, with its leg.

use std::collections::{BTreeMap, BTreeSet};

use super::RelayConfig;
use crate::base::limits::{PACKET_BYTES_MAX, STOP_BYTES_PER_S};
use crate::base::{MonoTime, NodeName, PathId};
use crate::leg::{Budget, Leg};

/// A node and one run of its program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SeatId {
    pub(super) node: NodeName,
    pub(super) incarnation: u64,
}

/// A leg, its paths and its budgets.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) leg: Leg,
    pub(super) leg_incarnation: u64,
    pub(super) paths: BTreeSet<PathId>,
    /// The leg's time-out as noted in the relay's list.
    pub(super) timeout: Option<MonoTime>,
    down: BTreeMap<PathId, bool>,
    as_source: Budget,
    as_destination: Budget,
    stops: Budget,
}

impl Seat {
    pub(super) fn new(now: MonoTime, leg_incarnation: u64, config: &RelayConfig) -> Seat {
        Seat {
            leg: Leg::new(now),
            leg_incarnation,
            paths: BTreeSet::new(),
            timeout: None,
            down: BTreeMap::new(),
            as_source: Budget::new(
                now,
                config.source_bytes_per_s,
                burst(config.source_bytes_per_s),
            ),
            as_destination: Budget::new(
                now,
                config.destination_bytes_per_s,
                burst(config.destination_bytes_per_s),
            ),
            stops: Budget::new(now, STOP_BYTES_PER_S, burst(STOP_BYTES_PER_S)),
        }
    }

    /// Adds a path; false when it is there already.
    pub(super) fn join(&mut self, now: MonoTime, path: PathId) -> bool {
        if !self.paths.insert(path) {
            return false;
        }
        self.leg.add_path(now, path);
        self.down.insert(path, false);
        true
    }

    pub(super) fn leave(&mut self, now: MonoTime, path: PathId) {
        self.paths.remove(&path);
        self.down.remove(&path);
        self.leg.remove_path(now, path);
    }

    /// Whether at least one path is not down.
    pub(super) fn present(&self) -> bool {
        self.down.values().any(|down| !down)
    }

    /// Notes a path's health; the seat's presence when that changed it.
    pub(super) fn on_health(&mut self, path: PathId, down: bool) -> Option<bool> {
        let before = self.present();
        if let Some(noted) = self.down.get_mut(&path) {
            *noted = down;
        }
        Some(self.present()).filter(|present| *present != before)
    }

    pub(super) fn spend_as_source(&mut self, now: MonoTime, bytes: usize, urgent: bool) -> bool {
        if urgent {
            self.stops.try_spend(now, bytes)
        } else {
            self.as_source.try_spend(now, bytes)
        }
    }

    pub(super) fn spend_as_destination(&mut self, now: MonoTime, bytes: usize) -> bool {
        self.as_destination.try_spend(now, bytes)
    }
}

/// A quarter of a second's worth, but at least four packets: enough for a burst of state after an outage.
fn burst(bytes_per_s: u64) -> u64 {
    let packets = u64::try_from(PACKET_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_mul(4);
    (bytes_per_s / 4).max(packets)
}
