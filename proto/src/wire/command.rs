//! A command: what a controller sends on a function's channel.

use crate::base::{ApplicationId, FencingToken};

/// What a controller sends on a function's channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The token of the lease under which it is sent.
    pub token: FencingToken,
    /// The operator's enabling hand is on.
    pub dead_man: bool,
    /// The operator wants motion again after Ramp or MinimalRisk; honoured with neutral input only.
    pub resume: bool,
    /// Present on reliable flows: applied at most once also across restarts of the agent.
    pub application_id: Option<ApplicationId>,
    /// What to do.
    pub body: Body,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The typed drive command, which the agent can clamp.
    Drive(Drive),
    /// Bytes that only the device behind the adapter understands; they cannot be clamped.
    Opaque(Vec<u8>),
}

/// The typed drive command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drive {
    /// Wanted speed in mm/s, negative is backwards.
    pub speed_mm_s: i16,
    /// Wanted curvature of the path in 1/km (thousandths of 1/m), positive is to the left.
    pub curvature_per_km: i16,
}

impl Drive {
    /// Neither moving nor steering.
    pub const NEUTRAL: Drive = Drive {
        speed_mm_s: 0,
        curvature_per_km: 0,
    };
}

impl Body {
    /// Whether this asks for no motion. Opaque bytes count as neutral only when they are empty.
    pub fn is_neutral(&self) -> bool {
        match self {
            Body::Drive(drive) => drive.speed_mm_s == 0,
            Body::Opaque(bytes) => bytes.is_empty(),
        }
    }
}
