//! What is stored and read, and what happens then.

use std::sync::Arc;

use super::{Hub, HubEffect};
use crate::base::limits::{
    COMMITS_PENDING_MAX, FEED_PAGE_BYTES, FEED_PAGE_MESSAGES, FEED_RING_MESSAGES_MAX,
    READS_PENDING_MAX,
};
use crate::base::{Name, NodeName};
use crate::hub::documents::{Told, Undo};
use crate::hub::feed::{Kept, Warmth};
use crate::hub::room::Room;
use crate::hub::sends::SendId;
use crate::hub::{ClientId, JournalHead, Moment, Page, Query, ReadFrom, StoreOp};
use crate::wire::hub::{
    Answer, HistoryEntry, HubRefusal, Line, LineMessage, Owner, Post, Request, Section,
    TargetOutcome, decode,
};

/// Who asked, and the number of the request.
pub(super) type Asker = (ClientId, u32);

/// A batch that is on its way to the disk.
#[derive(Debug)]
pub(super) struct Pending {
    ticket: u64,
    then: Vec<Then>,
}

/// What happens when something is stored, and if it cannot be.
#[derive(Debug)]
pub(super) enum Then {
    /// A request is answered.
    Answer { asker: Asker, answer: Answer },
    /// A message is there for everybody who reads a line.
    Publish {
        asker: Option<Asker>,
        line: Line,
        number: u64,
        post: Post,
    },
    /// A message is in a mailbox.
    Kept { send: SendId, node: NodeName },
    /// Messages are gone out of a mailbox.
    Taken { asker: Asker, line: Line },
    /// A document is as it was written; it is as before if that could not be stored.
    Written {
        asker: Asker,
        owner: Owner,
        section: Section,
        told: Told,
        undo: Undo,
    },
    /// A document of a room that closed is gone; it comes back if that could not be stored.
    Removed { undo: Undo },
    /// A room is there now; it is not if it could not be stored.
    Made { room: Name },
    /// A room is gone; it comes back if that could not be stored.
    Closed { room: Name, was: Box<Room> },
}

/// A look into the store that is under way.
#[derive(Debug)]
pub(super) enum Reading {
    /// For a reader that lags.
    Reader { client: ClientId, line: Line },
    /// The newest messages of a journal, before anything comes to it.
    Warming { line: Line },
    /// Somebody asked for it.
    History { asker: Asker, line: Line },
}

impl Pending {
    /// This too happens when it is stored.
    pub(super) fn then(&mut self, then: Then) {
        self.then.push(then);
    }
}

impl Hub {
    /// Whether one more write may be under way.
    pub(super) fn may_commit(&self) -> Result<(), HubRefusal> {
        if self.pending.len() < COMMITS_PENDING_MAX {
            Ok(())
        } else if self.is_degraded {
            Err(HubRefusal::Degraded)
        } else {
            Err(HubRefusal::Busy)
        }
    }

    pub(super) fn commit(&mut self, ops: Vec<StoreOp>, then: Vec<Then>) {
        self.ticket += 1;
        self.effects.push_back(HubEffect::Commit {
            ticket: self.ticket,
            generation: self.generation,
            ops,
        });
        self.pending.push_back(Pending {
            ticket: self.ticket,
            then,
        });
    }

    /// Everything up to this ticket is stored; these journals were shortened.
    // [WIRE-194]
    pub fn on_committed(&mut self, at: Moment, ticket: u64, heads: &[(Arc<str>, JournalHead)]) {
        self.is_degraded = false;
        while self
            .pending
            .front()
            .is_some_and(|first| first.ticket <= ticket)
        {
            let first = self.pending.pop_front();
            for then in first.into_iter().flat_map(|first| first.then) {
                self.on_stored(at, then);
            }
        }
        for (journal, head) in heads {
            let line = self.line_of(journal);
            if let Some(feed) = line.and_then(|line| self.feeds.get_mut(&line)) {
                feed.on_head(*head);
            }
        }
    }

    /// This ticket is not stored, and nothing of its generation that follows it.
    pub fn on_commit_failed(&mut self, at: Moment, ticket: u64) {
        if !self.pending.iter().any(|pending| pending.ticket == ticket) {
            return;
        }
        self.is_degraded = true;
        self.generation += 1;
        // What came later may have built on what came before: the newest is undone first.
        while self
            .pending
            .back()
            .is_some_and(|last| last.ticket >= ticket)
        {
            let last = self.pending.pop_back();
            self.counters.failed_commits += 1;
            for then in last
                .into_iter()
                .flat_map(|last| last.then.into_iter().rev())
            {
                self.on_not_stored(at, then);
            }
        }
    }

    fn on_stored(&mut self, at: Moment, then: Then) {
        match then {
            Then::Answer {
                asker: (client, ask),
                answer,
            } => self.answer(client, ask, answer),
            Then::Publish {
                asker,
                line,
                number,
                post,
            } => self.on_published(asker, line, number, &post),
            Then::Kept { send, node } => {
                self.sends
                    .add_result(at.now, send, &node, TargetOutcome::Kept);
            }
            Then::Taken {
                asker: (client, ask),
                ..
            } => self.answer(client, ask, Answer::Done { revision: 0 }),
            Then::Written {
                asker: (client, ask),
                owner,
                section,
                told,
                ..
            } => {
                let revision = told.revision;
                self.on_written(at, &owner, section, &told);
                self.answer(client, ask, Answer::Done { revision });
            }
            Then::Made { .. } | Then::Closed { .. } | Then::Removed { .. } => {}
        }
    }

    fn on_not_stored(&mut self, at: Moment, then: Then) {
        match then {
            Then::Answer {
                asker: (client, ask),
                ..
            } => self.answer(client, ask, Answer::Refused(HubRefusal::Degraded)),
            Then::Publish { asker, line, .. } => {
                if let Some(feed) = self.feeds.get_mut(&line) {
                    feed.give_up_reserved();
                }
                if let Some((client, ask)) = asker {
                    self.answer(client, ask, Answer::Refused(HubRefusal::Degraded));
                }
            }
            Then::Kept { send, node } => {
                let refused = TargetOutcome::Refused(HubRefusal::Degraded);
                self.sends.add_result(at.now, send, &node, refused);
            }
            Then::Taken {
                asker: (client, ask),
                line,
            } => {
                if let Some(feed) = self.feeds.get_mut(&line) {
                    feed.give_up_take();
                }
                self.answer(client, ask, Answer::Refused(HubRefusal::Degraded));
            }
            Then::Written {
                asker: (client, ask),
                undo,
                ..
            } => {
                self.documents.undo(undo);
                self.answer(client, ask, Answer::Refused(HubRefusal::Degraded));
            }
            Then::Removed { undo } => self.documents.undo(undo),
            Then::Made { room } => {
                self.end_room(at, &room);
            }
            Then::Closed { room, was } => {
                self.rooms.insert(room, *was);
            }
        }
    }

    /// Asks for what follows a number on a line, for a reader that lags.
    pub(super) fn read_page(&mut self, client: ClientId, line: Line, from: u64) {
        let Some(journal) = self.feeds.get(&line).and_then(|feed| feed.journal.clone()) else {
            return;
        };
        let query = Query {
            journal,
            from: ReadFrom::Number(from),
            backwards: false,
            count_max: FEED_PAGE_MESSAGES,
            bytes_max: FEED_PAGE_BYTES,
        };
        self.read(query, Reading::Reader { client, line });
    }

    /// Has a request wait until the newest messages of a journal are in memory. Whether it has to.
    pub(super) fn defer(
        &mut self,
        line: Line,
        asker: Asker,
        request: Request,
    ) -> Result<(), HubRefusal> {
        let waiting = self.deferred.entry(line).or_default();
        if waiting.len() >= DEFERRED_MAX {
            return Err(HubRefusal::Busy);
        }
        waiting.push((asker.0, asker.1, request));
        let Some(feed) = self.feeds.get_mut(&line) else {
            return Err(HubRefusal::NotFound);
        };
        if feed.warmth == Warmth::Cold
            && let Some(journal) = feed.journal.clone()
        {
            feed.warmth = Warmth::Warming;
            let query = Query {
                journal,
                from: ReadFrom::Number(u64::MAX),
                backwards: true,
                count_max: FEED_RING_MESSAGES_MAX,
                bytes_max: FEED_PAGE_BYTES,
            };
            self.read(query, Reading::Warming { line });
        }
        Ok(())
    }

    pub(super) fn read(&mut self, query: Query, reading: Reading) {
        self.ticket += 1;
        self.reading.insert(self.ticket, reading);
        let ticket = self.ticket;
        self.effects.push_back(HubEffect::Read { ticket, query });
    }

    /// Whether one more look into the store may be under way.
    pub(super) fn may_read(&self) -> Result<(), HubRefusal> {
        (self.reading.len() < READS_PENDING_MAX)
            .then_some(())
            .ok_or(HubRefusal::Busy)
    }

    /// What was read.
    pub fn on_page(&mut self, at: Moment, ticket: u64, page: Page) {
        match self.reading.remove(&ticket) {
            Some(Reading::Reader { client, line }) => {
                let is_empty = page.entries.is_empty();
                let kept = page.entries.iter().map(|entry| Kept::stored(line, entry));
                if let Some(reader) = self.clients.get_mut(&client) {
                    reader.on_page(line, kept);
                }
                // Nothing is left in the store where something was to be.
                if is_empty && let Some(feed) = self.feeds.get_mut(&line) {
                    let oldest = feed.ring().next().map(|oldest| oldest.number);
                    feed.head.first = oldest.unwrap_or(feed.next());
                }
                self.enqueue(client);
            }
            Some(Reading::Warming { line }) => {
                if let Some(feed) = self.feeds.get_mut(&line) {
                    feed.warm(page);
                }
                for (client, ask, request) in self.deferred.remove(&line).unwrap_or_default() {
                    self.on_ask(at, client, ask, request);
                }
            }
            Some(Reading::History { asker, line }) => {
                let (entries, more) = (page.entries.iter(), page.more);
                let posts = entries.filter_map(|entry| post_of(entry.number, &entry.bytes));
                self.answer_history(asker, line, posts.collect(), more);
            }
            None => {}
        }
    }

    /// It could not be read.
    pub fn on_read_failed(&mut self, ticket: u64) {
        self.is_degraded = true;
        match self.reading.remove(&ticket) {
            Some(Reading::Reader { client, .. }) => self.reset(client),
            Some(Reading::Warming { line }) => {
                if let Some(feed) = self.feeds.get_mut(&line) {
                    feed.warmth = Warmth::Cold;
                }
                for (client, ask, _) in self.deferred.remove(&line).unwrap_or_default() {
                    self.answer(client, ask, Answer::Refused(HubRefusal::Degraded));
                }
            }
            Some(Reading::History {
                asker: (client, ask),
                ..
            }) => self.answer(client, ask, Answer::Refused(HubRefusal::Degraded)),
            None => {}
        }
    }

    pub(super) fn answer_history(
        &mut self,
        (client, ask): Asker,
        line: Line,
        posts: Vec<(u64, Post)>,
        mut more: bool,
    ) {
        let Some(feed) = self.feeds.get(&line) else {
            self.answer(client, ask, Answer::Refused(HubRefusal::NotFound));
            return;
        };
        let mut bytes = 0;
        let mut entries = Vec::new();
        for (number, post) in posts {
            bytes += post.payload.0.len() + ENTRY_BYTES;
            if bytes > HISTORY_BYTES_MAX && !entries.is_empty() {
                more = true;
                break;
            }
            entries.push(HistoryEntry {
                cursor: feed.cursor(number),
                post,
            });
        }
        self.answer(client, ask, Answer::History { entries, more });
    }

    /// What is older than it is to be kept goes.
    pub(super) fn retain_by_age(&mut self, at: Moment) {
        let stored = self.feeds.values().filter(|feed| feed.head.count > 0);
        let ops: Vec<StoreOp> = stored
            .filter_map(|feed| feed.retain_by_age(at.unix_ms))
            .collect();
        for ops in ops.chunks(RETAINED_AT_ONCE) {
            if self.may_commit().is_err() {
                return;
            }
            self.commit(ops.to_vec(), Vec::new());
        }
    }
}

/// A stored message, if it is one.
pub(super) fn post_of(number: u64, bytes: &[u8]) -> Option<(u64, Post)> {
    match decode(bytes) {
        Ok(LineMessage::Post(post)) => Some((number, post)),
        Ok(LineMessage::Members(_)) | Err(_) => None,
    }
}

/// Requests that wait for one journal's newest messages.
const DEFERRED_MAX: usize = 1_024;
/// Bytes of one answer with messages of the past: less than the longest message of the hub, but one message always fits.
const HISTORY_BYTES_MAX: usize = 60 * 1024;
/// Of these, what stands beside a payload.
const ENTRY_BYTES: usize = 160;
/// Journals that are shortened in one write.
const RETAINED_AT_ONCE: usize = 256;
