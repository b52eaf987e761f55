//! What a relay forwards, for whom, and how much.

use std::sync::Arc;
use std::time::Duration;

use longrein_proto::base::{Class, Entropy, Flow, NodeKind, NodeName, SessionId};
use longrein_proto::role::ControllerEvent;
use longrein_proto::wire::{Notice, Parcel, RouteRefusal, SealedHeader};
use longrein_tests::{
    Account, Chance, Clock, Link, PERIOD, StageSet, Station, Vehicle, World, each_seed,
};

/// An envelope of a session, with a seal that nobody can open.
fn envelope(session: SessionId, number: u64, bytes: usize) -> Arc<[u8]> {
    let header = SealedHeader {
        key_phase: 0,
        session,
        flow: Flow::new(Vehicle::TUNNEL, Class::Unordered),
        number,
        ttl_ms: 1_000,
    };
    let ciphertext = vec![7; bytes].into();
    Parcel::Sealed { header, ciphertext }.encode()
}

fn send(world: &mut World, node: Station, parcel: Arc<[u8]>) {
    world.with_raw(node, |node, now| node.send(now, parcel));
}

fn route(world: &mut World, node: Station, session: SessionId, to: &NodeName) {
    let to = to.clone();
    let parcel = Parcel::Notice(Notice::Route { session, to }).encode();
    send(world, node, parcel);
}

/// The session between a controller and an agent.
fn session_of(world: &World, agent: Station) -> SessionId {
    let mut sessions = world.agent_role(agent).sessions();
    let (session, ..) = sessions.next().expect("it stands");
    session
}

// [WIRE-112] [WIRE-113]
#[test]
fn a_node_cannot_reach_into_the_session_of_others() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        let session = session_of(&world, set.agent);
        let truck = world.name_of(set.agent).clone();
        let alice = world.name_of(set.alice).clone();

        // Another controller, another agent, and another program of the same operator.
        let intruders = [
            world.raw_node(NodeKind::Controller, "mallory"),
            world.raw_node(NodeKind::Agent, "truck-18"),
            world.raw_node(NodeKind::Controller, "alice"),
        ];
        for intruder in intruders {
            world.join(intruder, set.relays[0], "cable", Link::good());
        }
        world.run(Duration::from_millis(300));
        let before = world.relay_role(set.relays[0]).counters();
        for intruder in intruders {
            for to in [&truck, &alice] {
                route(&mut world, intruder, session, to);
            }
            let unroute = Parcel::Notice(Notice::Unroute { session }).encode();
            send(&mut world, intruder, unroute);
            for number in 1..=10 {
                send(&mut world, intruder, envelope(session, number, 100));
            }
        }
        let sent = world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        world.run(Duration::from_millis(200));

        let after = world.relay_role(set.relays[0]).counters();
        assert_eq!(after.refused_routes - before.refused_routes, 6);
        assert_eq!(after.without_route - before.without_route, 30);
        let (agent, _, _) = world.agent_role(set.agent).counters();
        assert_eq!((agent.forged, agent.unknown_sessions), (0, 0));
        assert_eq!(
            world.account(set.agent, &sent),
            Account {
                sent: 50,
                applied: 50,
                ..Account::default()
            }
        );
    });
}

// [WIRE-113]
#[test]
fn only_controllers_and_services_open_routes_and_only_to_agents_and_authorities() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let agent = world.raw_node(NodeKind::Agent, "truck-18");
        let controller = world.raw_node(NodeKind::Controller, "mallory");
        for node in [agent, controller] {
            world.join(node, set.relays[0], "cable", Link::good());
        }
        world.run(Duration::from_millis(300));
        let truck = world.name_of(set.agent).clone();
        let alice = world.name_of(set.alice).clone();
        let relay = world.name_of(set.relays[0]).clone();
        route(&mut world, agent, SessionId(1), &truck);
        route(&mut world, controller, SessionId(2), &alice);
        route(&mut world, controller, SessionId(3), &relay);
        route(&mut world, controller, SessionId(4), &truck);
        world.run(Duration::from_millis(300));
        let refused = |session| Notice::RouteRefused {
            session: SessionId(session),
            why: RouteRefusal::NotAllowed,
        };
        let heard = |world: &mut World, node, notice: Notice| {
            world.with_raw(node, |node, _| node.heard.contains(&Parcel::Notice(notice)))
        };
        assert!(heard(&mut world, agent, refused(1)));
        assert!(heard(&mut world, controller, refused(2)));
        assert!(heard(&mut world, controller, refused(3)));
        let routed = Notice::Routed {
            session: SessionId(4),
            present: true,
        };
        assert!(heard(&mut world, controller, routed));
    });
}

// [WIRE-116]
#[test]
fn a_relay_drops_what_is_too_old_on_arrival() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let truck = world.name_of(set.agent).clone();
        let node = world.raw_node(NodeKind::Controller, "mallory");
        let slow = Link {
            delay_up: Duration::from_millis(600),
            delay_down: Duration::from_millis(600),
            ..Link::good()
        };
        world.join(node, set.relays[0], "cable", slow);
        // Until the relay has measured the way.
        world.run(Duration::from_secs(5));
        route(&mut world, node, SessionId(4), &truck);
        world.run(Duration::from_secs(2));
        let ttl_ms = |ttl_ms, number| {
            let Ok(Parcel::Sealed { header, ciphertext }) =
                Parcel::decode(&envelope(SessionId(4), number, 100))
            else {
                unreachable!("just made")
            };
            let header = SealedHeader { ttl_ms, ..header };
            Parcel::Sealed { header, ciphertext }.encode()
        };
        for number in 1..=5 {
            send(&mut world, node, ttl_ms(300, number));
        }
        for number in 6..=10 {
            send(&mut world, node, ttl_ms(3_000, number));
        }
        world.run(Duration::from_secs(3));
        assert_eq!(world.relay_role(set.relays[0]).counters().expired, 5);
        let (agent, _, _) = world.agent_role(set.agent).counters();
        assert_eq!(agent.unknown_sessions, 5);
    });
}

// [WIRE-115]
#[test]
fn a_flood_is_held_to_the_budget_of_its_source_and_does_not_hurt_a_drive() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        let truck = world.name_of(set.agent).clone();
        // Four programs, so that their budgets together are several times that of the vehicle, through both relays.
        let flooders: Vec<Station> = (0..4)
            .map(|number| {
                let name = format!("mallory-{number}");
                let flooder = world.raw_node(NodeKind::Controller, &name);
                let relay = set.relays[number % 2];
                world.join(flooder, relay, "cable", Link::good());
                flooder
            })
            .collect();
        world.run(Duration::from_millis(300));
        for (number, flooder) in (100..).zip(&flooders) {
            route(&mut world, *flooder, SessionId(number), &truck);
        }
        let mut sent: Vec<u64> = world
            .drive(set.alice, set.agent, 0, true)
            .into_iter()
            .collect();
        let mut next = 1;
        for _ in 0..100 {
            for (number, flooder) in (100..).zip(&flooders) {
                // 1.25 MB/s each.
                for _ in 0..25 {
                    send(
                        &mut world,
                        *flooder,
                        envelope(SessionId(number), next, 1_000),
                    );
                    next += 1;
                }
            }
            world.run(PERIOD);
            sent.extend(world.drive(set.alice, set.agent, 1_000, false));
        }
        world.run(Duration::from_millis(200));
        let refused = set.relays.map(|relay| {
            let counters = world.relay_role(relay).counters();
            counters.over_source_budget + counters.over_destination_budget
        });
        assert!(refused.iter().all(|refused| *refused > 100), "{refused:?}");
        assert_eq!(
            world.account(set.agent, &sent),
            Account {
                sent: 101,
                applied: 101,
                ..Account::default()
            }
        );
    });
}

// [WIRE-115]
#[test]
fn a_stop_gets_through_a_flood() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let truck = world.name_of(set.agent).clone();
        let flooder = world.raw_node(NodeKind::Controller, "mallory");
        world.join(flooder, set.relays[0], "cable", Link::good());
        set.each_path_to(&mut world, 1, |link| link.set_cut(true));
        world.run(Duration::from_millis(300));
        route(&mut world, flooder, SessionId(100), &truck);
        for number in 1..2_000 {
            send(&mut world, flooder, envelope(SessionId(100), number, 1_000));
            if number % 100 == 0 {
                world.run(PERIOD);
            }
        }
        world.stop(set.alice, set.agent, None);
        world.run(Duration::from_millis(200));
        assert!(world.agent_role(set.agent).is_stopped());
    });
}

// [WIRE-117]
#[test]
fn a_flood_of_handshakes_is_held_to_a_rate_and_another_controller_gets_its_session() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let truck = world.name_of(set.agent).clone();
        let flooder = world.raw_node(NodeKind::Controller, "mallory");
        world.join(flooder, set.relays[0], "cable", Link::good());
        world.run(Duration::from_millis(300));
        for number in 0..60 {
            route(&mut world, flooder, SessionId(number), &truck);
        }
        world.run(Duration::from_millis(100));
        world.call(set.alice, set.agent);
        let mut chance = Chance::new(seed);
        for number in 0..600_u32 {
            let mut key = [0; 32];
            chance.fill(&mut key);
            let parcel = Parcel::Handshake {
                session: SessionId(number % 60),
                step: 1,
                to: Some(truck.clone()),
                body: key.to_vec().into(),
            };
            send(&mut world, flooder, parcel.encode());
            if number % 3 == 0 {
                world.run(Duration::from_millis(1));
            }
        }
        world.await_session(set.alice, 0);
        let counters = world.relay_role(set.relays[0]).counters();
        assert!(counters.over_handshake_rate > 100, "{counters:?}");
    });
}

// [WIRE-119]
#[test]
fn a_controller_is_told_whether_the_vehicle_is_there() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let relay = world.relay("relay-a");
        let agent = world.agent("truck-17", Clock::default());
        let alice = world.controller("alice", Clock::default());
        world.join(alice, relay, "desk", Link::good());
        world.call(alice, agent);
        let presence = |world: &mut World, from| {
            world.await_event(alice, from, Duration::from_secs(10), |event| match event {
                ControllerEvent::Presence { present, .. } => Some(*present),
                _ => None,
            })
        };
        assert_eq!(presence(&mut world, 0), Some(false));
        let from = world.controller_events(alice).len();
        let way = world.join(agent, relay, "lte", Link::good());
        assert_eq!(presence(&mut world, from), Some(true));
        world.await_session(alice, from);
        // It falls silent.
        let from = world.controller_events(alice).len();
        world.link(way).set_cut(true);
        assert_eq!(presence(&mut world, from), Some(false));
        let from = world.controller_events(alice).len();
        world.link(way).set_cut(false);
        assert_eq!(presence(&mut world, from), Some(true));
    });
}

// [WIRE-113] [WIRE-114]
#[test]
fn a_session_whose_number_is_taken_gets_another_one() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        // Both draw the same numbers.
        let twins = ["bob", "bert"].map(|name| {
            let twin = world.controller_with(name, Clock::default(), Chance::new(seed));
            set.join(&mut world, twin);
            twin
        });
        world.run(Duration::from_millis(200));
        for twin in twins {
            world.open(twin, set.agent);
        }
        let refused: u64 = set
            .relays
            .iter()
            .map(|relay| world.relay_role(*relay).counters().refused_routes)
            .sum();
        assert!(refused > 0);
        let sessions: Vec<SessionId> = world
            .agent_role(set.agent)
            .sessions()
            .map(|(session, ..)| session)
            .collect();
        assert_eq!(sessions.len(), 2);
        // Both go through both relays.
        for (twin, relay) in twins.iter().zip([1, 0]) {
            set.each_path_to(&mut world, relay, |link| link.set_cut(true));
            world.take(*twin, set.agent, Vehicle::DRIVE);
            let truck = world.name_of(set.agent).clone();
            world.with_controller(*twin, |role, now| role.release(now, &truck, Vehicle::DRIVE));
            world.run(Duration::from_millis(200));
            set.each_path_to(&mut world, relay, |link| link.set_cut(false));
            world.run(Duration::from_secs(1));
        }
    });
}

// [WIRE-114]
#[test]
fn a_route_that_was_asked_for_during_a_long_cut_stands_after_it() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.run(Duration::from_millis(300));
        // Relay A does not hear of the session until its question is too old.
        world.link(set.desk_paths[0]).cut_up = true;
        world.open(set.alice, set.agent);
        world.run(Duration::from_secs(15));
        world.link(set.desk_paths[0]).cut_up = false;
        world.run(Duration::from_secs(2));
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_millis(300));
        set.each_path_to(&mut world, 1, |link| link.set_cut(true));
        let sent = world.drive_on(set.alice, set.agent, Duration::from_secs(1));
        world.run(Duration::from_millis(200));
        assert_eq!(world.account(set.agent, &sent).applied, 50);
    });
}

// [WIRE-17]
#[test]
fn a_query_names_who_is_there_and_floods_of_queries_are_held_to_a_rate() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        for number in 0..40 {
            let agent = world.agent(&format!("van-{number}"), Clock::default());
            world.join(agent, set.relays[0], "lte", Link::good());
        }
        world.run(Duration::from_millis(300));
        let names = |world: &mut World| {
            let from = world.controller_events(set.alice).len();
            let asked =
                world.with_controller(set.alice, |role, now| role.query(now, NodeKind::Agent));
            world.run(Duration::from_millis(300));
            let relay = world.name_of(set.relays[0]).clone();
            let events = world.controller_events(set.alice).iter().skip(from);
            let named = events.filter_map(|(_, event)| match event {
                ControllerEvent::Nodes {
                    ask,
                    relay: from,
                    names,
                    ..
                } if *ask == asked && *from == relay => Some(names.len()),
                _ => None,
            });
            named.sum::<usize>()
        };
        assert_eq!(names(&mut world), 41);
        for _ in 0..100 {
            world.with_controller(set.alice, |role, now| role.query(now, NodeKind::Agent));
        }
        world.run(Duration::from_millis(300));
        let counters = world.relay_role(set.relays[0]).counters();
        assert!(counters.over_query_rate > 80, "{counters:?}");
        world.run(Duration::from_secs(1));
        assert_eq!(names(&mut world), 41);
    });
}

/// A relay that ends tells its nodes first.
#[test]
fn a_relay_that_drains_says_so_to_everybody() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.with_relay(set.relays[0], |role, now| role.drain(now));
        let told = world.await_event(set.alice, 0, Duration::from_secs(1), |event| match event {
            ControllerEvent::Draining { relay } => Some(relay.clone()),
            _ => None,
        });
        assert_eq!(told.as_ref(), Some(world.name_of(set.relays[0])));
    });
}
