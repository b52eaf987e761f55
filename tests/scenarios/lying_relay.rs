//! Relay A has valid papers and hands things to the wrong nodes, or says who is there and who is not as it likes.

use std::time::Duration;

use longrein_proto::base::NodeKind;
use longrein_proto::role::ControllerEvent;
use longrein_tests::{
    Account, Clock, PERIOD, StageSet, Station, Tamper, Vehicle, World, each_seed,
};

fn session_down(event: &ControllerEvent) -> bool {
    matches!(event, ControllerEvent::SessionDown { .. })
}

fn session_up(event: &ControllerEvent) -> bool {
    matches!(event, ControllerEvent::SessionUp { .. })
}

#[test]
fn envelopes_that_a_relay_swaps_between_vehicles_are_counted_by_the_wrong_one_and_lost_to_nobody() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::hostile(&mut world, Tamper::Swap);
        let other = world.agent("truck-18", Clock::default());
        set.join(&mut world, other);
        let (bob, _) = set.operator(&mut world, "bob");
        let pairs = [(set.alice, set.agent), (bob, other)];
        for (operator, agent) in pairs {
            world.open(operator, agent);
            world.take(operator, agent, Vehicle::DRIVE);
        }
        let mut sent = [Vec::new(), Vec::new()];
        for tick in 0..100 {
            for ((operator, agent), sent) in pairs.into_iter().zip(&mut sent) {
                sent.extend(world.drive(operator, agent, 100 * i16::from(tick > 0), tick == 0));
            }
            world.run(PERIOD);
        }
        world.run(Duration::from_millis(300));

        for ((operator, agent), sent) in pairs.into_iter().zip(&sent) {
            let account = world.account(agent, sent);
            assert_eq!((account.sent, account.lost, account.late), (100, 0, 0));
            let (counters, ..) = world.agent_role(agent).counters();
            assert!(counters.unknown_sessions > 80, "{counters:?}");
            assert_eq!(counters.forged, 0);
            let seals = world.controller_role(operator).seal_counters();
            assert!(seals.unknown_sessions > 10, "{seals:?}");
        }
    });
}

/// Each word of relay A has the controller call the vehicle again, and the vehicle is the same run.
// [WIRE-168]
#[test]
fn what_a_relay_says_of_presence_neither_ends_a_session_nor_makes_one() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::hostile(&mut world, Tamper::Presence);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        let sent = world.drive_for(set.alice, set.agent, Duration::from_secs(3));
        world.run(Duration::from_millis(200));
        let claims = claims(&world, set.alice, set.relays[0]);
        assert!(claims.contains(&true) && claims.contains(&false));
        let events = world.controller_events(set.alice);
        assert!(!events.iter().any(|(_, event)| session_down(event)));
        // It is asked who it is, and nobody opens a second session with it.
        assert_eq!(world.agent_role(set.agent).sessions().count(), 1);
        assert_eq!(
            world.account(set.agent, &sent),
            Account {
                sent: 150,
                applied: 150,
                ..Account::default()
            }
        );

        // A vehicle that is gone and comes back.
        let before = world.controller_events(set.alice).len();
        world.kill(set.agent);
        world.run(Duration::from_secs(5));
        let events = world.controller_events(set.alice);
        let fresh = events.get(before..).unwrap_or_default();
        assert!(!fresh.iter().any(|(_, event)| session_up(event)));
        let from = events.len();
        world.restart_agent(set.agent);
        world.await_session(set.alice, from);
    });
}

#[test]
fn a_vehicle_that_a_relay_invents_is_named_by_that_relay_alone_and_gets_no_session() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::hostile(&mut world, Tamper::Presence);
        world.run(Duration::from_secs(1));
        world.with_controller(set.alice, |role, now| role.query(now, NodeKind::Agent));
        world.run(Duration::from_secs(1));
        let named: Vec<(Station, Vec<String>)> = set
            .relays
            .map(|relay| (relay, named_by(&world, set.alice, relay)))
            .into();
        assert_eq!(named[0].1, ["agent/ghost"]);
        assert_eq!(named[1].1, ["agent/truck-17"]);
        let ghost = "agent/ghost".parse().expect("a valid name");
        world.with_controller(set.alice, |role, now| role.open(now, &ghost));
        world.run(Duration::from_secs(10));
        let events = world.controller_events(set.alice);
        assert!(!events.iter().any(|(_, event)| session_up(event)));
    });
}

/// What a relay said of the vehicle.
fn claims(world: &World, controller: Station, relay: Station) -> Vec<bool> {
    let who = world.name_of(relay);
    let events = world.controller_events(controller).iter();
    events
        .filter_map(|(_, event)| match event {
            ControllerEvent::Presence { relay, present, .. } if relay == who => Some(*present),
            _ => None,
        })
        .collect()
}

/// Whom a relay named.
fn named_by(world: &World, controller: Station, relay: Station) -> Vec<String> {
    let who = world.name_of(relay);
    let events = world.controller_events(controller).iter();
    events
        .filter_map(|(_, event)| match event {
            ControllerEvent::Nodes { relay, names, .. } if relay == who => Some(names),
            _ => None,
        })
        .flatten()
        .map(ToString::to_string)
        .collect()
}
