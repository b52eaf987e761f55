//! Which numbers of a flow were seen.

use crate::base::limits::REPLAY_WINDOW;

/// Remembers the newest [`REPLAY_WINDOW`] numbers of one flow.
///
/// Checking and marking are apart, because a number counts as seen only after its seal opened.
#[derive(Clone, Debug)]
pub struct ReplayWindow {
    /// Highest marked number; 0 before the first.
    highest: u64,
    /// Bit `number % REPLAY_WINDOW` of those not older than the window.
    bits: [u64; WORDS],
}

/// Why a number is not fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Replay {
    /// It was marked before.
    #[error("number was seen before")]
    Seen,
    /// It is older than the window, or 0, which is no number.
    #[error("number is older than the replay window")]
    TooOld,
}

impl ReplayWindow {
    /// A window in which every number from 1 is fresh.
    pub const fn new() -> ReplayWindow {
        ReplayWindow {
            highest: 0,
            bits: [0; WORDS],
        }
    }

    /// Highest marked number, 0 before the first.
    pub const fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether `number` is fresh. Changes nothing, so that a forged envelope cannot shadow the real one.
    ///
    /// # Errors
    /// When it was marked before, or is older than the window: drop it.
    // [WIRE-81]
    pub fn check(&self, number: u64) -> Result<(), Replay> {
        if number > self.highest {
            return Ok(());
        }
        if number == 0 || self.highest - number >= REPLAY_WINDOW {
            return Err(Replay::TooOld);
        }
        let (word, bit) = place(number);
        match self.bits.get(word) {
            Some(bits) if bits & bit == 0 => Ok(()),
            Some(_) | None => Err(Replay::Seen),
        }
    }

    /// Remembers `number`, whose seal has opened. A number older than the window stays unknown.
    pub fn mark(&mut self, number: u64) {
        if number > self.highest {
            let fresh = (number - self.highest).min(REPLAY_WINDOW);
            for skipped in (number - fresh + 1)..=number {
                let (word, bit) = place(skipped);
                if let Some(bits) = self.bits.get_mut(word) {
                    *bits &= !bit;
                }
            }
            self.highest = number;
        } else if self.highest - number >= REPLAY_WINDOW {
            return;
        }
        let (word, bit) = place(number);
        if let Some(bits) = self.bits.get_mut(word) {
            *bits |= bit;
        }
    }
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::new()
    }
}

/// Words of the bitmap: the window is a multiple of 64.
const WORDS: usize = 16;
const _: () = assert!(WORDS as u64 * 64 == REPLAY_WINDOW);

fn place(number: u64) -> (usize, u64) {
    let slot = number % REPLAY_WINDOW;
    let word = usize::try_from(slot / 64).expect("a slot is less than the window");
    (word, 1 << (slot % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zero_is_no_number_and_every_other_is_fresh_at_first() {
        let window = ReplayWindow::new();
        assert_eq!(window.check(0), Err(Replay::TooOld));
        assert_eq!(window.check(1), Ok(()));
        assert_eq!(window.check(u64::MAX), Ok(()));
    }

    #[test]
    fn checking_marks_nothing() {
        let window = ReplayWindow::new();
        assert_eq!(window.check(5), Ok(()));
        assert_eq!(window.check(5), Ok(()));
    }

    #[test]
    fn the_end_of_the_numbers_is_survived() {
        let mut window = ReplayWindow::new();
        window.mark(u64::MAX);
        assert_eq!(window.check(u64::MAX), Err(Replay::Seen));
        assert_eq!(window.check(u64::MAX - REPLAY_WINDOW + 1), Ok(()));
        assert_eq!(window.check(u64::MAX - REPLAY_WINDOW), Err(Replay::TooOld));
    }

    proptest! {
        // [WIRE-81]
        #[test]
        fn the_window_agrees_with_a_set_of_all_numbers(
            steps in prop::collection::vec((0_u64..4_000, any::<bool>(), 0_u64..64), 1..400),
        ) {
            let mut window = ReplayWindow::new();
            let mut seen = BTreeSet::new();
            let mut base = 0;
            for (jump, ahead, back) in steps {
                let number = if ahead { base + jump % 70 } else { (base + 40).saturating_sub(jump % 1_200 + back) };
                base = base.max(number);
                let highest = seen.last().copied().unwrap_or(0);
                let model = if number == 0 || number + REPLAY_WINDOW <= highest {
                    Err(Replay::TooOld)
                } else if seen.contains(&number) {
                    Err(Replay::Seen)
                } else {
                    Ok(())
                };
                prop_assert_eq!(window.check(number), model);
                if model.is_ok() && back % 5 != 0 {
                    window.mark(number);
                    seen.insert(number);
                }
            }
        }
    }
}
