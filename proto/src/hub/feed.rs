//! What many read: a topic of a room, a mailbox, the changes of a room's members.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::carrier::cut;
use super::{Entry, JournalHead, Page, StoreOp, Table};
use crate::base::Class;
use crate::base::limits::{
    FEED_IDS_MAX, FEED_RING_BYTES_MAX, FEED_RING_MESSAGES_MAX, MAILBOX_TAKEN_MAX,
};
use crate::wire::hub::{Cursor, Line, LineMessage, MessageId, Post, Retention, encode};

/// Names a client of the hub: a program of a node, or somebody at the HTTP API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// Numbered messages, which everybody who reads them has in the same order. The newest are in memory, older ones may be in the store.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) line: Line,
    /// The name under which it is stored; none: it is in memory only.
    pub(super) journal: Option<Arc<str>>,
    epoch: u64,
    /// With what was reserved and is not stored yet.
    reserved: u64,
    /// What readers may have.
    pub(super) head: JournalHead,
    ring: VecDeque<Kept>,
    ring_bytes: usize,
    /// Of the newest messages, also those that are not stored yet.
    ids: VecDeque<(MessageId, u64)>,
    /// Of the record with the names of messages that were taken.
    taken_revision: u64,
    live: u64,
    pub(super) readers: BTreeSet<ClientId>,
    pub(super) warmth: Warmth,
    pub(super) retention: Retention,
}

/// Whether the newest messages of a stored journal are in memory: before that nobody knows what was sent already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Warmth {
    Cold,
    Warming,
    Warm,
}

/// A message as it goes on legs.
pub(super) type Pieces = Vec<Arc<[u8]>>;

/// A message as it goes to everybody.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) number: u64,
    /// Milliseconds since 1970.
    pub(super) until_ms: u64,
    pub(super) at_ms: u64,
    pub(super) message: Arc<[u8]>,
    pub(super) pieces: Arc<[Arc<[u8]>]>,
}

impl Feed {
    /// One that is not stored: its numbers begin anew with each run of the hub, which `epoch` says.
    pub(super) fn in_memory(line: Line, epoch: u64, retention: Retention) -> Feed {
        Feed {
            line,
            journal: None,
            epoch,
            reserved: 1,
            head: EMPTY,
            ring: VecDeque::new(),
            ring_bytes: 0,
            ids: VecDeque::new(),
            taken_revision: 0,
            live: 0,
            readers: BTreeSet::new(),
            warmth: Warmth::Warm,
            retention,
        }
    }

    /// One that is stored, and stands so.
    pub(super) fn stored(
        line: Line,
        epoch: u64,
        journal: Arc<str>,
        head: Option<JournalHead>,
        retention: Retention,
    ) -> Feed {
        let is_empty = head.is_none_or(|head| head.count == 0);
        let head = head.unwrap_or(EMPTY);
        Feed {
            journal: Some(journal),
            reserved: head.next,
            head,
            warmth: if is_empty { Warmth::Warm } else { Warmth::Cold },
            ..Feed::in_memory(line, epoch, retention)
        }
    }

    /// The place of a number.
    pub(super) const fn cursor(&self, number: u64) -> Cursor {
        Cursor {
            epoch: self.epoch,
            number,
        }
    }

    /// The number that follows the newest message.
    pub(super) const fn next(&self) -> u64 {
        self.head.next
    }

    /// The number of a message that was sent before.
    // [WIRE-193]
    pub(super) fn known(&self, id: MessageId) -> Option<u64> {
        let same = self.ids.iter().rev().find(|(known, _)| *known == id);
        same.map(|(_, number)| *number)
    }

    /// Gives a message the next number. It is to be told by [`Feed::publish`], once it is stored.
    pub(super) fn reserve(&mut self, id: MessageId) -> u64 {
        let number = self.reserved;
        self.reserved += 1;
        self.note(id, number);
        number
    }

    /// What was reserved and is not published does not come: it could not be stored.
    pub(super) fn give_up_reserved(&mut self) {
        self.reserved = self.head.next;
        self.ids.retain(|(_, number)| *number < self.head.next);
    }

    /// A message is there for everybody.
    pub(super) fn publish(&mut self, post: &Post, number: u64) {
        let message = encode(&LineMessage::Post(post.clone()));
        let at_ms = post.at_ms;
        self.append(
            number,
            (at_ms, post.until_ms),
            message,
            post.payload.0.len(),
        );
    }

    /// A message of another kind is there for everybody, with the next number.
    pub(super) fn announce(&mut self, at_ms: u64, message: &LineMessage) {
        let number = self.reserved;
        self.reserved += 1;
        self.append(number, (at_ms, u64::MAX), encode(message), 0);
    }

    fn append(
        &mut self,
        number: u64,
        (at_ms, until_ms): (u64, u64),
        message: Arc<[u8]>,
        bytes: usize,
    ) {
        self.head.next = number + 1;
        self.head.count += 1;
        self.head.bytes += bytes as u64;
        self.reserved = self.reserved.max(number + 1);
        let pieces = cut(self.line, Class::Reliable, number, &message).into();
        self.ring_bytes += message.len();
        self.ring.push_back(Kept {
            number,
            until_ms,
            at_ms,
            message,
            pieces,
        });
        let (count, bytes) = match self.journal {
            Some(_) => (FEED_RING_MESSAGES_MAX as u64, FEED_RING_BYTES_MAX as u64),
            None => (
                self.retention.count_max.min(FEED_RING_MESSAGES_MAX as u64),
                self.retention.bytes_max.min(FEED_RING_BYTES_MAX as u64),
            ),
        };
        while self.ring.len() > 1
            && (self.ring.len() as u64 > count.max(1) || self.ring_bytes as u64 > bytes)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.ring.pop_front() {
            self.ring_bytes -= oldest.message.len();
            if self.journal.is_none() {
                self.head.count -= 1;
                self.head.first = oldest.number + 1;
            }
        }
    }

    /// The pieces of a message that is not kept, and its number.
    pub(super) fn live(&mut self, post: &Post) -> (u64, Arc<[u8]>, Pieces) {
        self.live += 1;
        let message = encode(&LineMessage::Post(post.clone()));
        let pieces = cut(self.line, Class::Unordered, self.live, &message);
        (self.live, message, pieces)
    }

    /// The first message with this number or a higher one that is in memory; none when older ones may be in the store.
    pub(super) fn in_ring(&self, number: u64) -> Option<&Kept> {
        let first = self.ring.front()?;
        let is_gapless = number >= first.number || self.head.first >= first.number;
        if !is_gapless {
            return None;
        }
        let at = self.ring.partition_point(|kept| kept.number < number);
        self.ring.get(at)
    }

    /// All that is in memory, the oldest first.
    pub(super) fn ring(&self) -> impl DoubleEndedIterator<Item = &Kept> {
        self.ring.iter()
    }

    /// The newest messages of the store.
    pub(super) fn warm(&mut self, page: Page) {
        self.warmth = Warmth::Warm;
        // Newest first.
        for entry in page.entries.into_iter().rev() {
            self.note(entry.id, entry.number);
            let kept = Kept::stored(self.line, &entry);
            self.ring_bytes += kept.message.len();
            self.ring.push_back(kept);
        }
        while self.ring.len() > FEED_RING_MESSAGES_MAX || self.ring_bytes > FEED_RING_BYTES_MAX {
            self.drop_oldest();
        }
    }

    /// The store has shortened it.
    pub(super) fn on_head(&mut self, head: JournalHead) {
        self.head.first = head.first;
        self.head.count = head.count;
        self.head.bytes = head.bytes;
        while self
            .ring
            .front()
            .is_some_and(|oldest| oldest.number < head.first)
        {
            self.drop_oldest();
        }
    }

    /// What shortens it to what it is to keep, when it is well over that.
    pub(super) fn retain(&self, unix_ms: u64) -> Option<StoreOp> {
        let slack = |max: u64| max.saturating_add(max / 8).saturating_add(8);
        let is_over = self.head.count > slack(self.retention.count_max)
            || self.head.bytes > slack(self.retention.bytes_max);
        is_over.then(|| self.retain_by_age(unix_ms)).flatten()
    }

    /// What takes away what is older than it is to be kept.
    pub(super) fn retain_by_age(&self, unix_ms: u64) -> Option<StoreOp> {
        Some(StoreOp::Retain {
            journal: self.journal.clone()?,
            count_max: self.retention.count_max,
            bytes_max: self.retention.bytes_max,
            not_before_ms: unix_ms.saturating_sub(self.retention.age_max_s.saturating_mul(1_000)),
        })
    }

    /// What takes away the messages below a number that a mailbox's reader has taken, but for the newest of their names.
    // [WIRE-193]
    pub(super) fn take(&mut self, below: u64) -> Option<[StoreOp; 2]> {
        let journal = self.journal.clone()?;
        let taken = self.ids.iter().rev().filter(|(_, number)| *number < below);
        let names: Vec<MessageId> = taken.take(MAILBOX_TAKEN_MAX).map(|(id, _)| *id).collect();
        self.taken_revision += 1;
        let put = StoreOp::Put {
            table: Table::Taken,
            key: journal.to_string(),
            revision: self.taken_revision,
            value: encode(&names),
        };
        Some([put, StoreOp::Discard { journal, below }])
    }

    /// What was to be taken is still there: that it goes could not be stored.
    pub(super) const fn give_up_take(&mut self) {
        self.taken_revision -= 1;
    }

    /// The record of what was taken, as the store has it: the newest name first.
    pub(super) fn load_taken(&mut self, revision: u64, names: Vec<MessageId>) {
        self.taken_revision = revision;
        for id in names.into_iter().rev() {
            self.note(id, 0);
        }
    }

    fn note(&mut self, id: MessageId, number: u64) {
        self.ids.push_back((id, number));
        if self.ids.len() > FEED_IDS_MAX {
            self.ids.pop_front();
        }
    }
}

impl Kept {
    /// A message as the store has it.
    pub(super) fn stored(line: Line, entry: &Entry) -> Kept {
        // What the store gives is what was given to it: an encoded line message.
        let until_ms = match crate::wire::hub::decode::<LineMessage>(&entry.bytes) {
            Ok(LineMessage::Post(post)) => post.until_ms,
            // It is over, so nobody gets it.
            Ok(LineMessage::Members(_)) | Err(_) => 0,
        };
        Kept {
            number: entry.number,
            until_ms,
            at_ms: entry.at_ms,
            message: Arc::clone(&entry.bytes),
            pieces: cut(line, Class::Reliable, entry.number, &entry.bytes).into(),
        }
    }
}

/// Of a journal that begins.
const EMPTY: JournalHead = JournalHead {
    first: 1,
    next: 1,
    count: 0,
    bytes: 0,
};
