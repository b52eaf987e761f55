//! What goes over the session channel's reliable flow.

use crate::base::{Channel, FencingToken, Name, Refusal};

/// A message of the session channel's reliable flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionMessage {
    /// Controller to agent.
    Request {
        /// Chosen by the controller, named by the reply.
        ask: u32,
        /// What is asked.
        request: Request,
    },
    /// Agent to controller.
    Reply {
        /// The request's number.
        ask: u32,
        /// The answer.
        reply: Reply,
    },
    /// Agent to controller, first after the handshake.
    Description(Description),
    /// Either way: the sender ends the session.
    Bye,
}

/// What a controller asks of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// The exclusive right to command a function.
    Take {
        /// The function.
        channel: Channel,
    },
    /// Gives that right back.
    Release {
        /// The function.
        channel: Channel,
        /// The lease's token.
        token: FencingToken,
    },
    /// Clears a latched emergency stop of this generation.
    ResetStop {
        /// The generation that the sender saw latched.
        generation: u32,
    },
}

/// What an agent answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The lease is the asker's.
    Granted {
        /// The function.
        channel: Channel,
        /// Goes into each command.
        token: FencingToken,
        /// Lapses after this long without a renewal, in milliseconds.
        ttl_ms: u16,
    },
    /// The request is done.
    Done,
    /// It is not.
    Refused(Refusal),
}

/// What an agent is and does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The functions; the first one is channel 1.
    pub functions: Vec<(Name, FunctionKind)>,
}

/// What commands a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionKind {
    /// [`super::Drive`], clamped by the agent.
    Drive = 1,
    /// Bytes.
    Opaque = 2,
}
