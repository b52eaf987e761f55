//! The time that certificates are judged by.

use rustls_pki_types::UnixTime;
use std::time::Duration;

use crate::base::MonoTime;

/// When a certificate has ended that is accepted now, at this time for certificates. It is counted by the monotonic clock from here on:
/// no setting of the wall clock ends what stands, or prolongs it.
// [WIRE-160]
pub(super) fn end_of(now: MonoTime, at: UnixTime, not_after: UnixTime) -> MonoTime {
    let left_s = not_after.as_secs().saturating_sub(at.as_secs());
    now + Duration::from_secs(left_s.saturating_add(1))
}

/// Wall clock, carried on by the monotonic one; never goes backwards.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WallClock {
    unix_ms: u64,
    noted_at: MonoTime,
    /// The newest reading, also one that lies before; 0 before the first.
    shown_ms: u64,
    shown_at: MonoTime,
}

impl WallClock {
    /// Notes a reading; one that lies before what is known already is ignored (a clock reset at boot must not make
    /// expired certificates valid).
    pub(super) fn on_reading(&mut self, now: MonoTime, unix_ms: u64) {
        if unix_ms >= self.unix_ms_at(now) {
            (self.unix_ms, self.noted_at) = (unix_ms, now);
        }
        (self.shown_ms, self.shown_at) = (unix_ms, now);
    }

    /// What the clock shows, for records; none before the first reading.
    pub(super) fn shown_ms(&self, now: MonoTime) -> Option<u64> {
        let passed = u64::try_from(now.since(self.shown_at).as_millis()).unwrap_or(u64::MAX);
        (self.shown_ms != 0).then(|| self.shown_ms.saturating_add(passed))
    }

    pub(super) fn at(&self, now: MonoTime) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_millis(self.unix_ms_at(now)))
    }

    fn unix_ms_at(&self, now: MonoTime) -> u64 {
        let passed = u64::try_from(now.since(self.noted_at).as_millis()).unwrap_or(u64::MAX);
        if self.unix_ms == 0 {
            0
        } else {
            self.unix_ms.saturating_add(passed)
        }
    }
}
