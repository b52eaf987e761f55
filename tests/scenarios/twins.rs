//! Two programs under the name of one vehicle.

use std::time::Duration;

use longrein_proto::base::{Class, Flow, NodeKind, NodeName, SessionId};
use longrein_proto::role::RelayEvent;
use longrein_proto::wire::{Notice, Parcel, SealedHeader};
use longrein_tests::{Account, Link, PERIOD, StageSet, Station, Vehicle, World, each_seed};

/// Tellings of a relay that a node runs twice.
fn told(world: &World, relay: Station, node: &NodeName) -> usize {
    let event = RelayEvent::RunsTwice { node: node.clone() };
    let events = world.relay_events(relay).iter();
    events.filter(|told| **told == event).count()
}

/// Two programs of `truck-18`, each with a path to the relay, the second one joined last; and a controller with a session.
struct Twins {
    relay: Station,
    trucks: [Station; 2],
    paths: [usize; 2],
    desk: Station,
    number: u64,
}

impl Twins {
    fn new(world: &mut World) -> Twins {
        let relay = world.relay("relay-a");
        let trucks = [(); 2].map(|()| world.raw_node(NodeKind::Agent, "truck-18"));
        let paths = trucks.map(|truck| {
            let path = world.join(truck, relay, "lte", Link::good());
            world.run(Duration::from_millis(300));
            path
        });
        let desk = world.raw_node(NodeKind::Controller, "desk");
        world.join(desk, relay, "desk", Link::good());
        world.run(Duration::from_millis(300));
        let (session, to) = (SessionId(1), world.name_of(trucks[0]).clone());
        let route = Parcel::Notice(Notice::Route { session, to }).encode();
        world.with_raw(desk, |desk, now| desk.send(now, route));
        Twins {
            relay,
            trucks,
            paths,
            desk,
            number: 0,
        }
    }

    /// Which of the two an envelope reaches.
    fn reached(&mut self, world: &mut World) -> [bool; 2] {
        self.number += 1;
        let header = SealedHeader {
            key_phase: 0,
            session: SessionId(1),
            flow: Flow::new(Vehicle::TUNNEL, Class::Unordered),
            number: self.number,
            ttl_ms: 1_000,
        };
        let ciphertext = vec![7; 100].into();
        let parcel = Parcel::Sealed { header, ciphertext };
        let bytes = parcel.encode();
        world.with_raw(self.desk, |desk, now| desk.send(now, bytes));
        world.run(Duration::from_millis(300));
        self.trucks
            .map(|truck| world.with_raw(truck, |truck, _| truck.heard.contains(&parcel)))
    }

    fn told(&self, world: &World) -> usize {
        told(world, self.relay, world.name_of(self.trucks[0]))
    }

    fn comes_back(&self, world: &mut World, which: usize) {
        world.connect(self.paths[which]);
        world.run(Duration::from_millis(300));
    }
}

/// [WIRE-104]
#[test]
fn a_vehicle_whose_older_twin_keeps_coming_back_is_driven_on_without_a_gap() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let relays = [world.relay("relay-a"), world.relay("relay-b")];
        let twin = world.raw_node(NodeKind::Agent, "truck-17");
        let ways = relays.map(|relay| world.join(twin, relay, "lte", Link::good()));
        world.run(Duration::from_millis(300));
        let set = StageSet::around(&mut world, relays);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        let mut sent: Vec<u64> = world
            .drive(set.alice, set.agent, 0, true)
            .into_iter()
            .collect();
        for _ in 0..20 {
            for way in ways {
                world.connect(way);
            }
            for _ in 0..5 {
                world.run(PERIOD);
                sent.extend(world.drive(set.alice, set.agent, 1_000, false));
            }
        }
        world.run(Duration::from_millis(200));
        assert_eq!(
            world.account(set.agent, &sent),
            Account {
                sent: 101,
                applied: 101,
                ..Account::default()
            }
        );
        for relay in relays {
            assert_eq!(told(&world, relay, world.name_of(set.agent)), 1);
            assert_eq!(world.relay_role(relay).counters().refused_twins, 20);
        }
    });
}

/// [WIRE-104]
#[test]
fn a_refused_twin_gets_the_place_when_the_other_is_gone_and_keeps_it() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let mut twins = Twins::new(&mut world);
        assert_eq!(twins.reached(&mut world), [false, true]);
        assert_eq!(twins.told(&world), 0);
        twins.comes_back(&mut world, 0);
        twins.comes_back(&mut world, 0);
        assert_eq!(twins.reached(&mut world), [false, true]);
        assert_eq!(twins.told(&world), 1);

        // Silent for longer than a path may be.
        world.link(twins.paths[1]).set_cut(true);
        world.run(Duration::from_secs(4));
        twins.comes_back(&mut world, 0);
        world.link(twins.paths[1]).set_cut(false);
        twins.comes_back(&mut world, 1);
        assert_eq!(twins.reached(&mut world), [true, false]);
        assert_eq!(twins.told(&world), 2);

        // Its connection ends.
        world.kill(twins.trucks[0]);
        world.connect(twins.paths[0]);
        twins.comes_back(&mut world, 1);
        assert!(
            twins.told(&world) == 2 && world.relay_role(twins.relay).nodes().count() == 2,
            "the vehicle is there, and alone"
        );
    });
}

/// [WIRE-104]
#[test]
fn after_a_restart_of_the_relay_twins_settle_again() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let mut twins = Twins::new(&mut world);
        world.kill(twins.relay);
        world.run(Duration::from_secs(1));
        world.restart_relay(twins.relay);
        world.run(Duration::from_millis(300));
        let (session, to) = (SessionId(1), world.name_of(twins.trucks[0]).clone());
        let route = Parcel::Notice(Notice::Route { session, to }).encode();
        world.with_raw(twins.desk, |desk, now| desk.send(now, route));
        for _ in 0..5 {
            twins.comes_back(&mut world, 0);
            assert_eq!(twins.reached(&mut world), [false, true]);
        }
        assert_eq!(twins.told(&world), 1);
    });
}

/// [WIRE-104]
#[test]
fn an_agent_that_starts_again_and_again_is_served_at_once_and_nobody_calls_it_a_twin() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        for _ in 0..20 {
            world.run(Duration::from_millis(200));
            world.kill(set.agent);
            world.restart_agent(set.agent);
        }
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        for relay in set.relays {
            assert_eq!(told(&world, relay, world.name_of(set.agent)), 0);
            assert_eq!(world.relay_role(relay).counters().refused_twins, 0);
        }
    });
}
