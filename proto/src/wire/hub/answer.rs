//! What the hub answers.

use minicbor::{Decode, Encode};

use super::attribute::Document;
use super::frame::Line;
use super::place::Cursor;
use super::post::Post;
use super::presence::NodePresence;
use super::refusal::HubRefusal;
use super::room::{Member, RoomInfo};
use crate::base::{Name, NodeName};

/// What the hub answers to a request. What changes something has happened, and is stored if it is to last.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// It is not done.
    #[n(0)]
    Refused(#[n(0)] HubRefusal),
    /// It is done.
    #[n(1)]
    Done {
        /// Of what was changed; 0 when that has none.
        #[n(0)]
        revision: u64,
    },
    /// Rooms by name.
    #[n(2)]
    Rooms {
        /// As many as were asked for and fit.
        #[n(0)]
        rooms: Vec<RoomInfo>,
        /// Whether there are more.
        #[n(1)]
        more: bool,
    },
    /// A room.
    #[n(3)]
    Room(#[n(0)] RoomInfo),
    /// A member now.
    #[n(4)]
    Joined {
        /// That of the members, this one among them.
        #[n(0)]
        revision: u64,
        /// How many they are.
        #[n(1)]
        members: u32,
        /// Where the topics come.
        #[n(2)]
        topics: Vec<TopicLine>,
    },
    /// Where a topic, a mailbox or a members' line comes.
    #[n(5)]
    Subscribed(#[n(0)] TopicLine),
    /// Members by name.
    #[n(6)]
    Members {
        /// Of all members.
        #[n(0)]
        revision: u64,
        /// As many as were asked for and fit.
        #[n(1)]
        members: Vec<Member>,
        /// Whether there are more.
        #[n(2)]
        more: bool,
    },
    /// Published.
    #[n(7)]
    Published {
        /// Its place, if it is kept.
        #[n(0)]
        cursor: Option<Cursor>,
        /// When the hub had it, in milliseconds since 1970.
        #[n(1)]
        at_ms: u64,
        /// For how many it is: who reads the topic now, or the members that it is for.
        #[n(2)]
        targets: u32,
    },
    /// Sent.
    #[n(8)]
    Sent {
        /// For how many it is.
        #[n(0)]
        targets: u32,
        /// When the hub had it, in milliseconds since 1970.
        #[n(1)]
        at_ms: u64,
    },
    /// Nodes by name.
    #[n(9)]
    Presence {
        /// As many as were asked for and fit.
        #[n(0)]
        nodes: Vec<NodePresence>,
        /// Whether there are more.
        #[n(1)]
        more: bool,
    },
    /// Where a node is.
    #[n(10)]
    WhereIs {
        /// Whether it is here.
        #[n(0)]
        presence: NodePresence,
        /// The rooms that it is a member of.
        #[n(1)]
        rooms: Vec<Name>,
    },
    /// A document.
    #[n(11)]
    Document(#[n(0)] Document),
    /// The lock is held.
    #[n(12)]
    Locked {
        /// Above that of all who held it before.
        #[n(0)]
        token: u64,
    },
    /// Locks by name.
    #[n(13)]
    Locks(#[n(0)] Vec<LockInfo>),
    /// Messages in the order that was asked for.
    #[n(14)]
    History {
        /// As many as were asked for and fit.
        #[n(0)]
        entries: Vec<HistoryEntry>,
        /// Whether there are more in this direction.
        #[n(1)]
        more: bool,
    },
}

/// Where a subscription comes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TopicLine {
    /// The topic; `mailbox` and `members` for those.
    #[n(0)]
    pub topic: Name,
    /// Its line.
    #[n(1)]
    pub line: Line,
    /// Behind this place: the next message that is kept has a higher number.
    #[n(2)]
    pub after: Cursor,
    /// Whether the cursor that was asked for means nothing any more, or what stood behind it is not kept any more: something may
    /// have been missed.
    #[n(3)]
    pub is_broken: bool,
}

/// A lock.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LockInfo {
    /// Its name.
    #[n(0)]
    pub lock: Name,
    /// Who has it.
    #[n(1)]
    pub by: NodeName,
    /// By which token.
    #[n(2)]
    pub token: u64,
    /// Milliseconds that are left.
    #[n(3)]
    pub left_ms: u32,
    /// How many wait for it.
    #[n(4)]
    pub waiting: u32,
}

/// A message that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HistoryEntry {
    /// Its place.
    #[n(0)]
    pub cursor: Cursor,
    /// The message.
    #[n(1)]
    pub post: Post,
}
