//! Names of nodes, functions and links.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// 1 to 48 characters of `a-z`, `0-9`, `.`, `_`, `-`, beginning with a letter or digit. Clones share them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Most bytes of a name.
    pub const BYTES_MAX: usize = 48;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Name, NameError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = text.len() <= Self::BYTES_MAX
            && text.starts_with(plain)
            && text
                .chars()
                .all(|c| plain(c) || matches!(c, '.' | '_' | '-'));
        if fits {
            Ok(Name(text.into()))
        } else {
            Err(NameError)
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a node is; its certificate says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeKind {
    /// The daemon on a vehicle.
    Agent = 1,
    /// An operator's program.
    Controller = 2,
    /// A business back end.
    Service = 3,
    /// A relay.
    Relay = 4,
    /// The fleet's authority.
    Authority = 5,
    /// Whoever shows a token of the authority to become one of the others.
    Newcomer = 6,
}

impl NodeKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [NodeKind; 6] = [
        NodeKind::Agent,
        NodeKind::Controller,
        NodeKind::Service,
        NodeKind::Relay,
        NodeKind::Authority,
        NodeKind::Newcomer,
    ];

    /// The word in names and certificates.
    pub const fn as_str(self) -> &'static str {
        match self {
            NodeKind::Agent => "agent",
            NodeKind::Controller => "controller",
            NodeKind::Service => "service",
            NodeKind::Relay => "relay",
            NodeKind::Authority => "authority",
            NodeKind::Newcomer => "newcomer",
        }
    }
}

/// A node of the fleet, written `agent/truck-17`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName {
    /// What it is.
    pub kind: NodeKind,
    /// Which one.
    pub name: Name,
}

impl NodeName {
    /// The node of this kind and name.
    pub const fn new(kind: NodeKind, name: Name) -> NodeName {
        NodeName { kind, name }
    }
}

impl FromStr for NodeName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<NodeName, NameError> {
        let (kind, name) = text.split_once('/').ok_or(NameError)?;
        let kind = NodeKind::ALL
            .into_iter()
            .find(|k| k.as_str() == kind)
            .ok_or(NameError)?;
        Ok(NodeName {
            kind,
            name: name.parse()?,
        })
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name has 1 to 48 characters of a-z, 0-9, '.', '_' and '-' and begins with a letter or digit"
)]
pub struct NameError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_plain_and_lower_case() {
        assert_eq!(
            "truck-17".parse::<Name>().map(|n| n.to_string()),
            Ok("truck-17".to_string())
        );
        for wrong in ["", "-a", "A", "a b", "a/b", &"a".repeat(49)] {
            assert_eq!(wrong.parse::<Name>(), Err(NameError), "{wrong}");
        }
    }

    #[test]
    fn a_node_name_has_a_known_kind() {
        let name: NodeName = "agent/truck-17".parse().expect("valid");
        assert_eq!(
            (name.kind, name.to_string().as_str()),
            (NodeKind::Agent, "agent/truck-17")
        );
        assert_eq!("driver/x".parse::<NodeName>(), Err(NameError));
    }
}
