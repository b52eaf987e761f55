//! What an agent tells its program.

use super::journey::Journey;
use crate::base::{Channel, Class, FencingToken, NodeName, PathId, SessionId};
use crate::control::Accepted;
use crate::path::Health;
use crate::wire::Command;

/// What an agent tells its program.
#[derive(Debug)]
pub enum AgentEvent {
    /// A command passed the gate: apply it at once, then call [`crate::role::Agent::on_verdict`].
    Apply(Box<Apply>),
    /// The emergency stop is latched: stop everything now.
    Stop,
    /// The emergency stop is reset.
    StopReset,
    /// Nobody holds the function's lease any more.
    LeaseEnded {
        /// The function.
        channel: Channel,
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
    },
    /// A session has ended.
    SessionDown {
        /// The session.
        session: SessionId,
        /// The controller.
        peer: NodeName,
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
    /// A path's health has changed.
    Health {
        /// The path.
        path: PathId,
        /// How it stands.
        health: Health,
    },
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
}
