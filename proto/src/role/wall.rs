//! The time that certificates are judged by.

use rustls_pki_types::UnixTime;
use std::time::Duration;

use crate::base::MonoTime;

/// Wall clock, carried on by the monotonic one; never goes backwards.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WallClock {
    unix_ms: u64,
    noted_at: MonoTime,
}

impl WallClock {
    /// Notes a reading; one that lies before what is known already is ignored (a clock reset at boot must not make
    /// expired certificates valid).
    pub(super) fn on_reading(&mut self, now: MonoTime, unix_ms: u64) {
        if unix_ms >= self.unix_ms_at(now) {
            *self = WallClock {
                unix_ms,
                noted_at: now,
            };
        }
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
