//! Many worlds of one scenario.

/// Runs a scenario with the seeds from 1 on, 20 of them. The environment changes that: `LONGREIN_SEED` is the first seed, alone
/// unless `LONGREIN_RUNS` says how many. A failure prints the command that repeats it.
pub fn each_seed(scenario: impl Fn(u64)) {
    let (first, runs) = chosen(
        number("LONGREIN_SEED").as_deref(),
        number("LONGREIN_RUNS").as_deref(),
    );
    for seed in (first..=u64::MAX).take(runs) {
        let named = Named(seed);
        scenario(seed);
        drop(named);
    }
}

fn number(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

/// The first seed, and how many.
fn chosen(seed: Option<&str>, runs: Option<&str>) -> (u64, usize) {
    let first = seed.map(|seed| seed.parse().expect("LONGREIN_SEED is a number"));
    let runs = runs.map(|runs| runs.parse().expect("LONGREIN_RUNS is a number"));
    let alone = if first.is_some() { 1 } else { RUNS };
    (first.unwrap_or(1), runs.unwrap_or(alone))
}

/// Says which seed it was when the scenario panics.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let thread = std::thread::current();
            let scenario = thread.name().filter(|name| name.contains("::"));
            let scenario = scenario.unwrap_or("[SCENARIO]");
            eprintln!("to repeat this: ./dev sim {scenario} --seed {}", self.0);
        }
    }
}

/// Measured: all scenarios with so many seeds take 102 s on two processors and 14 MB.
const RUNS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_alone_runs_once_and_without_one_there_are_several() {
        assert_eq!(chosen(None, None), (1, RUNS));
        assert_eq!(chosen(Some("7"), None), (7, 1));
        assert_eq!(chosen(Some("7"), Some("3")), (7, 3));
        assert_eq!(chosen(None, Some("3")), (1, 3));
    }
}
