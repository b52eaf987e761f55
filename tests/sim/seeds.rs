//! Several worlds of one scenario.

use std::ops::RangeInclusive;

/// Runs a scenario with five seeds, or with the one that the environment variable `LONGREIN_SEED` names. A failure prints
/// the seed that repeats it.
pub fn each_seed(scenario: impl Fn(u64)) {
    let chosen = std::env::var("LONGREIN_SEED")
        .ok()
        .map(|seed| seed.parse().expect("LONGREIN_SEED is a number"));
    let seeds: RangeInclusive<u64> = chosen.map_or(SEEDS, |seed| seed..=seed);
    for seed in seeds {
        let named = Named(seed);
        scenario(seed);
        drop(named);
    }
}

/// Says which seed it was when the scenario panics.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {0}: LONGREIN_SEED={0} repeats it", self.0);
        }
    }
}

const SEEDS: RangeInclusive<u64> = 1..=5;
