//! Driving with a gamepad.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use evdev::{AbsInfo, AbsoluteAxisCode, Device, EventSummary, KeyCode};

use super::{AxisRange, Controls, InputError, Reach, StickFact, StickState};

/// Driving with a gamepad: left stick drives, right stick steers, the right shoulder button is the dead-man.
pub struct Gamepad {
    path: PathBuf,
    device: Device,
    state: StickState,
}

impl Gamepad {
    /// The gamepad of this device, or the first one found.
    ///
    /// # Errors
    /// [`InputError::NoGamepad`], [`InputError::NoPermission`], [`InputError::NotAGamepad`], [`InputError::Device`].
    pub fn open(path: Option<&Path>, reach: Reach) -> Result<Gamepad, InputError> {
        let (path, device) = match path {
            Some(path) => {
                let device = Device::open(path).map_err(|source| lost(path, source))?;
                if let Some(missing) = missing(&device) {
                    let device = path.to_path_buf();
                    return Err(InputError::NotAGamepad { device, missing });
                }
                (path.to_path_buf(), device)
            }
            None => evdev::enumerate()
                .find(|(_, device)| missing(device).is_none())
                .ok_or_else(none_found)?,
        };
        device
            .set_nonblocking(true)
            .map_err(|source| lost(&path, source))?;
        Ok(Gamepad {
            path,
            device,
            state: StickState::new(reach),
        })
    }

    /// What the operator wants now; does not wait.
    ///
    /// What is held is asked of the device each time, so that no overheard release leaves the dead-man on; only what a short
    /// press wants is taken from its events.
    ///
    /// # Errors
    /// [`InputError::Device`] when the gamepad is gone.
    pub fn poll(&mut self) -> Result<Controls, InputError> {
        self.read().map_err(|source| lost(&self.path, source))?;
        Ok(self.state.controls())
    }

    fn read(&mut self) -> io::Result<()> {
        for _ in 0..BATCHES_MAX {
            match self.device.fetch_events() {
                Ok(events) => events
                    .filter_map(|event| short_press(&event.destructure()))
                    .for_each(|fact| self.state.on_fact(fact)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let held = self.device.get_key_state()?;
        for (axis, info) in self.device.get_absinfo()? {
            if let Some(fact) = deflection(axis, range(&info), info.value()) {
                self.state.on_fact(fact);
            }
        }
        self.state
            .on_fact(StickFact::DeadMan(held.contains(DEAD_MAN)));
        self.state.on_fact(StickFact::Resume(held.contains(RESUME)));
        Ok(())
    }

    /// The sticks and buttons.
    pub fn notice(&self) -> String {
        format!(
            "{} ({}): hold the right shoulder button (dead-man), left stick drives, right stick steers, Start resumes, \
             B is the emergency stop, Select ends",
            self.device.name().unwrap_or("gamepad"),
            self.path.display()
        )
    }
}

impl fmt::Debug for Gamepad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gamepad({})", self.path.display())
    }
}

/// What a button wants once that goes down.
fn short_press(event: &EventSummary) -> Option<StickFact> {
    let EventSummary::Key(_, button, 1) = event else {
        return None;
    };
    [(STOP, StickFact::Stop), (QUIT, StickFact::Quit)]
        .into_iter()
        .find_map(|(named, fact)| (named == *button).then_some(fact))
}

/// What the position of an axis means: devices count down and to the right, we count forward and to the left.
fn deflection(axis: AbsoluteAxisCode, range: AxisRange, value: i32) -> Option<StickFact> {
    match axis {
        SPEED => Some(StickFact::Speed(-range.deflection(value))),
        CURVATURE => Some(StickFact::Curvature(-range.deflection(value))),
        _ => None,
    }
}

fn range(info: &AbsInfo) -> AxisRange {
    AxisRange {
        minimum: info.minimum(),
        maximum: info.maximum(),
        flat: info.flat(),
    }
}

/// What the device lacks to be a gamepad.
fn missing(device: &Device) -> Option<&'static str> {
    let axes = |axis| {
        device
            .supported_absolute_axes()
            .is_some_and(|all| all.contains(axis))
    };
    let buttons = |button| {
        device
            .supported_keys()
            .is_some_and(|all| all.contains(button))
    };
    if !axes(SPEED) || !axes(CURVATURE) {
        Some("two sticks")
    } else if !buttons(DEAD_MAN) {
        Some("right shoulder button")
    } else if !buttons(STOP) {
        Some("B button")
    } else {
        None
    }
}

/// Why there is none among the devices that could be opened.
fn none_found() -> InputError {
    let devices = fs::read_dir("/dev/input").into_iter().flatten().flatten();
    let denied = devices
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("event"))
        .any(|entry| {
            fs::File::open(entry.path())
                .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
        });
    match denied {
        true => InputError::NoPermission,
        false => InputError::NoGamepad,
    }
}

fn lost(path: &Path, source: io::Error) -> InputError {
    InputError::Device {
        device: path.to_path_buf(),
        source,
    }
}

/// The left stick, up and down (names by Linux' gamepad specification, Documentation/input/gamepad.rst).
const SPEED: AbsoluteAxisCode = AbsoluteAxisCode::ABS_Y;
/// The right stick, left and right.
const CURVATURE: AbsoluteAxisCode = AbsoluteAxisCode::ABS_RX;
/// The upper right shoulder button.
const DEAD_MAN: KeyCode = KeyCode::BTN_TR;
const RESUME: KeyCode = KeyCode::BTN_START;
const STOP: KeyCode = KeyCode::BTN_EAST;
const QUIT: KeyCode = KeyCode::BTN_SELECT;
/// Reads of up to 32 events at once: a stick makes up to 1,000 events a second, a command is due every 20 ms.
const BATCHES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use evdev::{EventType, InputEvent};

    use super::*;

    const REACH: Reach = Reach {
        speed_max_mm_s: 2_000,
        curvature_max_per_km: 200,
    };
    const STICK: AxisRange = AxisRange {
        minimum: -32_768,
        maximum: 32_767,
        flat: 128,
    };

    #[test]
    fn up_is_forward_right_is_right_and_other_axes_are_nothing() {
        let at = |axis, value| deflection(axis, STICK, value);
        assert_eq!(at(SPEED, -32_768), Some(StickFact::Speed(1_000)));
        assert_eq!(at(CURVATURE, 32_767), Some(StickFact::Curvature(-1_000)));
        assert_eq!(at(AbsoluteAxisCode::ABS_Z, 255), None);
    }

    #[test]
    fn a_short_press_stops_and_its_release_is_nothing() {
        let key = |button: KeyCode, value| {
            short_press(&InputEvent::new(EventType::KEY.0, button.0, value).destructure())
        };
        assert_eq!(key(STOP, 1), Some(StickFact::Stop));
        assert_eq!(key(STOP, 0), None);
        assert_eq!(key(QUIT, 1), Some(StickFact::Quit));
        assert_eq!(key(DEAD_MAN, 1), None);
    }

    #[test]
    fn a_device_that_is_not_there_is_named() {
        let path = Path::new("/dev/input/event-none");
        let error = Gamepad::open(Some(path), REACH).unwrap_err().to_string();
        assert!(error.contains("/dev/input/event-none"), "{error}");
    }
}
