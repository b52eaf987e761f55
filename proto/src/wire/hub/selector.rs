//! Whom something is about.

use minicbor::{Decode, Encode};

use crate::base::{Name, NodeKind, NodeName};

/// An attribute `label.<key>` with this text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Label {
    /// What follows `label.`.
    #[n(0)]
    pub key: Name,
    /// The value.
    #[n(1)]
    pub value: Name,
}

/// Nodes that fulfil all that it asks for; without anything, all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Selector {
    /// One of these.
    #[n(0)]
    pub nodes: Vec<NodeName>,
    /// Of this kind.
    #[n(1)]
    pub kind: Option<NodeKind>,
    /// With this group in its certificate.
    #[n(2)]
    pub group: Option<Name>,
    /// A member of this room.
    #[n(3)]
    pub room: Option<Name>,
    /// With these labels.
    #[n(4)]
    pub labels: Vec<Label>,
}

/// Who gets a message.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Targets {
    /// These, whether they are here or not.
    #[n(0)]
    Nodes(#[n(0)] Vec<NodeName>),
    /// Those that are known to the hub and fulfil this.
    #[n(1)]
    Select(#[n(0)] Selector),
}
