//! Where driving input comes from: the keyboard, a gamepad or a script. Knows nothing of the network.
//!
//! Each source turns events and the time into [`Controls`] in a state machine without I/O ([`HeldKeys`], [`PulseKeys`],
//! [`StickState`], [`Playback`]); [`Input`] connects it with the terminal, the device or the file.

mod controls;
mod error;
mod gamepad;
mod held_keys;
mod key;
mod keyboard;
mod playback;
mod pulse_keys;
mod reach;
mod script;
mod source;
mod stick_state;
mod terminal;

pub use controls::Controls;
pub use error::InputError;
pub use gamepad::Gamepad;
pub use held_keys::HeldKeys;
pub use key::{Key, KeyFact};
pub use keyboard::Keyboard;
pub use playback::{Playback, ScriptLine};
pub use pulse_keys::PulseKeys;
pub use reach::Reach;
pub use script::Script;
pub use source::Input;
pub use stick_state::{AxisRange, StickFact, StickState};
