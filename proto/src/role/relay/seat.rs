//! One run of a node's program at the relay, with its leg.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::limits::{PATHS_PER_LEG_MAX, PATHS_PER_LINK_MAX};
use crate::base::{MonoTime, Name, NodeName, PathId, SessionId};
use crate::leg::{Leg, Source};
use crate::role::bulletin::Bulletin;

/// One run of a node's program, by the relay's number for the node: whatever is done for each packet compares no names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SeatId {
    pub(super) node: Source,
    pub(super) incarnation: u64,
}

/// A leg and its paths.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) node: NodeName,
    pub(super) leg: Leg,
    pub(super) bulletin: Bulletin,
    pub(super) leg_incarnation: u64,
    pub(super) paths: BTreeSet<PathId>,
    /// The node's names for the links of its paths.
    links: BTreeMap<PathId, Name>,
    /// The leg's time-out as noted in the relay's list.
    pub(super) timeout: Option<MonoTime>,
    /// Whether the twin of its run was told of.
    pub(super) twin_told: bool,
    down: BTreeMap<PathId, bool>,
    /// Of an agent: its sessions that hold a lease.
    leased: Vec<SessionId>,
}

impl Seat {
    pub(super) fn new(now: MonoTime, node: NodeName, leg_incarnation: u64) -> Seat {
        Seat {
            node,
            leg: Leg::new(now),
            bulletin: Bulletin::default(),
            leg_incarnation,
            paths: BTreeSet::new(),
            links: BTreeMap::new(),
            timeout: None,
            twin_told: false,
            down: BTreeMap::new(),
            leased: Vec::new(),
        }
    }

    /// Adds a path; false when it is there already.
    pub(super) fn join(&mut self, now: MonoTime, path: PathId, link: Name) -> bool {
        if !self.paths.insert(path) {
            return false;
        }
        self.links.insert(path, link);
        self.leg.add_path(now, path);
        self.down.insert(path, false);
        true
    }

    /// Removes a path; the seat's presence when that changed it.
    pub(super) fn leave(&mut self, now: MonoTime, path: PathId) -> Option<bool> {
        let before = self.present();
        self.paths.remove(&path);
        self.links.remove(&path);
        self.down.remove(&path);
        self.leg.remove_path(now, path);
        Some(self.present()).filter(|present| *present != before)
    }

    /// When the leg or the list of revocations on it has something to do.
    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        let leg = self.leg.next_timeout();
        leg.into_iter().chain(self.bulletin.next_timeout()).min()
    }

    /// Whether the leg takes this path.
    pub(super) fn has_room_for(&self, path: PathId) -> bool {
        self.paths.contains(&path) || self.paths.len() < PATHS_PER_LEG_MAX
    }

    /// The oldest path of a link, when there are two newer ones.
    // [WIRE-180]
    pub(super) fn path_replaced(&self, link: &Name) -> Option<PathId> {
        // Paths are numbered in the order in which they came up.
        let mut own = self.links.iter().rev().filter(|(_, of)| *of == link);
        own.nth(PATHS_PER_LINK_MAX).map(|(path, _)| *path)
    }

    /// The node's name for the link of a path.
    pub(super) fn link_of(&self, path: PathId) -> Option<&Name> {
        self.links.get(&path)
    }

    /// A path that is down.
    pub(super) fn path_down(&self) -> Option<PathId> {
        let down = self.down.iter().find(|(_, down)| **down);
        down.map(|(path, _)| *path)
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

    /// Whether the agent says that a session holds a lease.
    pub(super) fn is_leased(&self, session: SessionId) -> bool {
        self.leased.contains(&session)
    }
}
