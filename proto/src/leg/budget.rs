//! A token bucket.

use crate::base::MonoTime;

/// Lets through so much a second, and so much at once.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    per_s: u64,
    /// Most tokens that gather, in millionths.
    full: u128,
    tokens: u128,
    filled_at: MonoTime,
}

impl Budget {
    /// A full bucket of `burst` that refills with `per_s` a second. In bytes, `burst` is 1.5 packets or more: a bucket that
    /// never holds a whole packet would let nothing through.
    pub fn new(now: MonoTime, per_s: u64, burst: u64) -> Budget {
        let full = u128::from(burst) * MILLION;
        Budget {
            per_s,
            full,
            tokens: full,
            filled_at: now,
        }
    }

    /// Takes so much, if it is there.
    pub fn try_spend(&mut self, now: MonoTime, amount: usize) -> bool {
        let passed_us = now.since(self.filled_at).as_micros();
        self.filled_at = self.filled_at.max(now);
        self.tokens = (self.tokens + passed_us * u128::from(self.per_s)).min(self.full);
        let wanted = u128::try_from(amount).unwrap_or(u128::MAX / MILLION) * MILLION;
        let enough = wanted <= self.tokens;
        if enough {
            self.tokens -= wanted;
        }
        enough
    }
}

const MILLION: u128 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_lets_its_burst_through_at_once_and_its_rate_afterwards() {
        let at = |ms: u64| MonoTime::from_us(ms * 1_000);
        let mut budget = Budget::new(at(0), 1_000, 300);
        assert!(budget.try_spend(at(0), 200));
        assert!(!budget.try_spend(at(0), 200));
        assert!(budget.try_spend(at(100), 200));
        let spent = (0..10_000)
            .filter(|ms| budget.try_spend(at(100 + ms), 10))
            .count();
        assert_eq!(spent, 999);
    }
}
