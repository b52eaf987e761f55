use std::time::Duration;

use super::*;
use crate::base::Entropy;
use crate::base::limits::{DOWN_AFTER, SILENCE_TOLD, VERSION};
use crate::crypto::Peer;
use crate::hub::{Hub, HubSettings, Loaded};
use crate::role::node::greeting;
use crate::role::{Input, RelayConfig, Role};
use crate::wire::{AckState, Chunk, Packet};

struct Zeros;

impl Entropy for Zeros {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

fn at(ms: u64) -> MonoTime {
    MonoTime::from_us(ms * 1_000)
}

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

/// A relay, and what nodes say to it.
struct Scene {
    relay: Relay,
    /// The number of each path's last packet.
    sequences: BTreeMap<u32, u32>,
}

impl Scene {
    fn new() -> Scene {
        let mut relay = Relay::new(RelayConfig::default(), Box::new(Zeros));
        relay.host(Hub::new(HubSettings::default(), Loaded::default(), 1));
        Scene {
            relay,
            sequences: BTreeMap::new(),
        }
    }

    /// The revision of the newest news.
    fn told(&self) -> u64 {
        let presence = self.relay.hub().unwrap().presence();
        presence
            .told_after(0)
            .last()
            .map_or(0, |(revision, _)| revision)
    }

    /// A path of a node's run comes up and says hello.
    fn join(&mut self, ms: u64, path: u32, (name, run): (&str, u64), link: &str) {
        let until =
            rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_secs(4_000_000_000));
        let peer = Peer {
            node: node(name),
            groups: vec!["north".parse().unwrap()],
            not_before: until,
            not_after: until,
            fingerprint: [0; 32],
        };
        let up = Input::PathUp {
            path: PathId(path),
            link: link.parse().unwrap(),
            peer,
        };
        self.relay.handle(at(ms), up);
        self.hello(ms, path, run, link);
    }

    fn hello(&mut self, ms: u64, path: u32, run: u64, link: &str) {
        let hello = Chunk::Hello {
            version_min: VERSION,
            version_max: VERSION,
            incarnation: run,
            features: 0,
            link: link.parse().unwrap(),
        };
        self.bytes(ms, path, &greeting(at(ms), hello));
    }

    /// A heartbeat of a path.
    fn beat(&mut self, ms: u64, path: u32) {
        let sequence = self.sequences.entry(path).or_default();
        *sequence += 1;
        let packet = Packet {
            path_sequence: *sequence,
            tx_time_us: 0,
            report: None,
            ack: AckState::default(),
            chunks: Vec::new(),
        };
        self.bytes(ms, path, &packet.encode());
    }

    fn bytes(&mut self, ms: u64, path: u32, bytes: &[u8]) {
        let path = PathId(path);
        self.relay.handle(at(ms), Input::Packet { path, bytes });
        while self.relay.poll_transmit().is_some() {}
    }

    fn down(&mut self, ms: u64, path: u32) {
        let path = PathId(path);
        self.relay.handle(at(ms), Input::PathDown { path });
    }

    /// Lets time pass, with heartbeats of these paths.
    fn run(&mut self, from_ms: u64, to_ms: u64, beating: &[u32]) {
        for ms in from_ms..=to_ms {
            if ms % 100 == 0 {
                for path in beating {
                    self.beat(ms, *path);
                }
            }
            while self.relay.next_timeout().is_some_and(|due| due <= at(ms)) {
                self.relay.handle(at(ms), Input::Timeout);
                while self.relay.poll_transmit().is_some() {}
            }
        }
    }

    fn shown(&self, name: &str) -> String {
        let so = self.relay.hub().unwrap().presence().of(&node(name));
        let links = so.links.iter();
        let links: Vec<_> = links
            .map(|link| format!("{} {:?}", link.link, link.reason))
            .collect();
        format!("{} {:?} {}", so.present, so.reason, links.join(", "))
    }
}

#[test]
fn a_node_that_ends_is_away_at_once_and_one_that_is_silent_before_its_path_is_down() {
    let mut scene = Scene::new();
    scene.join(0, 1, ("agent/a", 1), "lte");
    scene.join(0, 2, ("agent/b", 2), "lte");
    assert_eq!(scene.shown("agent/a"), "true Came lte Came");
    let groups = scene
        .relay
        .hub()
        .unwrap()
        .presence()
        .groups(&node("agent/a"));
    assert_eq!(groups, ["north".parse().unwrap()]);
    scene.run(1, 5_000, &[1, 2]);
    assert_eq!(scene.shown("agent/a"), "true Came lte Came");
    scene.down(5_050, 1);
    assert_eq!(scene.shown("agent/a"), "false Ended ");
    scene.run(
        5_001,
        5_000 + u64::try_from(SILENCE_TOLD.as_millis()).unwrap(),
        &[],
    );
    assert_eq!(scene.shown("agent/b"), "false Silent ");
    // Its connection is over much later.
    scene.down(60_000, 2);
    assert_eq!(scene.shown("agent/b"), "false Silent ");
}

#[test]
fn a_silence_that_nobody_looked_at_yet_is_no_good_end() {
    let mut scene = Scene::new();
    scene.join(0, 1, ("agent/a", 1), "lte");
    scene.run(1, 2_000, &[1]);
    scene.down(60_000, 1);
    assert_eq!(scene.shown("agent/a"), "false Silent ");
}

#[test]
fn one_silent_link_of_two_goes_and_returns_with_its_first_packet() {
    let mut scene = Scene::new();
    scene.join(0, 1, ("agent/a", 1), "lte");
    scene.join(0, 2, ("agent/a", 1), "wifi");
    scene.run(1, 5_000, &[1, 2]);
    assert_eq!(scene.shown("agent/a"), "true Came lte Came, wifi Came");
    scene.run(5_001, 6_000, &[2]);
    assert_eq!(scene.shown("agent/a"), "true Came lte Silent, wifi Came");
    scene.run(6_001, 30_000, &[2]);
    scene.beat(30_010, 1);
    assert_eq!(scene.shown("agent/a"), "true Came lte Returned, wifi Came");
    scene.run(30_011, 32_000, &[1, 2]);
    // The link that is left falls silent, and then the other.
    scene.down(32_010, 1);
    scene.run(32_011, 33_100, &[]);
    assert_eq!(scene.shown("agent/a"), "false Silent ");
    scene.beat(50_000, 2);
    assert_eq!(
        scene.shown("agent/a"),
        "true Returned lte Ended, wifi Returned"
    );
}

#[test]
fn a_node_is_here_as_long_as_one_of_its_programs_is() {
    let mut scene = Scene::new();
    scene.join(0, 1, ("controller/desk", 1), "cable");
    scene.join(0, 2, ("controller/desk", 2), "cable");
    scene.join(0, 3, ("controller/desk", 2), "wifi");
    scene.run(1, 5_000, &[1, 2, 3]);
    scene.run(5_001, 8_500, &[1]);
    assert_eq!(
        scene.shown("controller/desk"),
        "true Came cable Came, wifi Silent"
    );
    scene.down(8_550, 2);
    scene.down(8_550, 3);
    assert_eq!(
        scene.shown("controller/desk"),
        "true Came cable Came, wifi Silent"
    );
    scene.down(8_560, 1);
    assert_eq!(scene.shown("controller/desk"), "false Ended ");
}

#[test]
fn a_new_run_in_the_place_of_an_old_one_is_no_absence() {
    let mut scene = Scene::new();
    scene.join(0, 1, ("agent/a", 1), "lte");
    scene.run(1, 1_000, &[1]);
    let told = scene.told();
    scene.join(1_050, 2, ("agent/a", 2), "lte");
    scene.down(1_060, 1);
    assert_eq!(scene.shown("agent/a"), "true Came lte Came");
    assert_eq!(scene.told(), told);
}

#[test]
fn whoever_is_not_welcomed_yet_says_hello_and_is_here() {
    let mut scene = Scene::new();
    scene.join(0, 1, ("agent/a", 1), "lte");
    for ms in (100..10_000).step_by(100) {
        scene.hello(ms, 1, 1, "lte");
        scene.run(ms, ms + 99, &[]);
    }
    assert_eq!(scene.shown("agent/a"), "true Came lte Came");
    scene.run(10_000, 14_000, &[]);
    assert_eq!(scene.shown("agent/a"), "false Silent ");
    scene.hello(14_001, 1, 1, "lte");
    assert_eq!(scene.shown("agent/a"), "true Returned lte Returned");
}

#[test]
fn a_newcomer_is_nobody() {
    let mut scene = Scene::new();
    scene.join(0, 1, ("newcomer/token-1", 1), "lte");
    scene.run(1, 5_000, &[]);
    scene.down(5_001, 1);
    assert_eq!(scene.shown("newcomer/token-1"), "false Unknown ");
    assert_eq!(scene.told(), 0);
}

#[test]
fn a_relay_that_was_held_up_reads_what_waits_before_it_calls_anybody_silent() {
    let mut scene = Scene::new();
    for (path, name) in [(1, "agent/a"), (2, "agent/b")] {
        scene.join(0, path, (name, 1), "lte");
    }
    scene.run(1, 5_000, &[1, 2]);
    // It stands still for two seconds, and its timers ring first.
    scene.relay.handle(at(7_000), Input::Timeout);
    assert_eq!(scene.shown("agent/a"), "true Came lte Came");
    scene.beat(7_001, 1);
    scene.run(7_002, 7_300, &[1]);
    assert_eq!(scene.shown("agent/a"), "true Came lte Came");
    assert_eq!(scene.shown("agent/b"), "false Silent ");
}

/// No packet moves a timer of presence: for each node one look waits, which the packets do not touch.
#[test]
fn five_thousand_nodes_cost_one_waiting_look_each_and_nothing_for_each_packet() {
    let mut scene = Scene::new();
    let nodes = 5_000_u32;
    for path in 1..=nodes {
        scene.join(0, path, (&format!("agent/truck-{path}"), 1), "lte");
    }
    let looks = scene.relay.looks.clone();
    assert_eq!(looks.len(), 5_000);
    for ms in [100, 300, 500, 700] {
        for path in 1..=nodes {
            scene.beat(ms, path);
        }
    }
    assert_eq!(scene.relay.looks, looks);
    // In three seconds each node is looked at three times.
    let mut looked = 0;
    for ms in (701..=DOWN_AFTER.as_millis()).map(|ms| u64::try_from(ms).unwrap()) {
        if ms % 200 == 0 {
            for path in 1..=nodes {
                scene.beat(ms, path);
            }
        }
        let due = scene
            .relay
            .looks
            .iter()
            .take_while(|(due, _)| *due <= at(ms));
        looked += due.count();
        scene.relay.handle(at(ms), Input::Timeout);
        while scene.relay.poll_transmit().is_some() {}
    }
    assert_eq!(scene.relay.hub().unwrap().presence().here().count(), 5_000);
    assert!(looked <= 3 * 5_000, "{looked}");
}
