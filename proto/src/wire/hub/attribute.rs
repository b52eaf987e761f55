//! Attributes of nodes and rooms.

use minicbor::{Decode, Encode};

use super::codec::Bytes;
use crate::base::{Name, NodeName};

/// What has attributes and locks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Owner {
    /// A node, here or not.
    #[n(0)]
    Node(#[n(0)] NodeName),
    /// A room.
    #[n(1)]
    Room(#[n(0)] Name),
}

/// Which of an owner's documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Section {
    /// What others say of it: written by who may.
    #[n(0)]
    Attributes,
    /// How a node shall be: written by who may, and read by the node.
    #[n(1)]
    Desired,
    /// How a node is: written by itself alone.
    #[n(2)]
    Reported,
}

/// A value with its revision.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Item {
    /// Its name.
    #[n(0)]
    pub key: Name,
    /// That of the document when it was set.
    #[n(1)]
    pub revision: u64,
    /// Anything; what goes over HTTP is JSON.
    #[n(2)]
    pub value: Bytes,
    /// Who set it.
    #[n(3)]
    pub by: NodeName,
    /// When, in milliseconds since 1970.
    #[n(4)]
    pub at_ms: u64,
}

/// All items of a section.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Document {
    /// Grows by one with each write; 0 before the first.
    #[n(0)]
    pub revision: u64,
    /// By key.
    #[n(1)]
    pub items: Vec<Item>,
}

/// One change of a write.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Change {
    /// The item.
    #[n(0)]
    pub key: Name,
    /// Only if the item has this revision; 0: only if it is not there.
    #[n(1)]
    pub if_revision: Option<u64>,
    /// Its value from now on; none: it goes.
    #[n(2)]
    pub value: Option<Bytes>,
}
