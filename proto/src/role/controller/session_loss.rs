//! Why a controller has no session any more.

use std::fmt;

/// Why a session of a controller ended. One that is silent stands until another replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionLoss {
    /// The agent has said goodbye: it ends, and the vehicle is in MinimalRisk.
    AgentEnds,
    /// It was silent, and another one begins.
    Replaced,
    /// The agent has started again and knows nothing of it; another one begins.
    AgentStartedAgain,
    /// The vehicle's newest certificate has ended.
    Expired,
    /// The authority has revoked the vehicle.
    Revoked,
}

impl fmt::Display for SessionLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SessionLoss::AgentEnds => "the agent ends, and the vehicle is in MinimalRisk",
            SessionLoss::Replaced => "it was silent",
            SessionLoss::AgentStartedAgain => "the agent has started again",
            SessionLoss::Expired => "the vehicle's certificate has ended",
            SessionLoss::Revoked => "the vehicle is revoked",
        })
    }
}
