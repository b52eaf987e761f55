//! Emulated wide-area networks.

use longrein_tests::wan::{NodePlan, Wan};

/// A network of these nodes, with the seed in `LONGREIN_SEED` or 1; none where there can be none, which is said.
pub fn network(nodes: &[NodePlan]) -> Option<Wan> {
    if let Some(missing) = Wan::missing() {
        eprintln!("SKIPPED: {missing}");
        return None;
    }
    let seed = std::env::var("LONGREIN_SEED").map_or(1, |seed| seed.parse().unwrap());
    eprintln!("seed {seed}");
    Some(Wan::start(seed, nodes).unwrap_or_else(|error| panic!("{error}")))
}
