//! How soon a link that has come back is used.

use longrein_proto::base::MonoTime;
use std::time::Duration;

/// Has a link that comes and goes all the time wait: each time it is used costs a handshake with every relay, which the processor
/// has to do beside the commands of the other links.
#[derive(Debug, Default)]
pub(crate) struct Damper {
    came_at: Option<MonoTime>,
    pause: Duration,
}

impl Damper {
    /// The link is there (again); when to use it. At once, unless it came shortly before too.
    pub(crate) fn on_come(&mut self, now: MonoTime) -> MonoTime {
        let is_steady = self
            .came_at
            .is_none_or(|came| now.since(came) >= STEADY + self.pause);
        self.came_at = Some(now);
        self.pause = if is_steady {
            Duration::ZERO
        } else {
            (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX)
        };
        now + self.pause
    }

    /// Whether it came shortly before when it came last.
    pub(crate) fn is_at_work(&self) -> bool {
        !self.pause.is_zero()
    }
}

/// A link that stood this long is as good as new.
const STEADY: Duration = Duration::from_secs(5);
/// After it came for the second time.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest: one handshake with each relay a second.
const PAUSE_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(every: Duration, times: u32) -> Vec<u128> {
        let mut damper = Damper::default();
        let start = MonoTime::from_us(1);
        (0..times)
            .map(|time| {
                let now = start + every * time;
                damper.on_come(now).since(now).as_millis()
            })
            .collect()
    }

    #[test]
    fn a_link_that_comes_back_now_and_then_is_used_at_once() {
        assert_eq!(pauses(Duration::from_secs(7), 3), [0, 0, 0]);
    }

    #[test]
    fn a_link_that_flaps_is_used_once_a_second_at_most() {
        let got = pauses(Duration::from_millis(100), 8);
        assert_eq!(got, [0, 50, 100, 200, 400, 800, 1_000, 1_000]);
    }

    #[test]
    fn a_link_that_has_stopped_flapping_is_as_good_as_new() {
        let mut damper = Damper::default();
        let ms = |ms: u64| MonoTime::from_us(ms * 1_000);
        for n in 0..20 {
            damper.on_come(ms(n * 10));
        }
        assert_eq!(damper.on_come(ms(7_000)), ms(7_000));
    }
}
