//! Losses come together.

use std::time::Duration;

use longrein_tests::{Burst, StageSet, World, each_seed};

/// A fifth of the packets or of the time is in bursts, in which nearly everything is lost.
const BURSTS: [Burst; 2] = [
    Burst::Packets {
        apart: 80,
        long: 20,
        loss: 0.95,
    },
    Burst::Time {
        apart: Duration::from_millis(800),
        long: Duration::from_millis(200),
        loss: 0.95,
    },
];

/// A lease may lapse meanwhile: then the vehicle refuses, and says so. Without one there is a beat each second, and a burst
/// that takes two ends the session: what has no receipt then is unknown.
#[test]
fn few_reliable_commands_stay_unknown() {
    each_seed(|seed| {
        for burst in BURSTS {
            let mut world = World::new(seed);
            let set = StageSet::new(&mut world);
            set.each_path(&mut world, |link| link.burst = Some(burst));
            world.call(set.alice, set.agent);
            world.work(set.alice, set.agent, Duration::from_secs(12));
            let (judged, sent) = world.judged();
            assert!(
                judged * 10 >= sent * 9 && sent > 50,
                "{judged} of {sent}: {burst:?}"
            );
        }
    });
}
