//! Clocks that are wrong: wall clocks that are off, jump or begin in 1970, and monotonic ones that drift, on either side.

use std::time::Duration;

use longrein_proto::base::{ApplicationId, Channel, FencingToken, Refusal, Stage};
use longrein_proto::role::ControllerEvent;
use longrein_proto::session::Resolution;
use longrein_tests::{Clock, StageSet, Station, TestFleet, Vehicle, World, each_seed};

/// What the vehicle decided, without the times.
#[derive(Debug, PartialEq)]
struct Decisions {
    applied: Vec<(Channel, u64, FencingToken)>,
    refused: Vec<Refusal>,
    grants: Vec<(Channel, FencingToken)>,
    lease_ends: usize,
    stages: Vec<(Channel, Stage)>,
    stops: Vec<bool>,
    receipts: Vec<Option<Resolution>>,
    refused_second: Result<FencingToken, Refusal>,
}

/// When a wall clock is set, and to what: the tick of the drive, and milliseconds since 1970.
type Settings = [(u16, u64)];

/// A day's work in short: a drive with reliable commands, a second operator who is refused, a silence in which the lease lapses, the
/// lease again, a stop and its reset.
fn decide(seed: u64, wrong: Wrong) -> Decisions {
    let mut world = World::new(seed);
    let (set, alice) = wrong.stage(&mut world);
    let agent = set.agent;
    let (bob, _) = set.operator(&mut world, "bob");
    let whose = match wrong.side {
        Side::Agent => agent,
        Side::Controller => alice,
    };
    world.open(alice, agent);
    world.open(bob, agent);
    for channel in [Vehicle::DRIVE, Vehicle::TUNNEL] {
        world.take(alice, agent, channel);
    }
    let mut tick = 0;
    drive(
        &mut world,
        (alice, agent),
        (whose, wrong.wall),
        &mut tick,
        100,
    );
    let refused_second = world.ask_lease(bob, agent, Vehicle::DRIVE);
    for path in world.paths_of(alice) {
        world.link(path).set_cut(true);
    }
    world.run(Duration::from_secs(2));
    for path in world.paths_of(alice) {
        world.link(path).set_cut(false);
    }
    world.run(Duration::from_secs(5));
    for channel in [Vehicle::DRIVE, Vehicle::TUNNEL] {
        world.take(alice, agent, channel);
    }
    drive(
        &mut world,
        (alice, agent),
        (whose, wrong.wall),
        &mut tick,
        100,
    );
    world.stop(bob, agent, None);
    world.run(Duration::from_millis(300));
    drive(
        &mut world,
        (alice, agent),
        (whose, wrong.wall),
        &mut tick,
        20,
    );
    world
        .reset_stop(alice, agent, 0)
        .expect("the generation is right");
    drive(
        &mut world,
        (alice, agent),
        (whose, wrong.wall),
        &mut tick,
        50,
    );
    world.run(Duration::from_secs(6));

    let vehicle = world.vehicle(agent);
    Decisions {
        applied: vehicle
            .applied
            .iter()
            .map(|command| (command.channel, command.number, command.token))
            .collect(),
        refused: vehicle.refused.clone(),
        grants: vehicle
            .grants
            .iter()
            .map(|grant| (grant.channel, grant.token))
            .collect(),
        lease_ends: vehicle.lease_ends.len(),
        stages: vehicle
            .stages
            .iter()
            .map(|(_, channel, stage)| (*channel, *stage))
            .collect(),
        stops: vehicle.stops.iter().map(|(_, stop)| *stop).collect(),
        receipts: world
            .ledger()
            .all()
            .map(|(_, sent)| sent.receipt.as_ref().map(|(_, outcome)| outcome.clone()))
            .collect(),
        refused_second,
    }
}

/// Drives for some ticks of 20 ms, with a reliable command at every tenth, and sets the wall clock when that is due.
fn drive(
    world: &mut World,
    (controller, agent): (Station, Station),
    (whose, wall): (Station, &Settings),
    tick: &mut u16,
    ticks: u16,
) {
    for step in 0..ticks {
        for (_, unix_ms) in wall.iter().filter(|(at, _)| at == tick) {
            world.set_wall(whose, *unix_ms);
        }
        if step % 10 == 5 {
            let [high, low] = tick.to_be_bytes();
            let id = ApplicationId([1, high, low, 0, 0, 0, 0, 0]);
            let _ = world.deliver(controller, agent, id, Duration::from_secs(5));
        }
        let speed = if step == 0 { 0 } else { 1_000 };
        let _ = world.drive(controller, agent, speed, step == 0);
        world.run(longrein_tests::PERIOD);
        *tick += 1;
    }
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Agent,
    Controller,
}

/// A clock, and what is wrong with it.
#[derive(Clone, Copy, Debug)]
struct Wrong {
    side: Side,
    drift_ppm: i64,
    wall: &'static Settings,
}

impl Wrong {
    /// The stage with the drift, and the controller that has it or not.
    fn stage(&self, world: &mut World) -> (StageSet, Station) {
        let drift = |side_has_it: bool| if side_has_it { self.drift_ppm } else { 0 };
        let (agent, controller) = match self.side {
            Side::Agent => (drift(true), 0),
            Side::Controller => (0, drift(true)),
        };
        let relays = [world.relay("relay-a"), world.relay("relay-b")];
        let clock = |offset_us, drift_ppm| Clock {
            offset_us,
            drift_ppm,
        };
        let set = StageSet::around_with(world, relays, clock(77_000_000, agent));
        let alice = world.controller("carol", clock(5_000_000, controller));
        set.join(world, alice);
        (set, alice)
    }
}

const RIGHT: u64 = TestFleet::UNIX_MS;
const YEAR_1970: u64 = 40_000;
const NOTHING: &Settings = &[];
const AHEAD: &Settings = &[(0, RIGHT + 49_000)];
const BEHIND: &Settings = &[(0, RIGHT - 49_000)];
const JUMPS: &Settings = &[
    (10, RIGHT + 49_000),
    (60, RIGHT - 49_000),
    (130, RIGHT + 3_600_000),
    (150, RIGHT),
    (210, RIGHT + 49_000),
];
const BACK_TO_1970: &Settings = &[(20, YEAR_1970), (120, YEAR_1970), (205, YEAR_1970)];

/// [SAFE-37]
#[test]
fn wrong_clocks_change_no_decision_of_the_vehicle() {
    each_seed(|seed| {
        let right = decide(
            seed,
            Wrong {
                side: Side::Agent,
                drift_ppm: 0,
                wall: NOTHING,
            },
        );
        assert!(
            right.applied.len() > 250 && right.refused_second.is_err(),
            "{right:?}"
        );
        assert_eq!((right.lease_ends, right.stops.len()), (2, 2));
        for side in [Side::Agent, Side::Controller] {
            for (drift_ppm, wall) in [
                (0, AHEAD),
                (0, BEHIND),
                (0, JUMPS),
                (0, BACK_TO_1970),
                (200, NOTHING),
                (-200, NOTHING),
                (200, JUMPS),
            ] {
                let wrong = Wrong {
                    side,
                    drift_ppm,
                    wall,
                };
                assert_eq!(decide(seed, wrong), right, "{wrong:?}");
            }
        }
    });
}

/// Without a date there are no certificates: nobody gets a session, and nothing moves. As soon as there is one, everything goes on.
#[test]
fn a_vehicle_or_operator_that_boots_in_1970_gets_its_session_as_soon_as_its_clock_is_set() {
    each_seed(|seed| {
        for late in ["agent", "controller"] {
            let mut world = World::new(seed);
            let set = StageSet::new(&mut world);
            let unset = match late {
                "agent" => world.agent_at("truck-18", Clock::default(), YEAR_1970),
                _ => world.controller_at("dave", Clock::default(), YEAR_1970),
            };
            set.join(&mut world, unset);
            let (agent, controller) = match late {
                "agent" => (unset, set.alice),
                _ => (set.agent, unset),
            };
            world.call(controller, agent);
            world.run(Duration::from_secs(3));
            assert_eq!(world.agent_role(agent).sessions().count(), 0, "{late}");
            assert_eq!(world.vehicle(agent).stage(), Stage::MinimalRisk);

            world.set_wall(unset, RIGHT);
            world.await_session(controller, 0);
            world.take(controller, agent, Vehicle::DRIVE);
            let sent = world.drive_for(controller, agent, Duration::from_secs(1));
            world.run(Duration::from_millis(200));
            assert_eq!(world.account(agent, &sent).applied, 50, "{late}");
        }
    });
}

// [WIRE-166]
#[test]
fn both_ends_can_record_how_far_their_wall_clocks_are_apart() {
    each_seed(|seed| {
        for ahead_ms in [0, 49_000, -49_000, -3_600_000] {
            let mut world = World::new(seed);
            let set = StageSet::new(&mut world);
            let unix_ms = TestFleet::UNIX_MS.saturating_add_signed(ahead_ms);
            // The newest reading counts, also one that lies before the first.
            world.set_wall(set.agent, unix_ms);
            world.open(set.alice, set.agent);
            world.run(Duration::from_secs(2));
            let alice = world.name_of(set.alice).clone();
            let seen = &world.vehicle(set.agent).clocks;
            let [(peer, at_agent)] = &seen[..] else {
                panic!("told once: {seen:?}")
            };
            assert_eq!(*peer, alice);
            let events = world.controller_events(set.alice).iter();
            let told: Vec<_> = events
                .filter_map(|(_, event)| match event {
                    ControllerEvent::Clock { difference, .. } => Some(*difference),
                    _ => None,
                })
                .collect();
            let [at_desk] = &told[..] else {
                panic!("told once: {told:?}")
            };
            for (difference, expected_ms) in [(at_agent, -ahead_ms), (at_desk, ahead_ms)] {
                let off_ms = (difference.ahead_ms - expected_ms).unsigned_abs();
                assert!(
                    u128::from(off_ms) <= difference.error.as_millis(),
                    "{difference:?}"
                );
                assert!(
                    difference.error < Duration::from_millis(100),
                    "{difference:?}"
                );
            }
        }
    });
}
