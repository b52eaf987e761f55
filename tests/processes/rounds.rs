//! Chance and the number of rounds of a test that kills.

use longrein_tests::Chance;

/// `LONGREIN_SEED` and `LONGREIN_RUNS`, or any seed and 30 rounds.
pub fn rounds() -> (Chance, u64) {
    rounds_or(ROUNDS)
}

/// The same with another number of rounds.
pub fn rounds_or(usual: u64) -> (Chance, u64) {
    let number = |variable: &str| Some(std::env::var(variable).ok()?.parse::<u64>().unwrap());
    let seed = number("LONGREIN_SEED").unwrap_or_else(|| std::process::id().into());
    println!("to repeat this: LONGREIN_SEED={seed}");
    (Chance::new(seed), number("LONGREIN_RUNS").unwrap_or(usual))
}

const ROUNDS: u64 = 30;
