//! A point on a monotonic clock.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// Microseconds on one machine's monotonic clock (`CLOCK_BOOTTIME` in the programs, virtual in tests).
///
/// Points of different machines are never compared without a clock offset and its error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonoTime(u64);

impl MonoTime {
    /// The clock's origin.
    pub const ZERO: MonoTime = MonoTime(0);

    /// The point `us` microseconds after the clock's origin.
    pub const fn from_us(us: u64) -> Self {
        MonoTime(us)
    }

    /// Microseconds since the clock's origin.
    pub const fn as_us(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after.
    pub const fn since(self, earlier: MonoTime) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The point `span` before this one, not before the origin.
    pub fn before(self, span: Duration) -> MonoTime {
        MonoTime(self.0.saturating_sub(micros(span)))
    }
}

impl Add<Duration> for MonoTime {
    type Output = MonoTime;

    /// Saturates at the end of the clock's range (584,000 years).
    fn add(self, span: Duration) -> MonoTime {
        MonoTime(self.0.saturating_add(micros(span)))
    }
}

impl fmt::Display for MonoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}us", self.0)
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Four points of one exchange between two clocks: sent here, received there, sent there, received here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSample {
    /// When the question left, on this machine's clock.
    pub sent: MonoTime,
    /// When it arrived, on the far clock.
    pub far_received_us: u64,
    /// When the answer left, on the far clock.
    pub far_sent_us: u64,
    /// When the answer arrived, on this machine's clock.
    pub received: MonoTime,
}
