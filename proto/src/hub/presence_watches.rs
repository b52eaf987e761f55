//! Who is told who comes and goes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Presence, SelectorFacts, is_selected};
use crate::base::limits::{
    PRESENCE_GATHERED, PRESENCE_LOOKS_PER_ROUND, PRESENCE_NAMED_IN_ALL_MAX, PRESENCE_NAMED_MAX,
    PRESENCE_PAGE_NODES, PRESENCE_WATCHES_PER_CLIENT_MAX, PRESENCE_WIDE_WATCHES_MAX,
};
use crate::base::{MonoTime, NodeName};
use crate::wire::hub::{NodePresence, Selector};

/// Why a watch is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// It names more nodes than one watch may.
    #[error("a watch names at most {PRESENCE_NAMED_MAX} nodes")]
    TooLarge,
    /// The client, or all together, have as many as they may.
    #[error("too many watches")]
    Full,
}

/// What one watcher is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresencePage<C> {
    /// Whom.
    pub client: C,
    /// Of which of its watches.
    pub watch: u32,
    /// At most [`PRESENCE_PAGE_NODES`].
    pub nodes: Vec<NodePresence>,
    /// Whether more of how all stand at the beginning follows.
    pub more: bool,
}

/// The watches of all clients.
///
/// None keeps what it has to tell. A watch knows up to which revision it has told, or of few named nodes which ones changed, and reads
/// the rest when its client has room: who is slow misses steps in between, and costs nothing.
#[derive(Debug)]
pub struct PresenceWatches<C> {
    watches: BTreeMap<WatchId, Watch<C>>,
    by_client: BTreeMap<(C, u32), WatchId>,
    /// Watches that name a node.
    named: BTreeMap<NodeName, BTreeSet<WatchId>>,
    /// How many nodes are named, counted once for each watch.
    named_count: usize,
    /// Watches that name none.
    wide: BTreeSet<WatchId>,
    /// How many watches ask for a room or labels.
    by_facts: usize,
    /// When all of these have something to look at.
    wide_due: Option<MonoTime>,
    due: BTreeSet<(Turn, WatchId)>,
    round: Round,
    next_id: WatchId,
    next_turn: u64,
}

type WatchId = u64;

/// When a watch is due, and its place among those that are due then.
type Turn = (MonoTime, u64);

#[derive(Debug)]
struct Watch<C> {
    client: C,
    number: u32,
    selector: Selector,
    reads: Reads,
    /// Whether how all stand was told.
    is_begun: bool,
    /// As noted in the list of all.
    due: Option<Turn>,
}

/// What a watch has still to look at.
#[derive(Debug)]
enum Reads {
    /// All after this revision.
    After(u64),
    /// These nodes.
    Named(BTreeSet<NodeName>),
}

/// What may be looked at until the others of the hub have their turn.
#[derive(Debug, Default)]
struct Round {
    until: MonoTime,
    looks: usize,
}

impl<C> Default for PresenceWatches<C> {
    fn default() -> PresenceWatches<C> {
        PresenceWatches {
            watches: BTreeMap::new(),
            by_client: BTreeMap::new(),
            named: BTreeMap::new(),
            named_count: 0,
            wide: BTreeSet::new(),
            by_facts: 0,
            wide_due: None,
            due: BTreeSet::new(),
            round: Round::default(),
            next_id: 0,
            next_turn: 0,
        }
    }
}

impl<C: Clone + Ord> PresenceWatches<C> {
    /// A client watches these nodes: it is told how all stand, and then who changes. One with the same number ends.
    ///
    /// # Errors
    /// When it is over a bound. The one with the same number has ended all the same.
    pub fn watch(
        &mut self,
        now: MonoTime,
        client: C,
        number: u32,
        selector: Selector,
    ) -> Result<(), WatchError> {
        self.unwatch(&client, number);
        let names: BTreeSet<NodeName> = selector.nodes.iter().cloned().collect();
        if names.len() > PRESENCE_NAMED_MAX {
            return Err(WatchError::TooLarge);
        }
        let own = self.numbers_of(&client).count();
        if own >= PRESENCE_WATCHES_PER_CLIENT_MAX
            || self.named_count + names.len() > PRESENCE_NAMED_IN_ALL_MAX
            || (names.is_empty() && self.wide.len() >= PRESENCE_WIDE_WATCHES_MAX)
        {
            return Err(WatchError::Full);
        }
        let id = self.next_id;
        self.next_id += 1;
        self.by_client.insert((client.clone(), number), id);
        self.named_count += names.len();
        for node in &names {
            self.named.entry(node.clone()).or_default().insert(id);
        }
        let reads = if names.is_empty() {
            self.wide.insert(id);
            Reads::After(0)
        } else {
            Reads::Named(names)
        };
        self.by_facts += usize::from(goes_by_facts(&selector));
        let watch = Watch {
            client,
            number,
            selector,
            reads,
            is_begun: false,
            due: None,
        };
        self.watches.insert(id, watch);
        self.wake(id, now);
        Ok(())
    }

    /// A client watches this no more; whether it did.
    pub fn unwatch(&mut self, client: &C, number: u32) -> bool {
        let Some(id) = self.by_client.remove(&(client.clone(), number)) else {
            return false;
        };
        let Some(watch) = self.watches.remove(&id) else {
            return false;
        };
        if let Some(turn) = watch.due {
            self.due.remove(&(turn, id));
        }
        self.wide.remove(&id);
        self.by_facts -= usize::from(goes_by_facts(&watch.selector));
        for node in watch.selector.nodes {
            if let Some(watches) = self.named.get_mut(&node)
                && watches.remove(&id)
            {
                self.named_count -= 1;
                if watches.is_empty() {
                    self.named.remove(&node);
                }
            }
        }
        true
    }

    /// Whether somebody watches by rooms or labels, which a node changes without coming or going.
    pub const fn go_by_facts(&self) -> bool {
        self.by_facts > 0
    }

    /// A client is gone, with all its watches.
    pub fn on_client_gone(&mut self, client: &C) {
        let numbers: Vec<u32> = self.numbers_of(client).collect();
        for number in numbers {
            self.unwatch(client, number);
        }
    }

    /// There is news of a node, as [`Presence::poll_change`] says.
    pub fn on_change(&mut self, now: MonoTime, node: &NodeName) {
        let at = now + PRESENCE_GATHERED;
        if !self.wide.is_empty() && self.wide_due.is_none() {
            self.wide_due = Some(at);
        }
        let watches = self.named.get(node).cloned().unwrap_or_default();
        for id in watches {
            if let Some(Watch {
                reads: Reads::Named(changed),
                due,
                ..
            }) = self.watches.get_mut(&id)
            {
                changed.insert(node.clone());
                if due.is_none() {
                    self.wake(id, at);
                }
            }
        }
    }

    /// What the next watcher is to be told. `has_room` says whether a client can take a page now; who cannot is asked again later.
    pub fn poll_page(
        &mut self,
        now: MonoTime,
        presence: &Presence,
        facts: &dyn SelectorFacts,
        has_room: impl Fn(&C) -> bool,
    ) -> Option<PresencePage<C>> {
        self.round.begin(now);
        if self.wide_due.is_some_and(|at| at <= now) {
            self.wide_due = None;
            for id in self.wide.clone() {
                if self
                    .watches
                    .get(&id)
                    .is_some_and(|watch| watch.due.is_none())
                {
                    self.wake(id, now);
                }
            }
        }
        while self.round.looks > 0
            && let Some(((at, _), id)) = self.due.first().copied()
            && at <= now
        {
            self.due.pop_first();
            let Some(watch) = self.watches.get_mut(&id) else {
                continue;
            };
            watch.due = None;
            if !has_room(&watch.client) {
                self.round.looks -= 1;
                self.wake(id, now + PRESENCE_GATHERED);
                continue;
            }
            let (page, has_more) = watch.read(presence, facts, &mut self.round.looks);
            if has_more {
                // Behind those that are due as well.
                self.wake(id, now);
            }
            if page.is_some() {
                return page;
            }
        }
        None
    }

    /// When [`PresenceWatches::poll_page`] has something.
    pub fn next_timeout(&self) -> Option<MonoTime> {
        let first = self.due.first().map(|((at, _), _)| *at);
        let due = first.into_iter().chain(self.wide_due).min()?;
        Some(if self.round.looks == 0 {
            due.max(self.round.until)
        } else {
            due
        })
    }

    fn numbers_of(&self, client: &C) -> impl Iterator<Item = u32> {
        let own = (client.clone(), 0)..=(client.clone(), u32::MAX);
        self.by_client.range(own).map(|((_, number), _)| *number)
    }

    fn wake(&mut self, id: WatchId, at: MonoTime) {
        if let Some(watch) = self.watches.get_mut(&id) {
            let turn = (at, self.next_turn);
            self.next_turn += 1;
            if let Some(old) = watch.due.replace(turn) {
                self.due.remove(&(old, id));
            }
            self.due.insert((turn, id));
        }
    }
}

fn goes_by_facts(selector: &Selector) -> bool {
    selector.room.is_some() || !selector.labels.is_empty()
}

impl<C: Clone> Watch<C> {
    /// Reads on until a page is full, all is read, or no more looks are left; whether there is more to read.
    fn read(
        &mut self,
        presence: &Presence,
        facts: &dyn SelectorFacts,
        looks: &mut usize,
    ) -> (Option<PresencePage<C>>, bool) {
        let mut nodes = Vec::new();
        let mut has_more = false;
        let mut look = |node: &NodeName, nodes: &mut Vec<NodePresence>| {
            *looks = looks.saturating_sub(1);
            if is_selected(&self.selector, node, facts) {
                nodes.push(presence.of(node));
            }
            *looks > 0 && nodes.len() < PRESENCE_PAGE_NODES
        };
        match &mut self.reads {
            Reads::After(cursor) => {
                let mut told = presence.told_after(*cursor);
                for (revision, node) in told.by_ref() {
                    *cursor = revision;
                    if !look(node, &mut nodes) {
                        break;
                    }
                }
                has_more |= told.next().is_some();
            }
            Reads::Named(changed) => {
                while let Some(node) = changed.pop_first()
                    && look(&node, &mut nodes)
                {}
                has_more |= !changed.is_empty();
            }
        }
        let is_beginning = !self.is_begun;
        self.is_begun |= !has_more;
        let is_said = !nodes.is_empty() || (is_beginning && self.is_begun);
        let page = is_said.then(|| PresencePage {
            client: self.client.clone(),
            watch: self.number,
            nodes,
            more: !self.is_begun,
        });
        (page, has_more)
    }
}

impl Round {
    fn begin(&mut self, now: MonoTime) {
        if now >= self.until {
            self.until = now + PRESENCE_GATHERED;
            self.looks = PRESENCE_LOOKS_PER_ROUND;
        }
    }
}

#[cfg(test)]
mod tests;
