//! The machine's clocks.

use longrein_proto::base::MonoTime;
use rustix::time::{ClockId, Timespec, clock_gettime};
use rustls_pki_types::UnixTime;
use std::time::Duration;

/// The monotonic clock that also counts while the machine is suspended (`CLOCK_BOOTTIME`): a command that slept with the
/// machine is as old as it is.
pub fn now() -> MonoTime {
    MonoTime::from_us(micros(clock_gettime(ClockId::Boottime)))
}

/// Milliseconds since 1970 on the wall clock: for records and certificates only.
pub fn unix_ms() -> u64 {
    micros(clock_gettime(ClockId::Realtime)) / 1_000
}

/// The wall clock as certificate checks take it.
pub fn unix_time() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(unix_ms()))
}

/// Whether the wall clock is plainly wrong: no longrein existed before [`PLAUSIBLE_SINCE_S`].
pub fn looks_wrong(wall: UnixTime) -> bool {
    wall.as_secs() < PLAUSIBLE_SINCE_S
}

fn micros(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000)
        .saturating_add(nanos / 1_000)
}

/// Seconds since 1970: 1 January 2025. A machine without a clock battery starts in 1970 or at its image's build date.
pub const PLAUSIBLE_SINCE_S: u64 = 1_735_689_600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_does_not_go_back() {
        let first = now();
        assert!(now() >= first);
    }

    #[test]
    fn a_machine_without_a_clock_battery_is_noticed() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        assert!(looks_wrong(at(0)));
        assert!(!looks_wrong(at(PLAUSIBLE_SINCE_S)));
    }
}
