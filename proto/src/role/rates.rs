//! How often each of many sources may do something.

use std::collections::BTreeMap;

use crate::base::MonoTime;
use crate::base::limits::RATES_MAX;
use crate::leg::Budget;

/// A rate for each source, in bounded memory: the source that was silent longest is forgotten, and begins anew.
#[derive(Debug)]
pub(super) struct Rates<S> {
    per_s: u64,
    burst: u64,
    /// With when the newest came.
    sources: BTreeMap<S, (Budget, MonoTime)>,
}

impl<S: Clone + Ord> Rates<S> {
    /// So much a second for each source, and so much at once.
    pub(super) fn new(per_s: u64, burst: u64) -> Rates<S> {
        Rates {
            per_s,
            burst,
            sources: BTreeMap::new(),
        }
    }

    /// Whether once more is within the source's rate.
    pub(super) fn try_spend(&mut self, now: MonoTime, source: &S) -> bool {
        if self.sources.len() >= RATES_MAX && !self.sources.contains_key(source) {
            let silent = self.sources.iter().min_by_key(|(_, (_, newest))| *newest);
            if let Some(silent) = silent.map(|(source, _)| source.clone()) {
                self.sources.remove(&silent);
            }
        }
        let new = || (Budget::new(now, self.per_s, self.burst), now);
        let (rate, newest) = self.sources.entry(source.clone()).or_insert_with(new);
        *newest = now;
        rate.try_spend(now, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_its_rate_and_the_one_that_was_silent_longest_is_forgotten() {
        let at = |ms: u64| MonoTime::from_us(ms * 1_000);
        let mut rates = Rates::new(1, 1);
        assert!(rates.try_spend(at(0), &0));
        for source in 1..RATES_MAX as u64 {
            assert!(rates.try_spend(at(source), &source));
        }
        assert!(!rates.try_spend(at(300), &0), "known, and over its rate");
        assert!(rates.try_spend(at(300), &1_000));
        assert_eq!(rates.sources.len(), RATES_MAX);
        assert!(rates.try_spend(at(300), &1), "forgotten");
    }
}
