//! The network repeats what it carries.

use std::time::Duration;

use longrein_tests::{StageSet, World, each_seed};

#[test]
fn everything_is_applied_once_when_each_packet_arrives_many_times_and_in_any_order() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        set.each_path(&mut world, |link| {
            link.duplicates = 0.8;
            link.jitter = Duration::from_millis(60);
        });
        world.open(set.alice, set.agent);
        world.work(set.alice, set.agent, Duration::from_secs(6));
        let (applied, sent) = world.delivered();
        assert!(applied == sent && sent > 40, "{applied} of {sent}");
    });
}
