//! Who may do what at a vehicle.

use crate::base::{Name, NodeKind, NodeName, Right, Rights};

/// Who may do what at a vehicle, by name or group: what no rule allows is refused (SAFE-80).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
    reset_by_two: bool,
}

/// One thing that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// To each of these.
    pub who: Vec<Who>,
    /// What. [`Right::Stop`] and [`Right::Reset`] are for the whole vehicle.
    pub may: Rights,
    /// With these functions; with all when absent.
    pub functions: Option<Vec<Name>>,
    /// Whoever commands with a higher priority may take a function from one with a lower.
    pub priority: u8,
}

/// Whom a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Every controller and service of the fleet.
    Anybody,
    /// This node.
    Node(NodeName),
    /// Every controller and service of this group.
    Group(Name),
}

/// What the rules together allow one node with one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// The rights.
    pub rights: Rights,
    /// The highest priority of the rules that let it command.
    pub priority: u8,
}

impl Policy {
    /// These rules.
    pub fn new(rules: Vec<Rule>) -> Policy {
        Policy {
            rules,
            reset_by_two: false,
        }
    }

    /// The same, and whether a reset of the emergency stop needs two persons (SAFE-39).
    #[must_use]
    pub fn with_reset_by_two(self, reset_by_two: bool) -> Policy {
        Policy {
            reset_by_two,
            ..self
        }
    }

    /// Whether a reset of the emergency stop needs two persons.
    pub fn reset_by_two(&self) -> bool {
        self.reset_by_two
    }

    /// Every controller and service may do everything.
    pub fn open() -> Policy {
        Policy::new(vec![Rule {
            who: vec![Who::Anybody],
            may: Rights::ALL,
            functions: None,
            priority: 0,
        }])
    }

    /// What a node in these groups may do with a function. Whoever may command or supervise it may observe it.
    pub fn with_function(&self, node: &NodeName, groups: &[Name], function: &Name) -> Allowed {
        let mut allowed = Allowed::default();
        let of_function = |rule: &&Rule| {
            rule.functions
                .as_ref()
                .is_none_or(|functions| functions.contains(function))
        };
        for rule in self.rules_for(node, groups).filter(of_function) {
            allowed.rights = allowed.rights.and(rule.may);
            if rule.may.has(Right::Command) {
                allowed.priority = allowed.priority.max(rule.priority);
            }
        }
        let sees = allowed.rights.has(Right::Command) || allowed.rights.has(Right::Supervise);
        if sees {
            allowed.rights = allowed.rights.and([Right::Observe].into_iter().collect());
        }
        allowed
    }

    /// Whether a node in these groups may stop the whole vehicle, or reset its stop.
    pub fn with_vehicle(&self, node: &NodeName, groups: &[Name], right: Right) -> bool {
        self.rules_for(node, groups).any(|rule| rule.may.has(right))
    }

    fn rules_for<'a>(
        &'a self,
        node: &'a NodeName,
        groups: &'a [Name],
    ) -> impl Iterator<Item = &'a Rule> {
        let operates = matches!(node.kind, NodeKind::Controller | NodeKind::Service);
        let is_for = move |who: &Who| match who {
            Who::Anybody => true,
            Who::Node(name) => name == node,
            Who::Group(group) => groups.contains(group),
        };
        self.rules
            .iter()
            .filter(move |rule| operates && rule.who.iter().any(is_for))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn node(text: &str) -> NodeName {
        text.parse().unwrap()
    }

    fn rule(who: Who, may: &[Right], functions: Option<&[&str]>, priority: u8) -> Rule {
        Rule {
            who: vec![who],
            may: may.iter().copied().collect(),
            functions: functions.map(|all| all.iter().map(|text| name(text)).collect()),
            priority,
        }
    }

    fn yard() -> Policy {
        Policy::new(vec![
            rule(Who::Anybody, &[Right::Stop], None, 0),
            rule(
                Who::Group(name("night")),
                &[Right::Command],
                Some(&["drive"]),
                5,
            ),
            rule(
                Who::Node(node("controller/anna")),
                &[Right::Command],
                Some(&["drive", "arm"]),
                9,
            ),
            rule(
                Who::Node(node("controller/chief")),
                &[Right::Supervise, Right::Reset],
                None,
                0,
            ),
        ])
    }

    fn may(policy: &Policy, who: &str, groups: &[&str], function: &str) -> Vec<Right> {
        let groups: Vec<Name> = groups.iter().map(|text| name(text)).collect();
        let allowed = policy.with_function(&node(who), &groups, &name(function));
        let all = Right::ALL.into_iter();
        all.filter(|right| allowed.rights.has(*right)).collect()
    }

    /// SAFE-80
    #[test]
    fn what_no_rule_allows_is_refused() {
        let policy = Policy::default();
        assert_eq!(may(&policy, "controller/anna", &["night"], "drive"), []);
        assert!(!policy.with_vehicle(&node("controller/anna"), &[], Right::Stop));
        assert_eq!(may(&yard(), "controller/bob", &[], "drive"), [Right::Stop]);
        assert_eq!(
            may(&yard(), "controller/bob", &["night"], "arm"),
            [Right::Stop],
            "the group's rule is for another function"
        );
    }

    /// SAFE-80
    #[test]
    fn rules_for_a_name_a_group_and_anybody_add_up() {
        use Right::{Command, Observe, Reset, Stop, Supervise};
        let policy = yard();
        let commands = [Observe, Command, Stop];
        assert_eq!(
            may(&policy, "controller/bob", &["day", "night"], "drive"),
            commands
        );
        assert_eq!(may(&policy, "controller/anna", &[], "arm"), commands);
        assert_eq!(
            may(&policy, "controller/chief", &[], "arm"),
            [Observe, Stop, Reset, Supervise]
        );
        let of = |groups: &[Name]| {
            let anna = node("controller/anna");
            policy.with_function(&anna, groups, &name("drive")).priority
        };
        assert_eq!(of(&[]), 9);
        assert_eq!(of(&[name("night")]), 9, "the highest counts");
    }

    /// SAFE-80
    #[test]
    fn only_controllers_and_services_are_allowed_anything() {
        let open = Policy::open();
        for who in ["agent/other", "relay/east", "authority/yard"] {
            assert_eq!(may(&open, who, &[], "drive"), [], "{who}");
            assert!(!open.with_vehicle(&node(who), &[], Right::Stop), "{who}");
        }
        assert!(open.with_vehicle(&node("service/backend"), &[], Right::Stop));
    }
}
