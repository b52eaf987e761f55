//! The system's randomness.

use longrein_proto::base::Entropy;
use ring::rand::{SecureRandom, SystemRandom};
use std::time::Duration;

/// Random bytes from the kernel.
#[derive(Clone, Debug)]
pub struct SystemEntropy(SystemRandom);

impl SystemEntropy {
    /// The kernel's source; costs nothing to make.
    pub fn new() -> SystemEntropy {
        SystemEntropy(SystemRandom::new())
    }

    /// `span` lengthened or shortened at random by up to half of itself, so that many nodes do not act in step.
    pub fn jitter(&mut self, span: Duration) -> Duration {
        let per_mille = 500 + self.next_u64() % 1_001;
        let us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(us.saturating_mul(per_mille) / 1_000)
    }
}

impl Default for SystemEntropy {
    fn default() -> Self {
        SystemEntropy::new()
    }
}

impl Entropy for SystemEntropy {
    /// # Panics
    /// When the kernel has no randomness to give, which Linux does not do once it has started: going on with
    /// predictable keys would be worse.
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0
            .fill(bytes)
            .expect("the kernel gives random bytes once it has started");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_half_of_the_span() {
        let mut entropy = SystemEntropy::new();
        let span = Duration::from_millis(100);
        for _ in 0..1_000 {
            let jittered = entropy.jitter(span);
            assert!(
                jittered >= span / 2 && jittered <= span * 3 / 2,
                "{jittered:?}"
            );
        }
    }
}
