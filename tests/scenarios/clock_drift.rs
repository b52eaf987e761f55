//! All clocks differ, and drift, also those of the relays.

use std::time::Duration;

use longrein_tests::{Clock, Link, StageSet, World, each_seed};

#[test]
fn relays_whose_clocks_are_wrong_and_drift_cost_no_command() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let relays = [("relay-a", 100), ("relay-b", -100)].map(|(name, drift_ppm)| {
            let offset_us = world.branch().below(1 << 40);
            world.relay_with(
                name,
                Clock {
                    offset_us,
                    drift_ppm,
                },
            )
        });
        let set = StageSet::around(&mut world, relays);
        set.each_path(&mut world, |link| {
            *link = Link {
                delay_up: Duration::from_millis(60),
                jitter: Duration::from_millis(10),
                loss: 0.05,
                ..Link::good()
            }
        });
        world.open(set.alice, set.agent);
        world.run(Duration::from_secs(120));
        world.work(set.alice, set.agent, Duration::from_secs(10));
        let (applied, sent) = world.delivered();
        assert!(applied == sent && sent > 80, "{applied} of {sent}");
    });
}
