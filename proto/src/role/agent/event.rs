//! What an agent tells its program.

use std::fmt;
use std::sync::Arc;

use super::journey::Journey;
use crate::base::{
    Channel, Class, FencingToken, Name, NodeName, PathId, Refusal, Right, SessionId,
};
use crate::control::Accepted;
use crate::hub::CallerEvent;
use crate::path::{Health, MeterNews};
use crate::role::{ClockDifference, SharedAddress};
use crate::wire::{Command, News, Removal};

/// What an agent tells its program.
#[derive(Debug)]
pub enum AgentEvent {
    /// A command passed the gate: apply it at once, then call [`crate::role::Agent::on_verdict`].
    Apply(Box<Apply>),
    /// The hub says something for the vehicle's own programs. Nothing of it is a command.
    // [SAFE-138]
    Hub(Box<CallerEvent>),
    /// The emergency stop is latched: stop everything now.
    Stop {
        /// Who said it, the agent itself for the vehicle's own software; unknown when it was latched before the agent's start.
        author: Option<NodeName>,
        /// The generation that it stops.
        generation: u32,
    },
    /// The emergency stop is reset.
    StopReset {
        /// Who reset it.
        author: NodeName,
        /// The generation that begins.
        generation: u32,
    },
    /// Nobody holds the function's lease any more, or is about to.
    LeaseEnded {
        /// The function.
        channel: Channel,
        /// Who held it.
        holder: NodeName,
        /// Its token.
        token: FencingToken,
        /// Why it ended.
        why: LeaseEndReason,
    },
    /// A lease is granted.
    LeaseGranted {
        /// The function.
        channel: Channel,
        /// To whom.
        holder: NodeName,
        /// The new token.
        token: FencingToken,
    },
    /// The holder of a lease has handed it over: the new token is in force, and the one before is void.
    LeaseHandedOver {
        /// The function.
        channel: Channel,
        /// Who held it.
        from: NodeName,
        /// Who holds it now.
        holder: NodeName,
        /// The new token.
        token: FencingToken,
    },
    /// A node is told something of a lease: that one is offered to it, what became of an offer, that its lease was taken away.
    News {
        /// Who is told.
        to: NodeName,
        /// What.
        news: News,
    },
    /// Somebody was refused what the policy does not allow.
    NotAllowed {
        /// Who.
        peer: NodeName,
        /// What for.
        right: Right,
    },
    /// Write these bytes so that they survive a power cut, then give [`crate::role::Input::Persisted`].
    Persist {
        /// Names the answer.
        ticket: u64,
        /// The whole record; it replaces the one before.
        record: Vec<u8>,
    },
    /// A controller's session stands.
    SessionUp {
        /// The session.
        session: SessionId,
        /// The controller.
        peer: NodeName,
        /// SHA-256 of its certificate (DER).
        fingerprint: [u8; 32],
    },
    /// The controller of a session that stands has shown a newer certificate.
    SessionRenewed {
        /// The session.
        session: SessionId,
        /// The controller.
        peer: NodeName,
        /// SHA-256 of the newer certificate (DER).
        fingerprint: [u8; 32],
    },
    /// How far a controller's wall clock is ahead of the own one: for records.
    Clock {
        /// The controller.
        peer: NodeName,
        /// How far.
        difference: ClockDifference,
    },
    /// A session has ended.
    SessionDown {
        /// The session.
        session: SessionId,
        /// The controller.
        peer: NodeName,
        /// Why it ended.
        why: SessionEndReason,
    },
    /// A controller did not get what it asked for.
    Refused {
        /// The controller.
        peer: NodeName,
        /// What it asked for.
        asked: Asked,
        /// Why not.
        why: Refusal,
    },
    /// A newer list of revocations counts from now on: store it, so that it also counts after a restart.
    Revocations {
        /// Its number.
        number: u64,
        /// Its parts.
        parts: Vec<Arc<[u8]>>,
    },
    /// A relay is reached.
    RelayUp {
        /// The relay.
        relay: NodeName,
    },
    /// A relay ends soon.
    Draining {
        /// The relay.
        relay: NodeName,
    },
    /// A link that has a budget for each day has used much of it, all of it, or has a new one.
    Metered {
        /// The link.
        link: Name,
        /// What is new.
        news: MeterNews,
    },
    /// Two links leave through the same public address, so that they probably share one line; or they do not any more.
    SharedAddress(SharedAddress),
    /// A path's health has changed.
    Health {
        /// The path.
        path: PathId,
        /// How it stands.
        health: Health,
    },
}

/// What a controller did not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A command that the gate did not let through.
    Command {
        /// The function.
        channel: Channel,
        /// Its number in its flow.
        number: u64,
    },
    /// Anything else.
    Request {
        /// What.
        word: &'static str,
        /// The function.
        channel: Option<Channel>,
    },
}

/// Why a lease ended. An emergency stop ends none: its holder has it still after the reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseEndReason {
    /// It was not renewed in time.
    Lapsed,
    /// Its token was not stored in time.
    NotStored,
    /// Its holder gave it back.
    Released,
    /// Its holder's session ended; [`AgentEvent::SessionDown`] says why.
    SessionEnded,
    /// It was taken away.
    Removed(Removal),
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEndReason {
    /// Its controller closed it.
    Closed,
    /// Nothing came for too long.
    Silent,
    /// It held no lease, and gave way to another session.
    GaveWay,
    /// The agent ends.
    AgentEnds,
    /// The authority has revoked its controller.
    Revoked,
    /// The newest list of revocations is older than is allowed.
    NoRevocations,
    /// The newest certificate of its controller has ended.
    Expired,
}

impl fmt::Display for LeaseEndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LeaseEndReason::Lapsed => "lapsed",
            LeaseEndReason::NotStored => "token not stored in time",
            LeaseEndReason::Released => "released",
            LeaseEndReason::SessionEnded => "session ended",
            LeaseEndReason::Removed(removal) => return removal.fmt(f),
        })
    }
}

impl fmt::Display for SessionEndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SessionEndReason::Closed => "closed by the controller",
            SessionEndReason::Silent => "silent",
            SessionEndReason::GaveWay => "gave way to another",
            SessionEndReason::AgentEnds => "agent ends",
            SessionEndReason::Revoked => "revoked by the authority",
            SessionEndReason::NoRevocations => "list of revocations is too old",
            SessionEndReason::Expired => "certificate has ended",
        })
    }
}

/// A command to apply.
#[derive(Debug)]
pub struct Apply {
    /// Names the verdict.
    pub ticket: u64,
    /// The function.
    pub channel: Channel,
    /// The flow's promise.
    pub class: Class,
    /// The command's number in its flow.
    pub number: u64,
    /// The command.
    pub accepted: Accepted<Command>,
    /// Where its time went.
    pub journey: Journey,
    /// Judge it as if it were to be applied, and do not: its lease is about to be handed over.
    pub rehearsal: bool,
}
