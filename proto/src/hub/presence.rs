//! Who is here, and what is told of it.

mod links;
mod standing;

use std::collections::{BTreeMap, BTreeSet};

use self::standing::Standing;
use crate::base::limits::PRESENCE_REMEMBERED_MAX;
use crate::base::{MonoTime, Name, NodeName};
use crate::wire::hub::{NodePresence, PresenceReason};

/// How a link of a node that is here stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Something comes over it.
    Heard,
    /// It is silent for longer than losses explain.
    Silent,
}

/// Who is here, by which links, and since when.
///
/// What is told of a node is what was so, but for two things: a node that comes and goes all the time is away until it stays, and
/// changes of links alone are gathered for a moment. Nodes that are away are remembered, within a bound.
#[derive(Debug, Default)]
pub struct Presence {
    nodes: BTreeMap<NodeName, Standing>,
    /// All that were ever told of, in the order of their last telling.
    told: BTreeMap<u64, NodeName>,
    /// Those that are away, the one that is away longest first.
    away: BTreeSet<(MonoTime, NodeName)>,
    timers: BTreeSet<(MonoTime, NodeName)>,
    /// What [`Presence::poll_change`] gives.
    changed: BTreeSet<NodeName>,
    /// The highest revision that was given.
    revision: u64,
}

impl Presence {
    /// Nobody is here yet. All revisions are above this one: after a restart a higher one than any before.
    pub fn new(above: u64) -> Presence {
        Presence {
            revision: above,
            ..Presence::default()
        }
    }

    /// A node is here, or goes on to be: with these groups in its certificate, and these links and no others. `unix_ms` is the wall
    /// clock, 0 when that is not known.
    pub fn on_here(
        &mut self,
        now: MonoTime,
        unix_ms: u64,
        node: &NodeName,
        groups: &[Name],
        links: &[(Name, LinkState)],
    ) {
        if !self.nodes.contains_key(node) {
            self.nodes.insert(node.clone(), Standing::new(now));
        }
        self.change(now, node, |standing| {
            standing.on_here(now, unix_ms, groups, links);
        });
    }

    /// A node is away: [`PresenceReason::Ended`] or [`PresenceReason::Silent`]. Of one that is away already the first reason stays.
    pub fn on_away(
        &mut self,
        now: MonoTime,
        unix_ms: u64,
        node: &NodeName,
        reason: PresenceReason,
    ) {
        self.change(now, node, |standing| {
            standing.on_away(now, unix_ms, reason);
        });
        while self.away.len() > PRESENCE_REMEMBERED_MAX {
            self.forget_one();
        }
    }

    /// Whoever watches by labels or rooms is to hear of this node, whose labels or rooms changed.
    pub fn on_moved(&mut self, node: &NodeName) {
        if self.nodes.contains_key(node) {
            self.note_told(node);
        }
    }

    /// How a node stands.
    pub fn of(&self, node: &NodeName) -> NodePresence {
        self.nodes.get(node).map_or_else(
            || NodePresence {
                node: node.clone(),
                present: false,
                reason: PresenceReason::Unknown,
                since_ms: 0,
                revision: 0,
                links: Vec::new(),
            },
            |standing| standing.view(node),
        )
    }

    /// Whether a node is here.
    pub fn is_here(&self, node: &NodeName) -> bool {
        self.nodes.get(node).is_some_and(Standing::is_here)
    }

    /// The nodes that are here, by name.
    pub fn here(&self) -> impl Iterator<Item = &NodeName> {
        let here = self.nodes.iter().filter(|(_, standing)| standing.is_here());
        here.map(|(node, _)| node)
    }

    /// The nodes that are known, here or away, by name, behind this one.
    pub fn known_after(&self, node: Option<&NodeName>) -> impl Iterator<Item = &NodeName> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = node.map_or(Unbounded, Excluded);
        self.nodes.range((from, Unbounded)).map(|(node, _)| node)
    }

    /// The groups in a node's certificate, as it was here last.
    pub fn groups(&self, node: &NodeName) -> &[Name] {
        self.nodes.get(node).map_or(&[], Standing::groups)
    }

    /// Nodes of which something was told after this revision, in the order of their last telling, with its revision.
    pub fn told_after(&self, revision: u64) -> impl Iterator<Item = (u64, &NodeName)> {
        let told = self.told.range(revision.saturating_add(1)..);
        told.map(|(revision, node)| (*revision, node))
    }

    /// The next node of which there is news; each at most once, however often it changed.
    pub fn poll_change(&mut self) -> Option<NodeName> {
        self.changed.pop_first()
    }

    /// Does what is due.
    pub fn on_timeout(&mut self, now: MonoTime) {
        while let Some((at, node)) = self.timers.first().cloned()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(standing) = self.nodes.get_mut(&node) {
                standing.timer = None;
            }
            self.change(now, &node, |_| {});
        }
    }

    /// When [`Presence::on_timeout`] is to be called.
    pub fn next_timeout(&self) -> Option<MonoTime> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Lets a node take a fact in, and brings all lists up to date.
    fn change(&mut self, now: MonoTime, node: &NodeName, fact: impl FnOnce(&mut Standing)) {
        let Some(standing) = self.nodes.get_mut(node) else {
            return;
        };
        let was_away_at = standing.away_at();
        fact(standing);
        let is_news = standing.take_news(now);
        let away_at = standing.away_at();
        let timer = standing.next_timeout();
        let old_timer = std::mem::replace(&mut standing.timer, timer);
        if timer != old_timer {
            if let Some(at) = old_timer {
                self.timers.remove(&(at, node.clone()));
            }
            if let Some(at) = timer {
                self.timers.insert((at, node.clone()));
            }
        }
        if away_at != was_away_at {
            if let Some(at) = was_away_at {
                self.away.remove(&(at, node.clone()));
            }
            if let Some(at) = away_at {
                self.away.insert((at, node.clone()));
            }
        }
        if is_news {
            self.note_told(node);
        }
    }

    fn note_told(&mut self, node: &NodeName) {
        if let Some(standing) = self.nodes.get_mut(node) {
            self.revision += 1;
            self.told.remove(&standing.revision);
            standing.revision = self.revision;
            self.told.insert(self.revision, node.clone());
            self.changed.insert(node.clone());
        }
    }

    /// Forgets the node that is away longest.
    fn forget_one(&mut self) {
        let Some((_, node)) = self.away.pop_first() else {
            return;
        };
        if let Some(standing) = self.nodes.remove(&node) {
            self.told.remove(&standing.revision);
            if let Some(at) = standing.timer {
                self.timers.remove(&(at, node));
            }
        }
    }
}

#[cfg(test)]
mod tests;
