//! What one direction of an interface does to packets.

use std::time::Duration;

/// One direction of an interface. A packet waits for its turn at the rate, takes its time on the wire, may be lost there, and
/// arrives after the delay. So lost packets use up the rate too, as they do on air.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// Nothing gets through while it is off; what is under way when it goes off is lost.
    pub on: bool,
    /// From the wire to the other end.
    pub delay: Duration,
    /// At most this is added to the delay of each packet, evenly drawn.
    pub jitter: Duration,
    /// Whether a packet may overtake another by less jitter; otherwise it waits for it.
    pub reorder: bool,
    /// Which packets are lost.
    pub loss: Loss,
    /// How fast packets go out; without one at once.
    pub rate: Option<Rate>,
}

/// A rate, and the queue before it. Packets count with their IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bits a second.
    pub bits_per_s: u64,
    /// What may wait; a packet that finds no room is dropped.
    pub queue: Queue,
}

/// Room of a queue. A packet that finds the wire idle needs none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Bytes, with the packet itself.
    Bytes(u64),
    /// Time until the packet's turn.
    Time(Duration),
}

/// Two states with a probability of loss each (Gilbert-Elliott).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// Probability that a packet is lost in the good state.
    pub good: f64,
    /// Probability that a packet is lost in the bad state.
    pub bad: f64,
    /// When the state is bad.
    pub bursts: Bursts,
}

/// When the state is bad.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bursts {
    /// Never.
    None,
    /// For runs of packets, however far apart these are.
    Packets {
        /// Share of the packets that meet the bad state.
        share: f64,
        /// Mean length of a run, in packets.
        mean: f64,
    },
    /// For spans of time, however many packets are sent meanwhile.
    Time {
        /// Share of the time that is bad.
        share: f64,
        /// Mean length of a span.
        mean: Duration,
    },
}

/// Why there is no such profile.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ProfileError {
    /// A probability or share that is none.
    #[error("{0} is no probability")]
    Probability(f64),
    /// Nothing gets through a wire without a rate; off says that.
    #[error("a rate is at least 1 bit a second")]
    Rate,
    /// At this share the runs have to be longer.
    #[error(
        "runs that take {share} of the packets last {least:.2} packets or more in the mean, not {mean}"
    )]
    Run {
        /// Wanted share.
        share: f64,
        /// Wanted mean.
        mean: f64,
        /// Shortest mean at this share.
        least: f64,
    },
    /// A bad state that lasts no time or takes all of it.
    #[error("bursts take a share below 1, and their mean is not 0")]
    Bursts,
}

impl Profile {
    /// Passes everything at once.
    pub const CLEAR: Profile = Profile {
        on: true,
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        reorder: false,
        loss: Loss::NONE,
        rate: None,
    };

    /// Passes everything after this delay.
    pub const fn delayed(delay: Duration) -> Profile {
        Profile {
            delay,
            ..Profile::CLEAR
        }
    }

    /// The same with this loss.
    #[must_use]
    pub const fn with_loss(self, loss: Loss) -> Profile {
        Profile { loss, ..self }
    }

    /// The same with this rate.
    #[must_use]
    pub const fn with_rate(self, bits_per_s: u64, queue: Queue) -> Profile {
        Profile {
            rate: Some(Rate { bits_per_s, queue }),
            ..self
        }
    }

    /// The same with this jitter.
    #[must_use]
    pub const fn with_jitter(self, jitter: Duration, reorder: bool) -> Profile {
        Profile {
            jitter,
            reorder,
            ..self
        }
    }

    /// # Errors
    /// [`ProfileError`]: what it asks for cannot be.
    pub fn check(&self) -> Result<(), ProfileError> {
        if self.rate.is_some_and(|rate| rate.bits_per_s == 0) {
            return Err(ProfileError::Rate);
        }
        self.loss.check()
    }
}

impl Loss {
    /// Nothing is lost.
    pub const NONE: Loss = Loss::random(0.0);

    /// Each packet for itself.
    pub const fn random(probability: f64) -> Loss {
        Loss {
            good: probability,
            bad: probability,
            bursts: Bursts::None,
        }
    }

    /// This share of the packets is lost, in runs of this mean length, and no other.
    pub const fn runs(share: f64, mean: f64) -> Loss {
        Loss {
            good: 0.0,
            bad: 1.0,
            bursts: Bursts::Packets { share, mean },
        }
    }

    /// Everything is lost for this share of the time, in spans of this mean length, and nothing else.
    pub const fn spans(share: f64, mean: Duration) -> Loss {
        Loss {
            good: 0.0,
            bad: 1.0,
            bursts: Bursts::Time { share, mean },
        }
    }

    fn check(&self) -> Result<(), ProfileError> {
        let share = match self.bursts {
            Bursts::None => 0.0,
            Bursts::Packets { share, .. } | Bursts::Time { share, .. } => share,
        };
        for probability in [self.good, self.bad, share] {
            if !(0.0..=1.0).contains(&probability) {
                return Err(ProfileError::Probability(probability));
            }
        }
        match self.bursts {
            Bursts::None => Ok(()),
            Bursts::Time { share, mean } if share < 1.0 && !mean.is_zero() => Ok(()),
            Bursts::Packets { share, mean } if share < 1.0 && mean >= 1.0 => {
                // A good run lasts one packet at least.
                let least = share / (1.0 - share);
                if mean >= least - ROUNDING {
                    Ok(())
                } else {
                    Err(ProfileError::Run { share, mean, least })
                }
            }
            Bursts::Time { .. } | Bursts::Packets { .. } => Err(ProfileError::Bursts),
        }
    }
}

/// So that 4 packets at a share of 0.8 are not refused for the last bit of a division.
const ROUNDING: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(loss: Loss) -> Result<(), ProfileError> {
        Profile::CLEAR.with_loss(loss).check()
    }

    #[test]
    fn what_can_be_is_taken() {
        let fifty = Duration::from_millis(50);
        for loss in [
            Loss::NONE,
            Loss::random(1.0),
            Loss::runs(0.8, 4.0),
            Loss::runs(0.0, 1.0),
            Loss::spans(0.8, fifty),
        ] {
            assert_eq!(checked(loss), Ok(()), "{loss:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_and_named() {
        assert_eq!(
            checked(Loss::random(80.0)),
            Err(ProfileError::Probability(80.0))
        );
        assert!(checked(Loss::random(f64::NAN)).is_err());
        assert_eq!(
            checked(Loss::runs(0.8, 2.0)).unwrap_err().to_string(),
            "runs that take 0.8 of the packets last 4.00 packets or more in the mean, not 2"
        );
        assert_eq!(checked(Loss::runs(1.0, 5.0)), Err(ProfileError::Bursts));
        assert_eq!(checked(Loss::runs(0.2, 0.5)), Err(ProfileError::Bursts));
        let no_time = Loss::spans(0.5, Duration::ZERO);
        assert_eq!(checked(no_time), Err(ProfileError::Bursts));
        let still = Profile::CLEAR.with_rate(0, Queue::Bytes(0));
        assert_eq!(still.check(), Err(ProfileError::Rate));
    }
}
