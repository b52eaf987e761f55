//! What a network is made of.

use super::profile::Profile;

/// A node to be: a machine with interfaces.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// Its name.
    pub name: String,
    /// Its interfaces; what is bound to none leaves by the first.
    pub interfaces: Vec<Interface>,
}

/// An interface to be, and how packets fare on it.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Its name, at most 15 bytes as the kernel has it.
    pub name: String,
    /// For packets that leave by it.
    pub up: Profile,
    /// For packets that arrive by it.
    pub down: Profile,
}

impl Interface {
    /// The same profile both ways.
    pub fn new(name: &str, both: Profile) -> Interface {
        Interface {
            name: name.into(),
            up: both,
            down: both,
        }
    }
}

impl NodePlan {
    /// A node with these interfaces.
    pub fn new(name: &str, interfaces: Vec<Interface>) -> NodePlan {
        NodePlan {
            name: name.into(),
            interfaces,
        }
    }
}

/// The nodes of a fleet: [`VEHICLE`] and [`CONTROLLER`] with their interfaces, and relays with one each, called `wan`.
pub fn fleet_nodes(
    vehicle: Vec<Interface>,
    relays: &[(&str, Profile)],
    controller: Vec<Interface>,
) -> Vec<NodePlan> {
    let relays = relays
        .iter()
        .map(|(name, profile)| NodePlan::new(name, vec![Interface::new("wan", *profile)]));
    [NodePlan::new(VEHICLE, vehicle)]
        .into_iter()
        .chain(relays)
        .chain([NodePlan::new(CONTROLLER, controller)])
        .collect()
}

/// The node that an agent runs on.
pub const VEHICLE: &str = "vehicle";
/// The node that a controller runs on.
pub const CONTROLLER: &str = "controller";
