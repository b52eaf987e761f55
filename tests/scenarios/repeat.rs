//! A seed repeats its world to the last bit.

use std::time::Duration;

use longrein_tests::{Burst, StageSet, World, each_seed};

#[test]
fn the_same_seed_gives_the_same_packets_and_another_seed_others() {
    let digest = |seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        set.each_path(&mut world, |link| {
            link.duplicates = 0.1;
            link.burst = Some(Burst::Time {
                apart: Duration::from_millis(300),
                long: Duration::from_millis(50),
                loss: 0.8,
            });
        });
        world.call(set.alice, set.agent);
        world.work(set.alice, set.agent, Duration::from_secs(2));
        world.digest()
    };
    each_seed(|seed| {
        assert_eq!(digest(seed), digest(seed));
        assert_ne!(digest(seed), digest(seed + 1));
    });
}
