//! A bottleneck queues what it cannot carry.

use std::time::Duration;

use longrein_tests::{Queue, StageSet, World, each_seed};

/// A modem of 40 kB/s that queues for up to two seconds, or one of 10 kB/s, which is less than what is sent.
#[test]
fn nothing_that_waited_too_long_in_a_queue_is_applied() {
    each_seed(|seed| {
        for bytes_per_s in [40_000, 10_000] {
            let mut world = World::new(seed);
            let set = StageSet::new(&mut world);
            world.open(set.alice, set.agent);
            for path in set.truck_paths {
                world.link(path).queue = Some(Queue {
                    bytes_per_s,
                    bytes_max: 2 * bytes_per_s,
                });
            }
            world.work(set.alice, set.agent, Duration::from_secs(10));
        }
    });
}
