//! Whether the thread that runs the watchdogs still turns, as seen from outside.

use std::time::Duration;

use crate::base::MonoTime;

/// Looks at the newest turn of the control thread from another thread, every [`Progress::LOOK_INTERVAL`].
///
/// It counts looks and not time: while the process was stopped or the machine slept, both threads were.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    turn: Option<MonoTime>,
    looks_in_vain: u32,
}

impl Progress {
    /// Between two looks.
    pub const LOOK_INTERVAL: Duration = Duration::from_millis(100);
    /// Looks without a turn until the thread is stuck: a second, a hundred times its tick, which no load explains.
    pub const LOOKS_IN_VAIN_MAX: u32 = 10;

    /// Looks at when the newest turn was; false when the thread is stuck (SAFE-70).
    pub fn on_look(&mut self, turn: MonoTime) -> bool {
        if self.turn.replace(turn) == Some(turn) {
            self.looks_in_vain = self.looks_in_vain.saturating_add(1);
        } else {
            self.looks_in_vain = 0;
        }
        self.looks_in_vain < Self::LOOKS_IN_VAIN_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_us(ms * 1_000)
    }

    /// SAFE-70
    #[test]
    fn a_thread_without_a_turn_in_ten_looks_is_stuck() {
        let mut progress = Progress::default();
        for _ in 0..10 {
            assert!(progress.on_look(at(7)));
        }
        assert!(!progress.on_look(at(7)));
    }

    /// SAFE-70
    #[test]
    fn any_turn_between_looks_is_progress_however_long_ago() {
        let mut progress = Progress::default();
        for ms in 0..100 {
            assert!(progress.on_look(at(ms / 9)));
        }
    }
}
