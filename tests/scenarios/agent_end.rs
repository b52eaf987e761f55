//! An agent ends in good order, as on `systemctl stop`, while its vehicle is driven.

use std::time::Duration;

use longrein_proto::base::Stage;
use longrein_proto::role::{ControllerEvent, SendCommandError, SessionLoss};
use longrein_tests::{StageSet, Station, World, each_seed};

/// Why a controller's sessions ended, in order.
fn losses(world: &World, controller: Station) -> Vec<SessionLoss> {
    let events = world.controller_events(controller).iter();
    events
        .filter_map(|(_, event)| match event {
            ControllerEvent::SessionDown { why, .. } => Some(*why),
            _ => None,
        })
        .collect()
}

/// [SAFE-71]
#[test]
fn the_vehicle_is_in_minimal_risk_and_the_operator_hears_why() {
    each_seed(|seed| {
        let (mut world, set) = StageSet::driving(seed);
        let before = world.vehicle(set.agent).applied.len();
        world.end_agent(set.agent);
        let life = world.lives(set.agent).last().expect("it lived");
        assert_eq!(life.stages_entered().last(), Some(&Stage::MinimalRisk));
        assert_eq!(life.applied.len(), before);
        world.drive_on(set.alice, set.agent, Duration::from_millis(300));
        assert_eq!(losses(&world, set.alice), [SessionLoss::AgentEnds]);
        assert_eq!(
            world.drive(set.alice, set.agent, 500, false),
            Err(SendCommandError::NoSession)
        );
    });
}

/// [SAFE-71]
#[test]
fn an_agent_that_is_killed_says_nothing_and_its_operator_hears_only_silence() {
    each_seed(|seed| {
        let (mut world, set) = StageSet::driving(seed);
        world.kill(set.agent);
        world.drive_on(set.alice, set.agent, Duration::from_millis(300));
        assert_eq!(losses(&world, set.alice), []);
        let from = world.controller_events(set.alice).len();
        world.restart_agent(set.agent);
        world.await_session(set.alice, from);
        assert_eq!(losses(&world, set.alice), [SessionLoss::AgentStartedAgain]);
        // What was left from before moves nothing: motion needs a lease and a resume.
        world.drive_on(set.alice, set.agent, Duration::from_millis(300));
        assert_eq!(world.vehicle(set.agent).stage(), Stage::MinimalRisk);
    });
}
