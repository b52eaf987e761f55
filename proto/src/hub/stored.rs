//! What the hub has its program store, and what it gets back.
//!
//! Two shapes hold everything: records, which a key names and which have a revision, and journals, which are numbered messages that are
//! read from a cursor on. A back end that has both can keep a hub.

use std::sync::Arc;

use crate::wire::hub::MessageId;

/// A kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Rooms, by name.
    Rooms = 1,
    /// Documents of attributes, by owner and section.
    Documents = 2,
    /// Where messages to services are posted, by name.
    Webhooks = 3,
    /// Answers that were given to idempotency keys, by token and key.
    Answers = 4,
    /// Names of the newest messages that were taken out of a mailbox, by the mailbox's journal.
    Taken = 5,
}

impl Table {
    /// All of them, in the order of their numbers.
    pub const ALL: [Table; 5] = [
        Table::Rooms,
        Table::Documents,
        Table::Webhooks,
        Table::Answers,
        Table::Taken,
    ];

    /// Its number in stores, which none of another kind ever has.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this number.
    pub fn numbered(number: u8) -> Option<Table> {
        Table::ALL
            .into_iter()
            .find(|table| table.number() == number)
    }
}

/// One change. Those of one batch are stored together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOp {
    /// A record has this value now.
    Put {
        /// Of what kind.
        table: Table,
        /// Which one: at most 512 bytes.
        key: String,
        /// One more than that of the value in whose place it comes, 1 for the first: where several write, only the first of
        /// those who name the same revision has its way.
        revision: u64,
        /// At most 1 MiB.
        value: Arc<[u8]>,
    },
    /// A record is gone.
    Remove {
        /// Of what kind.
        table: Table,
        /// Which one.
        key: String,
    },
    /// A message comes to the end of a journal, which begins with it if it is not there.
    Append {
        /// The journal's name, at most 512 bytes.
        journal: Arc<str>,
        /// Above all numbers that the journal has had.
        entry: Entry,
    },
    /// The oldest messages of a journal go, until what is left is within the bounds of count and bytes and its oldest message within that
    /// of time.
    Retain {
        /// The journal's name.
        journal: Arc<str>,
        /// Messages.
        count_max: u64,
        /// Bytes of messages.
        bytes_max: u64,
        /// Milliseconds since 1970: what is older goes.
        not_before_ms: u64,
    },
    /// The messages of a journal below a number go.
    Discard {
        /// The journal's name.
        journal: Arc<str>,
        /// The lowest number that stays.
        below: u64,
    },
    /// A journal is gone, and its numbers may begin again.
    Drop {
        /// The journal's name.
        journal: Arc<str>,
    },
}

/// A message of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From 1, growing, not always by 1.
    pub number: u64,
    /// When it came, in milliseconds since 1970. Those who read by time see a journal whose clock never goes back: a message that came
    /// by a clock that was set back counts as of the time of the newest one before it.
    pub at_ms: u64,
    /// Its sender's name for it.
    pub id: MessageId,
    /// What is stored: an encoded [`crate::wire::hub::Post`].
    pub bytes: Arc<[u8]>,
}

/// How a journal stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalHead {
    /// Number of the oldest message; that of the next one when there is none.
    pub first: u64,
    /// Above all numbers that were used.
    pub next: u64,
    /// Messages.
    pub count: u64,
    /// Bytes of messages.
    pub bytes: u64,
}

/// What a store holds at its start, but for the messages of journals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Random, made with the store and anew when a backup takes its place: cursors of another store mean nothing in this one.
    pub epoch: u64,
    /// Grows with each opening, this one included. Whatever has it in its upper bits grows over restarts.
    pub starts: u32,
    /// All records: kind, key, revision, value.
    pub records: Vec<(Table, String, u64, Arc<[u8]>)>,
    /// All journals.
    pub journals: Vec<(Arc<str>, JournalHead)>,
}

/// What the hub wants to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The journal's name.
    pub journal: Arc<str>,
    /// Where to begin.
    pub from: ReadFrom,
    /// Whether older messages follow instead of newer ones.
    pub backwards: bool,
    /// Messages at most; at least 1.
    pub count_max: usize,
    /// Bytes at most, but always one message.
    pub bytes_max: usize,
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// With this number, or the first one in the direction of reading that is there.
    Number(u64),
    /// With the first message in the direction of reading that came at this time (milliseconds since 1970) or after it; backwards:
    /// or before it.
    Time(u64),
}

/// Messages of a journal in the order in which they were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The messages.
    pub entries: Vec<Entry>,
    /// Whether there are more in this direction.
    pub more: bool,
}
