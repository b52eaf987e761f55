//! How long a path says nothing, and what that means.

use std::time::Duration;

use super::{Fact, Health};
use crate::base::MonoTime;
use crate::base::limits::{
    DOWN_AFTER, HASTE_MAX, HEARTBEAT, HEARTBEAT_HASTY, LOST_DOUBT, LOST_LOSS_MAX, SUSPECT_AFTER,
};

/// What came and went on a path last: when its heartbeat is due, and whether it still works.
#[derive(Clone, Copy, Debug)]
pub struct Silence {
    /// When the last packet arrived, or the path began.
    heard_at: MonoTime,
    /// When the peer last reported that one of our packets arrived, or the path began.
    answered_at: MonoTime,
    /// When the last packet was sent; before the first, such that one is due.
    sent_at: MonoTime,
}

impl Silence {
    /// Of a path that begins now; its first packet is due at once, so that the peer hears of it.
    pub fn new(now: MonoTime) -> Silence {
        Silence {
            heard_at: now,
            answered_at: now,
            sent_at: now.before(HEARTBEAT),
        }
    }

    /// A packet is sent.
    pub const fn on_sent(&mut self, now: MonoTime) {
        self.sent_at = now;
    }

    /// A packet arrived.
    pub const fn on_heard(&mut self, now: MonoTime) {
        self.heard_at = now;
    }

    /// One of our packets did, as the peer reports.
    pub const fn on_answered(&mut self, now: MonoTime) {
        self.answered_at = now;
    }

    /// When the last packet arrived, or the path began.
    pub const fn heard_at(&self) -> MonoTime {
        self.heard_at
    }

    /// What silence says of the path's health.
    pub fn fact(&self, now: MonoTime) -> Option<Fact> {
        let silence = now.since(self.heard_at);
        if silence >= DOWN_AFTER {
            Some(Fact::Silent)
        } else if silence >= SUSPECT_AFTER {
            Some(Fact::Quiet)
        } else {
            None
        }
    }

    /// When it worsens this health.
    pub fn worsens_at(&self, health: Health) -> Option<MonoTime> {
        match health {
            Health::Live => Some(self.heard_at + SUSPECT_AFTER),
            Health::Unknown | Health::Suspect => Some(self.heard_at + DOWN_AFTER),
            Health::Down => None,
        }
    }

    /// When a packet has to go, if none goes before. While no answer comes, whichever way is at fault, they go more often: so
    /// both ends know sooner whether the path is dead or packets get lost.
    // [WIRE-50] [WIRE-130]
    pub fn heartbeat_at(&self) -> MonoTime {
        let hasty = (self.sent_at + HEARTBEAT_HASTY).max(self.answered_at + SUSPECT_AFTER);
        let calm = self.sent_at + HEARTBEAT;
        if hasty < self.answered_at + HASTE_MAX {
            calm.min(hasty)
        } else {
            calm
        }
    }

    /// Whether the silence is longer than losses explain, of which there were so many before.
    // [WIRE-130]
    pub fn is_lost(&self, now: MonoTime, loss: f64) -> bool {
        now.since(self.heard_at) >= lost_after(loss)
    }
}

/// So long that the losses before let all heartbeats of it get lost with a probability of [`LOST_DOUBT`] only. The peer hastens its
/// heartbeats when it has heard nothing new of them for [`SUSPECT_AFTER`], which is up to [`HEARTBEAT`] later than here.
fn lost_after(loss: f64) -> Duration {
    let heartbeats = LOST_DOUBT.ln() / loss.clamp(f64::MIN_POSITIVE, LOST_LOSS_MAX).ln();
    let hasty = HEARTBEAT_HASTY.mul_f64(heartbeats);
    DOWN_AFTER.max(SUSPECT_AFTER + 2 * HEARTBEAT + hasty)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(ms)
    }

    /// When heartbeats go after an answer at 1,000 ms, while nothing else goes.
    fn heartbeats(until_ms: u64) -> Vec<u64> {
        let mut silence = Silence::new(at(1_000));
        silence.on_sent(at(1_000));
        let mut times = Vec::new();
        loop {
            let due = silence.heartbeat_at();
            if due > at(until_ms) {
                return times;
            }
            silence.on_sent(due);
            times.push(due.as_us() / 1_000);
        }
    }

    // [WIRE-50] [WIRE-130]
    #[test]
    fn heartbeats_hasten_while_no_answer_comes_and_calm_down_when_none_came_for_long() {
        let times = heartbeats(30_000);
        assert_eq!(times[..5], [1_200, 1_400, 1_600, 1_650, 1_700]);
        let calm: Vec<u64> = times.into_iter().filter(|ms| *ms > 10_900).collect();
        assert_eq!(calm[..3], [10_950, 11_150, 11_350]);
    }

    // [WIRE-130]
    #[test]
    fn a_path_is_lost_when_its_losses_do_not_explain_its_silence() {
        let mut silence = Silence::new(at(0));
        silence.on_heard(at(1_000));
        for (loss, after_ms) in [
            (0.0, 3_000),
            (0.5, 3_000),
            (0.8, 3_064),
            (0.9, 5_371),
            (0.95, 9_978),
            (1.0, 9_978),
        ] {
            assert!(!silence.is_lost(at(1_000 + after_ms - 1), loss), "{loss}");
            assert!(silence.is_lost(at(1_000 + after_ms + 1), loss), "{loss}");
        }
    }

    #[test]
    fn an_answer_ends_the_haste() {
        let mut silence = Silence::new(at(0));
        silence.on_sent(at(5_000));
        assert_eq!(silence.heartbeat_at(), at(5_050));
        silence.on_answered(at(5_010));
        assert_eq!(silence.heartbeat_at(), at(5_200));
    }
}
