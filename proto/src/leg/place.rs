//! In which order parcels are sent.

use crate::base::Class;

/// A parcel's place in its outbox: the urgent classes first, in each the oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    rank: u8,
    serial: u64,
}

impl Place {
    /// The place of the `serial`th parcel.
    // [WIRE-54]
    pub(super) const fn new(class: Class, serial: u64) -> Place {
        let rank = match class {
            Class::Stop => 0,
            Class::Latest => 1,
            Class::Unordered => 2,
            Class::Reliable => 3,
        };
        Place { rank, serial }
    }

    /// The same of the hub's, whatever its class is: it is of less worth than what nodes say to each other.
    // [WIRE-54] [SAFE-138]
    pub(super) const fn of_hub(serial: u64) -> Place {
        Place { rank: 4, serial }
    }

    /// How urgent its class is where repeats are concerned: stops, then `latest`, then the rest.
    // [WIRE-54]
    pub(super) const fn urgency(self) -> u8 {
        if self.rank > 2 { 2 } else { self.rank }
    }

    /// Whether its class has a budget that it need not share: stops and `latest`.
    pub(super) const fn is_urgent(self) -> bool {
        self.rank < 2
    }
}
