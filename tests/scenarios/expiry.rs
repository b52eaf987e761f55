//! Certificates that end while their nodes are in the middle of what they do, and newer ones that follow in time.

use std::sync::Arc;
use std::time::Duration;

use longrein_proto::base::{Channel, Class, Flow, NodeKind, NodeName, SessionId, StopId};
use longrein_proto::crypto::{Credential, sign_statement};
use longrein_proto::role::{ControllerEvent, RelayEvent, SessionEndReason};
use longrein_proto::wire::{Papers, Parcel, SessionMessage, Statement};
use longrein_tests::{Audit, Link, RawSession, StageSet, Station, Vehicle, World, each_seed};

const SECOND: Duration = Duration::from_secs(1);
/// Life of the certificates that end.
const LIFE: Duration = Duration::from_secs(10);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// A scene in which the certificates of some nodes end.
fn stage(world: &mut World, ending: &[&str]) -> StageSet {
    for node in ending {
        let node: NodeName = node.parse().expect("a valid name");
        world.fleet().certify(&node, LIFE);
    }
    StageSet::new(world)
}

fn sessions(world: &World, agent: Station) -> usize {
    world.agent_role(agent).sessions().count()
}

/// A stop for an agent under the signature of a controller.
fn stolen_stop(world: &mut World, name: &str, agent: Station) -> Arc<[u8]> {
    let credential = world.stolen_credential(NodeKind::Controller, name);
    let author = NodeName::new(NodeKind::Controller, name.parse().expect("a valid name"));
    let statement = Statement::Stop {
        id: StopId([9; 16]),
        generation: None,
    };
    let to = world.name_of(agent).clone();
    let signed = sign_statement(credential.as_ref(), &author, &to, statement);
    let body = signed.encode().into();
    Parcel::Signed { to, body }.encode()
}

fn downs(world: &World, controller: Station) -> usize {
    let events = world.controller_events(controller).iter();
    let is_down = |(_, event): &&_| matches!(event, ControllerEvent::SessionDown { .. });
    events.filter(is_down).count()
}

// [SAFE-105] [WIRE-160]
#[test]
fn a_controller_loses_all_when_its_certificate_ends() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = stage(&mut world, &["controller/alice"]);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, SECOND * 9);
        let alice = world.name_of(set.alice).clone();
        let down = Audit::SessionDown(alice.clone(), SessionEndReason::Expired);
        assert!(!world.vehicle(set.agent).audit.contains(&down));
        world.run(SECOND * 3);
        let audit = &world.vehicle(set.agent).audit;
        assert!(audit.contains(&down), "{audit:?}");
        assert_eq!(world.vehicle(set.agent).lease_ends.len(), 1);
        for relay in set.relays {
            let left = RelayEvent::Left {
                node: alice.clone(),
            };
            assert!(world.relay_events(relay).contains(&left));
            assert!(world.relay_role(relay).counters().ended_papers > 0);
        }
        world.run(SECOND * 10);
        assert_eq!(sessions(&world, set.agent), 0);
    });
}

// [SAFE-105] [WIRE-160]
#[test]
fn a_clock_that_is_set_past_the_end_of_certificates_ends_nothing_that_stands() {
    const YEAR_2060_MS: u64 = 2_840_140_800_000;
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        let mut sent = world.drive_for(set.alice, set.agent, SECOND);
        for station in [set.agent, set.alice, set.relays[0], set.relays[1]] {
            world.set_wall(station, YEAR_2060_MS);
        }
        sent.extend(world.drive_on(set.alice, set.agent, SECOND * 5));
        let account = world.account(set.agent, &sent);
        assert_eq!((account.lost, account.late), (0, 0), "{account:?}");
        assert_eq!(world.vehicle(set.agent).lease_ends.len(), 0);
        assert_eq!(downs(&world, set.alice), 0);
    });
}

// [WIRE-162] [SAFE-105]
#[test]
fn a_newer_certificate_counts_also_where_the_clock_was_set_past_its_end() {
    const YEAR_2060_MS: u64 = 2_840_140_800_000;
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = stage(&mut world, &["controller/alice"]);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        let mut sent = world.drive_for(set.alice, set.agent, SECOND * 3);
        world.set_wall(set.agent, YEAR_2060_MS);
        world.renew(set.alice, YEAR);
        let wanted: Vec<usize> = world.redials().iter().map(|redial| redial.path).collect();
        for path in wanted {
            world.join_beside(path);
            sent.extend(world.drive_on(set.alice, set.agent, SECOND / 2));
            world.part(path);
        }
        sent.extend(world.drive_on(set.alice, set.agent, SECOND * 10));
        let account = world.account(set.agent, &sent);
        assert_eq!((account.lost, account.late), (0, 0), "{account:?}");
        assert_eq!(world.vehicle(set.agent).lease_ends.len(), 0);
    });
}

// [WIRE-161] [WIRE-162] [WIRE-163]
#[test]
fn a_drive_goes_on_while_every_node_gets_a_newer_certificate() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let ending = [
            "controller/alice",
            "agent/truck-17",
            "relay/relay-a",
            "relay/relay-b",
        ];
        let set = stage(&mut world, &ending);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        let mut sent = world.drive_for(set.alice, set.agent, SECOND * 3);
        for station in [set.relays[0], set.relays[1], set.alice, set.agent] {
            world.renew(station, YEAR);
        }
        let wanted: Vec<usize> = world.redials().iter().map(|redial| redial.path).collect();
        assert_eq!(wanted.len(), 6, "all paths of both");
        for path in wanted {
            world.join_beside(path);
            sent.extend(world.drive_on(set.alice, set.agent, SECOND / 2));
            world.part(path);
        }
        sent.extend(world.drive_on(set.alice, set.agent, SECOND * 8));
        let account = world.account(set.agent, &sent);
        assert_eq!((account.lost, account.late), (0, 0), "{account:?}");
        let vehicle = world.vehicle(set.agent);
        assert_eq!((vehicle.grants.len(), vehicle.lease_ends.len()), (1, 0));
        let alice = world.name_of(set.alice).clone();
        let renewed = |entry: &&Audit| **entry == Audit::SessionRenewed(alice.clone());
        assert_eq!(vehicle.audit.iter().filter(renewed).count(), 1);
        assert_eq!(downs(&world, set.alice), 0);
        assert_eq!(world.controller_role(set.alice).paths().len(), 2);
        assert_eq!(world.agent_role(set.agent).paths().len(), 4);
        for relay in set.relays {
            assert_eq!(world.relay_role(relay).counters().ended_papers, 0);
        }
    });
}

// [WIRE-162]
#[test]
fn papers_find_their_way_when_half_of_all_packets_are_lost() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = stage(&mut world, &["controller/alice", "agent/truck-17"]);
        world.open(set.alice, set.agent);
        set.each_path(&mut world, |link| link.loss = 0.5);
        for channel in [Vehicle::DRIVE, Vehicle::TUNNEL] {
            world.take(set.alice, set.agent, channel);
        }
        world.renew(set.alice, YEAR);
        world.renew(set.agent, YEAR);
        let alice = world.name_of(set.alice).clone();
        let renewed = |world: &mut World| {
            let audit = &world.vehicle(set.agent).audit;
            audit.contains(&Audit::SessionRenewed(alice.clone()))
        };
        assert!(world.run_until(SECOND * 2, renewed));
    });
}

// [WIRE-160]
#[test]
fn a_vehicle_is_nobody_s_when_its_certificate_ends_and_comes_back_with_a_newer_one() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = stage(&mut world, &["agent/truck-17"]);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.run(SECOND * 12);
        assert_eq!(downs(&world, set.alice), 1);
        // It comes back, to reach the authority: no seat of a vehicle, no session.
        for path in set.truck_paths {
            world.connect(path);
        }
        world.run(SECOND * 3);
        let truck = world.name_of(set.agent).clone();
        for relay in set.relays {
            let role = world.relay_role(relay);
            let mut kinds = role.nodes().map(|node| (node.kind, &node.name));
            assert!(kinds.any(|node| node == (NodeKind::Newcomer, &truck.name)));
            assert!(role.nodes().all(|node| *node != truck));
        }
        let from = world.controller_events(set.alice).len();
        world.renew(set.agent, YEAR);
        for path in set.truck_paths {
            world.connect(path);
        }
        world.await_session(set.alice, from);
    });
}

// [WIRE-160]
#[test]
fn a_relay_is_heard_no_more_when_its_certificate_ends_and_the_drive_goes_on_through_the_other() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = stage(&mut world, &["relay/relay-a"]);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        let sent = world.drive_for(set.alice, set.agent, SECOND * 13);
        let relay = world.name_of(set.relays[0]).clone();
        for paths in [
            world.agent_role(set.agent).paths(),
            world.controller_role(set.alice).paths(),
        ] {
            assert!(paths.iter().all(|path| path.relay != relay), "{paths:?}");
        }
        let account = world.account(set.agent, &sent);
        assert_eq!((account.lost, account.late), (0, 0), "{account:?}");
        let redialled = set.truck_paths.iter().chain(&set.desk_paths);
        let redialled = redialled.filter(|path| {
            let mut redials = world.redials().iter();
            redials.any(|redial| redial.path == **path && redial.wanted)
        });
        assert_eq!(redialled.count(), 3, "to see whether it has a newer one");
    });
}

// [WIRE-162] [SAFE-105]
#[test]
fn papers_that_are_not_right_prolong_nothing() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = stage(&mut world, &["controller/mallory"]);
        let mallory = world.raw_node(NodeKind::Controller, "mallory");
        world.join(mallory, set.relays[0], "cable", Link::good());
        world.run(SECOND);
        let raw = (mallory, "mallory");
        let mut session = RawSession::open(&mut world, raw, set.agent, SessionId(9))
            .expect("the papers are still right");
        let name = world.name_of(mallory).clone();
        let older = world.stolen_credential(NodeKind::Controller, "mallory");
        let others = world.stolen_credential(NodeKind::Controller, "alice");
        world.fleet().certify(&name, YEAR);
        // Everybody who has a session with mallory sees its newer certificate; the key of it has not everybody.
        let newer = world.stolen_credential(NodeKind::Controller, "mallory");
        let signed = |certificate: &[u8], signer: &dyn Credential| Papers {
            certificate: certificate.to_vec(),
            signature: signer.sign(&Papers::to_be_signed(&[0; 32], certificate)),
        };
        let wrong = [
            signed(newer.certificate(), older.as_ref()),
            // Of another session.
            signed(newer.certificate(), newer.as_ref()),
            signed(others.certificate(), others.as_ref()),
            signed(b"no certificate", older.as_ref()),
        ];
        let flow = Flow::new(Channel::SESSION, Class::Reliable);
        let count = wrong.len() as u64;
        for papers in wrong {
            let message = SessionMessage::Papers(papers).encode();
            session.send(&mut world, flow, 5_000, message);
            world.run(SECOND / 10);
        }
        let (_, node, _) = world.agent_role(set.agent).counters();
        assert_eq!(node.refused_papers, count);
        // More of them in a moment cost no more than one look a second.
        for _ in 0..50 {
            let papers = signed(others.certificate(), others.as_ref());
            let message = SessionMessage::Papers(papers).encode();
            session.send(&mut world, flow, 5_000, message);
        }
        world.run(SECOND * 2);
        let (_, node, _) = world.agent_role(set.agent).counters();
        assert!(node.refused_papers <= count + 3, "{node:?}");
        let renewed = Audit::SessionRenewed(name.clone());
        assert!(!world.vehicle(set.agent).audit.contains(&renewed));
    });
}

// [WIRE-122]
#[test]
fn a_stop_counts_that_is_signed_with_a_newer_certificate_than_the_connection_was_made_with() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = stage(&mut world, &["controller/alice"]);
        world.run(SECOND);
        world.renew(set.alice, YEAR);
        world.stop(set.alice, set.agent, None);
        world.run(SECOND);
        let alice = world.name_of(set.alice).clone();
        let stopped = Audit::Stop(Some(alice), 0);
        assert!(world.vehicle(set.agent).audit.contains(&stopped));
        // Nobody else's certificate serves: neither for one that is known nor for one that is not.
        let mallory = world.raw_node(NodeKind::Controller, "mallory");
        world.join(mallory, set.relays[0], "cable", Link::good());
        world.run(SECOND);
        let refused = world.relay_role(set.relays[0]).counters().malformed_parcels;
        for name in ["alice", "bob"] {
            let stop = stolen_stop(&mut world, name, set.agent);
            for _ in 0..10 {
                let parcel = stop.clone();
                world.with_raw(mallory, |node, now| node.send(now, parcel));
            }
        }
        world.run(SECOND);
        let counters = world.relay_role(set.relays[0]).counters();
        assert_eq!(counters.malformed_parcels, refused + 20);
    });
}
