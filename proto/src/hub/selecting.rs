//! Whom a selector means.

use crate::base::{Name, NodeName};
use crate::wire::hub::{Label, Selector};

/// What of a node its name does not say.
pub trait SelectorFacts {
    /// Whether this group is in the node's certificate.
    fn has_group(&self, node: &NodeName, group: &Name) -> bool;
    /// Whether the node is a member of this room.
    fn is_in_room(&self, node: &NodeName, room: &Name) -> bool;
    /// Whether the node has this label.
    fn has_label(&self, node: &NodeName, label: &Label) -> bool;
}

/// Whether a node fulfils all that a selector asks for. What costs least is asked first.
pub fn is_selected(selector: &Selector, node: &NodeName, facts: &dyn SelectorFacts) -> bool {
    let Selector {
        nodes,
        kind,
        group,
        room,
        labels,
    } = selector;
    kind.is_none_or(|kind| kind == node.kind)
        && (nodes.is_empty() || nodes.contains(node))
        && group
            .as_ref()
            .is_none_or(|group| facts.has_group(node, group))
        && room
            .as_ref()
            .is_none_or(|room| facts.is_in_room(node, room))
        && labels.iter().all(|label| facts.has_label(node, label))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::NodeKind;

    /// Facts about the truck.
    struct Truck;

    impl SelectorFacts for Truck {
        fn has_group(&self, node: &NodeName, group: &Name) -> bool {
            node.name.as_str() == "truck-17" && group.as_str() == "north"
        }

        fn is_in_room(&self, node: &NodeName, room: &Name) -> bool {
            node.name.as_str() == "truck-17" && room.as_str() == "pit"
        }

        fn has_label(&self, node: &NodeName, label: &Label) -> bool {
            let is_heavy = (label.key.as_str(), label.value.as_str()) == ("class", "heavy");
            node.name.as_str() == "truck-17" && is_heavy
        }
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_node_is_selected_when_it_fulfils_all_and_an_empty_selector_means_all() {
        let truck: NodeName = "agent/truck-17".parse().unwrap();
        let other: NodeName = "agent/truck-18".parse().unwrap();
        let label = |value| Label {
            key: name("class"),
            value: name(value),
        };
        let all = Selector {
            nodes: vec![other.clone(), truck.clone()],
            kind: Some(NodeKind::Agent),
            group: Some(name("north")),
            room: Some(name("pit")),
            labels: vec![label("heavy")],
        };
        assert!(is_selected(&all, &truck, &Truck));
        assert!(!is_selected(&all, &other, &Truck));
        assert!(is_selected(&Selector::default(), &other, &Truck));
        for wrong in [
            Selector {
                nodes: vec![other.clone()],
                ..all.clone()
            },
            Selector {
                kind: Some(NodeKind::Service),
                ..all.clone()
            },
            Selector {
                group: Some(name("south")),
                ..all.clone()
            },
            Selector {
                room: Some(name("port")),
                ..all.clone()
            },
            Selector {
                labels: vec![label("heavy"), label("light")],
                ..all.clone()
            },
        ] {
            assert!(!is_selected(&wrong, &truck, &Truck), "{wrong:?}");
        }
    }
}
