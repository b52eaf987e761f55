//! What is measured: networks, and what is sent over them.

use std::time::Duration;

use longrein::Class;
use longrein_tests::wan::{Interface, Loss, Profile, Queue};

use super::contestant::Peer;

/// A network, and who sends what over it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// Links of each vehicle.
    pub links: usize,
    /// Links of each controller.
    pub controller_links: usize,
    /// Relays of those who can use more than one.
    pub relays: usize,
    /// Each link of a vehicle, both ways.
    pub vehicle: Profile,
    /// Each link of a controller, both ways.
    pub controller: Profile,
    /// Share of packets that a lossy link loses.
    pub loss: f64,
    /// What happens in the middle.
    pub event: Event,
    /// Who sends what.
    pub rows: Vec<Row>,
}

/// What happens while it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing.
    None,
    /// A third in, each vehicle's first link is cut; two thirds in, the first relay is killed.
    CutAndKill,
    /// All links of the vehicles are dark for a while.
    Dark,
}

/// Who sends what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub peer: Peer,
    pub class: Class,
    pub rate_hz: u32,
}

impl Case {
    fn new(name: &str, loss: f64, links: usize, relays: usize) -> Case {
        Case {
            name: name.into(),
            links,
            controller_links: 1,
            relays,
            vehicle: ACCESS.with_loss(Loss::random(loss)),
            controller: ACCESS,
            loss,
            event: Event::None,
            rows: Vec::new(),
        }
    }

    /// The controllers' accesses are as poor.
    fn on_both_accesses(mut self) -> Case {
        self.controller = self.vehicle;
        self
    }

    fn with_rows(mut self, peers: &[Peer], flows: &[(Class, u32)]) -> Case {
        for (class, rate_hz) in flows.iter().copied() {
            self.rows.extend(peers.iter().map(|peer| Row {
                peer: *peer,
                class,
                rate_hz,
            }));
        }
        self
    }

    /// Its rows, as many together as the machine carries.
    pub fn together(&self) -> Vec<Vec<Row>> {
        if self.event == Event::Dark {
            return vec![self.rows.clone()];
        }
        let of = |class| {
            let rows = self.rows.iter().filter(|row| row.class == class);
            rows.copied().collect::<Vec<Row>>()
        };
        let mut classes = vec![of(Class::Reliable), of(Class::Latest)];
        classes.retain(|rows| !rows.is_empty());
        classes
    }

    /// Interfaces of a vehicle.
    pub fn vehicle_interfaces(&self) -> Vec<Interface> {
        let names = VEHICLE_LINKS.iter().take(self.links);
        names
            .map(|name| Interface::new(name, self.vehicle))
            .collect()
    }

    /// Interfaces of a controller.
    pub fn controller_interfaces(&self) -> Vec<Interface> {
        let names = CONTROLLER_LINKS.iter().take(self.controller_links);
        names
            .map(|name| Interface::new(name, self.controller))
            .collect()
    }
}

/// The table of the product's promises.
pub fn promises() -> Vec<Case> {
    let peers = [Peer::Longrein, Peer::Mosquitto];
    let both = [(Class::Reliable, 10), (Class::Latest, 50)];
    let reliable = [(Class::Reliable, 10)];
    let slow = ACCESS.with_rate(512_000, Queue::Time(Duration::from_millis(500)));
    let bursts = ACCESS.with_loss(Loss::spans(0.8, Duration::from_millis(200)));
    vec![
        Case::new("80 %, one link", 0.8, 1, 1).with_rows(&peers, &both),
        Case::new("80 %, two links", 0.8, 2, 1).with_rows(&peers, &both),
        Case {
            controller_links: 2,
            ..Case::new("80 % on both accesses, two links each", 0.8, 2, 1)
        }
        .on_both_accesses()
        .with_rows(&peers, &both),
        Case::new("90 %, two links", 0.9, 2, 1).with_rows(&peers, &reliable),
        Case::new("20 %, two links, two relays", 0.2, 2, 2).with_rows(&peers, &both),
        Case::new("0 %", 0.0, 1, 1).with_rows(&peers, &both),
        Case {
            event: Event::CutAndKill,
            ..Case::new("cut a link, kill a relay", 0.0, 2, 2)
        }
        .with_rows(&peers, &both),
        Case {
            vehicle: slow,
            ..Case::new("512 kbit/s, 500 ms of queue", 0.0, 1, 1)
        }
        .with_rows(&peers, &[(Class::Reliable, 100)]),
        Case {
            event: Event::Dark,
            ..Case::new("dark for 30 s", 0.0, 2, 1)
        }
        .with_rows(&peers, &both),
        Case {
            vehicle: bursts,
            ..Case::new("bursts of 200 ms, 80 %, two links", 0.8, 2, 1)
        }
        .with_rows(&peers, &both),
    ]
}

/// Every loss on one access and on both, for all peers over what they can use.
pub fn grid() -> Vec<Case> {
    let mut cases = Vec::new();
    for rate_hz in [10, 100] {
        let flow = [(Class::Reliable, rate_hz)];
        let fast = [(Class::Reliable, rate_hz), (Class::Latest, rate_hz)];
        for (loss, both) in GRID {
            for (links, relays) in [(1, 1), (2, 1), (1, 2), (2, 2)] {
                let access = if both {
                    "both accesses"
                } else {
                    "vehicle's access"
                };
                let name = format!("{:.0} % on {access}, {rate_hz}/s", loss * 100.0);
                let mut case = Case::new(&name, loss, links, relays);
                if both {
                    case.controller_links = links;
                    case = case.on_both_accesses();
                }
                // One broker and one connection is what the others are.
                case = case.with_rows(&[Peer::Longrein], &fast);
                if (links, relays) == (1, 1) {
                    case = case.with_rows(&Peer::OTHERS, &flow);
                }
                cases.push(case);
            }
        }
    }
    cases
}

/// Losses, and whether the controllers' accesses have them too.
const GRID: [(f64, bool); 7] = [
    (0.0, false),
    (0.2, false),
    (0.5, false),
    (0.8, false),
    (0.2, true),
    (0.5, true),
    (0.8, true),
];

/// Names of the links of vehicles and controllers.
pub const VEHICLE_LINKS: [&str; 2] = ["lte", "wifi"];
pub const CONTROLLER_LINKS: [&str; 2] = ["cable", "radio"];
/// One way, on each access.
pub const DELAY: Duration = Duration::from_millis(10);
/// Both accesses, one way: what no peer can be faster than.
pub const NETWORK_DELAY: Duration = Duration::from_millis(20);
/// Of each link and direction.
pub const BITS_PER_S: u64 = 1_000_000;
/// What waits before that.
pub const QUEUE: Duration = Duration::from_millis(100);

/// A link that loses nothing.
pub fn access() -> Profile {
    ACCESS
}

const ACCESS: Profile = Profile::delayed(DELAY).with_rate(BITS_PER_S, Queue::Time(QUEUE));
