//! The agent's process is stopped for a while (SIGSTOP, a debugger, a suspended machine) and goes on.

use std::time::Duration;

use longrein_proto::base::{ApplicationId, MonoTime, Stage};
use longrein_tests::{PERIOD, StageSet, Vehicle, World, each_seed};

/// [SAFE-23] [SAFE-41]
#[test]
fn nothing_that_waited_while_the_agent_was_stopped_is_applied_when_it_goes_on() {
    each_seed(|seed| {
        for stopped_ms in [300, 1_000, 3_000] {
            let mut world = World::new(seed);
            let set = StageSet::new(&mut world);
            world.open(set.alice, set.agent);
            world.take(set.alice, set.agent, Vehicle::DRIVE);
            world.drive_for(set.alice, set.agent, Duration::from_secs(1));

            world.freeze(set.agent);
            world.drive_on(set.alice, set.agent, Duration::from_millis(stopped_ms));
            // The operator has let go.
            world.run(Duration::from_millis(250));
            let before = world.vehicle(set.agent).applied.len();
            world.thaw(set.agent);
            world.run(PERIOD);

            // All of it is older than its time to live of 200 ms.
            assert_eq!(world.vehicle(set.agent).applied.len(), before);
            world.run(Duration::from_secs(3));
            assert_eq!(world.vehicle(set.agent).applied.len(), before);
            assert_eq!(world.vehicle(set.agent).stage(), Stage::MinimalRisk);
        }
    });
}

/// [SAFE-3] [SAFE-25]
#[test]
fn after_a_long_stop_the_lease_has_lapsed_and_a_drive_needs_a_resume() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        let first = world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        world.freeze(set.agent);
        world.drive_on(set.alice, set.agent, Duration::from_secs(1));
        let before = world.vehicle(set.agent).applied.len();
        world.thaw(set.agent);
        // She did not notice and drives on.
        world.drive_on(set.alice, set.agent, Duration::from_secs(1));
        assert_eq!(world.vehicle(set.agent).applied.len(), before);

        assert!(world.take(set.alice, set.agent, Vehicle::DRIVE) > first);
        world.drive_on(set.alice, set.agent, Duration::from_millis(200));
        assert_eq!(world.vehicle(set.agent).applied.len(), before);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        assert!(world.vehicle(set.agent).applied.len() > before + 40);
    });
}

/// A short stop is a gap as any other: what arrives in time counts, what does not, does not.
#[test]
fn after_a_short_stop_the_drive_goes_on_with_what_is_still_young() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        world.freeze(set.agent);
        world.drive_on(set.alice, set.agent, Duration::from_millis(300));
        let thawed: MonoTime = world.time_of(set.agent);
        world.thaw(set.agent);
        world.drive_on(set.alice, set.agent, Duration::from_millis(500));
        let after = world
            .vehicle(set.agent)
            .applied
            .iter()
            .filter(|command| command.at >= thawed);
        assert!(after.count() >= 20);
    });
}

/// [SAFE-41] Reliable commands live longer, but not for ever.
#[test]
fn reliable_commands_that_expired_during_a_stop_are_reported_and_not_applied() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        world.freeze(set.agent);
        let id = ApplicationId([9; 8]);
        world
            .deliver(set.alice, set.agent, id, Duration::from_millis(400))
            .expect("the lease is held");
        world.run(Duration::from_secs(1));
        world.thaw(set.agent);
        world.run(Duration::from_secs(2));
        assert_eq!(world.vehicle(set.agent).applied.len(), 0);
        assert!(world.receipt(id).is_some());
    });
}
