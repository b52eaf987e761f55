//! Whether what a broker sends is of now: whoever is asked every second and does not answer has sent what arrives earlier.

use std::time::Duration;

use longrein_proto::base::MonoTime;

/// The questions to one broker, and its answers.
#[derive(Debug)]
pub(crate) struct SignOfLife {
    /// Questions without an answer.
    owed: u32,
    /// Since when an answer to all of them is waited for.
    asked_at: Option<MonoTime>,
    /// How old at most is what arrives before.
    unsure_since: Option<MonoTime>,
    answered_at: MonoTime,
    looked_at: MonoTime,
}

impl SignOfLife {
    /// Of a connection that begins.
    pub(crate) fn new(now: MonoTime) -> SignOfLife {
        SignOfLife {
            owed: 0,
            asked_at: None,
            unsure_since: None,
            answered_at: now,
            looked_at: now,
        }
    }

    /// Whether the broker is to be asked now. Call it at least as often as [`SignOfLife::next_timeout`] says: what comes after a pause
    /// of this program may have come at any time of it, and only a question that is asked afterwards tells.
    pub(crate) fn on_look(&mut self, now: MonoTime) -> bool {
        let before = std::mem::replace(&mut self.looked_at, now);
        let paused = now.since(before) >= LATE;
        if paused {
            self.asked_at = Some(now);
            self.unsure_since.get_or_insert(before);
        } else if self.asked_at.is_none() && now.since(self.answered_at) >= ASK_EVERY {
            self.asked_at = Some(now);
            self.unsure_since = Some(now);
        } else {
            return false;
        }
        self.owed += 1;
        true
    }

    /// The broker has answered one question.
    pub(crate) fn on_answer(&mut self, now: MonoTime) {
        self.owed = self.owed.saturating_sub(1);
        self.answered_at = now;
        if self.owed == 0 {
            self.asked_at = None;
            self.unsure_since = None;
        }
    }

    /// Whether what is read now may have been on its way for longer than a moment.
    pub(crate) fn is_late(&self, now: MonoTime) -> bool {
        self.unsure_since.is_some_and(|at| now.since(at) >= LATE)
    }

    /// Whether the connection is of no use.
    pub(crate) fn is_lost(&self, now: MonoTime) -> bool {
        self.asked_at.is_some_and(|at| now.since(at) >= ANSWER_MAX)
    }

    /// When to look next.
    pub(crate) fn next_timeout(&self) -> MonoTime {
        self.looked_at + ASK_EVERY
    }
}

/// A broker is asked so long after its last answer.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// What comes so long after a question without an answer is late; also two intervals between looks.
const LATE: Duration = Duration::from_secs(2);
/// A broker that does not answer for so long is given up.
const ANSWER_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> MonoTime {
        MonoTime::from_us(ms * 1_000)
    }

    /// SAFE-127
    #[test]
    fn what_comes_before_the_answer_to_an_old_question_is_late_and_what_comes_after_it_is_not() {
        let mut sign = SignOfLife::new(at(0));
        assert!(!sign.on_look(at(999)));
        assert!(sign.on_look(at(1_000)));
        assert!(!sign.on_look(at(1_999)));
        assert!(!sign.is_late(at(2_999)));
        assert!(sign.is_late(at(3_000)) && !sign.is_lost(at(5_999)));
        assert!(sign.is_lost(at(6_000)));
        sign.on_answer(at(6_000));
        assert!(!sign.is_late(at(6_000)) && !sign.is_lost(at(6_000)));
    }

    /// SAFE-127
    #[test]
    fn what_comes_after_a_pause_of_the_program_is_late_until_the_broker_answers() {
        let mut sign = SignOfLife::new(at(0));
        assert!(!sign.on_look(at(500)));
        assert!(sign.on_look(at(2_500)));
        assert!(sign.is_late(at(2_500)));
        sign.on_answer(at(2_501));
        assert!(!sign.is_late(at(2_501)));
    }

    /// SAFE-127
    #[test]
    fn an_answer_from_before_a_pause_says_nothing_of_what_came_during_it() {
        let mut sign = SignOfLife::new(at(0));
        assert!(sign.on_look(at(1_000)));
        assert!(sign.on_look(at(9_000)));
        assert!(!sign.is_lost(at(9_000)), "it was not asked since");
        sign.on_answer(at(9_000));
        assert!(sign.is_late(at(9_000)));
        sign.on_answer(at(9_001));
        assert!(!sign.is_late(at(9_001)));
    }
}
