//! Who is here, and who hears of that.

use super::Hub;
use super::commits::Asker;
use super::rooms::page_count;
use crate::base::{Name, NodeName};
use crate::hub::documents::Documents;
use crate::hub::room::Room;
use crate::hub::{
    ClientId, HubRight, LinkState, Moment, Presence, SelectorFacts, WatchError, is_selected,
};
use crate::wire::hub::{Answer, HubRefusal, Label, PresenceReason, Selector, Tell};
use std::collections::BTreeMap;

type Answered = Result<Option<Answer>, HubRefusal>;

/// What the hub knows of nodes, for selectors.
pub(super) struct Facts<'a> {
    pub(super) presence: &'a Presence,
    pub(super) rooms: &'a BTreeMap<Name, Room>,
    pub(super) documents: &'a Documents<ClientId>,
}

impl SelectorFacts for Facts<'_> {
    fn has_group(&self, node: &NodeName, group: &Name) -> bool {
        self.presence.groups(node).contains(group)
    }

    fn is_in_room(&self, node: &NodeName, room: &Name) -> bool {
        let room = self.rooms.get(room);
        room.is_some_and(|room| room.role(node).is_some())
    }

    fn has_label(&self, node: &NodeName, label: &Label) -> bool {
        let value = self.documents.label(node, &label.key);
        value == Some(label.value.as_str().as_bytes())
    }
}

impl Hub {
    /// Who is here.
    pub const fn presence(&self) -> &Presence {
        &self.presence
    }

    /// A node is here, with these groups in its certificate and these links.
    pub fn on_here(
        &mut self,
        at: Moment,
        node: &NodeName,
        groups: &[Name],
        links: &[(Name, LinkState)],
    ) {
        self.presence
            .on_here(at.now, at.unix_ms, node, groups, links);
        self.take_presence(at);
    }

    /// A node is away.
    pub fn on_away(&mut self, at: Moment, node: &NodeName, reason: PresenceReason) {
        self.presence.on_away(at.now, at.unix_ms, node, reason);
        self.take_presence(at);
    }

    /// Does what is due.
    pub(super) fn work_on_presence(&mut self, at: Moment) {
        self.presence.on_timeout(at.now);
        self.take_presence(at);
        let facts = Facts {
            presence: &self.presence,
            rooms: &self.rooms,
            documents: &self.documents,
        };
        let mut pages = Vec::new();
        while pages.len() < PAGES_AT_ONCE {
            let clients = &self.clients;
            let has_room = |client: &ClientId| {
                clients
                    .get(client)
                    .is_some_and(|client| client.carrier.is_calm())
            };
            match self
                .watches
                .poll_page(at.now, &self.presence, &facts, has_room)
            {
                Some(page) => pages.push(page),
                None => break,
            }
        }
        for page in pages {
            let tell = Tell::Presence {
                watch: page.watch,
                nodes: page.nodes,
                more: page.more,
            };
            self.tell(page.client, tell);
        }
    }

    /// Carries news of nodes to who watches, and to rooms.
    fn take_presence(&mut self, at: Moment) {
        while let Some(node) = self.presence.poll_change() {
            self.watches.on_change(at.now, &node);
            let present = self.presence.is_here(&node);
            self.on_presence(at, &node, present);
        }
    }

    /// Whoever watches by rooms or labels is to hear of a node that moved.
    pub(super) fn on_moved(&mut self, at: Moment, node: &NodeName) {
        if self.watches.go_by_facts() {
            self.presence.on_moved(node);
            self.take_presence(at);
        }
    }

    pub(super) fn list_presence(
        &mut self,
        client: ClientId,
        of: &Selector,
        after: Option<&NodeName>,
        count: u32,
    ) -> Answered {
        self.expect_right(client, HubRight::Read)?;
        let count = page_count(count)?.min(NODES_PER_ANSWER);
        let facts = Facts {
            presence: &self.presence,
            rooms: &self.rooms,
            documents: &self.documents,
        };
        let known = self.presence.known_after(after);
        let mut selected = known.filter(|node| is_selected(of, node, &facts));
        let nodes = selected
            .by_ref()
            .take(count)
            .map(|node| self.presence.of(node));
        let nodes = nodes.collect();
        let more = selected.next().is_some();
        Ok(Some(Answer::Presence { nodes, more }))
    }

    pub(super) fn watch_presence(
        &mut self,
        at: Moment,
        (client, _): Asker,
        watch: u32,
        of: Selector,
    ) -> Answered {
        self.expect_right(client, HubRight::Read)?;
        if self.documents.watches(&client, watch) {
            return Err(HubRefusal::Malformed);
        }
        let watched = self.watches.watch(at.now, client, watch, of);
        watched.map_err(|why| match why {
            WatchError::TooLarge => HubRefusal::TooLarge,
            WatchError::Full => HubRefusal::Full,
        })?;
        Ok(Some(Answer::Done { revision: 0 }))
    }

    pub(super) fn where_is(&mut self, client: ClientId, node: &NodeName) -> Answered {
        self.expect_right(client, HubRight::Read)?;
        let programs = self.programs.get(node).into_iter().flatten();
        let joined = programs.filter_map(|client| self.clients.get(client));
        let mut rooms: Vec<Name> = joined
            .flat_map(|client| client.rooms.iter().cloned())
            .collect();
        rooms.sort();
        rooms.dedup();
        rooms.truncate(ROOMS_PER_ANSWER);
        Ok(Some(Answer::WhereIs {
            presence: self.presence.of(node),
            rooms,
        }))
    }
}

/// Pages that are told before the others of the hub have their turn: of 40 nodes each.
const PAGES_AT_ONCE: usize = 32;
/// Nodes in one answer: the longest names, each with the most links, fit the longest message.
const NODES_PER_ANSWER: usize = 50;
/// Rooms in one answer.
const ROOMS_PER_ANSWER: usize = 256;
