//! How far a vehicle has gone into its safe state.

use std::fmt;

/// Stage of a watchdog, in the order in which they are entered without valid commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Valid commands arrive.
    Nominal = 0,
    /// None for a moment: keep the last command's direction, add nothing. Resumes by itself.
    Hold = 1,
    /// None for longer: slow down in a controlled way.
    Ramp = 2,
    /// Stand still, safely. Also the stage in which an agent starts.
    MinimalRisk = 3,
}

impl Stage {
    /// All stages, in the order of their numbers.
    pub const ALL: [Stage; 4] = [Stage::Nominal, Stage::Hold, Stage::Ramp, Stage::MinimalRisk];
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Nominal => "Nominal",
            Stage::Hold => "Hold",
            Stage::Ramp => "Ramp",
            Stage::MinimalRisk => "MinimalRisk",
        })
    }
}
