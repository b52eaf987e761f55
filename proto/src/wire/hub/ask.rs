//! What a node asks of the hub.

use minicbor::{Decode, Decoder, Encode};

use super::Want;
use super::attribute::{Change, Owner, Section};
use super::codec::{Bytes, decode};
use super::place::{HistoryFrom, Journal, MessageId, Start};
use super::room::{RoomRole, RoomSettings};
use super::selector::{Selector, Targets};
use super::tell::TargetOutcome;
use crate::base::{Class, Name, NodeName};

/// A request with its number.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Ask {
    /// Named by the answer; the node's choice.
    #[n(0)]
    pub ask: u32,
    /// What it asks.
    #[n(1)]
    pub request: Request,
}

impl Ask {
    /// The request that these bytes are; the hub's end.
    ///
    /// # Errors
    /// They are none: the number, if there is one, so that whoever waits is told.
    pub fn decode(bytes: &[u8]) -> Result<Ask, Option<u32>> {
        decode(bytes).map_err(|_| {
            let mut decoder = Decoder::new(bytes);
            let number = decoder.array().and_then(|_| decoder.u32());
            number.ok()
        })
    }
}

/// What a node asks of the hub. What is answered is said of each; any may be refused.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Request {
    /// Makes a room; done also when it is there with these settings. [`super::Answer::Done`]
    #[n(0)]
    CreateRoom {
        /// Its name.
        #[n(0)]
        room: Name,
        /// What it is set to.
        #[n(1)]
        settings: RoomSettings,
    },
    /// Closes a room: its members, topics and attributes are gone. [`super::Answer::Done`]
    #[n(1)]
    CloseRoom {
        /// Which one.
        #[n(0)]
        room: Name,
    },
    /// Which rooms are there? [`super::Answer::Rooms`]
    #[n(2)]
    Rooms {
        /// Those behind this one.
        #[n(0)]
        after: Option<Name>,
        /// At most.
        #[n(1)]
        count: u32,
    },
    /// How does a room stand? [`super::Answer::Room`]
    #[n(3)]
    Room {
        /// Which one.
        #[n(0)]
        room: Name,
    },
    /// Becomes a member, or has another role and other topics from now on. [`super::Answer::Joined`]
    #[n(4)]
    Join {
        /// The room.
        #[n(0)]
        room: Name,
        /// As what.
        #[n(1)]
        role: RoomRole,
        /// What to read, and from where on.
        #[n(2)]
        topics: Vec<TopicFrom>,
        /// Makes the room so when it is not there.
        #[n(3)]
        create: Option<RoomSettings>,
    },
    /// Is a member no more. [`super::Answer::Done`]
    #[n(5)]
    Leave {
        /// The room.
        #[n(0)]
        room: Name,
    },
    /// A member reads one topic more. [`super::Answer::Subscribed`]
    #[n(6)]
    Subscribe {
        /// The room.
        #[n(0)]
        room: Name,
        /// What to read, and from where on.
        #[n(1)]
        topic: TopicFrom,
    },
    /// A member reads a topic no more. [`super::Answer::Done`]
    #[n(7)]
    Unsubscribe {
        /// The room.
        #[n(0)]
        room: Name,
        /// The topic.
        #[n(1)]
        topic: Name,
    },
    /// Who are a room's members? [`super::Answer::Members`]
    #[n(8)]
    Members {
        /// The room.
        #[n(0)]
        room: Name,
        /// Those behind this one.
        #[n(1)]
        after: Option<NodeName>,
        /// At most.
        #[n(2)]
        count: u32,
    },
    /// Removes a member. [`super::Answer::Done`]
    #[n(9)]
    Kick {
        /// The room.
        #[n(0)]
        room: Name,
        /// Whom.
        #[n(1)]
        node: NodeName,
    },
    /// Gives a member another role. [`super::Answer::Done`]
    #[n(10)]
    Assign {
        /// The room.
        #[n(0)]
        room: Name,
        /// Whom.
        #[n(1)]
        node: NodeName,
        /// The role.
        #[n(2)]
        role: RoomRole,
    },
    /// Publishes on a topic of a room, or tells some of its members. [`super::Answer::Published`]; to some members as for a
    /// message.
    #[n(11)]
    Publish(#[n(0)] Publish),
    /// Sends a message to nodes. [`super::Answer::Sent`], and then [`super::Tell::Results`] if wanted.
    #[n(12)]
    Send(#[n(0)] Direct),
    /// Says what the application did with a message whose sender wants to hear it. [`super::Answer::Done`]
    #[n(13)]
    Outcome {
        /// The message.
        #[n(0)]
        id: MessageId,
        /// Its sender.
        #[n(1)]
        from: NodeName,
        /// What became of it: applied or refused.
        #[n(2)]
        outcome: TargetOutcome,
    },
    /// Who is here? [`super::Answer::Presence`]
    #[n(14)]
    Presence {
        /// Whom it is about.
        #[n(0)]
        of: Selector,
        /// Those behind this one.
        #[n(1)]
        after: Option<NodeName>,
        /// At most.
        #[n(2)]
        count: u32,
    },
    /// Tells from now on who comes and goes, first how they stand now. [`super::Answer::Done`]
    #[n(15)]
    WatchPresence {
        /// The node's number for it: of all that it watches, the only one.
        #[n(0)]
        watch: u32,
        /// Whom it is about.
        #[n(1)]
        of: Selector,
    },
    /// Tells from now on how a document changes, first how it stands now. [`super::Answer::Done`]
    #[n(16)]
    WatchDocument {
        /// The node's number for it.
        #[n(0)]
        watch: u32,
        /// Whose.
        #[n(1)]
        owner: Owner,
        /// Which one.
        #[n(2)]
        section: Section,
    },
    /// Tells no more. [`super::Answer::Done`]
    #[n(17)]
    Unwatch {
        /// What was watched.
        #[n(0)]
        watch: u32,
    },
    /// Is a node here, by which links, and in which rooms? [`super::Answer::WhereIs`]
    #[n(18)]
    WhereIs {
        /// Which one.
        #[n(0)]
        node: NodeName,
    },
    /// What does a document say? [`super::Answer::Document`]
    #[n(19)]
    Document {
        /// Whose.
        #[n(0)]
        owner: Owner,
        /// Which one.
        #[n(1)]
        section: Section,
    },
    /// Changes items of a document, all or none. [`super::Answer::Done`] with the document's revision.
    #[n(20)]
    Set {
        /// Whose.
        #[n(0)]
        owner: Owner,
        /// Which one.
        #[n(1)]
        section: Section,
        /// Only if the document has this revision; 0: only if it was never written.
        #[n(2)]
        if_revision: Option<u64>,
        /// What changes.
        #[n(3)]
        changes: Vec<Change>,
        /// Only while this lock is held.
        #[n(4)]
        lock: Option<LockClaim>,
        /// Only while a session of this node's holds a lease of this vehicle.
        #[n(5)]
        lease: Option<NodeName>,
    },
    /// Takes a lock, or waits for it. [`super::Answer::Locked`]
    #[n(21)]
    Lock {
        /// Whose.
        #[n(0)]
        owner: Owner,
        /// Its name.
        #[n(1)]
        lock: Name,
        /// Milliseconds for which it is held unless it is renewed.
        #[n(2)]
        ttl_ms: u32,
        /// Milliseconds to wait in turn for who holds it; 0: not at all.
        #[n(3)]
        wait_ms: u32,
    },
    /// Holds a lock for longer. [`super::Answer::Locked`]
    #[n(22)]
    RenewLock {
        /// Whose.
        #[n(0)]
        owner: Owner,
        /// By which token.
        #[n(1)]
        lock: LockClaim,
        /// Milliseconds from now on.
        #[n(2)]
        ttl_ms: u32,
    },
    /// Gives a lock back. [`super::Answer::Done`]
    #[n(23)]
    Unlock {
        /// Whose.
        #[n(0)]
        owner: Owner,
        /// By which token.
        #[n(1)]
        lock: LockClaim,
    },
    /// Takes a lock from who holds it. [`super::Answer::Done`]
    #[n(24)]
    RevokeLock {
        /// Whose.
        #[n(0)]
        owner: Owner,
        /// Its name.
        #[n(1)]
        lock: Name,
    },
    /// Which locks are held? [`super::Answer::Locks`]
    #[n(25)]
    Locks {
        /// Whose.
        #[n(0)]
        owner: Owner,
    },
    /// What was published, or is in the own mailbox? [`super::Answer::History`]
    #[n(26)]
    History {
        /// Where.
        #[n(0)]
        journal: Journal,
        /// Start where on.
        #[n(1)]
        from: HistoryFrom,
        /// Whether older messages follow.
        #[n(2)]
        backwards: bool,
        /// At most.
        #[n(3)]
        count: u32,
    },
    /// Reads the own mailbox from now on. [`super::Answer::Subscribed`]
    #[n(27)]
    Mailbox {
        /// Start where on.
        #[n(0)]
        from: Start,
    },
    /// What stands before this number in the own mailbox need not be kept any more. [`super::Answer::Done`]
    #[n(28)]
    Taken {
        /// The lowest number that is still wanted.
        #[n(0)]
        below: u64,
    },
    /// Reads the members' line of a room, which tells of joins and leaves. [`super::Answer::Subscribed`]
    #[n(29)]
    WatchMembers {
        /// The room.
        #[n(0)]
        room: Name,
    },
}

/// A topic, and from where on it is read.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TopicFrom {
    /// The topic.
    #[n(0)]
    pub topic: Name,
    /// Start where on.
    #[n(1)]
    pub from: Start,
}

/// A lock by its token.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LockClaim {
    /// Its name.
    #[n(0)]
    pub lock: Name,
    /// As it was given.
    #[n(1)]
    pub token: u64,
}

/// A message for a room.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Publish {
    /// The room.
    #[n(0)]
    pub room: Name,
    /// The topic.
    #[n(1)]
    pub topic: Name,
    /// Its class: `reliable` is kept as the room is set, and read in order; of `latest` the newest of each sender counts.
    #[n(2)]
    pub class: Class,
    /// Milliseconds for which it is worth anything.
    #[n(3)]
    pub ttl_ms: u32,
    /// The sender's name for it.
    #[n(4)]
    pub id: MessageId,
    /// Only to these members; empty: on the topic, for all who read it.
    #[n(5)]
    pub to: Vec<NodeName>,
    /// Of a message to some members, what the sender wants to hear.
    #[n(6)]
    pub want: Want,
    /// What it says.
    #[n(7)]
    pub payload: Bytes,
}

/// A message for nodes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Direct {
    /// For whom.
    #[n(0)]
    pub to: Targets,
    /// What it is about, in the application's words.
    #[n(1)]
    pub flow: Name,
    /// Its class.
    #[n(2)]
    pub class: Class,
    /// Milliseconds for which it is worth anything.
    #[n(3)]
    pub ttl_ms: u32,
    /// The sender's name for it.
    #[n(4)]
    pub id: MessageId,
    /// Whether it goes through the mailbox: kept until it is taken, also by who is away. Only `reliable`.
    #[n(5)]
    pub is_kept: bool,
    /// What the sender wants to hear.
    #[n(6)]
    pub want: Want,
    /// What it says.
    #[n(7)]
    pub payload: Bytes,
}
