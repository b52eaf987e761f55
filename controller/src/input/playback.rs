//! Recorded input, played back by time.

use std::time::Duration;

use longrein_proto::base::MonoTime;
use serde::{Deserialize, Serialize};

use super::{Controls, Reach};

/// One line of a script: what is wanted from a moment on, until the next line's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptLine {
    /// Milliseconds since the script began.
    pub at_ms: u64,
    /// Wanted speed in mm/s, negative is backwards.
    #[serde(default)]
    pub speed_mm_s: i16,
    /// Wanted curvature in 1/km, positive is to the left.
    #[serde(default)]
    pub curvature_per_km: i16,
    /// The enabling hand is on.
    #[serde(default)]
    pub dead_man: bool,
    /// Motion is wanted again after the vehicle stopped by itself.
    #[serde(default)]
    pub resume: bool,
    /// Emergency stop.
    #[serde(default)]
    pub stop: bool,
}

/// Recorded input, played back by time from the first call of [`Playback::advance`] on. The last line ends the drive. When
/// the next line is not there yet, because whoever writes it is late, a line holds for [`Playback::HOLD`] only.
#[derive(Debug)]
pub struct Playback {
    reach: Reach,
    began: Option<MonoTime>,
    current: ScriptLine,
    /// When the current line became it.
    since: MonoTime,
    next: Option<ScriptLine>,
    ended: bool,
    stop: bool,
}

impl Playback {
    /// Nothing is wanted yet.
    pub fn new(reach: Reach) -> Playback {
        Playback {
            reach,
            began: None,
            current: ScriptLine::default(),
            since: MonoTime::ZERO,
            next: None,
            ended: false,
            stop: false,
        }
    }

    /// Whether the next line is to be given by [`Playback::on_line`] or [`Playback::on_end`].
    pub fn wants_line(&self) -> bool {
        self.next.is_none() && !self.ended
    }

    /// Takes in the next line, when one is wanted; its time is not before that of the line before.
    pub fn on_line(&mut self, line: ScriptLine) {
        self.next = Some(line);
    }

    /// There are no further lines.
    pub fn on_end(&mut self) {
        self.ended = true;
    }

    /// Makes the next line the current one when its time has come, and says whether it did: then a further line is wanted.
    pub fn advance(&mut self, now: MonoTime) -> bool {
        let played = now.since(*self.began.get_or_insert(now));
        match self
            .next
            .take_if(|line| Duration::from_millis(line.at_ms) <= played)
        {
            Some(line) => {
                self.stop |= line.stop;
                (self.current, self.since) = (line, now);
                true
            }
            None => false,
        }
    }

    /// What is wanted now.
    pub fn controls(&mut self, now: MonoTime) -> Controls {
        let stale = self.next.is_none() && now.since(self.since) >= Self::HOLD;
        let quit = self.ended && self.next.is_none();
        let line = match stale || quit {
            true => ScriptLine::default(),
            false => self.current,
        };
        Controls {
            speed_mm_s: self.reach.clamp_speed(line.speed_mm_s),
            curvature_per_km: self.reach.clamp_curvature(line.curvature_per_km),
            dead_man: line.dead_man,
            resume: line.resume,
            stop: std::mem::take(&mut self.stop),
            quit,
        }
    }

    /// How long a line holds while the next one is late: as long as the vehicle's watchdog waits for a command.
    pub const HOLD: Duration = Duration::from_millis(200);
}

#[cfg(test)]
mod tests {
    use super::*;

    const REACH: Reach = Reach {
        speed_max_mm_s: 2_000,
        curvature_max_per_km: 200,
    };

    fn line(at_ms: u64, speed_mm_s: i16) -> ScriptLine {
        ScriptLine {
            at_ms,
            speed_mm_s,
            dead_man: true,
            ..ScriptLine::default()
        }
    }

    /// The clock does not begin at zero.
    fn at(ms: u64) -> MonoTime {
        MonoTime::from_us((7_000 + ms) * 1_000)
    }

    fn speed(playback: &mut Playback, ms: u64) -> i16 {
        playback.advance(at(ms));
        playback.controls(at(ms)).speed_mm_s
    }

    #[test]
    fn a_line_holds_until_the_next_ones_time() {
        let mut playback = Playback::new(REACH);
        playback.on_line(line(0, 500));
        assert_eq!(speed(&mut playback, 0), 500);
        assert!(playback.wants_line());
        playback.on_line(line(5_000, -3_000));
        assert!(!playback.wants_line());
        assert_eq!(speed(&mut playback, 4_999), 500);
        // Within reach.
        assert_eq!(speed(&mut playback, 5_000), -2_000);
    }

    #[test]
    fn a_late_writer_takes_its_hand_off() {
        let mut playback = Playback::new(REACH);
        playback.on_line(line(0, 500));
        assert_eq!(speed(&mut playback, 0), 500);
        assert_eq!(speed(&mut playback, 199), 500);
        assert_eq!(playback.controls(at(200)), Controls::default());
        playback.on_line(line(100, 600));
        assert_eq!(speed(&mut playback, 220), 600);
    }

    #[test]
    fn the_last_line_ends_the_drive() {
        let mut playback = Playback::new(REACH);
        playback.on_line(line(0, 500));
        speed(&mut playback, 0);
        playback.on_line(line(1_000, 500));
        playback.advance(at(500));
        assert!(!playback.wants_line());
        assert!(!playback.controls(at(999)).quit);
        playback.advance(at(1_000));
        playback.on_end();
        let end = playback.controls(at(1_000));
        assert!(end.quit && !end.dead_man && end.speed_mm_s == 0);
    }

    #[test]
    fn a_stop_is_told_once_also_when_its_line_is_passed_at_once() {
        let mut playback = Playback::new(REACH);
        playback.on_line(ScriptLine {
            stop: true,
            ..ScriptLine::default()
        });
        assert!(playback.advance(at(0)));
        playback.on_line(line(0, 500));
        assert!(playback.advance(at(0)));
        assert!(playback.controls(at(0)).stop);
        assert!(!playback.controls(at(20)).stop);
    }
}
