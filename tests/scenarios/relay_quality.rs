//! A relay tells how good the ways to its nodes are, and where the time of what it forwards goes.

use std::time::Duration;

use longrein_proto::base::{Histogram, NodeKind};
use longrein_proto::path::{Blame, End, Way};
use longrein_proto::role::NodeQuality;
use longrein_tests::{Clock, Link, Vehicle, World, each_seed};

/// How many of all were in this range.
fn share(histogram: &Histogram, above_ms: u64, up_to_ms: u64) -> f64 {
    let up_to = |ms: u64| {
        let bound = Duration::from_millis(ms);
        let found = histogram.cumulative().find(|(at, _)| *at == bound);
        found.map_or(0, |(_, count)| count)
    };
    let count = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    count(up_to(up_to_ms) - up_to(above_ms)) / count(histogram.count())
}

fn blame(quality: &NodeQuality) -> String {
    let ways: Vec<Way<'_>> = quality
        .paths
        .iter()
        .map(|path| Way {
            link: path.link.as_str(),
            status: &path.status,
        })
        .collect();
    Blame::of(End::Relay, &ways, None).to_string()
}

const CLOCK: Clock = Clock {
    offset_us: 5_000_000,
    drift_ppm: 40,
};

#[test]
fn a_relay_knows_which_link_loses_and_how_long_commands_take_to_it() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let relay = world.relay("relay-a");
        let truck = world.agent("truck-17", CLOCK);
        let alice = world.controller("alice", CLOCK);
        let slow = Link {
            delay_up: Duration::from_millis(35),
            delay_down: Duration::from_millis(35),
            ..Link::good()
        };
        world.join(alice, relay, "cable", slow);
        world.join(truck, relay, "wifi", Link::good());
        let lossy = Link {
            loss: 0.4,
            ..Link::good()
        };
        world.join(truck, relay, "lte", lossy);
        world.open(alice, truck);
        world.take(alice, truck, Vehicle::DRIVE);
        world.drive_for(alice, truck, Duration::from_secs(20));

        let role = world.relay_role(relay);
        let nodes = role.qualities(None, 9);
        let names: Vec<String> = nodes.iter().map(|node| node.node.to_string()).collect();
        assert_eq!(names, ["agent/truck-17", "controller/alice"]);
        let rest = role.qualities(Some(&nodes[0].node), 9);
        assert_eq!(rest.len(), 1);
        assert_eq!(rest[0].node.kind, NodeKind::Controller);

        let sentence = blame(&nodes[0]);
        assert!(sentence.contains("of lte: "), "{sentence}");
        assert!(sentence.ends_with(" % of packets lost"), "{sentence}");
        assert_eq!(blame(&nodes[1]), "all links are quiet");
        let lte = &nodes[0].paths[1];
        assert!((0.25..0.55).contains(&lte.status.loss), "{lte:?}");
        assert!(lte.status.sent_packets_per_s > 20, "{lte:?}");
        assert!(nodes[0].copies_sent > 500, "{nodes:?}");

        let delays = role.delays().to_agents;
        assert!(delays.relay.count() > 900, "{delays:?}");
        assert!(share(&delays.uplink, 30, 50) > 0.9, "{delays:?}");
        assert!(share(&delays.relay, 0, 1) > 0.9, "{delays:?}");
    });
}
