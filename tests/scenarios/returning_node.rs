//! A node that leaves and comes back, each time as a new run, to have its budgets filled again.

use std::sync::Arc;
use std::time::Duration;

use longrein_proto::base::{Class, Flow, NodeKind, NodeName, SessionId};
use longrein_proto::role::RelayCounters;
use longrein_proto::wire::{Notice, Parcel, SealedHeader};
use longrein_tests::{Link, Station, Vehicle, World, each_seed};

/// An envelope of 1,000 bytes.
fn envelope(session: SessionId, number: u64) -> Arc<[u8]> {
    let header = SealedHeader {
        key_phase: 0,
        session,
        flow: Flow::new(Vehicle::TUNNEL, Class::Unordered),
        number,
        ttl_ms: 1_000,
    };
    let ciphertext = vec![7; 1_000].into();
    Parcel::Sealed { header, ciphertext }.encode()
}

fn send(world: &mut World, node: Station, parcel: Arc<[u8]>) {
    world.with_raw(node, |node, now| node.send(now, parcel));
}

/// A run of mallory's program comes, does what it likes, and is gone: its connection too.
fn visit(world: &mut World, relay: Station, act: impl Fn(&mut World, Station)) {
    let run = world.raw_node(NodeKind::Controller, "mallory");
    let path = world.join(run, relay, "cable", Link::good());
    world.run(Duration::from_millis(50));
    act(world, run);
    world.run(Duration::from_millis(150));
    world.kill(run);
    world.connect(path);
}

fn counters(world: &World, relay: Station) -> RelayCounters {
    world.relay_role(relay).counters()
}

fn name(world: &World, station: Station) -> NodeName {
    world.name_of(station).clone()
}

/// [WIRE-103] [WIRE-117]
#[test]
fn queries_and_handshakes_are_held_to_one_rate_whatever_run_sends_them() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let relay = world.relay("relay-a");
        let truck = world.raw_node(NodeKind::Agent, "truck-18");
        world.join(truck, relay, "lte", Link::good());
        world.run(Duration::from_millis(300));
        let to = name(&world, truck);
        for _ in 0..5 {
            visit(&mut world, relay, |world, run| {
                let session = SessionId(1);
                let route = Notice::Route {
                    session,
                    to: to.clone(),
                };
                send(world, run, Parcel::Notice(route).encode());
                for ask in 0..20 {
                    let kind = NodeKind::Agent;
                    let query = Parcel::Notice(Notice::Query { ask, kind });
                    send(world, run, query.encode());
                }
                world.run(Duration::from_millis(50));
                for number in 0..60 {
                    let step = Parcel::Handshake {
                        session,
                        step: 1,
                        to: Some(to.clone()),
                        body: vec![number; 32].into(),
                    };
                    send(world, run, step.encode());
                }
            });
        }
        // Five visits in 1.25 s: at most 10 + 13 of 100 queries, and 64 + 80 of 300 handshakes.
        let counters = counters(&world, relay);
        assert!(counters.over_query_rate >= 77, "{counters:?}");
        assert!(counters.over_handshake_rate >= 156, "{counters:?}");
    });
}

/// [WIRE-103] [WIRE-115]
#[test]
fn a_source_does_not_fill_its_budget_by_coming_back() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let relay = world.relay("relay-a");
        // Several, so that no destination is over its budget.
        let trucks: Vec<NodeName> = (0..5)
            .map(|number| {
                let truck = world.raw_node(NodeKind::Agent, &format!("truck-{number}"));
                world.join(truck, relay, "lte", Link::good());
                name(&world, truck)
            })
            .collect();
        world.run(Duration::from_millis(300));
        for to in &trucks {
            visit(&mut world, relay, |world, run| {
                let session = SessionId(1);
                let route = Notice::Route {
                    session,
                    to: to.clone(),
                };
                send(world, run, Parcel::Notice(route).encode());
                for number in 1..=230 {
                    send(world, run, envelope(session, number));
                }
            });
        }
        // Each visit alone is within the burst of 250 KB; between the first and the last one the budget grew by 800 KB, of
        // which the pauses waste some.
        let counters = counters(&world, relay);
        assert_eq!(counters.over_destination_budget, 0);
        assert!(counters.over_source_budget > 50, "{counters:?}");
    });
}

/// [WIRE-103] [WIRE-115]
#[test]
fn a_destination_does_not_fill_its_budget_by_coming_back() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let relay = world.relay("relay-a");
        let sources: Vec<Station> = (0..8)
            .map(|number| {
                let source = world.raw_node(NodeKind::Controller, &format!("desk-{number}"));
                world.join(source, relay, "desk", Link::good());
                source
            })
            .collect();
        for (number, source) in (1..).zip(sources) {
            let truck = world.raw_node(NodeKind::Agent, "truck-18");
            world.join(truck, relay, "lte", Link::good());
            world.run(Duration::from_millis(50));
            let (session, to) = (SessionId(number), name(&world, truck));
            let route = Parcel::Notice(Notice::Route { session, to });
            send(&mut world, source, route.encode());
            for number in 1..=230 {
                send(&mut world, source, envelope(session, number));
            }
            world.run(Duration::from_millis(50));
        }
        world.run(Duration::from_millis(500));
        let counters = counters(&world, relay);
        assert_eq!(counters.over_source_budget, 0);
        assert!(counters.over_destination_budget >= 100, "{counters:?}");
    });
}
