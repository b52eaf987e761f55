//! Packets get lost at random, on every path and both ways.

use std::time::Duration;

use longrein_tests::{StageSet, World, each_seed};

/// Twelve seconds of work at this loss; how many reliable commands the vehicle judged, and how many there were.
fn work_at(seed: u64, loss: f64) -> (usize, usize) {
    let mut world = World::new(seed);
    let set = StageSet::new(&mut world);
    set.each_path(&mut world, |link| link.loss = loss);
    world.call(set.alice, set.agent);
    world.work(set.alice, set.agent, Duration::from_secs(12));
    world.judged()
}

#[test]
fn nothing_goes_wrong_when_nothing_is_lost() {
    each_seed(|seed| {
        let (judged, sent) = work_at(seed, 0.0);
        assert!(judged == sent && sent > 100, "{judged} of {sent}");
    });
}

/// A lease may lapse meanwhile: then the vehicle refuses, and says so.
#[test]
fn every_reliable_command_arrives_when_a_fifth_of_the_packets_is_lost() {
    each_seed(|seed| {
        let (judged, sent) = work_at(seed, 0.2);
        assert!(judged == sent && sent > 50, "{judged} of {sent}");
    });
}

/// Without a lease there is a beat each second, and two that are lost end the session: what has no receipt then is unknown.
#[test]
fn few_reliable_commands_stay_unknown_when_half_of_the_packets_are_lost() {
    each_seed(|seed| {
        let (judged, sent) = work_at(seed, 0.5);
        assert!(judged * 10 >= sent * 9 && sent > 50, "{judged} of {sent}");
    });
}

/// How much gets through is not asked here; what must never happen is checked.
#[test]
fn nothing_wrong_is_applied_at_four_fifths_and_at_nine_tenths() {
    each_seed(|seed| {
        for loss in [0.8, 0.9] {
            work_at(seed, loss);
        }
    });
}
