//! Why the hub does not do what it is asked.

use minicbor::{Decode, Encode};

use crate::base::NodeName;

/// Why the hub does not do what it is asked. Nothing of it has happened.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum HubRefusal {
    /// This node may not.
    #[n(0)]
    #[error("not allowed")]
    NotAllowed,
    /// There is no such room.
    #[n(1)]
    #[error("no such room")]
    NoSuchRoom,
    /// Only members of the room may.
    #[n(2)]
    #[error("not a member of the room")]
    NotAMember,
    /// The role in the room is none that may.
    #[n(3)]
    #[error("the role in the room does not allow it")]
    RoleForbids,
    /// There is such a room, which is set to something else.
    #[n(4)]
    #[error("the room exists and has other settings")]
    RoomExists,
    /// A bound is reached: of members, topics, messages in a mailbox, items, subscriptions.
    #[n(5)]
    #[error("full")]
    Full,
    /// It is longer than it may be.
    #[n(6)]
    #[error("too large")]
    TooLarge,
    /// Something has another revision than was asked for.
    #[n(7)]
    #[error("the revision is {revision}")]
    Conflict {
        /// Of the item or the document.
        #[n(0)]
        revision: u64,
    },
    /// Somebody else has the lock.
    #[n(8)]
    #[error("the lock is held")]
    LockHeld {
        /// Who.
        #[n(0)]
        by: NodeName,
    },
    /// The lock is not, or no more, this node's by this token.
    #[n(9)]
    #[error("the lock is not held")]
    NotHolder,
    /// The vehicle does not say that a session of this node's holds a lease.
    #[n(10)]
    #[error("no lease is held")]
    NoLease,
    /// The hub cannot store anything now.
    #[n(11)]
    #[error("the hub cannot store it now")]
    Degraded,
    /// Too much is under way; later there may be room.
    #[n(12)]
    #[error("busy")]
    Busy,
    /// It is not what may be asked.
    #[n(13)]
    #[error("malformed")]
    Malformed,
    /// There is no such node, document, lock or topic.
    #[n(14)]
    #[error("not found")]
    NotFound,
    /// More often than it may.
    #[n(15)]
    #[error("too often; again in {retry_ms} ms")]
    TooOften {
        /// Milliseconds.
        #[n(0)]
        retry_ms: u32,
    },
    /// Its time to live was over.
    #[n(16)]
    #[error("expired")]
    Expired,
    /// The hub knows no such request: it is older.
    #[n(17)]
    #[error("unknown to this hub")]
    Unknown,
}
