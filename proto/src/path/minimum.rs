//! The least value of the recent past.

use std::time::Duration;

use crate::base::MonoTime;

/// The least value of the last [`HALF_WINDOW`] to twice that. It forgets, because routes change and clocks drift.
#[derive(Clone, Debug)]
pub(super) struct Minimum<T> {
    began: MonoTime,
    current: Option<T>,
    previous: Option<T>,
}

impl<T: Copy + Ord> Minimum<T> {
    pub(super) const fn new(now: MonoTime) -> Minimum<T> {
        Minimum {
            began: now,
            current: None,
            previous: None,
        }
    }

    /// Takes a value in and returns the least one with it.
    pub(super) fn observe(&mut self, now: MonoTime, value: T) -> T {
        let age = now.since(self.began);
        if age >= HALF_WINDOW {
            self.previous = self.current.take().filter(|_| age < HALF_WINDOW * 2);
            self.began = now;
        }
        let current = self.current.map_or(value, |least| least.min(value));
        self.current = Some(current);
        self.previous.map_or(current, |least| least.min(current))
    }

    /// The least value, if there was one.
    pub(super) fn value(&self) -> Option<T> {
        self.current.into_iter().chain(self.previous).min()
    }
}

/// A base delay is the least of the last 15 to 30 s.
const HALF_WINDOW: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_value_is_kept_for_15_to_30_seconds() {
        let at = |s| MonoTime::ZERO + Duration::from_secs(s);
        let mut minimum = Minimum::new(at(0));
        assert_eq!(minimum.value(), None);
        assert_eq!(minimum.observe(at(1), 5), 5);
        assert_eq!(minimum.observe(at(2), 9), 5);
        assert_eq!(minimum.observe(at(16), 9), 5);
        assert_eq!(minimum.observe(at(29), 8), 5);
        assert_eq!(minimum.observe(at(32), 9), 8);
        assert_eq!(minimum.observe(at(90), 9), 9);
        assert_eq!(minimum.value(), Some(9));
    }
}
