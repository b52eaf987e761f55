//! Whether paths are quiet for longer than their losses explain.

use std::time::Duration;

use super::Loss;
use crate::base::MonoTime;
use crate::base::limits::{
    DOWN_AFTER, HEARTBEAT, HEARTBEAT_HASTY, SILENCE_DOUBT, SILENCE_LOSS_MEASURED,
    SILENCE_LOSS_PROMISED, SILENCE_SLACK, SILENCE_TOLD, SILENCE_WAY_MAX, SUSPECT_AFTER,
};

/// What is known of a path from which nothing comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quiet {
    /// When the last packet arrived, or the path began.
    pub heard_at: MonoTime,
    /// Share of the peer's packets that get lost.
    pub loss: f64,
    /// Round trip without queues, once it is known.
    pub round_trip: Option<Duration>,
}

impl Quiet {
    /// Heartbeats that the peer has sent since the last packet arrived, and that would be here.
    ///
    /// The last packet is reported to the peer a heartbeat later at most. The peer hastens its heartbeats when that report is older than
    /// [`SUSPECT_AFTER`], or sooner when the report got lost.
    // [WIRE-50] [WIRE-130]
    pub fn missed(&self, now: MonoTime) -> u64 {
        let silence = now.since(self.heard_at).saturating_sub(SILENCE_SLACK);
        let Some(round_trip) = self.round_trip else {
            return count(silence, HEARTBEAT);
        };
        let answered_for = SUSPECT_AFTER + HEARTBEAT + round_trip;
        let calm = count(answered_for, HEARTBEAT);
        let last_calm = HEARTBEAT.saturating_mul(u32::try_from(calm).unwrap_or(u32::MAX));
        let first_hasty = answered_for.max(last_calm + HEARTBEAT_HASTY);
        match silence.checked_sub(first_hasty) {
            Some(in_haste) => calm + 1 + count(in_haste, HEARTBEAT_HASTY),
            None => count(silence, HEARTBEAT),
        }
    }

    /// The negative logarithm of the probability that all of these got lost.
    fn evidence(&self, now: MonoTime) -> f64 {
        let loss = if self.loss <= SILENCE_LOSS_MEASURED {
            self.loss.min(SILENCE_LOSS_PROMISED)
        } else {
            self.loss
        };
        let each = -loss.clamp(Loss::MIN, Loss::MAX).ln();
        let missed = u32::try_from(self.missed(now)).unwrap_or(u32::MAX);
        f64::from(missed) * each
    }

    /// Until when its silence is not judged. The last packet may have left right before a cut, and was on its way since.
    fn unjudged_until(&self) -> MonoTime {
        let way = self.round_trip.unwrap_or(SILENCE_WAY_MAX) / 2;
        self.heard_at + (SILENCE_TOLD - way.min(SILENCE_WAY_MAX))
    }
}

/// Whether paths, of which one would be enough, are quiet for longer than their losses explain. Without any, nothing is.
pub fn is_silent(now: MonoTime, paths: &[Quiet]) -> bool {
    let Some(heard_at) = paths.iter().map(|path| path.heard_at).max() else {
        return false;
    };
    if now.since(heard_at) >= DOWN_AFTER {
        return true;
    }
    let evidence: f64 = paths.iter().map(|path| path.evidence(now)).sum();
    now >= unjudged_until(paths) && evidence >= -SILENCE_DOUBT.ln()
}

/// When to ask again of paths that are not silent now, if nothing comes; none when there are none.
pub fn look_again_at(now: MonoTime, paths: &[Quiet]) -> Option<MonoTime> {
    let heard_at = paths.iter().map(|path| path.heard_at).max()?;
    let judged_from = unjudged_until(paths);
    if now < judged_from {
        Some(judged_from)
    } else {
        Some((now + HEARTBEAT_HASTY / 2).min(heard_at + DOWN_AFTER))
    }
}

fn unjudged_until(paths: &[Quiet]) -> MonoTime {
    let each = paths.iter().map(Quiet::unjudged_until);
    each.max().unwrap_or(MonoTime::ZERO)
}

fn count(span: Duration, each: Duration) -> u64 {
    u64::try_from(span.as_micros() / each.as_micros().max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(ms)
    }

    fn quiet(heard_ms: u64, loss: f64, round_trip_ms: u64) -> Quiet {
        Quiet {
            heard_at: at(heard_ms),
            loss,
            round_trip: Some(Duration::from_millis(round_trip_ms)),
        }
    }

    /// After how many milliseconds of silence of a path that was heard at 1,000 ms it is told.
    fn told_after(paths: &[Quiet]) -> u64 {
        let mut now = at(1_000);
        while !is_silent(now, paths) {
            now = look_again_at(now, paths).unwrap();
        }
        now.since(at(1_000)).as_millis().try_into().unwrap()
    }

    // [WIRE-50] [WIRE-130]
    #[test]
    fn heartbeats_are_missed_as_they_are_sent() {
        let path = quiet(1_000, 0.2, 20);
        for (ms, missed) in [
            (0, 0),
            (229, 0),
            (230, 1),
            (830, 4),
            (879, 4),
            (880, 5),
            (930, 6),
            (1_030, 8),
        ] {
            assert_eq!(path.missed(at(1_000 + ms)), missed, "{ms}");
        }
        let far = quiet(1_000, 0.2, 300);
        for (ms, missed) in [(1_030, 5), (1_129, 5), (1_130, 6), (1_180, 7)] {
            assert_eq!(far.missed(at(1_000 + ms)), missed, "{ms}");
        }
        let unknown = Quiet {
            round_trip: None,
            ..path
        };
        assert_eq!(unknown.missed(at(3_000)), 9);
    }

    /// Of a sender that obeys the wire's rules, with the latest answer that they allow.
    #[test]
    fn no_heartbeat_is_missed_before_it_is_sent() {
        for round_trip_ms in [0, 10, 49, 50, 120, 200, 400] {
            let path = quiet(0, 0.2, round_trip_ms);
            let answered = HEARTBEAT + Duration::from_millis(round_trip_ms);
            let (mut sent, mut number) = (Duration::ZERO, 0);
            while sent < DOWN_AFTER {
                let hasty = (sent + HEARTBEAT_HASTY).max(answered + SUSPECT_AFTER);
                sent = (sent + HEARTBEAT).min(hasty);
                number += 1;
                let due = MonoTime::ZERO + sent + SILENCE_SLACK;
                assert!(path.missed(due) >= number, "{round_trip_ms} {sent:?}");
                let before = due.before(Duration::from_micros(1));
                assert!(path.missed(before) < number, "{round_trip_ms} {sent:?}");
            }
        }
    }

    #[test]
    fn up_to_a_loss_of_a_fifth_a_cut_is_told_within_a_second() {
        for loss in [0.0, 0.05, 0.1, 0.2, 0.28] {
            for round_trip_ms in [0, 20, 50, 100] {
                let told = told_after(&[quiet(1_000, loss, round_trip_ms)]);
                assert_eq!(told + round_trip_ms / 2, 990, "{loss} {round_trip_ms}");
            }
        }
    }

    #[test]
    fn above_it_is_told_as_late_as_losses_ask_for_and_never_later_than_a_path_is_down() {
        for (loss, told) in [
            (0.3, 980),
            (0.5, 1_130),
            (0.8, 2_180),
            (0.9, 3_000),
            (1.0, 3_000),
        ] {
            assert_eq!(told_after(&[quiet(1_000, loss, 20)]), told, "{loss}");
        }
    }

    #[test]
    fn a_look_is_never_later_than_the_moment_from_which_a_silence_is_judged() {
        let path = quiet(1_000, 0.0, 20);
        for ms in [0, 900, 979] {
            assert_eq!(look_again_at(at(1_000 + ms), &[path]), Some(at(1_980)));
        }
        assert_eq!(look_again_at(at(1_980), &[path]), Some(at(2_005)));
        assert_eq!(look_again_at(at(3_990), &[path]), Some(at(4_000)));
    }

    #[test]
    fn several_paths_are_told_sooner_than_one_and_count_from_the_last_packet_of_any() {
        let (one, other) = (quiet(1_000, 0.8, 20), quiet(900, 0.8, 60));
        let both = told_after(&[one, other]);
        assert!((1_000..1_600).contains(&both), "{both}");
        let clean = quiet(0, 0.0, 20);
        assert_eq!(told_after(&[clean, quiet(1_000, 0.0, 100)]), 940);
        assert!(!is_silent(at(9_000), &[]));
    }
}
