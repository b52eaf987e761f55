//! Who may do what at the hub.

use crate::base::{Name, NodeKind, NodeName};

/// What may be done at the hub. Nothing of it commands a vehicle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HubRight {
    /// See who is here, rooms, attributes, history of topics.
    Read = 1,
    /// Become a member of rooms, and make them so.
    Join = 2,
    /// Send messages to nodes.
    Send = 4,
    /// Write attributes of others, and what a vehicle shall be.
    Write = 8,
    /// Make and close rooms, remove members, give roles, revoke locks.
    Manage = 16,
}

impl HubRight {
    /// All of them, in the order of their numbers.
    pub const ALL: [HubRight; 5] = [
        HubRight::Read,
        HubRight::Join,
        HubRight::Send,
        HubRight::Write,
        HubRight::Manage,
    ];

    /// The word in configurations and tokens.
    pub const fn as_str(self) -> &'static str {
        match self {
            HubRight::Read => "read",
            HubRight::Join => "join",
            HubRight::Send => "send",
            HubRight::Write => "write",
            HubRight::Manage => "manage",
        }
    }
}

/// A set of rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubRights(u8);

impl HubRights {
    /// Whether a right is among them.
    pub const fn has(self, right: HubRight) -> bool {
        self.0 & right as u8 != 0
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, other: HubRights) -> HubRights {
        HubRights(self.0 | other.0)
    }
}

impl FromIterator<HubRight> for HubRights {
    fn from_iter<T: IntoIterator<Item = HubRight>>(rights: T) -> HubRights {
        HubRights(rights.into_iter().fold(0, |all, right| all | right as u8))
    }
}

/// Whom a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HubWho {
    /// Every node of the fleet.
    Anybody,
    /// Every node of this kind.
    Kind(NodeKind),
    /// This node.
    Node(NodeName),
    /// Every node of this group.
    Group(Name),
}

/// One thing that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubRule {
    /// To each of these.
    pub who: Vec<HubWho>,
    /// What.
    pub may: HubRights,
}

/// Who may do what at the hub: what no rule allows is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubPolicy {
    rules: Vec<HubRule>,
}

impl HubPolicy {
    /// These rules.
    pub const fn new(rules: Vec<HubRule>) -> HubPolicy {
        HubPolicy { rules }
    }

    /// What a node in these groups may do.
    pub fn rights(&self, node: &NodeName, groups: &[Name]) -> HubRights {
        let is_for = |who: &HubWho| match who {
            HubWho::Anybody => true,
            HubWho::Kind(kind) => *kind == node.kind,
            HubWho::Node(name) => name == node,
            HubWho::Group(group) => groups.contains(group),
        };
        let rules = self.rules.iter();
        rules
            .filter(|rule| rule.who.iter().any(is_for))
            .fold(HubRights::default(), |all, rule| all.and(rule.may))
    }
}

impl Default for HubPolicy {
    /// Everybody reads, joins and sends; controllers and services also write attributes; services manage.
    fn default() -> HubPolicy {
        let rule = |who: &[HubWho], may: &[HubRight]| HubRule {
            who: who.to_vec(),
            may: may.iter().copied().collect(),
        };
        HubPolicy::new(vec![
            rule(
                &[HubWho::Anybody],
                &[HubRight::Read, HubRight::Join, HubRight::Send],
            ),
            rule(&[HubWho::Kind(NodeKind::Controller)], &[HubRight::Write]),
            rule(
                &[HubWho::Kind(NodeKind::Service)],
                &[HubRight::Write, HubRight::Manage],
            ),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_rule_allows_is_refused_and_rules_add_up() {
        let node = |text: &str| text.parse::<NodeName>().unwrap();
        let yard: Name = "yard".parse().unwrap();
        let policy = HubPolicy::new(vec![
            HubRule {
                who: vec![HubWho::Group(yard.clone())],
                may: [HubRight::Join].into_iter().collect(),
            },
            HubRule {
                who: vec![
                    HubWho::Node(node("controller/anna")),
                    HubWho::Kind(NodeKind::Service),
                ],
                may: [HubRight::Manage].into_iter().collect(),
            },
        ]);
        let anna = policy.rights(&node("controller/anna"), &[yard]);
        assert!(anna.has(HubRight::Join) && anna.has(HubRight::Manage));
        assert!(!anna.has(HubRight::Send));
        let otto = policy.rights(&node("controller/otto"), &[]);
        assert_eq!(otto, HubRights::default());
        assert!(
            policy
                .rights(&node("service/erp"), &[])
                .has(HubRight::Manage)
        );
    }
}
