//! The ways to a lease.

use std::time::Duration;

use longrein_proto::base::{Channel, OfferId, Reason};
use longrein_proto::wire::Request;

/// How to come to the lease of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// At once, when nobody else has it.
    Take,
    /// When it is free, after those who waited before; at most this long.
    Wait(Duration),
    /// From a holder of lower priority, who is told the reason.
    Preempt(Reason),
    /// By this offer of its holder. Commands have to go at once: when they have arrived for half a second the lease is in force,
    /// and until then they are refused as [`Refusal::NotYet`].
    ///
    /// [`Refusal::NotYet`]: longrein_proto::base::Refusal::NotYet
    Accept(OfferId),
}

impl Claim {
    pub(crate) fn request(self, channel: Channel) -> Request {
        match self {
            Claim::Take => Request::Take { channel },
            Claim::Wait(_) => Request::Wait { channel },
            Claim::Preempt(reason) => Request::Preempt { channel, reason },
            Claim::Accept(offer) => Request::Accept { channel, offer },
        }
    }

    pub(crate) fn patience(&self) -> Duration {
        match self {
            Claim::Wait(patience) => (*patience).max(Self::ANSWER_MAX),
            Claim::Take | Claim::Preempt(_) | Claim::Accept(_) => Self::ANSWER_MAX,
        }
    }

    /// The vehicle stores the token first, which a worn memory card may do slowly.
    const ANSWER_MAX: Duration = Duration::from_secs(6);
}
