//! Which packets are lost.

use std::time::Duration;

use super::profile::{Bursts, Loss};
use crate::Chance;

/// The state that a [`Loss`] is in.
#[derive(Debug, Default)]
pub(super) struct Losses {
    bad: bool,
    /// When a span of time ends; none before the first packet.
    until: Option<Duration>,
}

impl Losses {
    /// The state at the first packet.
    pub fn new(loss: &Loss, chance: &mut Chance) -> Losses {
        let bad = match loss.bursts {
            Bursts::None => false,
            Bursts::Packets { share, .. } | Bursts::Time { share, .. } => chance.happens(share),
        };
        Losses { bad, until: None }
    }

    /// Whether the packet that is on the wire now is lost. `now` never goes back.
    pub fn takes(&mut self, loss: &Loss, now: Duration, chance: &mut Chance) -> bool {
        if let Bursts::Time { share, mean } = loss.bursts {
            self.pass(now, share, mean, chance);
        }
        let lost = chance.happens(if self.bad { loss.bad } else { loss.good });
        if let Bursts::Packets { share, mean } = loss.bursts {
            let change = if self.bad {
                1.0 / mean
            } else {
                share / (1.0 - share) / mean
            };
            self.bad ^= chance.happens(change);
        }
        lost
    }

    fn pass(&mut self, now: Duration, share: f64, mean: Duration, chance: &mut Chance) {
        // After a long silence nothing of the old state is left, and nobody counts its spans.
        let forgotten = mean * SPANS_MAX;
        if self.until.is_some_and(|until| until + forgotten < now) {
            self.bad = chance.happens(share);
            self.until = None;
        }
        let good_mean = |bad_mean: Duration| {
            Duration::try_from_secs_f64(bad_mean.as_secs_f64() * (1.0 - share) / share)
                .unwrap_or(FOREVER)
                .min(FOREVER)
        };
        let mut span = |bad: bool| {
            let mean = if bad { mean } else { good_mean(mean) };
            mean.mul_f64(-(1.0 - chance.unit()).ln()).max(SPAN_MIN)
        };
        let mut until = match self.until {
            Some(until) => until,
            // Spans have no memory: what is left of this one is drawn as a whole one is.
            None => now + span(self.bad),
        };
        while until <= now {
            self.bad = !self.bad;
            until += span(self.bad);
        }
        self.until = Some(until);
    }
}

/// Mean bad spans of silence after which the state is drawn anew.
const SPANS_MAX: u32 = 1_000;
/// So that time goes on.
const SPAN_MIN: Duration = Duration::from_nanos(1);
/// A good span with a share of 0.
const FOREVER: Duration = Duration::from_secs(1_000_000);
