//! Messages between nodes that go by the hub.

use minicbor::{Decode, Encode};

use super::MessageId;
use super::codec::Bytes;
use super::room::MemberChanges;
use crate::base::{Class, Name, NodeName};

/// How much its sender wants to hear of a message's way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Want {
    /// Nothing beyond that the hub has it.
    #[default]
    #[n(0)]
    Nothing,
    /// Whether each target's program has it.
    #[n(1)]
    Delivered,
    /// What each target's application says that it did.
    #[n(2)]
    Applied,
}

/// A message that was published on a topic, or put into a mailbox: the same bytes for everyone who reads it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Post {
    /// Its sender's name for it.
    #[n(0)]
    pub id: MessageId,
    /// Who sent it.
    #[n(1)]
    pub from: NodeName,
    /// Its class.
    #[n(2)]
    pub class: Class,
    /// Of a message in a mailbox, its flow.
    #[n(3)]
    pub flow: Option<Name>,
    /// When the hub had it, in milliseconds since 1970.
    #[n(4)]
    pub at_ms: u64,
    /// Until when it is worth anything, in milliseconds since 1970.
    #[n(5)]
    pub until_ms: u64,
    /// What its sender wants to hear.
    #[n(6)]
    pub want: Want,
    /// What it says.
    #[n(7)]
    pub payload: Bytes,
}

/// What comes on a line other than 0.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum LineMessage {
    /// A message.
    #[n(0)]
    Post(#[n(0)] Post),
    /// What happened to the members of a room.
    #[n(1)]
    Members(#[n(0)] MemberChanges),
}

/// A message to one node, on its own line 0.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Directed {
    /// What is sent; its flow is in it.
    #[n(0)]
    pub post: Post,
    /// The room, if it is a private message in one.
    #[n(1)]
    pub room: Option<Name>,
}
