//! The terminal in raw mode.

use std::io::{self, IsTerminal};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::event::{
    DisableFocusChange, EnableFocusChange, KeyboardEnhancementFlags, PopKeyboardEnhancementFlags,
    PushKeyboardEnhancementFlags,
};
use crossterm::{execute, terminal};

use super::InputError;

/// The terminal in raw mode, with key releases where it can tell them. As it was before when this is dropped, and before a
/// panic is reported. What is written meanwhile needs `\r\n`.
#[derive(Debug)]
pub struct Terminal {
    tells_releases: bool,
}

impl Terminal {
    /// Puts the terminal of stdin and stderr into raw mode.
    ///
    /// # Errors
    /// [`InputError::NoTerminal`] when either is something else, [`InputError::Terminal`] when the terminal refuses.
    pub fn enter() -> Result<Terminal, InputError> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(InputError::NoTerminal);
        }
        restore_on_panic();
        terminal::enable_raw_mode().map_err(InputError::Terminal)?;
        RAW.store(true, Ordering::SeqCst);
        // A terminal that does not answer the question has no releases to tell.
        let tells_releases = terminal::supports_keyboard_enhancement().unwrap_or(false);
        let entered = Terminal { tells_releases };
        if tells_releases {
            RELEASES.store(true, Ordering::SeqCst);
            execute!(
                io::stderr(),
                PushKeyboardEnhancementFlags(
                    KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES
                        | KeyboardEnhancementFlags::REPORT_EVENT_TYPES
                        | KeyboardEnhancementFlags::REPORT_ALL_KEYS_AS_ESCAPE_CODES
                ),
            )
            .map_err(InputError::Terminal)?;
        }
        execute!(io::stderr(), EnableFocusChange).map_err(InputError::Terminal)?;
        Ok(entered)
    }

    /// Whether the terminal tells when a key goes up (the kitty keyboard protocol).
    pub fn tells_releases(&self) -> bool {
        self.tells_releases
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Makes the terminal as it was; does nothing the second time.
fn restore() {
    if !RAW.swap(false, Ordering::SeqCst) {
        return;
    }
    // Nobody can be told when the terminal is gone.
    if RELEASES.swap(false, Ordering::SeqCst) {
        execute!(io::stderr(), PopKeyboardEnhancementFlags).ok();
    }
    execute!(io::stderr(), DisableFocusChange).ok();
    terminal::disable_raw_mode().ok();
}

/// A panic's message is to be read, also when it comes from another thread.
fn restore_on_panic() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            restore();
            before(info);
        }));
    });
}

/// A process has one terminal, and a panic may come from any thread: so this is the process's.
static RAW: AtomicBool = AtomicBool::new(false);
static RELEASES: AtomicBool = AtomicBool::new(false);
