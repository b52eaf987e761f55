//! A moment by both clocks.

use crate::base::MonoTime;

/// Now, by the clock that only counts, and by the one on the wall, which is for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Everything is timed by this.
    pub now: MonoTime,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
}
