//! Rooms.

use minicbor::{Decode, Encode};

use crate::base::{Name, NodeName};

/// What a member does in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum RoomRole {
    /// Reads.
    #[n(0)]
    Observer,
    /// Reads and sends.
    #[n(1)]
    Driver,
    /// Reads, sends, gives roles, removes members, closes the room.
    #[n(2)]
    Dispatcher,
}

/// How much of a topic is kept: what is over any of the bounds goes, the oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Retention {
    /// Messages; 0: none is kept, and who was away has missed them.
    #[n(0)]
    pub count_max: u64,
    /// Bytes of messages.
    #[n(1)]
    pub bytes_max: u64,
    /// Seconds since they came.
    #[n(2)]
    pub age_max_s: u64,
}

/// What a room is set to.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RoomSettings {
    /// Members at once.
    #[n(0)]
    pub members_max: u32,
    /// How much of each topic is kept.
    #[n(1)]
    pub retention: Retention,
    /// Whether the room ends when its last member has left.
    #[n(2)]
    pub is_transient: bool,
    /// The most that who joins may be; who manages rooms may be anything.
    #[n(3)]
    pub role_max: RoomRole,
}

/// How a room stands.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RoomInfo {
    /// Its name.
    #[n(0)]
    pub room: Name,
    /// What it is set to.
    #[n(1)]
    pub settings: RoomSettings,
    /// Grows with each change of its members.
    #[n(2)]
    pub revision: u64,
    /// How many there are.
    #[n(3)]
    pub members: u32,
    /// The topics on which something was published or is read.
    #[n(4)]
    pub topics: Vec<Name>,
}

/// A member of a room.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Member {
    /// Who.
    #[n(0)]
    pub node: NodeName,
    /// What it does.
    #[n(1)]
    pub role: RoomRole,
    /// Since when, in milliseconds since 1970.
    #[n(2)]
    pub since_ms: u64,
}

/// Why a member is one no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum LeaveReason {
    /// It left.
    #[n(0)]
    Left,
    /// Its program ended, and said so.
    #[n(1)]
    Ended,
    /// Nothing was heard of it any more.
    #[n(2)]
    Timeout,
    /// It was removed.
    #[n(3)]
    Kicked,
    /// The room was closed.
    #[n(4)]
    Closed,
}

/// What happened to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum MemberChange {
    /// It is one now.
    #[n(0)]
    Joined(#[n(0)] RoomRole),
    /// It is one no more.
    #[n(1)]
    Left(#[n(0)] LeaveReason),
    /// It has this role now.
    #[n(2)]
    Role(#[n(0)] RoomRole),
}

/// What happened to the members of a room: of each that changed, the newest. It is a hint; the members at a revision are the truth.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MemberChanges {
    /// The room.
    #[n(0)]
    pub room: Name,
    /// That of the members before these changes: who knows them at an older one has missed something.
    #[n(1)]
    pub after: u64,
    /// That of the members now.
    #[n(2)]
    pub revision: u64,
    /// The changes; none when there were more than are told, and who wants to know has to ask.
    #[n(3)]
    pub changes: Vec<(NodeName, MemberChange)>,
}
