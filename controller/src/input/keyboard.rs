//! Driving with the terminal's keyboard.

use std::time::Duration;

use crossterm::event;
use longrein_proto::base::MonoTime;

use super::terminal::Terminal;
use super::{Controls, HeldKeys, InputError, KeyFact, PulseKeys, Reach};

/// Driving with the terminal's keyboard.
#[derive(Debug)]
pub struct Keyboard {
    mode: Mode,
    // Held for its drop, which makes the terminal as it was.
    _terminal: Terminal,
}

/// What the terminal's keys can be used for.
#[derive(Debug)]
enum Mode {
    /// The terminal tells releases.
    Held(HeldKeys),
    /// It does not.
    Pulse(PulseKeys),
}

impl Keyboard {
    /// The keyboard of this process's terminal, which is in raw mode until this is dropped. Asks the terminal what it can
    /// do, which takes up to 2 s with one that does not answer.
    ///
    /// # Errors
    /// [`InputError::NoTerminal`], [`InputError::Terminal`].
    pub fn open(reach: Reach) -> Result<Keyboard, InputError> {
        let terminal = Terminal::enter()?;
        let mode = match terminal.tells_releases() {
            true => Mode::Held(HeldKeys::new(reach)),
            false => Mode::Pulse(PulseKeys::new(reach)),
        };
        Ok(Keyboard {
            mode,
            _terminal: terminal,
        })
    }

    /// What the operator wants now; does not wait.
    ///
    /// # Errors
    /// [`InputError::Terminal`] when the terminal is gone.
    pub fn poll(&mut self, now: MonoTime) -> Result<Controls, InputError> {
        for _ in 0..EVENTS_MAX {
            if !event::poll(Duration::ZERO).map_err(InputError::Terminal)? {
                break;
            }
            let event = event::read().map_err(InputError::Terminal)?;
            let Some(fact) = KeyFact::from_event(&event) else {
                continue;
            };
            match &mut self.mode {
                Mode::Held(keys) => keys.on_fact(fact),
                Mode::Pulse(keys) => keys.on_fact(now, fact),
            }
        }
        Ok(match &mut self.mode {
            Mode::Held(keys) => keys.controls(now),
            Mode::Pulse(keys) => keys.controls(now),
        })
    }

    /// The keys, and what this terminal cannot do.
    pub fn notice(&self) -> String {
        match self.mode {
            Mode::Held(_) => {
                "hold SPACE (dead-man) and drive with arrows or WASD; SPACE+R resumes, \
                              Esc is the emergency stop, Q ends"
                    .to_string()
            }
            Mode::Pulse(_) => format!(
                "PULSE MODE, NO DEAD-MAN: this terminal does not tell when a key is released, so each press moves the \
                 vehicle for {} ms at {} mm/s at most. Arrows or WASD drive, SPACE halts, R resumes, Esc is the \
                 emergency stop, Q ends. Terminals with the kitty keyboard protocol have a dead-man.",
                PulseKeys::PULSE.as_millis(),
                PulseKeys::SPEED_MAX_MM_S
            ),
        }
    }
}

/// Events taken at once: more than fingers make in 20 ms, so that a flood from a paste does not hold up a command.
const EVENTS_MAX: usize = 64;
