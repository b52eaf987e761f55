//! How exact the emulator is.

use std::time::Duration;

/// How much later than they should packets were handed to their devices.
#[derive(Clone, Debug)]
pub struct Lateness {
    /// Packets by whole µs; the last place is for all that were later still.
    counts: Vec<u64>,
    max: Duration,
}

impl Lateness {
    pub(super) fn new() -> Lateness {
        Lateness {
            counts: vec![0; PLACES],
            max: Duration::ZERO,
        }
    }

    pub(super) fn note(&mut self, late: Duration) {
        let place = usize::try_from(late.as_micros()).unwrap_or(usize::MAX);
        self.counts[place.min(PLACES - 1)] += 1;
        self.max = self.max.max(late);
    }

    /// How many packets.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// This many of 1,000 packets were at most so late, in µs.
    pub fn at_us(&self, permille: u64) -> u64 {
        let wanted = (self.count() * permille).div_ceil(1_000);
        let mut seen = 0;
        let place = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        match place {
            Some(place) if place < PLACES - 1 => place as u64,
            Some(_) | None => self.max_us(),
        }
    }

    /// The latest, in µs.
    pub fn max_us(&self) -> u64 {
        u64::try_from(self.max.as_micros()).unwrap_or(u64::MAX)
    }
}

/// Up to 20 ms each µs has a place; what is later is told by its maximum.
const PLACES: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_told_to_the_microsecond() {
        let mut lateness = Lateness::new();
        for us in 1..=1_000 {
            lateness.note(Duration::from_micros(us));
        }
        assert_eq!(lateness.count(), 1_000);
        assert_eq!(lateness.at_us(500), 500);
        assert_eq!(lateness.at_us(999), 999);
        assert_eq!((lateness.at_us(1_000), lateness.max_us()), (1_000, 1_000));
    }

    #[test]
    fn what_is_beyond_the_places_is_told_by_its_maximum() {
        let mut lateness = Lateness::new();
        lateness.note(Duration::from_secs(3));
        assert_eq!(lateness.at_us(500), 3_000_000);
    }
}
