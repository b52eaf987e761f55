//! All links of a vehicle go dark for long, and one comes back.

use std::time::Duration;

use longrein_proto::base::{ApplicationId, Entropy as _, MonoTime};
use longrein_proto::session::Resolution;
use longrein_tests::{Clock, Link, Station, Vehicle, World, each_seed};

/// A reliable command every 100 ms, under what lease there is; their ids.
fn deliver_for(world: &mut World, ends: (Station, Station), span: Duration) -> Vec<ApplicationId> {
    let mut chance = world.branch();
    let until = world.now() + span;
    let mut sent = Vec::new();
    while world.now() < until {
        let mut id = ApplicationId([0; 8]);
        chance.fill(&mut id.0);
        if world.deliver(ends.0, ends.1, id, TTL).is_ok() {
            sent.push(id);
        }
        world.run(Duration::from_millis(100));
    }
    sent
}

#[test]
fn the_first_link_that_is_back_after_30_s_of_darkness_brings_commands_within_half_a_second() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let relay = world.relay("relay-0");
        let agent = world.agent("truck-17", Clock::default());
        let alice = world.controller("alice", Clock::default());
        let links = ["lte", "wifi"].map(|link| world.join(agent, relay, link, Link::access()));
        world.join(alice, relay, "cable", Link::access());
        world.open(alice, agent);
        world.take(alice, agent, Vehicle::TUNNEL);
        let before = deliver_for(&mut world, (alice, agent), Duration::from_secs(5));

        for link in links {
            world.link(link).set_cut(true);
        }
        let into_the_dark = deliver_for(&mut world, (alice, agent), DARK);
        // Where in the heartbeats' rhythm it comes back is chance.
        let more = world.branch().below(200);
        world.run(Duration::from_millis(more));
        let events = world.controller_events(alice).len();
        let back: MonoTime = world.now();
        world.link(links[0]).set_cut(false);
        world.await_session(alice, events);
        world.take(alice, agent, Vehicle::TUNNEL);
        let id = ApplicationId(*b"the last");
        world.deliver(alice, agent, id, TTL).unwrap();
        world.run(Duration::from_millis(100));

        let applied: Vec<_> = world.vehicle(agent).applied.iter().collect();
        let last = applied.last().expect("commands were applied");
        assert_eq!(last.application_id, Some(id));
        let after = world.time_of(agent).since(last.at);
        let took = world.now().since(back) - after;
        assert!(took < Duration::from_millis(500), "{took:?}");
        // What went into the dark is reported, and nothing of it was applied afterwards.
        assert_eq!(applied.len(), before.len() + 1);
        assert!(!into_the_dark.is_empty());
        for id in into_the_dark {
            assert!(matches!(
                world.receipt(id),
                Some(Resolution::Unknown | Resolution::Expired)
            ));
        }
    });
}

/// Of each command.
const TTL: Duration = Duration::from_secs(5);
const DARK: Duration = Duration::from_secs(30);
