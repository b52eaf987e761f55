//! Chance and the number of rounds of a test that kills.

use longrein_tests::Chance;

/// `LONGREIN_SEED` and `LONGREIN_RUNS`, or any seed and 30 rounds.
pub fn rounds() -> (Chance, u64) {
    let seed = number("LONGREIN_SEED").unwrap_or_else(|| std::process::id().into());
    println!("to repeat this: LONGREIN_SEED={seed}");
    (Chance::new(seed), rounds_or(ROUNDS))
}

/// `LONGREIN_RUNS`, or so many.
pub fn rounds_or(usual: u64) -> u64 {
    number("LONGREIN_RUNS").unwrap_or(usual)
}

fn number(variable: &str) -> Option<u64> {
    Some(std::env::var(variable).ok()?.parse().unwrap())
}

const ROUNDS: u64 = 30;
