//! Nodes and relays greet each other while packets get lost.

use std::time::Duration;

use longrein_proto::role::ControllerEvent;
use longrein_tests::{Clock, Link, World, each_seed};

// [WIRE-110]
#[test]
fn a_relay_is_reached_within_a_second_when_four_of_five_packets_are_lost() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let relay = world.relay("relay-a");
        let link = Link {
            loss: 0.8,
            ..Link::good()
        };
        let desks: Vec<_> = (0..20)
            .map(|number| {
                let desk = world.controller(&format!("desk-{number}"), Clock::default());
                world.join(desk, relay, "lte", link);
                desk
            })
            .collect();
        world.run(Duration::from_secs(1));
        let reached = desks.iter().filter(|desk| {
            let mut events = world.controller_events(**desk).iter();
            events.any(|(_, event)| matches!(event, ControllerEvent::RelayUp { .. }))
        });
        let reached = reached.count();
        assert!(reached >= 17, "{reached} of {}", desks.len());
    });
}
