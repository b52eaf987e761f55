//! Statements that their author signs, so that they need no session.

use crate::base::{NodeName, StopId};

/// A statement with its author's certificate and signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What is said.
    pub statement: Statement,
    /// The author's certificate (DER).
    pub certificate: Vec<u8>,
    /// Over the author, the addressee and the statement.
    pub signature: Vec<u8>,
}

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statement {
    /// To an agent: stop now and stay stopped.
    Stop {
        /// Names this stop; repeats have the same.
        id: StopId,
        /// The vehicle's stop generation, when the sender knows it.
        generation: Option<u32>,
    },
    /// From an agent to the author of a stop: the vehicle is stopped.
    Stopped {
        /// The stop that this answers.
        id: StopId,
        /// The vehicle's stop generation.
        generation: u32,
        /// False when the stop was of an older generation, or repeated after its reset, and had no effect.
        latched: bool,
    },
}
