//! What is due between a function and the client that is its device. Knows no sockets.

use std::time::Duration;

use longrein_proto::base::MonoTime;
use longrein_proto::control::Output;

/// At most one word is outstanding, and the newest waits (SAFE-63); whoever does not acknowledge is not there (SAFE-133).
#[derive(Debug, Default)]
pub struct Feed {
    seq: u64,
    outstanding: Option<MonoTime>,
    answered: bool,
    waiting: Option<Output>,
}

impl Feed {
    /// The newest word; it replaces one that waits.
    pub fn on_output(&mut self, output: &Output) {
        self.waiting = Some(*output);
    }

    /// The word to write now, and its number; it is outstanding then. One that is over while it waits is not written: the next
    /// one comes within the feed interval.
    pub fn next_word(&mut self, now: MonoTime) -> Option<(u64, Output)> {
        if !self.is_free() {
            return None;
        }
        let output = self.waiting.take()?;
        (output.deadline > now).then(|| (self.write(now), output))
    }

    /// The number of an opaque command that is written now. Call it only while [`Feed::is_free`].
    pub fn opaque_word(&mut self, now: MonoTime) -> u64 {
        // It says the stage too.
        self.waiting = None;
        self.write(now)
    }

    /// The last word before the end, whatever is outstanding.
    pub fn last_word(&mut self) -> Option<(u64, Output)> {
        Some((self.seq + 1, self.waiting.take()?))
    }

    /// The client acknowledges a word.
    pub fn on_ack(&mut self, seq: u64) {
        if self.outstanding.is_some() && seq == self.seq {
            self.outstanding = None;
            self.answered = true;
        }
    }

    /// Whether a word may be written.
    pub fn is_free(&self) -> bool {
        self.outstanding.is_none()
    }

    /// Whether the device is there: it has acknowledged a word, and owes no acknowledgement for 100 ms (SAFE-64).
    pub fn is_up(&self, now: MonoTime) -> bool {
        self.answered && self.owes_for(now) < Output::SILENCE_MAX
    }

    /// Whether it owes an acknowledgement for so long that another client may take its place.
    pub fn is_unresponsive(&self, now: MonoTime) -> bool {
        self.owes_for(now) >= UNRESPONSIVE
    }

    fn owes_for(&self, now: MonoTime) -> Duration {
        self.outstanding
            .map_or(Duration::ZERO, |since| now.since(since))
    }

    fn write(&mut self, now: MonoTime) -> u64 {
        self.seq += 1;
        self.outstanding = Some(now);
        self.seq
    }
}

/// A client that owes an acknowledgement for so long loses its place: far beyond any pause of a machine that can drive, and
/// short enough that one that is started beside a stuck one need not wait long.
const UNRESPONSIVE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use longrein_proto::base::Stage;

    use super::*;

    fn ms(ms: u64) -> MonoTime {
        MonoTime::from_us(ms * 1_000)
    }

    fn output(stage: Stage, deadline_ms: u64) -> Output {
        Output {
            stage,
            stopped: false,
            drive: None,
            deadline: ms(deadline_ms),
            ttl_left: Duration::ZERO,
        }
    }

    fn stage(word: Option<(u64, Output)>) -> Option<(u64, Stage)> {
        word.map(|(seq, output)| (seq, output.stage))
    }

    /// SAFE-63
    #[test]
    fn one_word_is_outstanding_and_the_newest_waits() {
        let mut feed = Feed::default();
        feed.on_output(&output(Stage::Nominal, 100));
        assert_eq!(stage(feed.next_word(ms(0))), Some((1, Stage::Nominal)));
        feed.on_output(&output(Stage::Hold, 110));
        feed.on_output(&output(Stage::Ramp, 120));
        assert_eq!(stage(feed.next_word(ms(20))), None);
        for wrong in [0, 2, 7] {
            feed.on_ack(wrong);
        }
        assert!(!feed.is_free());
        feed.on_ack(1);
        assert_eq!(stage(feed.next_word(ms(20))), Some((2, Stage::Ramp)));
        feed.on_ack(2);
        assert_eq!(feed.next_word(ms(30)), None, "it is said once");
    }

    /// SAFE-61
    #[test]
    fn a_word_that_is_over_while_it_waits_is_not_written() {
        let mut feed = Feed::default();
        feed.on_output(&output(Stage::Nominal, 100));
        assert_eq!(feed.next_word(ms(100)), None);
        assert_eq!(feed.next_word(ms(99)), None, "nor later");
        assert!(feed.is_free());
    }

    /// SAFE-133, SAFE-64
    #[test]
    fn a_device_is_there_from_its_first_acknowledgement_until_it_owes_one_for_100_ms() {
        let mut feed = Feed::default();
        assert!(!feed.is_up(ms(0)));
        feed.on_output(&output(Stage::Nominal, 100));
        feed.next_word(ms(0));
        assert!(!feed.is_up(ms(1)));
        feed.on_ack(1);
        assert!(feed.is_up(ms(1)));
        feed.on_output(&output(Stage::Nominal, 900));
        feed.next_word(ms(800));
        assert!(feed.is_up(ms(899)));
        assert!(!feed.is_up(ms(900)));
        assert!(!feed.is_unresponsive(ms(2_799)));
        assert!(feed.is_unresponsive(ms(2_800)));
        feed.on_ack(2);
        assert!(feed.is_up(ms(2_800)));
    }
}
