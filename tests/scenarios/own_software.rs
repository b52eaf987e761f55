//! The vehicle's own software stops the vehicle, or has it stand.

use std::time::Duration;

use longrein_proto::base::{ApplicationId, NodeName, Refusal, Stage};
use longrein_proto::role::ControllerEvent;
use longrein_proto::session::Resolution;
use longrein_tests::{Audit, PERIOD, StageSet, Vehicle, World, each_seed};

/// What the first operator heard last of the vehicle: whether it is stopped, and in which generation.
fn heard(world: &World, set: &StageSet) -> Option<(bool, u32)> {
    let mut events = world.controller_events(set.alice).iter().rev();
    events.find_map(|(_, event)| match event {
        ControllerEvent::Status { status, .. } => {
            Some((status.beat.stopped, status.beat.stop_generation))
        }
        _ => None,
    })
}

/// [SAFE-131]
#[test]
fn a_stop_by_the_vehicle_itself_is_told_to_its_operator_and_only_a_reset_by_one_clears_it() {
    each_seed(|seed| {
        let (mut world, set) = StageSet::driving(seed);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        let before = world.vehicle(set.agent).applied.len();
        world.stop_by_vehicle(set.agent);
        assert_eq!(world.vehicle(set.agent).stage(), Stage::MinimalRisk);
        let id = ApplicationId([7; 8]);
        let sent = world.deliver(set.alice, set.agent, id, Duration::from_secs(5));
        sent.expect("the lease is held");
        world.drive_for(set.alice, set.agent, Duration::from_millis(500));
        assert_eq!(world.vehicle(set.agent).applied.len(), before);
        assert_eq!(heard(&world, &set), Some((true, 0)));
        let refused = Resolution::Refused(Refusal::Stopped);
        assert_eq!(world.receipt(id), Some(refused));
        let truck: NodeName = world.name_of(set.agent).clone();
        let by_itself = Audit::Stop(Some(truck), 0);
        let count = |world: &World| {
            let audit = world.vehicle(set.agent).audit.iter();
            audit.filter(|entry| **entry == by_itself).count()
        };
        assert_eq!(count(&world), 1);
        world.stop_by_vehicle(set.agent);
        assert_eq!(count(&world), 1, "it was stopped already");

        assert_eq!(world.reset_stop(set.alice, set.agent, 0), Ok(()));
        world.drive_for(set.alice, set.agent, Duration::from_millis(300));
        assert!(world.vehicle(set.agent).applied.len() > before);
        assert_eq!(heard(&world, &set), Some((false, 1)));
    });
}

/// [SAFE-131] [SAFE-34]
#[test]
fn a_stop_by_the_vehicle_itself_is_latched_after_a_restart_of_the_agent() {
    each_seed(|seed| {
        let (mut world, set) = StageSet::driving(seed);
        world.stop_by_vehicle(set.agent);
        world.run(Duration::from_millis(200));
        world.kill(set.agent);
        let from = world.controller_events(set.alice).len();
        world.restart_agent(set.agent);
        world.await_session(set.alice, from);
        assert!(world.agent_role(set.agent).is_stopped());
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_millis(300));
        assert_eq!(world.vehicle(set.agent).applied.len(), 0);
    });
}

/// [SAFE-131] [SAFE-33]
#[test]
fn a_stop_by_the_vehicle_itself_while_a_reset_is_being_stored_is_not_cleared_by_it() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.stop(set.alice, set.agent, None);
        world.run(Duration::from_millis(300));
        let truck = world.name_of(set.agent).clone();
        world.with_controller(set.alice, |role, now| role.reset_stop(now, &truck, 0));
        let writing = world.run_until(Duration::from_secs(1), |world| world.is_writing(set.agent));
        assert!(writing);
        world.stop_by_vehicle(set.agent);
        world.run(Duration::from_secs(1));
        assert!(world.agent_role(set.agent).is_stopped());
        assert_eq!(heard(&world, &set), Some((true, 1)));
        let last = world.vehicle(set.agent).stops.last();
        assert_eq!(last.map(|(_, stop)| *stop), Some(true));
    });
}

/// [SAFE-130]
#[test]
fn a_vehicle_that_asks_for_minimal_risk_moves_again_after_a_resume_only() {
    each_seed(|seed| {
        let (mut world, set) = StageSet::driving(seed);
        world.request_minimal_risk(set.agent, Vehicle::DRIVE);
        assert_eq!(world.vehicle(set.agent).stage(), Stage::MinimalRisk);
        let before = world.vehicle(set.agent).applied.len();
        world.drive_on(set.alice, set.agent, Duration::from_millis(300));
        let vehicle = world.vehicle(set.agent);
        assert_eq!(vehicle.stage(), Stage::MinimalRisk);
        assert_eq!(vehicle.applied.len(), before);
        assert!(vehicle.refused.contains(&Refusal::NeedsResume));
        assert!(!world.agent_role(set.agent).is_stopped());
        world.drive_for(set.alice, set.agent, PERIOD * 5);
        assert_eq!(world.vehicle(set.agent).stage(), Stage::Nominal);
    });
}
