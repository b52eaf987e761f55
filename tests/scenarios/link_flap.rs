//! A link comes and goes, several times a second.

use std::time::Duration;

use longrein_tests::{StageSet, World, each_seed};

#[test]
fn a_link_that_flaps_costs_no_reliable_command() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let mut chance = world.branch();
        world.open(set.alice, set.agent);
        let span = Duration::from_secs(12);
        world.work_with(set.alice, set.agent, span, |world, tick| {
            if !chance.happens(0.1) {
                return;
            }
            // The truck's modem is cut and back, or its connections are made anew.
            for path in [set.truck_paths[0], set.truck_paths[2]] {
                if tick % 3 == 0 {
                    world.connect(path);
                } else {
                    let cut = world.link(path).cut_up;
                    world.link(path).set_cut(!cut);
                }
            }
        });
        let (applied, sent) = world.delivered();
        assert!(applied == sent && sent > 100, "{applied} of {sent}");
    });
}

#[test]
fn all_links_that_flap_apply_nothing_wrong() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let mut chance = world.branch();
        world.open(set.alice, set.agent);
        let span = Duration::from_secs(12);
        world.work_with(set.alice, set.agent, span, |world, _| {
            for path in set.truck_paths {
                if chance.happens(0.1) {
                    let cut = world.link(path).cut_up;
                    world.link(path).set_cut(!cut);
                }
            }
        });
    });
}
