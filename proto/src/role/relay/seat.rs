//! One run of a node's program at the relay, with its leg.

use std::collections::{BTreeMap, BTreeSet};

use super::RelayConfig;
use crate::base::limits::{
    HANDSHAKES_PER_S, PACKET_BYTES_MAX, PATHS_PER_LEG_MAX, QUERIES_PER_S, STOP_BYTES_PER_S,
};
use crate::base::{MonoTime, NodeName, PathId, SessionId};
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
    handshakes: Budget,
    queries: Budget,
    /// Of an agent: its sessions that hold a lease, and what they may send to it.
    leased: Vec<SessionId>,
    as_leased: Budget,
}

/// How urgent a parcel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    Stop,
    Plain,
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
            handshakes: Budget::new(now, HANDSHAKES_PER_S, HANDSHAKES_PER_S),
            queries: Budget::new(now, QUERIES_PER_S, QUERIES_PER_S),
            leased: Vec::new(),
            as_leased: Budget::new(
                now,
                config.destination_bytes_per_s,
                burst(config.destination_bytes_per_s),
            ),
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

    /// Removes a path; the seat's presence when that changed it.
    pub(super) fn leave(&mut self, now: MonoTime, path: PathId) -> Option<bool> {
        let before = self.present();
        self.paths.remove(&path);
        self.down.remove(&path);
        self.leg.remove_path(now, path);
        Some(self.present()).filter(|present| *present != before)
    }

    /// Whether the leg takes this path.
    pub(super) fn has_room_for(&self, path: PathId) -> bool {
        self.paths.contains(&path) || self.paths.len() < PATHS_PER_LEG_MAX
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

    /// The agent names its sessions that hold a lease.
    pub(super) fn set_leased(&mut self, sessions: Vec<SessionId>) {
        self.leased = sessions;
    }

    // [WIRE-115]
    pub(super) fn spend_as_source(
        &mut self,
        now: MonoTime,
        bytes: usize,
        priority: Priority,
    ) -> bool {
        match priority {
            Priority::Stop => self.stops.try_spend(now, bytes),
            Priority::Plain => self.as_source.try_spend(now, bytes),
        }
    }

    /// Whether one more first message of a handshake is within the rate.
    // [WIRE-117]
    pub(super) fn spend_handshake(&mut self, now: MonoTime) -> bool {
        self.handshakes.try_spend(now, 1)
    }

    /// Whether one more question is within the rate: its answer is long.
    pub(super) fn spend_query(&mut self, now: MonoTime) -> bool {
        self.queries.try_spend(now, 1)
    }

    // [WIRE-115]
    pub(super) fn spend_as_destination(
        &mut self,
        now: MonoTime,
        bytes: usize,
        priority: Priority,
        session: Option<SessionId>,
    ) -> bool {
        let leased = session.is_some_and(|session| self.leased.contains(&session));
        match priority {
            Priority::Stop => true,
            Priority::Plain if leased => self.as_leased.try_spend(now, bytes),
            Priority::Plain => self.as_destination.try_spend(now, bytes),
        }
    }
}

/// A quarter of a second's worth, but at least four packets: enough for a burst of state after an outage.
fn burst(bytes_per_s: u64) -> u64 {
    let packets = u64::try_from(PACKET_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_mul(4);
    (bytes_per_s / 4).max(packets)
}
