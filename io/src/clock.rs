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

/// The wall clock as certificate checks take it; a fleet knows when it is behind.
pub fn unix_time() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(unix_ms()))
}

fn micros(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000)
        .saturating_add(nanos / 1_000)
}

/// Seconds since 1970: it was later than this when the program was built. `SOURCE_DATE_EPOCH` of the build says it, as it does for
/// distributions whose builds can be repeated; without it this is the day of the last release.
pub const BUILT_S: u64 = match option_env!("SOURCE_DATE_EPOCH") {
    Some(text) => match u64::from_str_radix(text, 10) {
        Ok(built_s) if built_s > RELEASED_S => built_s,
        Ok(_) | Err(_) => RELEASED_S,
    },
    None => RELEASED_S,
};

/// 1 November 2026; it moves with each release.
const RELEASED_S: u64 = 1_793_491_200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_does_not_go_back() {
        let first = now();
        assert!(now() >= first);
    }
}
