//! Whether a message is still worth delivering.

use std::time::Duration;

use super::{Age, FarClock};
use crate::base::{Channel, Class, Flow, MonoTime};

/// What a message says of its own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    /// Sealed sending time, on the far clock.
    pub sent_at_us: u64,
    /// Sealed time to live.
    pub ttl: Duration,
    /// When it arrived here (its first fragment, when it was cut).
    pub arrived: MonoTime,
}

/// The judgement at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Deliver it.
    Deliver {
        /// None when the far clock is unknown.
        age: Option<Age>,
        /// On the local clock, as early as it can be.
        deadline: MonoTime,
    },
    /// Its time to live may be over.
    Expired,
    /// Its age is unknown, and it is none of those that may be delivered nevertheless.
    NoClock,
}

impl Timing {
    /// Judges a message of `flow` at `now`.
    ///
    /// The session's own channel is delivered without a clock, because it brings the clock. Its `latest` flow, the beats,
    /// is never too old: a beat is the only cure for a clock that was stepped, and makes every message look expired.
    // [WIRE-92] [WIRE-93] [WIRE-94]
    pub(super) fn judge(self, now: MonoTime, clock: &FarClock, flow: Flow) -> Verdict {
        let age = clock.age(now, self.sent_at_us);
        let latest = self.deadline_by_arrival();
        let deadline = match age {
            Some(age) => latest.min(now + self.ttl.saturating_sub(age.upper())),
            None => latest,
        };
        if flow == BEATS {
            return Verdict::Deliver { age, deadline };
        }
        let may_be_over = age.is_some_and(|age| age.upper() >= self.ttl);
        if now >= latest || may_be_over {
            return Verdict::Expired;
        }
        let needs_clock = flow.channel != Channel::SESSION && flow.class != Class::Stop;
        if age.is_none() && needs_clock {
            return Verdict::NoClock;
        }
        Verdict::Deliver { age, deadline }
    }

    /// When it is over whatever the far clock says: it was sent before it arrived.
    pub(super) fn deadline_by_arrival(self) -> MonoTime {
        self.arrived + self.ttl
    }
}

/// The flow of the beats.
pub(super) const BEATS: Flow = Flow::new(Channel::SESSION, Class::Latest);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ClockSample;

    const DRIVE: Channel = Channel::new(1).unwrap();

    fn ms(ms: u64) -> MonoTime {
        MonoTime::from_us(ms * 1_000)
    }

    /// The far clock is equal to ours, known within 5 ms.
    fn clock() -> FarClock {
        let mut clock = FarClock::new();
        clock.on_sample(ClockSample {
            sent: ms(0),
            far_received_us: 5_000,
            far_sent_us: 5_000,
            received: ms(10),
        });
        clock
    }

    fn sent_at(at_ms: u64, arrived_ms: u64) -> Timing {
        Timing {
            sent_at_us: at_ms * 1_000,
            ttl: Duration::from_millis(100),
            arrived: ms(arrived_ms),
        }
    }

    // [WIRE-92]
    #[test]
    fn a_message_expires_when_age_and_error_reach_its_time_to_live() {
        let flow = Flow::new(DRIVE, Class::Latest);
        let message = sent_at(20, 30);
        let Verdict::Deliver {
            age: Some(age),
            deadline,
        } = message.judge(ms(110), &clock(), flow)
        else {
            panic!("90 ms old within 5 ms");
        };
        assert!(age.age <= Duration::from_millis(90) && age.error >= Duration::from_millis(5));
        assert!(deadline < ms(115) && deadline > ms(114), "{deadline}");
        assert_eq!(message.judge(ms(115), &clock(), flow), Verdict::Expired);
    }

    // [WIRE-93]
    #[test]
    fn without_a_clock_only_the_session_channel_and_stops_are_delivered() {
        let none = FarClock::new();
        for channel in [Channel::SESSION, DRIVE] {
            for class in Class::ALL {
                let verdict = sent_at(20, 30).judge(ms(30), &none, Flow::new(channel, class));
                if channel == Channel::SESSION || class == Class::Stop {
                    let deliver = Verdict::Deliver {
                        age: None,
                        deadline: ms(130),
                    };
                    assert_eq!(verdict, deliver, "{class:?}");
                } else {
                    assert_eq!(verdict, Verdict::NoClock, "{class:?}");
                }
            }
        }
    }

    // [WIRE-92]
    #[test]
    fn a_message_expires_by_its_arrival_even_without_a_clock() {
        let verdict =
            sent_at(20, 30).judge(ms(130), &FarClock::new(), Flow::new(DRIVE, Class::Stop));
        assert_eq!(verdict, Verdict::Expired);
    }

    // [WIRE-94]
    #[test]
    fn a_beat_is_never_too_old() {
        let verdict = sent_at(20, 5_000).judge(ms(5_000), &clock(), BEATS);
        assert!(matches!(verdict, Verdict::Deliver { .. }), "{verdict:?}");
    }

    // [WIRE-93]
    #[test]
    fn a_message_from_the_future_has_no_known_age() {
        let verdict = sent_at(500, 30).judge(ms(30), &clock(), Flow::new(DRIVE, Class::Latest));
        assert_eq!(verdict, Verdict::NoClock);
    }
}
