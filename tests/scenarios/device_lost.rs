//! The device behind a function is gone, or takes nothing.

use std::time::Duration;

use longrein_proto::base::{Refusal, Stage};
use longrein_tests::{PERIOD, StageSet, Vehicle, each_seed};

/// [SAFE-29] [SAFE-64]
#[test]
fn commands_to_a_lost_device_are_no_life_and_the_vehicle_goes_to_minimal_risk() {
    each_seed(|seed| {
        let (mut world, set) = StageSet::driving(seed);
        let before = world.vehicle(set.agent).applied.len();
        world.set_device(set.agent, Vehicle::DRIVE, false);
        assert_eq!(world.vehicle(set.agent).stage(), Stage::Hold);
        for _ in 0..4 {
            world.drive_for(set.alice, set.agent, Duration::from_millis(500));
        }
        let vehicle = world.vehicle(set.agent);
        assert_eq!(vehicle.stage(), Stage::MinimalRisk);
        assert_eq!(vehicle.applied.len(), before);
        assert!(vehicle.refused.contains(&Refusal::AdapterDown));
    });
}

/// [SAFE-29]
#[test]
fn a_device_that_is_back_within_hold_moves_only_after_a_resume_with_neutral_input() {
    each_seed(|seed| {
        let (mut world, set) = StageSet::driving(seed);
        world.set_device(set.agent, Vehicle::DRIVE, false);
        world.run(PERIOD);
        world.set_device(set.agent, Vehicle::DRIVE, true);
        world.run(PERIOD);
        let before = world.vehicle(set.agent).applied.len();
        world.drive_on(set.alice, set.agent, Duration::from_millis(100));
        let vehicle = world.vehicle(set.agent);
        assert_eq!(vehicle.stage(), Stage::Hold);
        assert_eq!(vehicle.applied.len(), before);
        world.drive_for(set.alice, set.agent, Duration::from_millis(100));
        assert_eq!(world.vehicle(set.agent).stage(), Stage::Nominal);
    });
}

/// [SAFE-48]
#[test]
fn commands_that_a_device_does_not_take_are_no_life() {
    each_seed(|seed| {
        let (mut world, set) = StageSet::driving(seed);
        world.set_full(set.agent, Vehicle::DRIVE, true);
        let before = world.vehicle(set.agent).applied.len();
        world.drive_on(set.alice, set.agent, Duration::from_secs(2));
        let vehicle = world.vehicle(set.agent);
        assert_eq!(vehicle.stage(), Stage::MinimalRisk);
        assert_eq!(vehicle.applied.len(), before);
    });
}
