//! The nodes of one row: as many vehicles as controllers, and relays, which nobody else uses.

use std::net::Ipv4Addr;
use std::process::Command;

use longrein_tests::wan::{Interface, Node, NodePlan, Profile, Wan};

use super::case::{Case, Row};

/// Where a row's programs run.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    pub wan: &'a Wan,
    pub case: &'a Case,
    row: usize,
    pub pairs: usize,
    pub relays: usize,
}

impl<'a> Site<'a> {
    /// The nodes of a case's row.
    pub fn plan(case: &Case, row: usize, what: Row, pairs: usize) -> Vec<NodePlan> {
        let mut nodes = Vec::new();
        for pair in 0..pairs {
            nodes.push(NodePlan::new(
                &name(row, 'v', pair),
                case.vehicle_interfaces(),
            ));
            nodes.push(NodePlan::new(
                &name(row, 'c', pair),
                case.controller_interfaces(),
            ));
        }
        for relay in 0..what.peer.relays(case.relays) {
            let wan = vec![Interface::new("wan", Profile::CLEAR)];
            nodes.push(NodePlan::new(&name(row, 'r', relay), wan));
        }
        nodes
    }

    /// The same nodes in the network that was made of them.
    pub fn new(wan: &'a Wan, case: &'a Case, row: usize, what: Row, pairs: usize) -> Site<'a> {
        let relays = what.peer.relays(case.relays);
        Site {
            wan,
            case,
            row,
            pairs,
            relays,
        }
    }

    /// Whether a node of this name is a controller's.
    pub fn is_controller(node: &str) -> bool {
        node.contains('c')
    }

    pub fn vehicle_name(&self, pair: usize) -> String {
        name(self.row, 'v', pair)
    }

    pub fn vehicle(&self, pair: usize) -> &'a Node {
        self.wan.node(&self.vehicle_name(pair))
    }

    pub fn controller(&self, pair: usize) -> &'a Node {
        self.wan.node(&name(self.row, 'c', pair))
    }

    pub fn relay(&self, relay: usize) -> &'a Node {
        self.wan.node(&name(self.row, 'r', relay))
    }

    pub fn relay_address(&self, relay: usize) -> Ipv4Addr {
        self.relay(relay).address("wan")
    }

    /// Switches a link of all its vehicles, both ways.
    pub fn switch(&self, link: &str, on: bool) {
        for pair in 0..self.pairs {
            self.wan.switch(&self.vehicle_name(pair), link, on);
        }
    }

    /// Takes away the routes by a link, as a link monitor does for programs that know no links.
    pub fn unroute(&self, link: &str) -> anyhow::Result<()> {
        for pair in 0..self.pairs {
            let mut ip = Command::new("ip");
            ip.args(["route", "del", "10.77.0.0/16", "dev", link]);
            let status = self.vehicle(pair).enter(move || ip.status())?;
            anyhow::ensure!(status.success(), "ip route: {status}");
        }
        Ok(())
    }

    /// Bytes that were put on the links of the vehicles so far, both ways, lost ones too.
    pub fn vehicle_bytes(&self) -> u64 {
        let mut bytes = 0;
        for pair in 0..self.pairs {
            let name = self.vehicle_name(pair);
            for link in self.vehicle(pair).interfaces() {
                let (up, down) = self.wan.counters(&name, link);
                bytes += up.offered_bytes + down.offered_bytes;
            }
        }
        bytes
    }

    /// Packets that the emulator took away from what goes from the controllers to the vehicles.
    pub fn taken_on_the_way(&self) -> u64 {
        let mut taken = 0;
        let mut count = |node: &str, link: &str, up: bool| {
            let (above, below) = self.wan.counters(node, link);
            let way = if up { above } else { below };
            taken += way.lost + way.overflowed + way.cut;
        };
        for pair in 0..self.pairs {
            for link in self.controller(pair).interfaces() {
                count(&name(self.row, 'c', pair), link, true);
            }
            for link in self.vehicle(pair).interfaces() {
                count(&self.vehicle_name(pair), link, false);
            }
        }
        for relay in 0..self.relays {
            for up in [true, false] {
                count(&name(self.row, 'r', relay), "wan", up);
            }
        }
        taken
    }
}

fn name(row: usize, role: char, index: usize) -> String {
    format!("{row}{role}{index}")
}
