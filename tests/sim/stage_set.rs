//! The scene of most scenarios.

use std::time::Duration;

use longrein_proto::base::Stage;

use crate::{Clock, Link, Station, Tamper, Vehicle, World};

/// An operator's desk and a truck with two links, both joined to two relays, and all the paths between.
#[derive(Clone, Debug)]
pub struct StageSet {
    /// The relays, A and B.
    pub relays: [Station; 2],
    /// The truck's agent.
    pub agent: Station,
    /// The first operator.
    pub alice: Station,
    /// The truck's paths: to relay A on LTE and Wi-Fi, then to relay B.
    pub truck_paths: [usize; 4],
    /// The first operator's paths to relays A and B.
    pub desk_paths: [usize; 2],
}

impl StageSet {
    /// Two honest relays.
    pub fn new(world: &mut World) -> StageSet {
        let relays = [world.relay("relay-a"), world.relay("relay-b")];
        StageSet::around(world, relays)
    }

    /// Two honest relays, and the first operator drives: it is a moment between two commands.
    pub fn driving(seed: u64) -> (World, StageSet) {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        assert_eq!(world.vehicle(set.agent).stage(), Stage::Nominal);
        world.run(Duration::from_millis(5));
        (world, set)
    }

    /// A hostile relay A and an honest relay B.
    pub fn hostile(world: &mut World, tamper: Tamper) -> StageSet {
        let relays = [
            world.hostile_relay("relay-a", tamper),
            world.relay("relay-b"),
        ];
        StageSet::around(world, relays)
    }

    /// The same around any two relays.
    pub fn around(world: &mut World, relays: [Station; 2]) -> StageSet {
        let clock = Clock {
            offset_us: 77_000_000,
            drift_ppm: 90,
        };
        StageSet::around_with(world, relays, clock)
    }

    /// The same with a clock of the truck.
    pub fn around_with(world: &mut World, relays: [Station; 2], clock: Clock) -> StageSet {
        let agent = world.agent("truck-17", clock);
        let truck_paths = [
            world.join(agent, relays[0], "lte", mobile()),
            world.join(agent, relays[0], "wifi", Link::good()),
            world.join(agent, relays[1], "lte", mobile()),
            world.join(agent, relays[1], "wifi", Link::good()),
        ];
        let mut set = StageSet {
            relays,
            agent,
            alice: agent,
            truck_paths,
            desk_paths: [0; 2],
        };
        (set.alice, set.desk_paths) = set.operator(world, "alice");
        set
    }

    /// One more operator, joined to both relays, with the paths.
    pub fn operator(&self, world: &mut World, name: &str) -> (Station, [usize; 2]) {
        let clock = Clock {
            offset_us: 5_000_000,
            drift_ppm: -90,
        };
        let operator = world.controller(name, clock);
        (operator, self.join(world, operator))
    }

    /// Joins a station to both relays.
    pub fn join(&self, world: &mut World, station: Station) -> [usize; 2] {
        self.relays
            .map(|relay| world.join(station, relay, "desk", Link::good()))
    }

    /// Changes all paths of everybody to one relay, 0 or 1.
    pub fn each_path_to(&self, world: &mut World, relay: usize, change: impl Fn(&mut Link)) {
        for path in world.paths_of(self.relays[relay]) {
            change(world.link(path));
        }
    }

    /// Changes all paths.
    pub fn each_path(&self, world: &mut World, change: impl Fn(&mut Link)) {
        self.each_path_to(world, 0, &change);
        self.each_path_to(world, 1, &change);
    }
}

/// 25 ms each way, a little uneven.
const fn mobile() -> Link {
    Link {
        delay_up: Duration::from_millis(25),
        delay_down: Duration::from_millis(25),
        jitter: Duration::from_millis(4),
        ..Link::good()
    }
}
