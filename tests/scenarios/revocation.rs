//! Nodes that the authority has revoked, in the middle of what they do.

use std::collections::BTreeMap;
use std::time::Duration;

use longrein_proto::base::{NodeKind, NodeName};
use longrein_proto::crypto::sign_revocations;
use longrein_proto::role::{ControllerEvent, RelayEvent, SessionEndReason};
use longrein_proto::wire::Parcel;
use longrein_tests::{Audit, Clock, Link, StageSet, Station, TestFleet, Vehicle, World, each_seed};

const SECOND: Duration = Duration::from_secs(1);

/// A list of the authority, in parts.
fn list(world: &mut World, number: u64, revoked: &[&NodeName]) -> Vec<Vec<u8>> {
    let made_s = TestFleet::UNIX_MS / 1_000;
    let since_s = u32::try_from(made_s).expect("before 2106");
    let revoked: BTreeMap<_, _> = revoked
        .iter()
        .map(|node| ((*node).clone(), since_s))
        .collect();
    let credential = world.stolen_credential(NodeKind::Authority, "test");
    sign_revocations(credential.as_ref(), (number, made_s), &revoked).expect("few nodes")
}

fn publish(world: &mut World, authority: Station, parts: &[Vec<u8>]) {
    world.with_authority(authority, |role, now| role.set_revocations(now, parts));
}

fn was_told(world: &World, agent: Station, number: u64) -> bool {
    let audit = &world.vehicle(agent).audit;
    audit.contains(&Audit::Revocations(number))
}

/// Alice drives, and the authority is joined to these relays.
fn driving(world: &mut World, set: &StageSet, joined: &[Station]) -> Station {
    world.open(set.alice, set.agent);
    world.take(set.alice, set.agent, Vehicle::DRIVE);
    let authority = world.authority();
    for relay in joined {
        world.join(authority, *relay, "cable", Link::good());
    }
    world.run(SECOND);
    authority
}

// [SAFE-97] [WIRE-147] [WIRE-148]
#[test]
fn a_controller_that_is_revoked_while_it_drives_loses_all_within_a_second() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let authority = driving(&mut world, &set, &set.relays);
        let alice = world.name_of(set.alice).clone();
        let parts = list(&mut world, 1, &[&alice]);
        publish(&mut world, authority, &parts);
        world.run(SECOND);
        let audit = &world.vehicle(set.agent).audit;
        let down = Audit::SessionDown(alice.clone(), SessionEndReason::Revoked);
        assert!(audit.contains(&down), "{audit:?}");
        let lease_ended = |entry: &Audit| matches!(entry, Audit::LeaseEnded(..));
        assert!(audit.iter().any(lease_ended), "{audit:?}");
        for relay in set.relays {
            let events = world.relay_events(relay);
            let left = RelayEvent::Left {
                node: alice.clone(),
            };
            assert!(events.contains(&left), "{events:?}");
            assert!(world.relay_role(relay).counters().revoked > 0);
        }
        // Neither its old paths nor new ones get it anywhere.
        for path in set.desk_paths {
            world.connect(path);
        }
        world.run(SECOND * 5);
        assert_eq!(world.agent_role(set.agent).sessions().count(), 0);
    });
}

// [SAFE-97] [WIRE-148]
#[test]
fn a_list_is_everywhere_within_a_second_when_a_fifth_of_all_packets_is_lost() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let authority = driving(&mut world, &set, &[]);
        let agents: Vec<Station> = (0..6)
            .map(|number| world.agent(&format!("truck-{number}"), Clock::default()))
            .chain([set.agent])
            .collect();
        for agent in &agents[..6] {
            for relay in set.relays {
                world.join(*agent, relay, "lte", Link::good());
            }
        }
        let up: Vec<usize> = set
            .relays
            .iter()
            .map(|relay| world.join(authority, *relay, "cable", Link::good()))
            .collect();
        world.run(SECOND);
        set.each_path(&mut world, |link| link.loss = 0.2);
        for path in up {
            world.link(path).loss = 0.2;
        }
        let alice = world.name_of(set.alice).clone();
        let names: Vec<NodeName> = (0..150)
            .map(|number| format!("agent/old-{number}").parse().expect("a valid name"))
            .collect();
        let revoked: Vec<&NodeName> = names.iter().chain([&alice]).collect();
        let parts = list(&mut world, 1, &revoked);
        assert!(parts.len() > 2, "{}", parts.len());
        publish(&mut world, authority, &parts);
        let everywhere = |world: &mut World| {
            let is_list = |event: &RelayEvent| matches!(event, RelayEvent::Revocations { .. });
            let relays = set.relays.iter();
            agents.iter().all(|agent| was_told(world, *agent, 1))
                && relays
                    .map(|relay| world.relay_events(*relay))
                    .all(|e| e.iter().any(is_list))
        };
        assert!(world.run_until(SECOND, everywhere));
        assert_eq!(world.agent_role(set.agent).sessions().count(), 0);
    });
}

// [WIRE-148]
#[test]
fn a_list_outlives_ways_that_are_dark_for_longer_than_any_parcel_lives() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let authority = driving(&mut world, &set, &set.relays);
        let up = world.paths_of(authority);
        let alice = world.name_of(set.alice).clone();
        for path in &up {
            world.link(*path).set_cut(true);
        }
        let parts = list(&mut world, 1, &[&alice]);
        publish(&mut world, authority, &parts);
        world.run(SECOND * 70);
        for path in &set.truck_paths {
            world.link(*path).set_cut(true);
        }
        for path in &up {
            world.link(*path).set_cut(false);
        }
        world.run(SECOND * 70);
        assert!(!was_told(&world, set.agent, 1));
        for path in &set.truck_paths {
            world.link(*path).set_cut(false);
        }
        assert!(world.run_until(SECOND, |world| was_told(world, set.agent, 1)));
    });
}

// [SAFE-97]
#[test]
fn a_stop_of_a_revoked_controller_stops_nothing() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        // Relay A withholds every list; it would forward the stop.
        let relays = [world.withholding_relay("relay-a"), world.relay("relay-b")];
        let set = StageSet::around(&mut world, relays);
        let authority = driving(&mut world, &set, &set.relays);
        let alice = world.name_of(set.alice).clone();
        let parts = list(&mut world, 1, &[&alice]);
        publish(&mut world, authority, &parts);
        world.run(SECOND);
        let truck = world.name_of(set.agent).clone();
        world.with_controller(set.alice, |role, now| {
            let id = longrein_proto::base::StopId([7; 16]);
            role.stop(now, &truck, id, None, SECOND);
        });
        world.run(SECOND * 2);
        let stopped = |entry: &Audit| matches!(entry, Audit::Stop(..));
        let audit = &world.vehicle(set.agent).audit;
        assert!(!audit.iter().any(stopped), "{audit:?}");
    });
}

// [SAFE-97] [WIRE-148]
#[test]
fn one_honest_relay_is_enough_and_an_agent_that_comes_back_is_told() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let relays = [world.withholding_relay("relay-a"), world.relay("relay-b")];
        let set = StageSet::around(&mut world, relays);
        let authority = driving(&mut world, &set, &relays);
        let alice = world.name_of(set.alice).clone();
        // The truck is reached through the relay that withholds the lists only.
        for path in &set.truck_paths[2..] {
            *world.link(*path) = Link {
                cut_up: true,
                cut_down: true,
                ..Link::good()
            };
        }
        world.run(SECOND * 2);
        let parts = list(&mut world, 1, &[&alice]);
        publish(&mut world, authority, &parts);
        world.run(SECOND * 5);
        assert!(!was_told(&world, set.agent, 1));
        for path in &set.truck_paths[2..] {
            *world.link(*path) = Link::good();
        }
        assert!(world.run_until(SECOND * 5, |world| was_told(world, set.agent, 1)));
        assert_eq!(world.agent_role(set.agent).sessions().count(), 0);
    });
}

// [WIRE-147]
#[test]
fn an_older_list_brings_nobody_back_also_after_a_restart_of_the_agent() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let relays = [
            world.withholding_relay("relay-a"),
            world.withholding_relay("relay-b"),
        ];
        let set = StageSet::around(&mut world, relays);
        world.open(set.alice, set.agent);
        let alice = world.name_of(set.alice).clone();
        let (old, new) = (list(&mut world, 1, &[]), list(&mut world, 2, &[&alice]));
        give(&mut world, set.agent, "relay-c", &new);
        assert!(was_told(&world, set.agent, 2));
        world.kill(set.agent);
        world.restart_agent(set.agent);
        world.run(SECOND);
        give(&mut world, set.agent, "relay-d", &old);
        world.run(SECOND * 10);
        assert!(!was_told(&world, set.agent, 1));
        assert_eq!(world.agent_role(set.agent).sessions().count(), 0);
    });
}

// [SAFE-98]
#[test]
fn without_a_fresh_list_no_session_stands_where_one_is_asked_for() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let authority = driving(&mut world, &set, &[]);
        let max_age = Some(SECOND * 30);
        world.with_agent(set.agent, |role, _| role.set_revocations_max_age(max_age));
        let alice = world.name_of(set.alice).clone();
        world.run(SECOND);
        let down = Audit::SessionDown(alice, SessionEndReason::NoRevocations);
        assert!(world.vehicle(set.agent).audit.contains(&down));
        assert_eq!(world.agent_role(set.agent).sessions().count(), 0);
        world.join(authority, set.relays[0], "cable", Link::good());
        let parts = list(&mut world, 1, &[]);
        publish(&mut world, authority, &parts);
        let stands = |world: &mut World| world.agent_role(set.agent).sessions().count() == 1;
        assert!(world.run_until(SECOND * 10, stands));
        // The authority says nothing more: soon the list is too old.
        world.run(SECOND * 31);
        assert_eq!(world.agent_role(set.agent).sessions().count(), 0);
    });
}

// [WIRE-147] [WIRE-148]
#[test]
fn a_revoked_relay_is_heard_no_more() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let authority = driving(&mut world, &set, &set.relays[1..]);
        let relay = world.name_of(set.relays[0]).clone();
        let parts = list(&mut world, 1, &[&relay]);
        publish(&mut world, authority, &parts);
        world.run(SECOND * 3);
        for paths in [
            world.agent_role(set.agent).paths(),
            world.controller_role(set.alice).paths(),
        ] {
            assert!(paths.iter().all(|path| path.relay != relay), "{paths:?}");
        }
        // The drive goes on through the other one.
        assert_eq!(world.agent_role(set.agent).sessions().count(), 1);
    });
}

// [WIRE-147]
#[test]
fn a_controller_ends_its_session_with_a_revoked_vehicle_and_begins_none() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        // Relay A would go on carrying the session.
        let relays = [world.withholding_relay("relay-a"), world.relay("relay-b")];
        let set = StageSet::around(&mut world, relays);
        let authority = driving(&mut world, &set, &relays);
        let truck = world.name_of(set.agent).clone();
        let parts = list(&mut world, 1, &[&truck]);
        for path in &set.truck_paths[2..] {
            world.link(*path).set_cut(true);
        }
        publish(&mut world, authority, &parts);
        world.run(SECOND);
        let events = world.controller_events(set.alice).iter();
        let end = |(_, event): &&(_, ControllerEvent)| {
            matches!(event, ControllerEvent::SessionDown { .. })
        };
        assert_eq!(events.filter(end).count(), 1);
        let kept = world.controller_events(set.alice).iter();
        let kept = kept.filter_map(|(_, event)| match event {
            ControllerEvent::Revocations { number, .. } => Some(*number),
            _ => None,
        });
        assert_eq!(kept.collect::<Vec<_>>(), [1]);
        // Nor does a controller that starts with the list call it.
        let (bob, _) = set.operator(&mut world, "bob");
        world.call(bob, set.agent);
        world.run(SECOND * 10);
        let up = |station: Station| {
            let events = world.controller_events(station).iter();
            let is_up = |(_, event): &&(_, ControllerEvent)| {
                matches!(event, ControllerEvent::SessionUp { .. })
            };
            events.filter(is_up).count()
        };
        assert_eq!((up(set.alice), up(bob)), (1, 0));
    });
}

/// Hands the parts of a list to an agent, as a relay would that brings what it likes.
fn give(world: &mut World, agent: Station, relay: &str, parts: &[Vec<u8>]) {
    let authority = world.raw_node(NodeKind::Authority, "test");
    let relay = world.relay(relay);
    world.join(authority, relay, "cable", Link::good());
    world.join(agent, relay, "cable", Link::good());
    world.run(SECOND);
    for part in parts {
        let parcel = Parcel::Revocations(part.as_slice().into()).encode();
        world.with_raw(authority, |node, now| node.send(now, parcel));
    }
    world.run(SECOND);
}
