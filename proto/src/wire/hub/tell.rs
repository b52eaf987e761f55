//! What the hub tells one node.

use minicbor::{Decode, Encode};

use super::answer::Answer;
use super::attribute::{Item, Owner, Section};
use super::frame::Line;
use super::place::MessageId;
use super::post::Directed;
use super::presence::NodePresence;
use super::refusal::HubRefusal;
use super::room::LeaveReason;
use crate::base::{Name, NodeName};

/// What the hub tells one node, on line 0, in order.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Tell {
    /// Answers a request.
    #[n(0)]
    Answer {
        /// Which one.
        #[n(0)]
        ask: u32,
        /// What.
        #[n(1)]
        answer: Answer,
    },
    /// A message for this node.
    #[n(1)]
    Directed(#[n(0)] Directed),
    /// What became of an own message at its targets.
    #[n(2)]
    Results {
        /// The message.
        #[n(0)]
        id: MessageId,
        /// Of some of the targets; of each one once.
        #[n(1)]
        results: Vec<TargetResult>,
        /// Of how many it is not yet known.
        #[n(2)]
        open: u32,
    },
    /// How nodes stand that are watched: those that changed.
    #[n(3)]
    Presence {
        /// Which watch.
        #[n(0)]
        watch: u32,
        /// The nodes.
        #[n(1)]
        nodes: Vec<NodePresence>,
        /// Whether more of how all stand at the beginning follows.
        #[n(2)]
        more: bool,
    },
    /// How a document that is watched changed.
    #[n(4)]
    Document {
        /// Which watch.
        #[n(0)]
        watch: u32,
        /// Whose.
        #[n(1)]
        owner: Owner,
        /// Which one.
        #[n(2)]
        section: Section,
        /// That before the change: who knows it at another one has missed something.
        #[n(3)]
        after: u64,
        /// That of the document now.
        #[n(4)]
        revision: u64,
        /// Items that were set.
        #[n(5)]
        set: Vec<Item>,
        /// Items that are gone.
        #[n(6)]
        removed: Vec<Name>,
    },
    /// This node is no member of a room any more, and did not ask for that.
    #[n(5)]
    Removed {
        /// The room.
        #[n(0)]
        room: Name,
        /// Why.
        #[n(1)]
        why: LeaveReason,
    },
    /// A lock is this node's no more, and it did not ask for that.
    #[n(6)]
    LockLost {
        /// Whose.
        #[n(0)]
        owner: Owner,
        /// Its name.
        #[n(1)]
        lock: Name,
        /// By which token it was held.
        #[n(2)]
        token: u64,
    },
    /// Some numbers of a line will not come: they are not kept, or over.
    #[n(7)]
    Skipped {
        /// The line.
        #[n(0)]
        line: Line,
        /// The first of them.
        #[n(1)]
        from: u64,
        /// The first behind them.
        #[n(2)]
        below: u64,
    },
}

/// What became of a message at one target.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TargetResult {
    /// The target.
    #[n(0)]
    pub node: NodeName,
    /// What became of it.
    #[n(1)]
    pub outcome: TargetOutcome,
}

/// What became of a message at one target.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum TargetOutcome {
    /// Its program has it.
    #[n(0)]
    Delivered,
    /// Its application did what it says.
    #[n(1)]
    Applied,
    /// Its application did not, and this is why.
    #[n(2)]
    Declined(#[n(0)] Name),
    /// It did not get it in time.
    #[n(3)]
    Expired,
    /// It is not here.
    #[n(4)]
    Offline,
    /// It is kept in its mailbox.
    #[n(5)]
    Kept,
    /// The hub does not pass it on, and why.
    #[n(6)]
    Refused(#[n(0)] HubRefusal),
    /// Nobody said in time what became of it.
    #[n(7)]
    Unknown,
}
