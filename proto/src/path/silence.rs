//! How long a path says nothing, and what that means.

use std::time::Duration;

use super::{Fact, Health};
use crate::base::MonoTime;
use crate::base::limits::{
    ASK_AFTER, DOWN_AFTER, HASTE_MAX, HEARTBEAT, HEARTBEAT_ANSWER, HEARTBEAT_HASTY,
    HEARTBEAT_SPREAD, HEARTBEAT_WEARY, HEARTBEAT_YIELDED, LOST_DOUBT, LOST_LOSS_MAX,
    SILENCE_LOSS_MEASURED, SUSPECT_AFTER,
};

/// What came and went on a path last: when its heartbeat is due, and whether it still works.
#[derive(Clone, Copy, Debug)]
pub struct Silence {
    /// When the last packet arrived, or the path began.
    heard_at: MonoTime,
    /// When the peer last reported that one of our packets arrived, or the path began.
    answered_at: MonoTime,
    /// When the last packet was sent, or the path began.
    sent_at: MonoTime,
    /// Whether what arrived last is to be answered.
    is_asked: bool,
    /// Whether the last packet answered one of the peer's.
    is_answer: bool,
    /// Between two heartbeats.
    period: Duration,
    /// Since when it is known that a packet got lost, and no later one was reported.
    missing_since: Option<MonoTime>,
}

impl Silence {
    /// Of a path that begins now; its first packet is due at once, so that the peer hears of it.
    pub fn new(now: MonoTime) -> Silence {
        Silence {
            heard_at: now,
            answered_at: now,
            sent_at: now,
            is_asked: true,
            is_answer: false,
            period: HEARTBEAT - spread(now),
            missing_since: None,
        }
    }

    /// A packet is sent.
    pub fn on_sent(&mut self, now: MonoTime) {
        self.is_answer = std::mem::take(&mut self.is_asked);
        self.sent_at = now;
    }

    /// When the last packet was sent.
    pub const fn sent_at(&self) -> MonoTime {
        self.sent_at
    }

    /// A packet arrived. What may itself be the answer to our last one is not answered.
    pub fn on_heard(&mut self, now: MonoTime, round_trip: Duration) {
        self.heard_at = now;
        let is_its_turn = HEARTBEAT_ANSWER.max(round_trip + round_trip / 2);
        self.is_asked |= now >= self.sent_at + is_its_turn;
    }

    /// One of our packets did, as the peer reports.
    pub const fn on_answered(&mut self, now: MonoTime) {
        self.answered_at = now;
        self.missing_since = None;
    }

    /// What arrives says that the last packet got lost.
    pub const fn on_missing(&mut self, now: MonoTime) {
        if self.missing_since.is_none() {
            self.missing_since = Some(now);
        }
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

    /// When a packet has to go on a path of this haste, if none goes before. While no answer comes, whichever way is at fault, they go more
    /// often: so both ends know sooner whether the path is dead or packets get lost.
    // [WIRE-50] [WIRE-130]
    pub fn heartbeat_at(&self, haste: Haste) -> MonoTime {
        let calm = if self.is_answer {
            HEARTBEAT_YIELDED
        } else {
            self.period
        };
        let due = on_the_millisecond(self.sent_at + calm);
        let due = if self.is_asked {
            due.min(self.heard_at)
        } else {
            due
        };
        let from = self.hasty_from();
        let hasty = from.max(self.sent_at + haste.gap(self.sent_at.since(from)));
        due.min(hasty)
    }

    /// From when on heartbeats hasten, as things stand.
    fn hasty_from(&self) -> MonoTime {
        let unheard = self.heard_at + ASK_AFTER;
        let unanswered = self.answered_at + SUSPECT_AFTER;
        let from = unheard.min(unanswered);
        self.missing_since.map_or(from, |since| since.min(from))
    }

    /// Whether the silence is longer than losses explain, of which there were so many before.
    // [WIRE-130]
    pub fn is_lost(&self, now: MonoTime, loss: f64) -> bool {
        now.since(self.heard_at) >= lost_after(loss)
    }
}

/// By how much less than [`HEARTBEAT`] a path that begins now lets pass between two. The two ends differ in it, so that one goes first, and so
/// do nodes that came back at once after a relay's restart.
fn spread(began: MonoTime) -> Duration {
    // The upper bits of a product with the golden ratio are as good as chance.
    let scattered = began.as_us().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let most_us = u64::try_from(HEARTBEAT_SPREAD.as_micros()).unwrap_or(1);
    Duration::from_micros(scattered % most_us)
}

/// Of what falls due in the same millisecond all goes at once: a relay of thousands wakes for some.
fn on_the_millisecond(due: MonoTime) -> MonoTime {
    MonoTime::from_us(due.as_us() / 1_000 * 1_000)
}

/// How a path hastens: as long as it may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// Its losses do not explain that no answer comes, or not for long.
    Wearing,
    /// It loses much, so that it takes many packets.
    Lasting,
}

impl Haste {
    /// Of a path with these losses, there and back.
    pub fn at(loss: f64, loss_in: f64) -> Haste {
        if loss.max(loss_in) > SILENCE_LOSS_MEASURED {
            Haste::Lasting
        } else {
            Haste::Wearing
        }
    }

    /// The time from one hasty heartbeat to the next, when the first was so long ago.
    fn gap(self, since: Duration) -> Duration {
        match self {
            Haste::Wearing => (since / 2).clamp(HEARTBEAT_HASTY, HEARTBEAT_WEARY),
            Haste::Lasting if since < HASTE_MAX => HEARTBEAT_HASTY,
            Haste::Lasting => HEARTBEAT_WEARY,
        }
    }

    /// How long after the first hasty heartbeat each of them goes.
    pub fn times(self) -> impl Iterator<Item = Duration> {
        std::iter::successors(Some(Duration::ZERO), move |since| {
            Some(*since + self.gap(*since))
        })
    }
}

/// So long that the losses before let all heartbeats of it get lost with a probability of [`LOST_DOUBT`] only. The peer hastens its
/// heartbeats when it has heard nothing new of them for [`SUSPECT_AFTER`], which is some [`HEARTBEAT`] later than here.
fn lost_after(loss: f64) -> Duration {
    let heartbeats = LOST_DOUBT.ln() / loss.clamp(f64::MIN_POSITIVE, LOST_LOSS_MAX).ln();
    let hasty = HEARTBEAT_HASTY.mul_f64(heartbeats);
    DOWN_AFTER.max(SUSPECT_AFTER + HEARTBEAT + hasty)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(20);

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(ms)
    }

    /// Whoever heard, was answered and sent at this time, and did not answer by that.
    fn calm(ms: u64) -> Silence {
        let mut silence = Silence::new(at(0));
        for _ in 0..2 {
            silence.on_sent(at(ms));
        }
        silence.on_heard(at(ms), RTT);
        silence.on_answered(at(ms));
        silence
    }

    /// When heartbeats go after an answer at 1,000 ms, while nothing comes and nothing else goes.
    fn heartbeats(haste: Haste, until_ms: u64) -> Vec<u64> {
        let mut silence = calm(1_000);
        let mut times = Vec::new();
        loop {
            let due = silence.heartbeat_at(haste);
            if due > at(until_ms) {
                return times;
            }
            silence.on_sent(due);
            times.push(due.as_us() / 1_000);
        }
    }

    // [WIRE-50] [WIRE-130]
    #[test]
    fn heartbeats_hasten_while_no_answer_comes_and_weary_when_that_does_not_help() {
        let times = heartbeats(Haste::Wearing, 30_000);
        let hasty = [
            1_400, 1_550, 1_600, 1_650, 1_700, 1_775, 1_887, 2_056, 2_256,
        ];
        assert_eq!(times[..hasty.len()], hasty);
        let late = times.windows(2).filter(|pair| pair[0] > 2_256);
        assert!(late.clone().count() > 100 && late.clone().all(|pair| pair[1] - pair[0] == 200));
    }

    // [WIRE-130]
    #[test]
    fn where_much_gets_lost_haste_lasts() {
        let times = heartbeats(Haste::at(0.3, 0.0), 30_000);
        assert_eq!(times[..4], [1_400, 1_550, 1_600, 1_650]);
        let late: Vec<u64> = times.into_iter().filter(|ms| *ms > 11_500).collect();
        assert_eq!(late[..4], [11_550, 11_750, 11_950, 12_150]);
    }

    // [WIRE-50]
    #[test]
    fn an_answer_is_not_answered_however_long_it_was_on_its_way() {
        let mut silence = calm(1_000);
        silence.on_heard(at(1_300), Duration::from_millis(300));
        assert_eq!(silence.heartbeat_at(Haste::Wearing), at(1_400));
    }

    // [WIRE-50]
    #[test]
    fn one_end_goes_first_and_the_other_answers_at_once_and_lets_it_go_first_again() {
        let mut silence = calm(1_000);
        silence.on_heard(at(1_199), RTT);
        assert_eq!(silence.heartbeat_at(Haste::Wearing), at(1_400));
        silence.on_heard(at(1_200), RTT);
        assert_eq!(silence.heartbeat_at(Haste::Wearing), at(1_200));
        silence.on_sent(at(1_200));
        silence.on_answered(at(1_200));
        assert_eq!(silence.heartbeat_at(Haste::Wearing), at(1_650));
        silence.on_heard(at(1_600), RTT);
        assert_eq!(silence.heartbeat_at(Haste::Wearing), at(1_600));
        // Whoever has something else to say does not answer.
        let mut silence = calm(1_000);
        silence.on_sent(at(1_100));
        silence.on_heard(at(1_250), RTT);
        assert_eq!(silence.heartbeat_at(Haste::Wearing), at(1_500));
    }

    // [WIRE-50]
    #[test]
    fn paths_that_begin_together_do_not_beat_together() {
        let periods: std::collections::BTreeSet<Duration> = (0..1_000)
            .map(|us| Silence::new(MonoTime::from_us(1_000_000 + us)).period)
            .collect();
        assert!(periods.len() > 900, "{}", periods.len());
        assert!(
            periods
                .iter()
                .all(|period| *period <= HEARTBEAT && *period > HEARTBEAT - HEARTBEAT_SPREAD)
        );
    }

    // [WIRE-130]
    #[test]
    fn what_got_lost_hastens_until_a_later_packet_is_reported() {
        let mut silence = calm(1_000);
        silence.on_heard(at(1_100), RTT);
        silence.on_missing(at(1_100));
        assert_eq!(silence.heartbeat_at(Haste::Wearing), at(1_100));
        silence.on_sent(at(1_100));
        silence.on_missing(at(1_140));
        assert_eq!(silence.heartbeat_at(Haste::Wearing), at(1_150));
        silence.on_answered(at(1_145));
        assert_eq!(silence.heartbeat_at(Haste::Wearing), at(1_500));
    }

    // [WIRE-130]
    #[test]
    fn a_path_is_lost_when_its_losses_do_not_explain_its_silence() {
        let mut silence = Silence::new(at(0));
        silence.on_heard(at(1_000), RTT);
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
        silence.on_sent(at(0));
        silence.on_sent(at(600));
        assert_eq!(silence.heartbeat_at(Haste::Wearing), at(650));
        silence.on_heard(at(610), RTT);
        silence.on_answered(at(610));
        assert_eq!(silence.heartbeat_at(Haste::Wearing), at(1_000));
    }
}
