//! Modes of autopilots, by the names that their documents use.

use super::config::MavlinkVehicle;

/// A mode as the autopilot numbers it: `custom_mode` of its HEARTBEAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    pub custom_mode: u32,
    /// PX4 packs a main and a sub mode into it.
    packed: bool,
}

impl Mode {
    /// The mode with this number.
    pub fn new(vehicle: Option<MavlinkVehicle>, custom_mode: u32) -> Mode {
        Mode {
            custom_mode,
            packed: vehicle == Some(MavlinkVehicle::Px4),
        }
    }

    /// The mode of this name.
    pub fn by_name(vehicle: MavlinkVehicle, name: &str) -> Option<Mode> {
        let mut modes = modes(vehicle).iter();
        let (_, custom_mode) = modes.find(|(known, _)| *known == name)?;
        Some(Mode::new(Some(vehicle), *custom_mode))
    }

    /// Parameters 2 and 3 of `MAV_CMD_DO_SET_MODE`.
    pub fn parameters(self) -> (f32, f32) {
        let [_, _, main, sub] = self.custom_mode.to_le_bytes();
        if self.packed {
            (f32::from(main), f32::from(sub))
        } else {
            // ArduPilot's numbers are small.
            let number = u16::try_from(self.custom_mode).unwrap_or(u16::MAX);
            (f32::from(number), 0.0)
        }
    }
}

/// The modes in which a vehicle of this kind comes to a stand, waits or goes home.
pub fn modes(vehicle: MavlinkVehicle) -> &'static [(&'static str, u32)] {
    match vehicle {
        // ArduPilot: `enum Mode::Number` in Rover/mode.h, ArduCopter/mode.h, ArduPlane/mode.h, ArduSub/mode.h.
        MavlinkVehicle::Rover => &[
            ("manual", 0),
            ("hold", 4),
            ("loiter", 5),
            ("rtl", 11),
            ("smart_rtl", 12),
        ],
        MavlinkVehicle::Copter => &[
            ("alt_hold", 2),
            ("loiter", 5),
            ("rtl", 6),
            ("land", 9),
            ("poshold", 16),
            ("brake", 17),
            ("smart_rtl", 21),
        ],
        MavlinkVehicle::Plane => &[
            ("circle", 1),
            ("rtl", 11),
            ("loiter", 12),
            ("qhover", 18),
            ("qloiter", 19),
            ("qland", 20),
            ("qrtl", 21),
        ],
        MavlinkVehicle::Sub => &[("alt_hold", 2), ("surface", 9), ("poshold", 16)],
        // PX4: main mode in bits 16..24, sub mode in bits 24..32 (px4_custom_mode.h).
        MavlinkVehicle::Px4 => &[
            ("posctl", 3 << 16),
            ("hold", 4 << 16 | 3 << 24),
            ("rtl", 4 << 16 | 5 << 24),
            ("land", 4 << 16 | 6 << 24),
        ],
    }
}
