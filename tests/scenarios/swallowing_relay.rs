//! A relay acknowledges everything and forwards nothing.

use std::time::Duration;

use longrein_proto::base::{ApplicationId, Class};
use longrein_proto::role::{ControllerEvent, Order};
use longrein_proto::session::Resolution;
use longrein_proto::wire::Body;
use longrein_tests::{Clock, Link, Tamper, Vehicle, World, check};

// [WIRE-41]
#[test]
fn a_reliable_command_that_a_relay_swallowed_arrives_through_one_that_comes_later() {
    let mut world = World::new(1);
    let honest = world.relay("relay-b");
    let hostile = world.hostile_relay("relay-a", Tamper::Swallow);
    let agent = world.agent("truck-17", Clock::default());
    let alice = world.controller("alice", Clock::default());
    let way = world.join(agent, honest, "lte", Link::good());
    world.join(alice, honest, "desk", Link::good());
    world.join(agent, hostile, "lte", Link::good());
    world.join(alice, hostile, "desk", Link::good());
    world.open(alice, agent);
    assert!(world.take(alice, agent, Vehicle::TUNNEL));

    // The agent's way to the honest relay is gone for a moment, so that only the hostile one takes the command.
    world.link(way).cut = true;
    let vehicle = world.name_of(agent).clone();
    let order = Order {
        class: Class::Reliable,
        ttl: Duration::from_secs(10),
        dead_man: false,
        resume: false,
        application_id: Some(ApplicationId([1; 16])),
        body: Body::Opaque(b"open the gate".to_vec()),
    };
    let sent = world.with_controller(alice, |role, now| {
        role.command(now, &vehicle, Vehicle::TUNNEL, order)
    });
    let sent = sent.expect("the lease is held");
    world.run(Duration::from_millis(300));
    assert!(world.tampered(hostile) > 0);
    assert_eq!(world.vehicle(agent).applied_numbers(Vehicle::TUNNEL), []);

    world.link(way).cut = false;
    world.run(Duration::from_secs(3));
    assert_eq!(
        world.vehicle(agent).applied_numbers(Vehicle::TUNNEL),
        [sent]
    );
    let receipts: Vec<Resolution> = world
        .take_controller_events(alice)
        .into_iter()
        .filter_map(|(_, event)| match event {
            ControllerEvent::Receipt { outcome, .. } => Some(outcome),
            _ => None,
        })
        .collect();
    assert_eq!(receipts, [Resolution::Applied]);
    check::vehicle(world.seed, world.vehicle(agent));
}
