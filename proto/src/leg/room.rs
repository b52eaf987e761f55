//! How much an outbox holds.

use std::collections::BTreeMap;

use super::Source;
use crate::base::Class;
use crate::base::limits::{
    OUTBOX_BYTES_MAX, OUTBOX_LATEST_MAX, OUTBOX_PARCELS_MAX, OUTBOX_STOPS_MAX,
    OUTBOX_STOPS_PER_SOURCE_MAX, PARCEL_BYTES_MAX,
};

/// The bound that refuses a parcel; everything that is queued stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overflow {
    /// As many unordered and reliable parcels wait as may.
    #[error("too many parcels wait")]
    Parcels,
    /// As many bytes of them wait as may.
    #[error("too many bytes wait")]
    Bytes,
    /// `latest` parcels of as many flows wait as may.
    #[error("latest parcels of too many flows wait")]
    Latest,
    /// As many stops wait as may.
    #[error("too many stops wait")]
    Stops,
    /// As many stops of one source wait as may.
    #[error("too many stops of one source wait")]
    StopsOfSource,
    /// No packet can carry it: it is too long, or its front is none of a parcel.
    #[error("no packet can carry this parcel")]
    Unfit,
}

/// What is taken of an outbox's room. Stops and `latest` parcels have room of their own, so that nothing else refuses them,
/// and no source takes all the room for stops from the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    stops: usize,
    /// Of these, those of each source.
    stops_of: BTreeMap<Source, usize>,
    latest: usize,
    plain: usize,
    plain_bytes: usize,
}

impl Room {
    /// Whether one more parcel fits.
    ///
    /// # Errors
    /// The bound that it would break.
    // [WIRE-57] [WIRE-105]
    pub(super) fn fits(
        &self,
        class: Class,
        source: Option<Source>,
        bytes: usize,
    ) -> Result<(), Overflow> {
        let of_source = source.and_then(|source| self.stops_of.get(&source));
        match class {
            Class::Stop if self.stops >= OUTBOX_STOPS_MAX => Err(Overflow::Stops),
            Class::Stop if of_source.is_some_and(|of| *of >= OUTBOX_STOPS_PER_SOURCE_MAX) => {
                Err(Overflow::StopsOfSource)
            }
            Class::Latest if self.latest >= OUTBOX_LATEST_MAX => Err(Overflow::Latest),
            Class::Stop | Class::Latest => Ok(()),
            Class::Unordered | Class::Reliable => {
                if self.plain >= PLAIN_PARCELS_MAX {
                    Err(Overflow::Parcels)
                } else if self.plain_bytes + bytes > PLAIN_BYTES_MAX {
                    Err(Overflow::Bytes)
                } else {
                    Ok(())
                }
            }
        }
    }

    /// A parcel comes.
    pub(super) fn take(&mut self, class: Class, source: Option<Source>, bytes: usize) {
        match class {
            Class::Stop => {
                self.stops += 1;
                if let Some(source) = source {
                    *self.stops_of.entry(source).or_default() += 1;
                }
            }
            Class::Latest => self.latest += 1,
            Class::Unordered | Class::Reliable => {
                self.plain += 1;
                self.plain_bytes += bytes;
            }
        }
    }

    /// It goes.
    pub(super) fn give_back(&mut self, class: Class, source: Option<Source>, bytes: usize) {
        match class {
            Class::Stop => {
                self.stops -= 1;
                if let Some(source) = source
                    && let Some(of_source) = self.stops_of.get_mut(&source)
                {
                    *of_source -= 1;
                    if *of_source == 0 {
                        self.stops_of.remove(&source);
                    }
                }
            }
            Class::Latest => self.latest -= 1,
            Class::Unordered | Class::Reliable => {
                self.plain -= 1;
                self.plain_bytes -= bytes;
            }
        }
    }
}

/// What is left beside the reserved room.
const PLAIN_PARCELS_MAX: usize = OUTBOX_PARCELS_MAX - OUTBOX_LATEST_MAX - OUTBOX_STOPS_MAX;
const PLAIN_BYTES_MAX: usize =
    OUTBOX_BYTES_MAX - (OUTBOX_LATEST_MAX + OUTBOX_STOPS_MAX) * PARCEL_BYTES_MAX;
