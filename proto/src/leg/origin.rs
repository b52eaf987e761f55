//! Where a parcel comes from.

use std::time::Duration;

use super::Arrival;
use crate::base::limits::TRAIL_10US_MAX;
use crate::base::{Class, MonoTime};
use crate::wire::Trail;

/// Since when a leg's end holds a parcel, and where its time went before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// When the application made it, or it arrived at the relay.
    pub created: MonoTime,
    /// At a relay: how long its sender held it and how long it was on its way up, in units of 10 µs.
    pub upstream: Option<(u32, u32)>,
    /// At a relay: who sent it.
    pub source: Option<Source>,
    /// At a relay: it is held to its source's share of the room for `unordered` and `reliable` parcels.
    pub is_held_to_share: bool,
}

/// A relay's number for a node whose parcels it forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source(pub u64);

impl Origin {
    /// Of a parcel that this node makes.
    pub const fn here(created: MonoTime) -> Origin {
        Origin {
            created,
            upstream: None,
            source: None,
            is_held_to_share: false,
        }
    }

    /// Of a parcel of `source` that arrived at this relay and goes on.
    pub fn relayed(now: MonoTime, source: Source, arrival: &Arrival) -> Origin {
        Origin {
            created: now,
            upstream: Some((arrival.trail.sender_10us, tens_of_us(arrival.transit))),
            source: Some(source),
            is_held_to_share: false,
        }
    }

    /// Of whose share of an outbox's room a parcel of this class takes, if of any.
    // [WIRE-105] [WIRE-136]
    pub const fn share_of(&self, class: Class) -> Option<Source> {
        match class {
            Class::Stop => self.source,
            Class::Unordered | Class::Reliable if self.is_held_to_share => self.source,
            Class::Latest | Class::Unordered | Class::Reliable => None,
        }
    }

    /// The trail of a copy that is sent now.
    // [WIRE-55]
    pub fn trail(&self, now: MonoTime) -> Trail {
        let held = tens_of_us(now.since(self.created));
        match self.upstream {
            None => Trail {
                sender_10us: held,
                relayed: None,
            },
            Some((sender, up)) => Trail {
                sender_10us: sender.min(TRAIL_10US_MAX),
                relayed: Some((up.min(TRAIL_10US_MAX), held)),
            },
        }
    }
}

fn tens_of_us(span: Duration) -> u32 {
    u32::try_from(span.as_micros() / 10).map_or(TRAIL_10US_MAX, |tens| tens.min(TRAIL_10US_MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::PathId;

    #[test]
    fn a_trail_adds_up_over_the_relay_and_saturates() {
        // [WIRE-55]
        let ms = |ms| MonoTime::ZERO + Duration::from_millis(ms);
        let first = Origin::here(ms(100)).trail(ms(103));
        assert_eq!((first.sender_10us, first.relayed), (300, None));
        let arrival = Arrival {
            path: PathId(1),
            parcel: Arc::new([4]),
            trail: first,
            transit: Duration::from_millis(25),
        };
        let second = Origin::relayed(ms(9_000), Source(1), &arrival).trail(ms(9_001));
        assert_eq!(
            (second.sender_10us, second.relayed),
            (300, Some((2_500, 100)))
        );
        let late = Origin::here(ms(0)).trail(ms(10_000_000));
        assert_eq!(late.sender_10us, TRAIL_10US_MAX);
    }
}
