//! Why there is no driving input.

use std::io;
use std::path::PathBuf;

/// Why there is no driving input. After such an error the drive ends: nobody has a hand on the controls.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// Keyboard driving needs a terminal: use another input.
    #[error(
        "keyboard driving needs a terminal on stdin and stderr: run it in one, or use --gamepad or --input"
    )]
    NoTerminal,
    /// The terminal failed.
    #[error("the terminal failed: {0}")]
    Terminal(#[source] io::Error),
    /// No gamepad was found: connect one, or name its device.
    #[error(
        "no gamepad found in /dev/input: connect one (two sticks and shoulder buttons), or name its device with --gamepad DEVICE"
    )]
    NoGamepad,
    /// There are input devices that this user may not read.
    #[error(
        "no gamepad that you may read in /dev/input: add yourself to the group `input` and log in again, or name a device that you may read"
    )]
    NoPermission,
    /// The device is no gamepad.
    #[error("{} is no gamepad: it has no {missing}", .device.display())]
    NotAGamepad {
        /// The device.
        device: PathBuf,
        /// What it lacks.
        missing: &'static str,
    },
    /// The device cannot be read, or went away.
    #[error("{}: {source}", .device.display())]
    Device {
        /// The device.
        device: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The script cannot be read.
    #[error("{name}: {source}")]
    Script {
        /// File name, or `stdin`.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// The script is empty.
    #[error("{name} has no line: a script needs at least one, see `longrein drive --help`")]
    NoLine {
        /// File name, or `stdin`.
        name: String,
    },
    /// A line of the script is wrong.
    #[error("{name}, line {line}: {why}")]
    ScriptLine {
        /// File name, or `stdin`.
        name: String,
        /// From 1.
        line: u64,
        /// What is wrong.
        why: String,
    },
}
