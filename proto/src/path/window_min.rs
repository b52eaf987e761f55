//! The smallest value of the recent past.

use std::time::Duration;

use crate::base::MonoTime;

/// Minimum over the last one to two spans, in two buckets: old values leave, so a new route or a drifting clock is
/// learned.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowMin<T> {
    span: Duration,
    current: Option<(MonoTime, T)>,
    previous: Option<T>,
}

impl<T: Copy + Ord> WindowMin<T> {
    pub(super) const fn new(span: Duration) -> WindowMin<T> {
        WindowMin {
            span,
            current: None,
            previous: None,
        }
    }

    pub(super) fn on_value(&mut self, now: MonoTime, value: T) {
        match &mut self.current {
            Some((began, least)) if now.since(*began) < self.span => *least = (*least).min(value),
            Some((began, least)) => {
                // After a silence of more than one span the bucket before it says nothing any more.
                let recent = now.since(*began) < self.span * 2;
                self.previous = recent.then_some(*least);
                self.current = Some((now, value));
            }
            None => self.current = Some((now, value)),
        }
    }

    pub(super) fn least(&self) -> Option<T> {
        let current = self.current.map(|(_, least)| least);
        current.into_iter().chain(self.previous).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_value_is_forgotten_after_two_spans() {
        let at = |s: u64| MonoTime::from_us(s * 1_000_000);
        let mut least = WindowMin::new(Duration::from_secs(10));
        least.on_value(at(0), 1);
        least.on_value(at(5), 9);
        assert_eq!(least.least(), Some(1));
        least.on_value(at(11), 8);
        assert_eq!(least.least(), Some(1));
        least.on_value(at(22), 7);
        assert_eq!(least.least(), Some(7));
    }
}
