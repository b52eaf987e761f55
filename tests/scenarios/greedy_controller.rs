//! A controller of the fleet that asks for more than its share.

use std::time::Duration;

use longrein_proto::base::Stage;
use longrein_tests::{StageSet, Vehicle, World, each_seed};

/// [SAFE-11]
#[test]
fn takes_without_end_are_limited_and_hold_up_neither_a_drive_nor_a_stop_nor_its_reset() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let (greedy, _) = set.operator(&mut world, "greedy");
        world.open(set.alice, set.agent);
        world.open(greedy, set.agent);
        let truck = world.name_of(set.agent).clone();
        for _ in 0..300 {
            world.with_controller(greedy, |role, now| {
                role.take(now, &truck, Vehicle::TUNNEL);
            });
            world.run(Duration::from_millis(5));
        }
        let grants = world.vehicle(set.agent).grants.len();
        assert!(grants <= 64 + 20, "{grants} of 300");

        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_millis(200));
        assert_eq!(world.vehicle(set.agent).stage(), Stage::Nominal);
        world.stop(set.alice, set.agent, None);
        world.run(Duration::from_millis(200));
        assert!(world.agent_role(set.agent).is_stopped());
        assert_eq!(world.reset_stop(set.alice, set.agent, 0), Ok(()));
    });
}
