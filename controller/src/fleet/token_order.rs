//! A token that shall be made.

use longrein_proto::base::{Name, NodeName};

/// A token that shall be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOrder {
    /// The node that it is for.
    pub node: NodeName,
    /// Whether it is for all names that begin like the node's and are longer.
    pub is_prefix: bool,
    /// The groups that its nodes belong to.
    pub groups: Vec<Name>,
    /// For how many names it works.
    pub uses: u32,
    /// The last second of Unix time at which it works.
    pub expires_s: u64,
}

impl TokenOrder {
    /// For one node without groups.
    pub const fn one(node: NodeName, expires_s: u64) -> TokenOrder {
        TokenOrder {
            node,
            is_prefix: false,
            groups: Vec::new(),
            uses: 1,
            expires_s,
        }
    }
}
