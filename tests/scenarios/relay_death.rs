//! A relay dies, or a link is cut, in the middle of a drive.

use std::time::Duration;

use longrein_proto::base::Stage;
use longrein_tests::{Clock, Link, Vehicle, World, check};

#[test]
fn a_drive_loses_nothing_when_a_relay_dies_and_a_link_is_cut() {
    let mut world = World::new(1);
    let relays = [world.relay("relay-a"), world.relay("relay-b")];
    let agent = world.agent(
        "truck-17",
        Clock {
            offset_us: 77_000_000,
            drift_ppm: 50,
        },
    );
    let alice = world.controller(
        "alice",
        Clock {
            offset_us: 5_000_000,
            drift_ppm: -50,
        },
    );
    let mut paths = Vec::new();
    for relay in relays {
        world.join(alice, relay, "desk", Link::good());
        for link in ["lte", "wifi"] {
            paths.push((link, world.join(agent, relay, link, Link::good())));
        }
    }
    world.open(alice, agent);
    assert!(world.take(alice, agent, Vehicle::DRIVE));

    let mut sent = world.drive_for(alice, agent, Duration::from_secs(7));
    world.kill(relays[0]);
    sent.extend(world.drive_for(alice, agent, Duration::from_secs(6)));
    for (link, path) in paths {
        if link == "lte" {
            world.link(path).cut = true;
        }
    }
    sent.extend(world.drive_for(alice, agent, Duration::from_secs(7)));
    world.run(Duration::from_millis(100));

    let vehicle = world.vehicle(agent);
    assert_eq!(vehicle.applied_numbers(Vehicle::DRIVE), sent);
    assert_eq!(sent.len(), 1_000);
    let stages: Vec<Stage> = vehicle.stages.iter().map(|(_, _, stage)| *stage).collect();
    assert_eq!(stages, [Stage::Nominal]);
    check::vehicle(world.seed, vehicle);
}
