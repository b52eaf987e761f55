//! A path carries packets in one direction only.

use std::time::Duration;

use longrein_tests::{Account, StageSet, Vehicle, World, each_seed};

#[test]
fn a_drive_loses_nothing_while_one_relay_hears_and_is_not_heard_or_the_other_way() {
    each_seed(|seed| {
        for up in [true, false] {
            let mut world = World::new(seed);
            let set = StageSet::new(&mut world);
            world.open(set.alice, set.agent);
            world.take(set.alice, set.agent, Vehicle::DRIVE);
            let mut sent = world.drive_for(set.alice, set.agent, Duration::from_secs(1));
            set.each_path_to(&mut world, 0, |link| {
                (link.cut_up, link.cut_down) = (up, !up);
            });
            sent.extend(world.drive_on(set.alice, set.agent, Duration::from_secs(5)));
            set.each_path_to(&mut world, 0, |link| link.set_cut(false));
            sent.extend(world.drive_on(set.alice, set.agent, Duration::from_secs(1)));
            world.run(Duration::from_millis(100));
            let all = Account {
                sent: 350,
                applied: 350,
                ..Account::default()
            };
            assert_eq!(world.account(set.agent, &sent), all);
        }
    });
}

/// The vehicle is heard and hears nothing, or the other way: it goes safe, and works again afterwards.
#[test]
fn after_a_one_way_cut_of_every_path_the_work_goes_on() {
    each_seed(|seed| {
        for up in [true, false] {
            let mut world = World::new(seed);
            let set = StageSet::new(&mut world);
            world.open(set.alice, set.agent);
            world.work(set.alice, set.agent, Duration::from_secs(2));
            for path in set.truck_paths {
                (world.link(path).cut_up, world.link(path).cut_down) = (up, !up);
            }
            world.work(set.alice, set.agent, Duration::from_secs(6));
            for path in set.truck_paths {
                world.link(path).set_cut(false);
            }
            world.run(Duration::from_secs(10));
            let (before, _) = world.delivered();
            world.work(set.alice, set.agent, Duration::from_secs(4));
            assert!(world.delivered().0 > before + 20);
        }
    });
}
