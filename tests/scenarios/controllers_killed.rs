//! Nobody drives any more.

use std::time::Duration;

use longrein_proto::base::{MonoTime, Stage};
use longrein_tests::{Clock, Link, PERIOD, StageSet, Station, Vehicle, World, each_seed};

/// Stages of the drive function since a moment, with the time since then.
fn stages_since(world: &World, agent: Station, since: MonoTime) -> Vec<(Stage, u128)> {
    let stages = world.vehicle(agent).stages.iter();
    stages
        .filter(|(at, channel, _)| *channel == Vehicle::DRIVE && *at > since)
        .map(|(at, _, stage)| (*stage, at.since(since).as_millis()))
        .collect()
}

/// [SAFE-21] [SAFE-23] [SAFE-26] [SAFE-47]
#[test]
fn when_all_controllers_are_killed_the_stages_are_entered_in_order_and_in_time() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let (bob, _) = set.operator(&mut world, "bob");
        world.open(set.alice, set.agent);
        world.open(bob, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));

        world.kill(set.alice);
        world.kill(bob);
        world.run(Duration::from_secs(3));

        let vehicle = world.vehicle(set.agent);
        let last = vehicle.applied.last().expect("it drove").at;
        let stages = stages_since(&world, set.agent, last);
        let names: Vec<Stage> = stages.iter().map(|(stage, _)| *stage).collect();
        assert_eq!(names, [Stage::Hold, Stage::Ramp, Stage::MinimalRisk]);
        for ((stage, ms), limit) in stages.iter().zip([200, 500, 1_500]) {
            assert!((limit..=limit + 10).contains(ms), "{stage} after {ms} ms");
        }
    });
}

/// [SAFE-24]
#[test]
fn a_gap_shorter_than_the_ramp_limit_ends_in_hold_and_the_drive_goes_on_by_itself() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        let last = world
            .vehicle(set.agent)
            .applied
            .last()
            .expect("it drove")
            .at;
        set.each_path(&mut world, |link| link.set_cut(true));
        world.drive_on(set.alice, set.agent, Duration::from_millis(300));
        set.each_path(&mut world, |link| link.set_cut(false));
        world.drive_on(set.alice, set.agent, Duration::from_secs(1));

        let names: Vec<Stage> = stages_since(&world, set.agent, last)
            .iter()
            .map(|(stage, _)| *stage)
            .collect();
        assert_eq!(names, [Stage::Hold, Stage::Nominal]);
    });
}

/// [SAFE-20] [SAFE-25]
#[test]
fn a_new_controller_moves_the_vehicle_only_after_a_resume_with_neutral_input() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        // Nothing moves before the first resume either.
        world.drive_on(set.alice, set.agent, Duration::from_millis(100));
        assert_eq!(world.vehicle(set.agent).applied.len(), 0);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        world.kill(set.alice);
        world.run(Duration::from_secs(3));
        let before = world.vehicle(set.agent).applied.len();

        let clock = Clock {
            offset_us: 900_000_000,
            drift_ppm: 0,
        };
        let carol = world.controller("carol", clock);
        world.join(carol, set.relays[1], "desk", Link::good());
        world.open(carol, set.agent);
        world.take(carol, set.agent, Vehicle::DRIVE);
        world.drive_on(carol, set.agent, Duration::from_millis(500));
        // A resume that is not neutral is none.
        world
            .drive(carol, set.agent, 500, true)
            .expect("the lease is held");
        world.run(PERIOD);
        assert_eq!(world.vehicle(set.agent).applied.len(), before);
        assert_eq!(world.vehicle(set.agent).stage(), Stage::MinimalRisk);

        let sent = world.drive_for(carol, set.agent, Duration::from_millis(500));
        world.run(Duration::from_millis(100));
        assert_eq!(world.vehicle(set.agent).applied.len(), before + sent.len());
    });
}

/// The operator's machine is suspended: what its program sends when it wakes is new, what it sent before is old.
#[test]
fn a_suspended_controller_has_lost_its_lease_when_it_wakes() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        world.freeze(set.alice);
        world.run(Duration::from_millis(1_000));
        let before = world.vehicle(set.agent).applied.len();
        world.thaw(set.alice);
        // Its program does not know yet.
        let _ = world.drive(set.alice, set.agent, 1_000, false);
        world.run(Duration::from_millis(500));
        assert_eq!(world.vehicle(set.agent).applied.len(), before);
        let lost = world.drive(set.alice, set.agent, 1_000, false);
        assert!(lost.is_err(), "the controller knows by now");
    });
}
