//! How often spans of time were how long.

use std::time::Duration;

/// Counts of spans of time by length, in fixed bounds: a record is a few comparisons and additions, and allocates nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// One for each bound, and one for what is longer than all of them.
    counts: [u64; Histogram::BOUNDS.len() + 1],
    sum_us: u64,
}

impl Histogram {
    /// Upper bounds, each within its count: from what a data centre takes to what nobody can drive with.
    pub const BOUNDS: [Duration; 12] = [
        Duration::from_millis(1),
        Duration::from_millis(2),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(15),
        Duration::from_millis(20),
        Duration::from_millis(30),
        Duration::from_millis(50),
        Duration::from_millis(100),
        Duration::from_millis(200),
        Duration::from_millis(500),
        Duration::from_secs(1),
    ];

    /// Counts a span.
    pub fn record(&mut self, span: Duration) {
        let place = Self::BOUNDS.partition_point(|bound| *bound < span);
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
        let us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// Counts all that another one counted.
    pub fn add(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// Spans counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All spans together.
    pub const fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us)
    }

    /// For each bound how many spans were not longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut so_far = 0;
        let bounds = Self::BOUNDS.into_iter().zip(self.counts);
        bounds.map(move |(bound, count)| {
            so_far += count;
            (bound, so_far)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_counts_at_its_bound_and_at_all_longer_ones() {
        let mut histogram = Histogram::default();
        for us in [0, 1_000, 1_001, 40_000, 2_000_000] {
            histogram.record(Duration::from_micros(us));
        }
        let up_to = |ms| {
            let bound = Duration::from_millis(ms);
            histogram.cumulative().find(|(at, _)| *at == bound)
        };
        assert_eq!(up_to(1), Some((Duration::from_millis(1), 2)));
        assert_eq!(up_to(2), Some((Duration::from_millis(2), 3)));
        assert_eq!(up_to(30).map(|(_, count)| count), Some(3));
        assert_eq!(up_to(1_000).map(|(_, count)| count), Some(4));
        assert_eq!(histogram.count(), 5);
        assert_eq!(histogram.sum(), Duration::from_micros(2_042_001));
    }

    #[test]
    fn two_of_them_add_up() {
        let (mut one, mut other) = (Histogram::default(), Histogram::default());
        one.record(Duration::from_millis(3));
        other.record(Duration::from_secs(9));
        one.add(&other);
        assert_eq!((one.count(), one.sum()), (2, Duration::from_millis(9_003)));
    }
}
