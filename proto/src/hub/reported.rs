//! What a node keeps in its `reported` document at the hub.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::CallerEvent;
use crate::base::limits::{
    DOCUMENT_BYTES_MAX, DOCUMENT_ITEM_BYTES, DOCUMENT_ITEMS_MAX, DOCUMENT_VALUE_BYTES_MAX,
    REPORT_AGAIN_FIRST, REPORT_AGAIN_MAX, REPORT_EVERY,
};
use crate::base::{MonoTime, Name, NodeName};
use crate::wire::hub::{Answer, Bytes, Change, Document, HubRefusal, Owner, Request, Section};

/// Keeps a node's `reported` document at the hub as the node says that it is: what differs is written, the newest state only, and
/// what the hub has besides is removed. With nothing to say it says nothing. Only the node itself may write there, so that what was
/// read once is known.
#[derive(Debug)]
pub struct Reported {
    owner: Owner,
    wanted: BTreeMap<Name, Bytes>,
    /// As the hub has it; none before it was read.
    known: Option<BTreeMap<Name, Bytes>>,
    /// Items in which the two differ.
    differing: BTreeSet<Name>,
    /// Bytes of what is wanted, as the hub counts them.
    bytes: usize,
    is_up: bool,
    step: Step,
    /// Nothing is asked before.
    not_before: MonoTime,
    /// How long a refusal is waited for.
    again: Duration,
}

/// What is asked of the hub and not answered.
#[derive(Debug)]
enum Step {
    Nothing,
    Read(u32),
    Write(u32, Vec<Change>),
}

impl Reported {
    /// Of a node that has nothing to say yet.
    pub fn new(node: NodeName) -> Reported {
        Reported {
            owner: Owner::Node(node),
            wanted: BTreeMap::new(),
            known: None,
            differing: BTreeSet::new(),
            bytes: 0,
            is_up: false,
            step: Step::Nothing,
            not_before: MonoTime::ZERO,
            again: REPORT_AGAIN_FIRST,
        }
    }

    /// An item is so from now on; with none it is not there.
    ///
    /// # Errors
    /// `TooLarge`, `Full`: a bound of the value or the document; nothing has changed.
    pub fn set(&mut self, key: &Name, value: Option<Bytes>) -> Result<(), HubRefusal> {
        let before = self.wanted.get(key);
        if before == value.as_ref() {
            return Ok(());
        }
        let counted = |value: &Bytes| counted(key, value);
        let added = value.as_ref().map_or(0, counted);
        let bytes = self.bytes - before.map_or(0, counted) + added;
        if value
            .as_ref()
            .is_some_and(|value| value.0.len() > DOCUMENT_VALUE_BYTES_MAX)
            || (added > 0 && bytes > DOCUMENT_BYTES_MAX)
        {
            return Err(HubRefusal::TooLarge);
        }
        if before.is_none() && self.wanted.len() >= DOCUMENT_ITEMS_MAX {
            return Err(HubRefusal::Full);
        }
        self.bytes = bytes;
        match value {
            Some(value) => self.wanted.insert(key.clone(), value),
            None => self.wanted.remove(key),
        };
        self.compare(key);
        Ok(())
    }

    /// Takes what the hub says of this document; false when the event is not about it.
    pub fn on_event(&mut self, now: MonoTime, event: &CallerEvent) -> bool {
        match event {
            CallerEvent::Up => {
                // Another hub may have another document, and what was under way may have been done or not.
                self.is_up = true;
                self.known = None;
                self.step = Step::Nothing;
                self.again = REPORT_AGAIN_FIRST;
                false
            }
            CallerEvent::Down => {
                self.is_up = false;
                false
            }
            CallerEvent::Answered { ask, answer } => self.on_answer(now, *ask, answer),
            CallerEvent::Told(_)
            | CallerEvent::Message { .. }
            | CallerEvent::Resumed { .. }
            | CallerEvent::Lost { .. } => false,
        }
    }

    /// What is to be asked of the hub now; [`Reported::on_asked`] has to follow.
    pub fn next_request(&self, now: MonoTime) -> Option<Request> {
        if self.next_timeout()? > now {
            return None;
        }
        let owner = self.owner.clone();
        let section = Section::Reported;
        if self.known.is_none() {
            return Some(Request::Document { owner, section });
        }
        let change = |key: &Name| Change {
            key: key.clone(),
            if_revision: None,
            value: self.wanted.get(key).cloned(),
        };
        Some(Request::Set {
            owner,
            section,
            if_revision: None,
            changes: self.differing.iter().map(change).collect(),
            lock: None,
            lease: None,
        })
    }

    /// The request was asked, by this number.
    pub fn on_asked(&mut self, now: MonoTime, ask: u32, request: &Request) {
        self.step = if let Request::Set { changes, .. } = request {
            self.not_before = now + REPORT_EVERY;
            Step::Write(ask, changes.clone())
        } else {
            Step::Read(ask)
        };
    }

    /// Nothing can be asked now.
    pub fn on_no_room(&mut self, now: MonoTime) {
        self.not_before = now + REPORT_AGAIN_FIRST;
    }

    /// What is asked and not answered: nobody waits for it once the hub is another one.
    pub const fn open_ask(&self) -> Option<u32> {
        match &self.step {
            Step::Nothing => None,
            Step::Read(ask) | Step::Write(ask, _) => Some(*ask),
        }
    }

    /// When [`Reported::next_request`] has something by itself.
    pub fn next_timeout(&self) -> Option<MonoTime> {
        let waits = matches!(self.step, Step::Nothing)
            && self.is_up
            && (self.known.is_none() || !self.differing.is_empty());
        waits.then_some(self.not_before)
    }

    fn on_answer(&mut self, now: MonoTime, answered: u32, answer: &Answer) -> bool {
        match &self.step {
            Step::Read(ask) | Step::Write(ask, _) if *ask == answered => {}
            Step::Nothing | Step::Read(_) | Step::Write(..) => return false,
        }
        match (std::mem::replace(&mut self.step, Step::Nothing), answer) {
            (Step::Read(_), Answer::Document(document)) => self.on_read(document),
            (Step::Write(_, changes), Answer::Done { .. }) => self.on_written(changes),
            (Step::Nothing | Step::Read(_) | Step::Write(..), _) => {
                // Refused, or none that an honest hub gives: it is read anew, later and later.
                self.known = None;
                self.not_before = now + self.again;
                self.again = (self.again * 2).min(REPORT_AGAIN_MAX);
            }
        }
        true
    }

    fn on_read(&mut self, document: &Document) {
        let items = document.items.iter();
        let known: BTreeMap<Name, Bytes> = items
            .take(DOCUMENT_ITEMS_MAX)
            .map(|item| (item.key.clone(), item.value.clone()))
            .collect();
        self.differing = known
            .keys()
            .chain(self.wanted.keys())
            .filter(|key| known.get(*key) != self.wanted.get(*key))
            .cloned()
            .collect();
        self.known = Some(known);
    }

    fn on_written(&mut self, changes: Vec<Change>) {
        self.again = REPORT_AGAIN_FIRST;
        for Change { key, value, .. } in changes {
            if let Some(known) = &mut self.known {
                match value {
                    Some(value) => known.insert(key.clone(), value),
                    None => known.remove(&key),
                };
            }
            self.compare(&key);
        }
    }

    fn compare(&mut self, key: &Name) {
        let Some(known) = &self.known else {
            return;
        };
        if known.get(key) == self.wanted.get(key) {
            self.differing.remove(key);
        } else {
            self.differing.insert(key.clone());
        }
    }
}

/// Bytes of an item, as the hub counts them.
fn counted(key: &Name, value: &Bytes) -> usize {
    key.as_str().len() + value.0.len() + DOCUMENT_ITEM_BYTES
}

#[cfg(test)]
mod tests;
