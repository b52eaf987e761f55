//! Why the vehicle does not do what it was asked.

use std::fmt;

use super::NodeName;

/// Why a command or request is refused; a value of the protocol, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no sample of the sender's clock yet, so the command's age is unknown.
    NoClock,
    /// Its time to live is over on the vehicle's clock.
    Expired,
    /// Nobody holds the function's lease.
    NotLeased,
    /// Another controller holds the function's lease.
    HeldBy(NodeName),
    /// The fencing token is not the newest.
    OldToken,
    /// The emergency stop is latched.
    Stopped,
    /// After Ramp or MinimalRisk motion needs an explicit resume with neutral input.
    NeedsResume,
    /// The enabling hand is off.
    DeadManReleased,
    /// More commands a second than the function takes.
    TooOften,
    /// The agent has no such function, or it takes other commands.
    NoSuchFunction,
    /// Applied before, under the same application id.
    AlreadyApplied,
    /// The device behind the adapter is not there.
    AdapterDown,
    /// The message could not be read.
    Malformed,
    /// The vehicle's policy does not allow it.
    NotAllowed,
    /// The command is right but for its token, which comes into force with the handover.
    NotYet,
    /// Another person has to ask for the same within a short time.
    NeedsSecond,
    /// There is no such offer of a lease, or it is over.
    NoOffer,
    /// The lease was revoked a moment ago.
    Revoked,
    /// Nobody of that name is there: an operator without a session, a device behind the function.
    Absent,
    /// The picture that the operator saw is too old, or its age is not said.
    OldPicture,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoClock => f.write_str("no clock sample yet"),
            Refusal::Expired => f.write_str("expired"),
            Refusal::NotLeased => f.write_str("not leased"),
            Refusal::HeldBy(holder) => write!(f, "held by {holder}"),
            Refusal::OldToken => f.write_str("old fencing token"),
            Refusal::Stopped => f.write_str("emergency stop is latched"),
            Refusal::NeedsResume => f.write_str("needs an explicit resume with neutral input"),
            Refusal::DeadManReleased => f.write_str("dead-man released"),
            Refusal::TooOften => f.write_str("too many commands a second"),
            Refusal::NoSuchFunction => f.write_str("no such function"),
            Refusal::AlreadyApplied => f.write_str("applied before"),
            Refusal::AdapterDown => f.write_str("adapter is down"),
            Refusal::Malformed => f.write_str("malformed"),
            Refusal::NotAllowed => f.write_str("not allowed"),
            Refusal::NotYet => f.write_str("not yet: the handover is under way"),
            Refusal::NeedsSecond => f.write_str("another person has to ask for the same"),
            Refusal::NoOffer => f.write_str("no such offer"),
            Refusal::Revoked => f.write_str("revoked a moment ago"),
            Refusal::Absent => f.write_str("not there"),
            Refusal::OldPicture => f.write_str("picture is too old"),
        }
    }
}
