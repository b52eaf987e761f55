//! How one node stands, and what is told of it.

use std::collections::VecDeque;

use super::LinkState;
use super::links::{Links, back_after};
use crate::base::limits::{FLAP_CHANGES, FLAP_SETTLED, FLAP_SPAN, PRESENCE_LINKS_APART};
use crate::base::{MonoTime, Name, NodeName};
use crate::wire::hub::{LinkPresence, NodePresence, PresenceReason};

/// One node: what is so, and what was told.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    so: State,
    /// When that changed last.
    so_at: MonoTime,
    told: State,
    /// When it came or went last, oldest first.
    changes: VecDeque<MonoTime>,
    is_flapping: bool,
    groups: Vec<Name>,
    links: Links,
    told_links: Vec<LinkPresence>,
    told_links_at: MonoTime,
    /// Of what was told.
    pub(super) revision: u64,
    /// As noted in the list of all.
    pub(super) timer: Option<MonoTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    present: bool,
    reason: PresenceReason,
    /// Milliseconds since 1970.
    since_ms: u64,
}

impl Standing {
    /// A node of which nothing is known yet.
    pub(super) fn new(now: MonoTime) -> Standing {
        let unknown = State {
            present: false,
            reason: PresenceReason::Unknown,
            since_ms: 0,
        };
        Standing {
            so: unknown,
            so_at: now,
            told: unknown,
            changes: VecDeque::new(),
            is_flapping: false,
            groups: Vec::new(),
            links: Links::default(),
            told_links: Vec::new(),
            told_links_at: now,
            revision: 0,
            timer: None,
        }
    }

    /// It is here, with these groups in its certificate and these links.
    pub(super) fn on_here(
        &mut self,
        now: MonoTime,
        unix_ms: u64,
        groups: &[Name],
        links: &[(Name, LinkState)],
    ) {
        if self.groups != groups {
            self.groups = groups.to_vec();
        }
        self.links.on_list(now, links);
        if !self.so.present {
            let reason = back_after(self.so.reason);
            self.turn(now, true, reason, unix_ms);
            let first = self.changes.front();
            let is_often = self.changes.len() >= FLAP_CHANGES;
            self.is_flapping |= is_often && first.is_some_and(|at| now.since(*at) <= FLAP_SPAN);
        }
    }

    /// It is away.
    pub(super) fn on_away(&mut self, now: MonoTime, unix_ms: u64, reason: PresenceReason) {
        if self.so.present {
            self.links.on_away(now, reason);
            self.turn(now, false, reason, unix_ms);
        }
    }

    /// Whether there is news of it; from now on it counts as told.
    pub(super) fn take_news(&mut self, now: MonoTime) -> bool {
        if self.is_flapping && now >= self.so_at + FLAP_SETTLED {
            self.is_flapping = false;
        }
        let mut due = if self.is_flapping {
            State {
                present: false,
                reason: PresenceReason::Flapping,
                ..self.so
            }
        } else {
            self.so
        };
        if due.present == self.told.present && self.told.reason != PresenceReason::Unknown {
            // It is away or here for as long as before, whatever the reason.
            due.since_ms = self.told.since_ms;
        }
        let is_news = due != self.told || (self.links_due().is_some_and(|at| at <= now));
        if is_news {
            self.told = due;
            self.told_links_at = now;
            self.told_links = if due.present {
                self.links.view()
            } else {
                Vec::new()
            };
        }
        is_news
    }

    /// When [`Self::take_news`] has something without any fact.
    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        let settled = self.is_flapping.then(|| self.so_at + FLAP_SETTLED);
        settled.into_iter().chain(self.links_due()).min()
    }

    /// Whether it was told to be here.
    pub(super) const fn is_here(&self) -> bool {
        self.told.present
    }

    /// Since when it is away.
    pub(super) fn away_at(&self) -> Option<MonoTime> {
        (!self.so.present).then_some(self.so_at)
    }

    /// The groups of its certificate.
    pub(super) fn groups(&self) -> &[Name] {
        &self.groups
    }

    /// What was told of it.
    pub(super) fn view(&self, node: &NodeName) -> NodePresence {
        NodePresence {
            node: node.clone(),
            present: self.told.present,
            reason: self.told.reason,
            since_ms: self.told.since_ms,
            revision: self.revision,
            links: self.told_links.clone(),
        }
    }

    fn turn(&mut self, now: MonoTime, present: bool, reason: PresenceReason, since_ms: u64) {
        self.so = State {
            present,
            reason,
            since_ms,
        };
        self.so_at = now;
        if self.changes.len() >= FLAP_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(now);
    }

    fn links_due(&self) -> Option<MonoTime> {
        let differ = self.told.present && self.told_links != self.links.view();
        differ.then(|| self.told_links_at + PRESENCE_LINKS_APART)
    }
}
