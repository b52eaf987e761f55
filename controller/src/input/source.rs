//! A source of driving input.

use std::path::Path;
use std::time::Duration;

use longrein_proto::base::MonoTime;

use super::{Controls, Gamepad, InputError, Keyboard, Reach, Script};

/// A source of driving input. [`Input::poll`] is called every [`Input::PERIOD`] and never waits.
#[derive(Debug)]
pub enum Input {
    /// The terminal's keyboard.
    Keyboard(Keyboard),
    /// A gamepad.
    Gamepad(Box<Gamepad>),
    /// Recorded input.
    Script(Script),
}

impl Input {
    /// Time between two commands: 50 Hz, the rate of MAVLink's manual control.
    pub const PERIOD: Duration = Duration::from_millis(20);

    /// The keyboard of this process's terminal, which is in raw mode until the input is dropped.
    ///
    /// # Errors
    /// [`InputError::NoTerminal`], [`InputError::Terminal`].
    pub fn keyboard(reach: Reach) -> Result<Input, InputError> {
        Keyboard::open(reach).map(Input::Keyboard)
    }

    /// The gamepad of this device, or the first one found.
    ///
    /// # Errors
    /// [`InputError::NoGamepad`], [`InputError::NoPermission`], [`InputError::NotAGamepad`], [`InputError::Device`].
    pub fn gamepad(device: Option<&Path>, reach: Reach) -> Result<Input, InputError> {
        Gamepad::open(device, reach).map(|gamepad| Input::Gamepad(Box::new(gamepad)))
    }

    /// JSON lines from a file, or from stdin for `-`.
    ///
    /// # Errors
    /// [`InputError::Script`].
    pub fn script(path: &Path, reach: Reach) -> Result<Input, InputError> {
        Script::open(path, reach).map(Input::Script)
    }

    /// What the operator wants now.
    ///
    /// # Errors
    /// When the source is gone or what it says is wrong: the drive ends.
    pub fn poll(&mut self, now: MonoTime) -> Result<Controls, InputError> {
        match self {
            Input::Keyboard(keyboard) => keyboard.poll(now),
            Input::Gamepad(gamepad) => gamepad.poll(),
            Input::Script(script) => script.poll(now),
        }
    }

    /// What the operator has to know before driving: the keys, and what this source cannot do.
    pub fn notice(&self) -> String {
        match self {
            Input::Keyboard(keyboard) => keyboard.notice(),
            Input::Gamepad(gamepad) => gamepad.notice(),
            Input::Script(script) => script.notice(),
        }
    }
}
