//! Sealed envelopes that were dropped.

use crate::session::Rejection;

/// Sealed envelopes that were dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealCounters {
    /// Of sessions that are not known.
    pub unknown_sessions: u64,
    /// Whose seal did not open.
    pub forged: u64,
    /// Seen before: copies of other relays, and replays.
    pub replayed: u64,
    /// Below the replay window, or otherwise unusable.
    pub rejected: u64,
}

impl SealCounters {
    pub(super) fn count(&mut self, why: Rejection) {
        match why {
            Rejection::OtherSession => self.unknown_sessions += 1,
            Rejection::Forged | Rejection::UnknownKey => self.forged += 1,
            Rejection::Replayed => self.replayed += 1,
            Rejection::TooOld | Rejection::Malformed | Rejection::Busy | Rejection::Ended => {
                self.rejected += 1;
            }
        }
    }
}
