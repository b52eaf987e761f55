//! Who is here.

use minicbor::{Decode, Encode};

use crate::base::{Name, NodeName};

/// Why a node or a link of it is here or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum PresenceReason {
    /// It came.
    #[n(0)]
    Came,
    /// It was silent, and is heard again.
    #[n(1)]
    Returned,
    /// It ended, and said so.
    #[n(2)]
    Ended,
    /// It is silent for longer than losses explain.
    #[n(3)]
    Silent,
    /// It came and went so often that it counts as away until it stays.
    #[n(4)]
    Flapping,
    /// It is not known: it was never here, or long ago.
    #[n(5)]
    Unknown,
}

/// A link of a node, as the hub's relay sees it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LinkPresence {
    /// The node's name for it.
    #[n(0)]
    pub link: Name,
    /// Whether something comes over it.
    #[n(1)]
    pub present: bool,
    /// Why it is so.
    #[n(2)]
    pub reason: PresenceReason,
}

/// Whether a node is here.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NodePresence {
    /// Which one.
    #[n(0)]
    pub node: NodeName,
    /// Whether it is.
    #[n(1)]
    pub present: bool,
    /// Why it is so.
    #[n(2)]
    pub reason: PresenceReason,
    /// Since when, in milliseconds since 1970; 0 when that is not known.
    #[n(3)]
    pub since_ms: u64,
    /// Grows with each change of this node's.
    #[n(4)]
    pub revision: u64,
    /// Its links, while it is here.
    #[n(5)]
    pub links: Vec<LinkPresence>,
}
