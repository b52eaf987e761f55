//! What the operator wants at one moment.

use longrein_proto::wire::Drive;

/// What the operator wants at one moment. The default wants nothing: no motion, no dead-man.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// Wanted speed in mm/s, negative is backwards.
    pub speed_mm_s: i16,
    /// Wanted curvature in 1/km, positive is to the left.
    pub curvature_per_km: i16,
    /// The enabling hand is on.
    pub dead_man: bool,
    /// Motion is wanted again after the vehicle stopped by itself; the speed is zero then.
    pub resume: bool,
    /// Emergency stop; true once for each time it is wanted.
    pub stop: bool,
    /// The operator ends the drive.
    pub quit: bool,
}

impl Controls {
    /// The typed drive command.
    pub const fn drive(self) -> Drive {
        Drive {
            speed_mm_s: self.speed_mm_s,
            curvature_per_km: self.curvature_per_km,
        }
    }
}
