//! What went over a path.

use std::time::Duration;

use crate::base::MonoTime;

/// Packets and bytes of a path, each way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traffic {
    pub(super) sent: Flow,
    pub(super) received: Flow,
    /// When the second that is being counted began.
    second: MonoTime,
}

/// Packets and bytes one way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flow {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    /// Packets of the last whole second.
    pub(super) packets_per_s: u32,
    this_second: u32,
}

impl Traffic {
    pub(super) const fn new(now: MonoTime) -> Traffic {
        let none = Flow {
            packets: 0,
            bytes: 0,
            packets_per_s: 0,
            this_second: 0,
        };
        Traffic {
            sent: none,
            received: none,
            second: now,
        }
    }

    /// It is this time: a second that is over is the last one.
    pub(super) fn turn(&mut self, now: MonoTime) {
        let passed = now.since(self.second);
        if passed < SECOND {
            return;
        }
        let is_next = passed < 2 * SECOND;
        for flow in [&mut self.sent, &mut self.received] {
            flow.packets_per_s = if is_next { flow.this_second } else { 0 };
            flow.this_second = 0;
        }
        self.second = if is_next { self.second + SECOND } else { now };
    }
}

impl Flow {
    pub(super) const fn count(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
        self.this_second = self.this_second.saturating_add(1);
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_us(ms * 1_000)
    }

    #[test]
    fn the_rate_is_that_of_the_last_whole_second_and_none_after_silence() {
        let mut traffic = Traffic::new(at(0));
        for ms in (0..1_000).step_by(100) {
            traffic.turn(at(ms));
            traffic.sent.count(50);
        }
        traffic.turn(at(1_500));
        assert_eq!(traffic.sent.packets_per_s, 10);
        assert_eq!(traffic.received.packets_per_s, 0);
        traffic.turn(at(9_000));
        assert_eq!(traffic.sent.packets_per_s, 0);
        assert_eq!((traffic.sent.packets, traffic.sent.bytes), (10, 500));
    }
}
