//! A relay dies, or a link is cut, in the middle of a drive.

use std::time::Duration;

use longrein_proto::base::Stage;
use longrein_tests::{Account, StageSet, Vehicle, World, each_seed};

#[test]
fn a_drive_loses_nothing_when_a_relay_dies_and_a_link_is_cut() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);

        let mut sent = world.drive_for(set.alice, set.agent, Duration::from_secs(7));
        world.kill(set.relays[0]);
        sent.extend(world.drive_on(set.alice, set.agent, Duration::from_secs(6)));
        for lte in [set.truck_paths[0], set.truck_paths[2]] {
            world.link(lte).set_cut(true);
        }
        sent.extend(world.drive_on(set.alice, set.agent, Duration::from_secs(7)));
        world.run(Duration::from_millis(100));

        assert_eq!(
            world.account(set.agent, &sent),
            Account {
                sent: 1_000,
                applied: 1_000,
                ..Account::default()
            }
        );
        let stages = world.vehicle(set.agent).stages_entered();
        assert_eq!(stages, [Stage::Nominal]);
    });
}
