//! Who watches presence and documents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use longrein_proto::base::Name;
use longrein_proto::wire::hub::{Document, HubRefusal, Item, NodePresence, Owner, Section};
use tokio::sync::watch;

use super::Switchboard;
use crate::hub::presence::PresenceNews;

/// Who watches presence and documents, by the number of the watch.
#[derive(Debug, Default)]
pub(super) struct Watches {
    last: u32,
    presence: BTreeMap<u32, Arc<PresenceNews>>,
    documents: BTreeMap<u32, Watched>,
    /// Those that the hub has taken.
    taken: BTreeSet<u32>,
}

#[derive(Debug)]
struct Watched {
    place: (Owner, Section),
    /// As it is known; none after something may have been missed.
    known: Option<Document>,
    /// Whether it has to be asked for, which could not be done.
    is_to_fetch: bool,
    tell: watch::Sender<Option<Document>>,
}

impl Switchboard {
    /// Somebody is about to watch; the number of the watch.
    pub(in crate::hub) fn watch_presence(&mut self, news: Arc<PresenceNews>) -> u32 {
        let watch = self.watches.next();
        self.watches.presence.insert(watch, news);
        watch
    }

    /// Somebody is about to watch a document; the number of the watch.
    pub(in crate::hub) fn watch_document(
        &mut self,
        place: (Owner, Section),
        tell: watch::Sender<Option<Document>>,
    ) -> u32 {
        let watch = self.watches.next();
        let watched = Watched {
            place,
            known: None,
            is_to_fetch: false,
            tell,
        };
        self.watches.documents.insert(watch, watched);
        watch
    }
}

impl Watches {
    fn next(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.last
    }

    /// The hub has taken a watch.
    pub(super) fn on_taken(&mut self, watch: u32) {
        self.taken.insert(watch);
    }

    /// There is a new conversation with the hub: how all stands is told anew.
    pub(super) fn on_hub(&mut self) {
        for watched in self.documents.values_mut() {
            watched.known = None;
        }
    }

    pub(super) fn on_presence(&mut self, watch: u32, nodes: Vec<NodePresence>) {
        if let Some(news) = self.presence.get(&watch) {
            news.tell(nodes);
        }
    }

    /// A document changed; whether it is known what it says now.
    pub(super) fn on_change(
        &mut self,
        watch: u32,
        (after, revision): (u64, u64),
        set: Vec<Item>,
        removed: &[Name],
    ) -> bool {
        let Some(watched) = self.documents.get_mut(&watch) else {
            return true;
        };
        let known = watched.known.get_or_insert_default();
        if after == 0 {
            // Everything that it says.
            *known = Document::default();
        } else if revision <= known.revision {
            return true;
        } else if after != known.revision {
            return false;
        }
        known.revision = revision;
        let is_old = |item: &Item| {
            removed.contains(&item.key) || set.iter().any(|other| other.key == item.key)
        };
        known.items.retain(|item| !is_old(item));
        known.items.extend(set);
        known.items.sort_by(|a, b| a.key.cmp(&b.key));
        watched.tell();
        true
    }

    /// What a document says, as was asked for.
    pub(super) fn on_document(&mut self, watch: u32, document: Document) {
        let Some(watched) = self.documents.get_mut(&watch) else {
            return;
        };
        watched.is_to_fetch = false;
        let known = watched.known.as_ref();
        if known.is_none_or(|known| document.revision > known.revision) {
            watched.known = Some(document);
            watched.tell();
        }
    }

    /// A document has to be asked for again.
    pub(super) fn on_document_missed(&mut self, watch: u32) {
        if let Some(watched) = self.documents.get_mut(&watch) {
            watched.is_to_fetch = true;
        }
    }

    pub(super) fn take_unfetched(&mut self) -> Vec<u32> {
        let mut watches = Vec::new();
        for (watch, watched) in &mut self.documents {
            if std::mem::take(&mut watched.is_to_fetch) {
                watches.push(*watch);
            }
        }
        watches
    }

    pub(super) fn place(&self, watch: u32) -> Option<(Owner, Section)> {
        let watched = self.documents.get(&watch)?;
        Some(watched.place.clone())
    }

    /// The hub did not take a watch again.
    pub(super) fn on_lost(&mut self, watch: u32, why: HubRefusal) {
        self.documents.remove(&watch);
        self.taken.remove(&watch);
        if let Some(news) = self.presence.remove(&watch) {
            news.end(Some(why));
        }
    }

    /// A watch is over; whether the hub may have taken it.
    pub(super) fn remove(&mut self, watch: u32, is_hub_up: bool) -> bool {
        let was_presence = self.presence.remove(&watch).is_some();
        let was_document = self.documents.remove(&watch).is_some();
        let was_taken = self.taken.remove(&watch);
        (was_presence || was_document) && (was_taken || is_hub_up)
    }

    /// Watches that nobody reads any more.
    pub(super) fn abandoned(&self) -> Vec<u32> {
        let presence = self
            .presence
            .iter()
            .filter(|(_, news)| Arc::strong_count(news) == 1)
            .map(|(watch, _)| *watch);
        let documents = self
            .documents
            .iter()
            .filter(|(_, watched)| watched.tell.is_closed())
            .map(|(watch, _)| *watch);
        presence.chain(documents).collect()
    }
}

impl Watched {
    fn tell(&self) {
        self.tell.send_replace(self.known.clone());
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        for news in self.presence.values() {
            news.end(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(key: &str, revision: u64) -> Item {
        Item {
            key: key.parse().unwrap(),
            revision,
            value: vec![0].into(),
            by: "controller/bob".parse().unwrap(),
            at_ms: 0,
        }
    }

    #[test]
    fn changes_add_up_to_the_document_and_one_that_was_missed_is_noticed() {
        let mut board = Switchboard::default();
        let (tell, mut document) = watch::channel(None);
        let place = (Owner::Room("yard".parse().unwrap()), Section::Attributes);
        let number = board.watch_document(place, tell);
        let watches = &mut board.watches;
        let mut keys = |expected: &[&str], revision| {
            let known = document.borrow_and_update().clone().unwrap();
            let keys: Vec<&str> = known.items.iter().map(|item| item.key.as_str()).collect();
            assert_eq!((keys.as_slice(), known.revision), (expected, revision));
        };
        assert!(watches.on_change(number, (0, 4), vec![item("a", 2), item("b", 4)], &[]));
        keys(&["a", "b"], 4);
        let gone = ["a".parse().unwrap()];
        assert!(watches.on_change(number, (4, 5), vec![item("c", 5)], &gone));
        keys(&["b", "c"], 5);
        assert!(!watches.on_change(number, (7, 8), vec![item("e", 8)], &[]));
        let items = vec![item("d", 7), item("e", 8)];
        watches.on_document(number, Document { revision: 8, items });
        keys(&["d", "e"], 8);
        assert!(watches.on_change(number, (7, 8), vec![item("e", 8)], &[]));

        watches.on_hub();
        assert!(!watches.on_change(number, (2, 3), vec![item("z", 3)], &[]));
        assert!(watches.on_change(number, (0, 3), vec![item("a", 3)], &[]));
        keys(&["a"], 3);
    }
}
