//! How much an outbox holds.

use std::collections::BTreeMap;

use super::{Origin, Source};
use crate::base::Class;
use crate::base::limits::{
    OUTBOX_BYTES_MAX, OUTBOX_LATEST_MAX, OUTBOX_PARCELS_MAX, OUTBOX_PLAIN_PER_SOURCE_MAX,
    OUTBOX_STOPS_MAX, OUTBOX_STOPS_PER_SOURCE_MAX, PARCEL_BYTES_MAX,
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
    /// As many unordered and reliable parcels of one source wait as may.
    #[error("too many parcels of one source wait")]
    ParcelsOfSource,
    /// No packet can carry it: it is too long, or its front is none of a parcel.
    #[error("no packet can carry this parcel")]
    Unfit,
}

/// What is taken of an outbox's room. Stops and `latest` parcels have room of their own, so that nothing else refuses them,
/// and no source takes all the room for stops from the others, nor, where it is held to its share, that for the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    stops: usize,
    /// Of these, those of each source.
    stops_of: Shares,
    latest: usize,
    plain: usize,
    /// Of these, those of each source that is held to its share.
    plain_of: Shares,
    plain_bytes: usize,
}

/// How many parcels each source has.
type Shares = BTreeMap<Source, usize>;

impl Room {
    /// Whether one more parcel fits.
    ///
    /// # Errors
    /// The bound that it would break.
    // [WIRE-57] [WIRE-105] [WIRE-136]
    pub(super) fn fits(&self, class: Class, origin: &Origin, bytes: usize) -> Result<(), Overflow> {
        let share = origin.share_of(class);
        let has = |shares: &Shares| share.and_then(|source| shares.get(&source).copied());
        match class {
            Class::Stop if self.stops >= OUTBOX_STOPS_MAX => Err(Overflow::Stops),
            Class::Stop if has(&self.stops_of) >= Some(OUTBOX_STOPS_PER_SOURCE_MAX) => {
                Err(Overflow::StopsOfSource)
            }
            Class::Latest if self.latest >= OUTBOX_LATEST_MAX => Err(Overflow::Latest),
            Class::Stop | Class::Latest => Ok(()),
            Class::Unordered | Class::Reliable => {
                if has(&self.plain_of) >= Some(OUTBOX_PLAIN_PER_SOURCE_MAX) {
                    Err(Overflow::ParcelsOfSource)
                } else if self.plain >= PLAIN_PARCELS_MAX {
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
    pub(super) fn take(&mut self, class: Class, origin: &Origin, bytes: usize) {
        let share = origin.share_of(class);
        match class {
            Class::Stop => {
                self.stops += 1;
                one_more(&mut self.stops_of, share);
            }
            Class::Latest => self.latest += 1,
            Class::Unordered | Class::Reliable => {
                self.plain += 1;
                self.plain_bytes += bytes;
                one_more(&mut self.plain_of, share);
            }
        }
    }

    /// It goes.
    pub(super) fn give_back(&mut self, class: Class, origin: &Origin, bytes: usize) {
        let share = origin.share_of(class);
        match class {
            Class::Stop => {
                self.stops -= 1;
                one_less(&mut self.stops_of, share);
            }
            Class::Latest => self.latest -= 1,
            Class::Unordered | Class::Reliable => {
                self.plain -= 1;
                self.plain_bytes -= bytes;
                one_less(&mut self.plain_of, share);
            }
        }
    }
}

fn one_more(shares: &mut Shares, source: Option<Source>) {
    if let Some(source) = source {
        *shares.entry(source).or_default() += 1;
    }
}

fn one_less(shares: &mut Shares, source: Option<Source>) {
    if let Some(source) = source
        && let Some(share) = shares.get_mut(&source)
    {
        *share -= 1;
        if *share == 0 {
            shares.remove(&source);
        }
    }
}

/// What is left beside the reserved room.
const PLAIN_PARCELS_MAX: usize = OUTBOX_PARCELS_MAX - OUTBOX_LATEST_MAX - OUTBOX_STOPS_MAX;
const PLAIN_BYTES_MAX: usize =
    OUTBOX_BYTES_MAX - (OUTBOX_LATEST_MAX + OUTBOX_STOPS_MAX) * PARCEL_BYTES_MAX;
