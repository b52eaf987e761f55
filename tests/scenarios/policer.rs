//! The carrier drops what is over a rate.

use std::time::Duration;

use longrein_tests::{Policer, StageSet, World, each_seed};

#[test]
fn nothing_wrong_is_applied_behind_a_policer() {
    each_seed(|seed| {
        for bytes_per_s in [30_000, 5_000] {
            let mut world = World::new(seed);
            let set = StageSet::new(&mut world);
            world.open(set.alice, set.agent);
            for path in set.truck_paths {
                world.link(path).policer = Some(Policer {
                    bytes_per_s,
                    burst_bytes: 3_000,
                });
            }
            world.work(set.alice, set.agent, Duration::from_secs(10));
        }
    });
}
