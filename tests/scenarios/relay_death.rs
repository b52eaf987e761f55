//! A relay dies, or a link is cut, in the middle of a drive.

use std::time::Duration;

use longrein_proto::base::{ApplicationId, Stage};
use longrein_tests::{Account, Clock, Link, StageSet, Vehicle, World, each_seed};

#[test]
fn a_drive_loses_nothing_when_a_relay_dies_and_a_link_is_cut() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);

        let mut sent = world.drive_for(set.alice, set.agent, Duration::from_secs(7));
        world.kill(set.relays[0]);
        sent.extend(world.drive_on(set.alice, set.agent, Duration::from_secs(6)));
        for lte in [set.truck_paths[0], set.truck_paths[2]] {
            world.link(lte).set_cut(true);
        }
        sent.extend(world.drive_on(set.alice, set.agent, Duration::from_secs(7)));
        world.run(Duration::from_millis(100));

        assert_eq!(
            world.account(set.agent, &sent),
            Account {
                sent: 1_000,
                applied: 1_000,
                ..Account::default()
            }
        );
        let stages = world.vehicle(set.agent).stages_entered();
        assert_eq!(stages, [Stage::Nominal]);
    });
}

#[test]
fn what_a_dead_relay_leaves_unanswered_does_not_fill_the_link_to_the_living_one() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let [dead, alive] = ["relay-0", "relay-1"].map(|name| world.relay(name));
        let agent = world.agent("truck-17", Clock::default());
        let alice = world.controller("alice", Clock::default());
        for (node, link) in [(agent, "lte"), (alice, "cable")] {
            for relay in [dead, alive] {
                world.join(node, relay, link, Link::access());
            }
        }
        world.open(alice, agent);
        world.take(alice, agent, Vehicle::TUNNEL);
        world.run(Duration::from_secs(5));
        world.kill(dead);
        let mut longest = Duration::ZERO;
        for number in 0..100_u64 {
            let id = ApplicationId(number.to_be_bytes());
            world
                .deliver(alice, agent, id, Duration::from_secs(5))
                .unwrap();
            for _ in 0..10 {
                world.run(Duration::from_millis(10));
                let queues = [
                    world.queue_from(alice, "cable"),
                    world.queue_from(agent, "lte"),
                ];
                longest = longest.max(queues[0]).max(queues[1]);
            }
        }
        assert!(longest < Duration::from_millis(25), "{longest:?}");
    });
}
