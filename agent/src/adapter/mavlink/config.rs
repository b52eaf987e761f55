//! `mavlink` of the adapter `udp`.

use serde::{Deserialize, Serialize};

use super::mode::{Mode, modes};

/// What an autopilot is told when the stage leaves Nominal, and at an emergency stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MavlinkConfig {
    /// What `mode` names the modes of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vehicle: Option<MavlinkVehicle>,
    /// The agent's system id; ArduPilot takes channels only from its ground station's.
    pub system_id: u8,
    /// The agent's component id.
    pub component_id: u8,
    /// The autopilot's system id; of its first HEARTBEAT when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_system: Option<u8>,
    /// The autopilot's component id.
    pub target_component: u8,
    /// In Hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_hold: Option<MavlinkAction>,
    /// In Ramp; as in Hold when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_ramp: Option<MavlinkAction>,
    /// In MinimalRisk; as in Ramp when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_minimal_risk: Option<MavlinkAction>,
    /// While the emergency stop is latched; as in MinimalRisk when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_stop: Option<MavlinkAction>,
}

/// What kind of autopilot it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MavlinkVehicle {
    /// ArduPilot Rover.
    Rover,
    /// ArduPilot Copter.
    Copter,
    /// ArduPilot Plane.
    Plane,
    /// ArduPilot Sub.
    Sub,
    /// Any vehicle with PX4.
    Px4,
}

/// A mode to change to, values to hold, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MavlinkAction {
    /// The mode; told until the autopilot is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<ModeName>,
    /// Channels from the first on, in µs, told at the fixed rate; 0 leaves a channel alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<u16>,
    /// Sticks, told at the fixed rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manual: Option<MavlinkManual>,
}

/// A mode by its name or number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ModeName {
    /// As the autopilot's `custom_mode`.
    Number(u32),
    /// As its documents call it.
    Name(String),
}

/// Sticks, each -1000 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MavlinkManual {
    /// Forward.
    pub x: i16,
    /// To the right.
    pub y: i16,
    /// Thrust; 500 is the middle for many vehicles.
    pub z: i16,
    /// Turn to the right.
    pub r: i16,
}

impl Default for MavlinkConfig {
    fn default() -> MavlinkConfig {
        MavlinkConfig {
            vehicle: None,
            system_id: GROUND_STATION,
            component_id: ONBOARD_COMPUTER,
            target_system: None,
            target_component: AUTOPILOT,
            on_hold: None,
            on_ramp: None,
            on_minimal_risk: None,
            on_stop: None,
        }
    }
}

impl MavlinkConfig {
    /// The actions, from that in Hold on.
    pub(super) fn actions(&self) -> [Option<&MavlinkAction>; 4] {
        let (hold, ramp) = (&self.on_hold, &self.on_ramp);
        let (risk, stop) = (&self.on_minimal_risk, &self.on_stop);
        [hold, ramp, risk, stop].map(Option::as_ref)
    }

    /// The mode that an action names.
    pub(super) fn mode(&self, action: &MavlinkAction) -> Option<Mode> {
        match action.mode.as_ref()? {
            ModeName::Number(number) => Some(Mode::new(self.vehicle, *number)),
            ModeName::Name(name) => Mode::by_name(self.vehicle?, name),
        }
    }

    /// What is wrong, and what is allowed.
    ///
    /// # Errors
    /// The key and what it may be.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if self.actions().iter().all(Option::is_none) {
            let keys = "on_hold, on_ramp, on_minimal_risk and on_stop";
            return Err(("mavlink", format!("a table with at least one of {keys}")));
        }
        for action in self.actions().into_iter().flatten() {
            self.check_action(action)?;
        }
        Ok(())
    }

    fn check_action(&self, action: &MavlinkAction) -> Result<(), (&'static str, String)> {
        if *action == MavlinkAction::default() {
            let what = "mode, channels or manual".to_string();
            return Err(("mavlink on_...", what));
        }
        if action.mode.is_some() && self.mode(action).is_none() {
            let allowed = match self.vehicle {
                Some(vehicle) => {
                    let names = modes(vehicle).iter().map(|(name, _)| *name);
                    format!("a number, or {}", names.collect::<Vec<_>>().join(", "))
                }
                None => "a number, unless `vehicle` says whose names they are".to_string(),
            };
            return Err(("mavlink mode", allowed));
        }
        let is_channel = |value: &u16| *value == 0 || CHANNEL_US.contains(value);
        if action.channels.len() > CHANNELS_MAX || !action.channels.iter().all(is_channel) {
            let (min, max) = CHANNEL_US.into_inner();
            let allowed = format!("at most {CHANNELS_MAX} values of {min} to {max}, or 0");
            return Err(("mavlink channels", allowed));
        }
        let sticks = action.manual.map(|m| [m.x, m.y, m.z, m.r]);
        if !sticks.iter().flatten().all(|stick| STICK.contains(stick)) {
            return Err(("mavlink manual", "-1000 to 1000 each".to_string()));
        }
        Ok(())
    }
}

/// System id of ground stations, which ArduPilot listens to (`SYSID_MYGCS`).
const GROUND_STATION: u8 = 255;
/// `MAV_COMP_ID_ONBOARD_COMPUTER`: so that an operator's ground station is another component.
const ONBOARD_COMPUTER: u8 = 191;
/// `MAV_COMP_ID_AUTOPILOT1`.
const AUTOPILOT: u8 = 1;
/// Channels of `RC_CHANNELS_OVERRIDE` without extensions.
const CHANNELS_MAX: usize = 8;
/// What autopilots take as a pulse, in µs.
const CHANNEL_US: std::ops::RangeInclusive<u16> = 800..=2_200;
const STICK: std::ops::RangeInclusive<i16> = -1_000..=1_000;
