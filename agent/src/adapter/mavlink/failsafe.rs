//! Which MAVLink messages are due. Knows no sockets; time is passed in.

use std::time::Duration;

use longrein_proto::base::{MonoTime, Stage};
use longrein_proto::control::Output;
use mavlink::dialects::common::{
    COMMAND_ACK_DATA, COMMAND_LONG_DATA, HEARTBEAT_DATA, MANUAL_CONTROL_DATA, MavAutopilot, MavCmd,
    MavMessage, MavModeFlag, MavResult, MavType, RC_CHANNELS_OVERRIDE_DATA,
};
use mavlink::{MAVLinkMessageRaw, MAVLinkV2MessageRaw, MavHeader, MavlinkReader, MessageData};

use super::config::{MavlinkAction, MavlinkConfig};
use super::mode::Mode;

/// Tells an autopilot what the configuration has for a stage or a stop: the mode until it is in it, values at the fixed rate.
// [SAFE-136]
#[derive(Debug)]
pub struct Failsafe {
    config: MavlinkConfig,
    /// The autopilot, as its HEARTBEAT says; everybody until then.
    target_system: u8,
    sequence: u8,
    /// The place of the action that is in force.
    acting: Option<usize>,
    change: Option<Change>,
    /// How often channels are still to be given back.
    releases: u8,
}

/// A change of mode that is under way.
#[derive(Clone, Copy, Debug)]
struct Change {
    mode: Mode,
    due: MonoTime,
    tries: u8,
    acknowledged: bool,
    refused: bool,
}

impl Failsafe {
    /// Nothing is told yet.
    pub fn new(config: MavlinkConfig) -> Failsafe {
        Failsafe {
            target_system: config.target_system.unwrap_or(EVERYBODY),
            config,
            sequence: 0,
            acting: None,
            change: None,
            releases: 0,
        }
    }

    /// The messages that are due now; called at the fixed rate, and at once when stage or stop change.
    pub fn on_output(&mut self, now: MonoTime, output: &Output) -> Vec<Vec<u8>> {
        let acting = self.place(output);
        if acting != self.acting {
            let held = self
                .action()
                .is_some_and(|action| !action.channels.is_empty());
            self.acting = acting;
            let action = self.action().cloned().unwrap_or_default();
            self.releases = if held && action.channels.is_empty() {
                RELEASES
            } else {
                0
            };
            self.change = self.config.mode(&action).map(|mode| Change {
                mode,
                due: now,
                tries: 0,
                acknowledged: false,
                refused: false,
            });
        }
        let mut messages = Vec::new();
        messages.extend(self.mode_command(now));
        messages.extend(self.held_values());
        messages
    }

    /// A datagram came from the autopilot.
    pub fn on_datagram(&mut self, datagram: &[u8]) {
        let mut reader = MavlinkReader::new(datagram);
        // Ends with the datagram: each frame takes some of it.
        while let Ok(frame) = reader.read_any_raw_message::<MavMessage>() {
            match frame.message_id() {
                HEARTBEAT_DATA::ID => self.on_heartbeat(&frame),
                COMMAND_ACK_DATA::ID => self.on_acknowledgement(&frame),
                _ => {}
            }
        }
    }

    /// The place of what the configuration has for this: an action that is not there is that of the stage before.
    fn place(&self, output: &Output) -> Option<usize> {
        let wanted = match (output.stopped, output.stage) {
            (true, _) => 3,
            (false, Stage::MinimalRisk) => 2,
            (false, Stage::Ramp) => 1,
            (false, Stage::Hold) => 0,
            (false, Stage::Nominal) => return None,
        };
        let actions = self.config.actions();
        (0..=wanted).rfind(|place| actions.get(*place).is_some_and(Option::is_some))
    }

    fn action(&self) -> Option<&MavlinkAction> {
        self.config.actions().get(self.acting?).copied().flatten()
    }

    fn mode_command(&mut self, now: MonoTime) -> Option<Vec<u8>> {
        let change = self.change.as_mut().filter(|change| change.due <= now)?;
        change.tries = change.tries.saturating_add(1);
        let hurry = !change.acknowledged && !change.refused && change.tries < HURRIED_TRIES;
        change.due = now + if hurry { AGAIN_SOON } else { AGAIN_LATER };
        let (param2, param3) = change.mode.parameters();
        let command = COMMAND_LONG_DATA {
            target_system: self.target_system,
            target_component: self.config.target_component,
            command: MavCmd::MAV_CMD_DO_SET_MODE,
            confirmation: change.tries - 1,
            param1: CUSTOM_MODE,
            param2,
            param3,
            ..COMMAND_LONG_DATA::default()
        };
        Some(self.frame(&command))
    }

    fn held_values(&mut self) -> Vec<Vec<u8>> {
        let action = self.action().cloned().unwrap_or_default();
        let mut messages = Vec::new();
        if !action.channels.is_empty() {
            messages.push(self.channels(|place| match action.channels.get(place) {
                Some(0) | None => CHANNEL_IGNORED,
                Some(value) => *value,
            }));
        } else if self.releases > 0 {
            self.releases -= 1;
            messages.push(self.channels(|_| CHANNEL_RELEASED));
        }
        if let Some(manual) = action.manual {
            let sticks = MANUAL_CONTROL_DATA {
                target: self.target_system,
                x: manual.x,
                y: manual.y,
                z: manual.z,
                r: manual.r,
                ..MANUAL_CONTROL_DATA::default()
            };
            messages.push(self.frame(&sticks));
        }
        messages
    }

    fn channels(&mut self, value: impl Fn(usize) -> u16) -> Vec<u8> {
        let channels = RC_CHANNELS_OVERRIDE_DATA {
            target_system: self.target_system,
            target_component: self.config.target_component,
            chan1_raw: value(0),
            chan2_raw: value(1),
            chan3_raw: value(2),
            chan4_raw: value(3),
            chan5_raw: value(4),
            chan6_raw: value(5),
            chan7_raw: value(6),
            chan8_raw: value(7),
        };
        self.frame(&channels)
    }

    fn frame(&mut self, data: &impl MessageData) -> Vec<u8> {
        let header = MavHeader {
            system_id: self.config.system_id.into(),
            component_id: self.config.component_id,
            sequence: self.sequence,
        };
        self.sequence = self.sequence.wrapping_add(1);
        let mut frame = MAVLinkV2MessageRaw::new();
        frame.serialize_message_data(header, data);
        frame.raw_bytes().to_vec()
    }

    fn on_heartbeat(&mut self, frame: &MAVLinkMessageRaw) {
        let Ok(heartbeat) = HEARTBEAT_DATA::deser(frame.version(), frame.payload()) else {
            return;
        };
        let Some(system) = self.autopilot(frame) else {
            return;
        };
        if heartbeat.autopilot == MavAutopilot::MAV_AUTOPILOT_INVALID
            || heartbeat.mavtype == MavType::MAV_TYPE_GCS
        {
            return;
        }
        self.target_system = system;
        let custom = MavModeFlag::MAV_MODE_FLAG_CUSTOM_MODE_ENABLED;
        let is_in = |change: &Change| {
            change.tries > 0
                && heartbeat.base_mode.contains(custom)
                && heartbeat.custom_mode == change.mode.custom_mode
        };
        // From here on a pilot at the vehicle may change it: that is not fought.
        self.change = self.change.filter(|change| !is_in(change));
    }

    /// The command before may have been the operator's: the HEARTBEAT has the last word.
    fn on_acknowledgement(&mut self, frame: &MAVLinkMessageRaw) {
        let Ok(answer) = COMMAND_ACK_DATA::deser(frame.version(), frame.payload()) else {
            return;
        };
        let is_ours =
            answer.command == MavCmd::MAV_CMD_DO_SET_MODE && self.autopilot(frame).is_some();
        let Some(change) = self
            .change
            .as_mut()
            .filter(|change| is_ours && change.tries > 0)
        else {
            return;
        };
        let result = answer.result;
        if result == MavResult::MAV_RESULT_ACCEPTED {
            change.acknowledged = true;
        } else if result != MavResult::MAV_RESULT_IN_PROGRESS
            && !std::mem::replace(&mut change.refused, true)
        {
            let mode = change.mode.custom_mode;
            tracing::warn!(mode, ?result, "autopilot refuses the mode of its fail-safe");
        }
    }

    /// Who sent it, when that is the autopilot.
    fn autopilot(&self, frame: &MAVLinkMessageRaw) -> Option<u8> {
        let system = u8::try_from(frame.system_id()).ok()?;
        let known = self.target_system == EVERYBODY || self.target_system == system;
        (known && frame.component_id() == self.config.target_component).then_some(system)
    }
}

/// Target system of a message for everybody.
const EVERYBODY: u8 = 0;
/// `MAV_MODE_FLAG_CUSTOM_MODE_ENABLED`, as a parameter.
const CUSTOM_MODE: f32 = 1.0;
/// Between tries of a mode that is not acknowledged: above the round trip of a serial line.
const AGAIN_SOON: Duration = Duration::from_millis(100);
/// Tries in such a hurry.
const HURRIED_TRIES: u8 = 20;
/// Between the others, as long as the stage lasts and the autopilot says that it is in another mode.
const AGAIN_LATER: Duration = Duration::from_secs(1);
/// Value of a channel that a message leaves as it is.
const CHANNEL_IGNORED: u16 = u16::MAX;
/// Value of a channel that goes back to the pilot at the vehicle.
const CHANNEL_RELEASED: u16 = 0;
/// Messages that give channels back: a datagram on a serial line may be lost.
const RELEASES: u8 = 5;

#[cfg(test)]
mod tests;
