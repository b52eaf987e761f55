//! Beats: the state that both ends of a session repeat to each other on the session channel's `latest` flow.

use crate::base::{Channel, FencingToken, Flow, NodeName, Refusal, Stage};

/// Answers the other end's newest beat: with the sending time of the beat that carries it, a clock sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockEcho {
    /// Sealed sending time of that beat, on its sender's clock.
    pub sent_at_us: u64,
    /// Arrival of that beat, on this beat's sender's clock.
    pub received_at_us: u64,
}

/// State of a controller, at TTL/5 while it holds a lease, else at 1 Hz.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControllerBeat {
    /// Answers the agent's newest beat.
    pub echo: Option<ClockEcho>,
    /// Leases that are to be renewed.
    pub renewals: Vec<Renewal>,
    /// For each flow that the controller receives or sends reliably: see [`FlowReport`].
    pub flows: Vec<FlowReport>,
}

/// Renews one lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The function.
    pub channel: Channel,
    /// The lease's token.
    pub token: FencingToken,
}

/// State of an agent, at the same rate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentBeat {
    /// Answers the controller's newest beat.
    pub echo: Option<ClockEcho>,
    /// Whether the emergency stop is latched.
    pub stopped: bool,
    /// Generation of the emergency stop: grows with each reset.
    pub stop_generation: u32,
    /// One for each function, in the order of the channels.
    pub functions: Vec<FunctionReport>,
    /// As in [`ControllerBeat`].
    pub flows: Vec<FlowReport>,
}

/// How a function stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionReport {
    /// Stage of its watchdog.
    pub stage: Stage,
    /// Token of the newest lease.
    pub token: FencingToken,
    /// Who holds it.
    pub holder: Option<NodeName>,
}

/// How one flow stands, said by either end: as a receiver what became of the messages, as a reliable sender what is no
/// longer worth waiting for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowReport {
    /// The flow.
    pub flow: Flow,
    /// As its sender: numbers below this one will not be sent (again); their receipts are no longer needed.
    pub send_floor: u64,
    /// As its receiver: every number up to this one is resolved.
    pub resolved: u64,
    /// As its receiver: what became of single numbers at or above the other end's send floor, oldest first, at most 128.
    /// A number up to `resolved` that is not listed was applied.
    pub outcomes: Vec<(u64, Outcome)>,
    /// As its receiver: the highest number that was applied, 0 before the first.
    pub applied: u64,
    /// Age of that message when it was applied, in µs.
    pub applied_age_us: u32,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect.
    Applied,
    /// It did not, and why.
    Refused(Refusal),
    /// Its time to live was over.
    Expired,
}
