//! Where a message stands.

use minicbor::{Decode, Encode};

use crate::base::{Name, NodeName};

/// A sender's name for a message, random: one that is sent again, after whatever broke, is not taken twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct MessageId(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// A place in a journal: that of a message. Whoever stores it with what the message did goes on behind it after any crash, and
/// has every message once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Cursor {
    /// Of the store that counts; a cursor of another one means nothing.
    #[n(0)]
    pub epoch: u64,
    /// The message's number in the journal.
    #[n(1)]
    pub number: u64,
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Start {
    /// With what comes next.
    #[n(0)]
    Now,
    /// With the oldest message that is kept.
    #[n(1)]
    Oldest,
    /// Behind this message. If the cursor means nothing any more, with the oldest one, and the answer says so.
    #[n(2)]
    After(#[n(0)] Cursor),
}

/// A sequence of numbered messages that the hub keeps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Journal {
    /// What was published on a topic of a room.
    #[n(0)]
    Topic {
        /// The room.
        #[n(0)]
        room: Name,
        /// The topic.
        #[n(1)]
        topic: Name,
    },
    /// What is kept for a node until it has it.
    #[n(1)]
    Mailbox {
        /// Whose.
        #[n(0)]
        node: NodeName,
    },
}

/// Where a look into the past begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum HistoryFrom {
    /// At the end that the direction of reading leaves.
    #[n(0)]
    End,
    /// Behind this message, in the direction of reading.
    #[n(1)]
    After(#[n(0)] Cursor),
    /// At this time, in milliseconds since 1970.
    #[n(2)]
    Time(#[n(0)] u64),
}
