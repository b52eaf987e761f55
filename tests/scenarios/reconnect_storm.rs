//! Many vehicles come back at once.

use std::time::Duration;

use longrein_proto::role::ControllerEvent;
use longrein_tests::{Clock, Link, StageSet, Vehicle, World, each_seed};

#[test]
fn fifty_agents_that_come_back_at_once_all_get_their_sessions_again() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        let vans: Vec<_> = (0..50)
            .map(|number| {
                let van = world.agent(&format!("van-{number}"), Clock::default());
                for relay in set.relays {
                    world.join(van, relay, "lte", Link::good());
                }
                van
            })
            .collect();
        for van in &vans {
            world.call(set.alice, *van);
        }
        world.run(Duration::from_secs(5));
        for relay in set.relays {
            world.kill(relay);
        }
        // Longer than any session lives.
        world.run(Duration::from_secs(12));
        let from = world.controller_events(set.alice).len();
        for relay in set.relays {
            world.restart_relay(relay);
        }
        world.run(Duration::from_secs(10));
        let events = world.controller_events(set.alice).iter().skip(from);
        let up = events
            .filter(|(_, event)| matches!(event, ControllerEvent::SessionUp { .. }))
            .count();
        assert_eq!(up, vans.len() + 1);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        world.run(Duration::from_millis(100));
        assert!(!world.vehicle(set.agent).applied.is_empty());
    });
}
