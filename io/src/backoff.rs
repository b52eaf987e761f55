//! How long to wait before the next try.

use crate::entropy::SystemEntropy;
use std::time::Duration;

/// Doubles from try to try, with jitter, so that nothing is asked in a storm or in step.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    next: Duration,
    longest: Duration,
    entropy: SystemEntropy,
}

impl Backoff {
    /// The first pause is [`FIRST`], and none is longer than [`LONGEST`].
    pub fn new() -> Backoff {
        Backoff::between(FIRST, LONGEST)
    }

    /// The first pause is this, and none is longer than that.
    pub fn between(first: Duration, longest: Duration) -> Backoff {
        Backoff {
            first,
            next: first,
            longest,
            entropy: SystemEntropy::new(),
        }
    }

    /// How long to wait now.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        self.entropy.jitter(pause)
    }

    /// How long to wait after a refusal that trying again does not mend.
    pub fn pause_after_refusal(&mut self) -> Duration {
        self.entropy.jitter(AFTER_REFUSAL)
    }

    /// It went well: start over with the first pause.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff::new()
    }
}

/// Before the second try.
pub const FIRST: Duration = Duration::from_millis(100);
/// Between tries of something that stays away: a relay that comes back is found within 7.5 s.
pub const LONGEST: Duration = Duration::from_secs(5);
/// A certificate does not mend itself in seconds: 5 to 15 s with jitter.
pub const AFTER_REFUSAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_over_after_success() {
        let mut backoff = Backoff::new();
        for expected_ms in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            let expected = Duration::from_millis(expected_ms);
            let pause = backoff.pause();
            assert!(
                pause >= expected / 2 && pause <= expected * 3 / 2,
                "{pause:?}"
            );
        }
        backoff.reset();
        assert!(backoff.pause() <= FIRST * 3 / 2);
    }

    #[test]
    fn a_refused_certificate_is_not_shown_again_within_five_seconds() {
        let mut backoff = Backoff::new();
        for _ in 0..100 {
            assert!(backoff.pause_after_refusal() >= Duration::from_secs(5));
        }
    }
}
