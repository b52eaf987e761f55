//! Attributes of nodes and rooms: documents of items, with revisions.
//!
//! A write is made here at once and stored afterwards: it comes with what is to be stored, and with what undoes it when that fails.
//! A document that was written once stays as long as its owner, also without items: its revision never begins again.

mod key;
mod watches;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use self::watches::Watches;
use super::{StoreOp, Table};
use crate::base::limits::{
    DOCUMENT_BYTES_MAX, DOCUMENT_ITEM_BYTES, DOCUMENT_ITEMS_MAX, DOCUMENT_VALUE_BYTES_MAX,
    DOCUMENTS_BYTES_MAX, DOCUMENTS_MAX,
};
use crate::base::{Name, NodeName};
use crate::wire::hub::{Change, Document, HubRefusal, Item, Owner, Section, decode, encode};

/// All documents, and who watches them. `C` names a client.
#[derive(Debug)]
pub(crate) struct Documents<C> {
    documents: BTreeMap<(Owner, Section), Arc<Document>>,
    /// Of all of them, as they count.
    bytes: usize,
    watches: Watches<C>,
}

/// A write that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// That of the document now.
    pub(crate) revision: u64,
    /// What is to be stored.
    pub(crate) op: StoreOp,
    /// Undoes it.
    pub(crate) undo: Undo,
    /// What those who watch are told.
    pub(crate) told: Told,
}

/// What those who watch a document are told of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// The document's revision before it.
    pub(crate) after: u64,
    /// Its revision now.
    pub(crate) revision: u64,
    /// Items that were set.
    pub(crate) set: Vec<Item>,
    /// Items that are gone.
    pub(crate) removed: Vec<Name>,
}

/// A document as it was before a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Undo {
    place: (Owner, Section),
    before: Option<Arc<Document>>,
}

impl<C: Clone + Ord> Documents<C> {
    /// No documents.
    pub(crate) fn new() -> Documents<C> {
        Documents {
            documents: BTreeMap::new(),
            bytes: 0,
            watches: Watches::new(),
        }
    }

    /// Takes the records of [`Table::Documents`] that a store holds: key, revision, value. Says how many cannot be read; they are
    /// left out, and the store refuses to write over them.
    pub(crate) fn load(
        &mut self,
        records: impl IntoIterator<Item = (String, u64, Arc<[u8]>)>,
    ) -> usize {
        let mut unread = 0;
        for (key, revision, value) in records {
            match read(&key, revision, &value) {
                Some((place, document)) => {
                    self.replace(place, Some(Arc::new(document)));
                }
                None => unread += 1,
            }
        }
        unread
    }

    /// Changes items of a document, all or none.
    ///
    /// # Errors
    /// `Malformed`: no changes, or two of one item. `TooLarge`, `Full`: a bound of the value, the document, or all of them.
    /// `Conflict`: the document or an item has another revision, which it names.
    pub(crate) fn set(
        &mut self,
        at_ms: u64,
        by: &NodeName,
        owner: &Owner,
        section: Section,
        if_revision: Option<u64>,
        changes: &[Change],
    ) -> Result<Written, HubRefusal> {
        check_form(changes)?;
        let place = (owner.clone(), section);
        let before = self.documents.get(&place);
        let mut document = before.map(|d| Document::clone(d)).unwrap_or_default();
        let after = document.revision;
        expect_revision(if_revision, after)?;
        for change in changes {
            let item = find(&document, change.key.as_str());
            expect_revision(change.if_revision, item.map_or(0, |item| item.revision))?;
        }
        let revision = after.checked_add(1).ok_or(HubRefusal::Full)?;
        document.revision = revision;
        let mut told = Told {
            after,
            revision,
            set: Vec::new(),
            removed: Vec::new(),
        };
        for change in changes {
            let at = position(&document, change.key.as_str());
            if let Ok(at) = at {
                document.items.remove(at);
            }
            let (Ok(free) | Err(free)) = at;
            match &change.value {
                Some(value) => {
                    let item = Item {
                        key: change.key.clone(),
                        revision,
                        value: value.clone(),
                        by: by.clone(),
                        at_ms,
                    };
                    document.items.insert(free, item.clone());
                    told.set.push(item);
                }
                None if at.is_ok() => told.removed.push(change.key.clone()),
                None => {}
            }
        }
        self.check_room(before.map(Arc::as_ref), &document)?;
        let op = StoreOp::Put {
            table: Table::Documents,
            key: key::write(owner, section),
            revision,
            value: encode(&document),
        };
        Ok(Written {
            revision,
            op,
            undo: self.replace(place, Some(Arc::new(document))),
            told,
        })
    }

    /// Makes a document what it was before a change. Of several changes the last one is undone first.
    pub(crate) fn undo(&mut self, undo: Undo) {
        self.replace(undo.place, undo.before);
    }

    /// The documents of an owner are no more, which a room has that closes. Who watches them watches on.
    pub(crate) fn remove_owner(&mut self, owner: &Owner) -> Vec<(StoreOp, Undo)> {
        let mut removed = Vec::new();
        for section in key::SECTIONS {
            let place = (owner.clone(), section);
            if self.documents.contains_key(&place) {
                let op = StoreOp::Remove {
                    table: Table::Documents,
                    key: key::write(owner, section),
                };
                removed.push((op, self.replace(place, None)));
            }
        }
        removed
    }

    /// The document; of revision 0 when it was never written.
    pub(crate) fn get(&self, owner: &Owner, section: Section) -> Document {
        let document = self.documents.get(&(owner.clone(), section));
        document.map(|d| Document::clone(d)).unwrap_or_default()
    }

    /// The documents of this section that nodes have, by node, behind one of them.
    pub(crate) fn of_nodes(
        &self,
        section: Section,
        after: Option<&NodeName>,
    ) -> impl Iterator<Item = (&NodeName, &Document)> {
        let behind = match after {
            // The last of its sections.
            Some(node) => Bound::Excluded((Owner::Node(node.clone()), Section::Reported)),
            None => Bound::Unbounded,
        };
        let documents = self.documents.range((behind, Bound::Unbounded));
        documents.filter_map(move |((owner, of), document)| match owner {
            Owner::Node(node) if *of == section => Some((node, &**document)),
            Owner::Node(_) | Owner::Room(_) => None,
        })
    }

    /// The value of a node's label: of the item `label.<key>` of its attributes.
    pub(crate) fn label(&self, node: &NodeName, key: &Name) -> Option<&[u8]> {
        let place = (Owner::Node(node.clone()), Section::Attributes);
        let document = self.documents.get(&place)?;
        let label = || LABEL.bytes().chain(key.as_str().bytes());
        let at = document
            .items
            .binary_search_by(|item| item.key.as_str().bytes().cmp(label()));
        Some(&document.items.get(at.ok()?)?.value.0)
    }

    /// A client hears of changes of a document from now on, by its number for it.
    ///
    /// # Errors
    /// `Malformed`: the number names another document. `Full`: it watches as many as it may.
    pub(crate) fn watch(
        &mut self,
        client: C,
        watch: u32,
        owner: &Owner,
        section: Section,
    ) -> Result<(), HubRefusal> {
        self.watches.add(client, watch, (owner.clone(), section))
    }

    /// A client hears of them no more. Says whether it did.
    pub(crate) fn unwatch(&mut self, client: &C, watch: u32) -> bool {
        self.watches.remove(client, watch)
    }

    /// Whether a client watches a document by this number.
    pub(crate) fn watches(&self, client: &C, watch: u32) -> bool {
        self.watches.has(client, watch)
    }

    /// A client is no more, and so are its watches.
    pub(crate) fn on_client_gone(&mut self, client: &C) {
        self.watches.on_client_gone(client);
    }

    /// Who watches a document, and by which number.
    pub(crate) fn watchers(
        &self,
        owner: &Owner,
        section: Section,
    ) -> impl Iterator<Item = (&C, u32)> {
        self.watches.of((owner.clone(), section))
    }

    /// What grows stays within the bounds; what shrinks may be above them.
    fn check_room(&self, before: Option<&Document>, now: &Document) -> Result<(), HubRefusal> {
        let (items, bytes) = before.map_or((0, 0), |d| (d.items.len(), counted(d)));
        let (items_now, bytes_now) = (now.items.len(), counted(now));
        let all = self.bytes + bytes_now.saturating_sub(bytes);
        if bytes_now > bytes && bytes_now > DOCUMENT_BYTES_MAX {
            Err(HubRefusal::TooLarge)
        } else if (items_now > items && items_now > DOCUMENT_ITEMS_MAX)
            || (bytes_now > bytes && all > DOCUMENTS_BYTES_MAX)
            || (before.is_none() && self.documents.len() >= DOCUMENTS_MAX)
        {
            Err(HubRefusal::Full)
        } else {
            Ok(())
        }
    }

    /// Puts a document in the place of another one, or none.
    fn replace(&mut self, place: (Owner, Section), document: Option<Arc<Document>>) -> Undo {
        self.bytes += document.as_deref().map_or(0, counted);
        let before = match document {
            Some(document) => self.documents.insert(place.clone(), document),
            None => self.documents.remove(&place),
        };
        self.bytes -= before.as_deref().map_or(0, counted);
        Undo { place, before }
    }
}

/// Reads a record, if it is what a write made.
fn read(key: &str, revision: u64, value: &[u8]) -> Option<((Owner, Section), Document)> {
    let place = key::read(key)?;
    let document: Document = decode(value).ok()?;
    let is_sorted = document.items.is_sorted_by(|a, b| a.key < b.key);
    let is_one = document.revision == revision && revision > 0 && is_sorted;
    is_one.then_some((place, document))
}

fn check_form(changes: &[Change]) -> Result<(), HubRefusal> {
    let mut keys: Vec<&Name> = changes.iter().map(|change| &change.key).collect();
    keys.sort_unstable();
    if keys.is_empty() || !keys.is_sorted_by(|a, b| a < b) {
        return Err(HubRefusal::Malformed);
    }
    let mut values = changes.iter().filter_map(|change| change.value.as_ref());
    if values.any(|value| value.0.len() > DOCUMENT_VALUE_BYTES_MAX) {
        return Err(HubRefusal::TooLarge);
    }
    Ok(())
}

fn expect_revision(wanted: Option<u64>, revision: u64) -> Result<(), HubRefusal> {
    match wanted {
        Some(wanted) if wanted != revision => Err(HubRefusal::Conflict { revision }),
        Some(_) | None => Ok(()),
    }
}

fn position(document: &Document, key: &str) -> Result<usize, usize> {
    let items = &document.items;
    items.binary_search_by(|item| item.key.as_str().cmp(key))
}

fn find<'a>(document: &'a Document, key: &str) -> Option<&'a Item> {
    document.items.get(position(document, key).ok()?)
}

/// Bytes of a document, as they count.
fn counted(document: &Document) -> usize {
    let of_item = |item: &Item| item.key.as_str().len() + item.value.0.len() + DOCUMENT_ITEM_BYTES;
    document.items.iter().map(of_item).sum()
}

/// What the keys of labels begin with.
const LABEL: &str = "label.";

#[cfg(test)]
mod tests;
