//! Whether paths are quiet for longer than their losses explain.

use std::time::Duration;

use super::{Haste, Loss};
use crate::base::MonoTime;
use crate::base::limits::{
    ASK_AFTER, DOWN_AFTER, HEARTBEAT_HASTY, HEARTBEAT_YIELDED, SILENCE_DOUBT,
    SILENCE_LOSS_MEASURED, SILENCE_LOSS_PROMISED, SILENCE_SLACK, SILENCE_TOLD, SILENCE_WAY_MAX,
    SUSPECT_AFTER,
};

/// What is known of a path from which nothing comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quiet {
    /// When the last packet arrived, or the path began.
    pub heard_at: MonoTime,
    /// Share of the peer's packets that get lost.
    pub loss: f64,
    /// Share of our packets that get lost.
    pub loss_out: f64,
    /// Round trip without queues, once it is known.
    pub round_trip: Option<Duration>,
}

impl Quiet {
    /// The probability that nothing has arrived for so long from a peer that is there.
    ///
    /// It sends a heartbeat [`HEARTBEAT_YIELDED`] after the last packet at the latest. When that is overdue we ask, in haste, and by the first
    /// that arrives the peer sees that its own got lost, and is in haste until it is heard. The last packet is reported to the peer
    /// [`HEARTBEAT_YIELDED`] later at most, and it is in haste of its own accord when that report is older than [`SUSPECT_AFTER`], or
    /// sooner when the report got lost.
    // [WIRE-50] [WIRE-130]
    fn probability(&self, now: MonoTime) -> f64 {
        let (here, there) = (judged(self.loss), judged(self.loss_out));
        let silence = now.since(self.heard_at).saturating_sub(SILENCE_SLACK);
        // A longer one is told in any case.
        let silence = silence.min(DOWN_AFTER);
        let haste = Haste::at(self.loss_out, self.loss);
        let lost = |count: u32| here.powf(count.into());
        let Some(round_trip) = self.round_trip else {
            let heartbeats = silence.as_micros() / HEARTBEAT_YIELDED.as_micros();
            return lost(u32::try_from(heartbeats).unwrap_or(u32::MAX));
        };
        let (mut unaware, mut unheard) = (1.0, 0.0);
        for answered in answered_from(haste, round_trip) {
            unheard += unaware * (1.0 - there) * lost(hasty(haste, silence, answered));
            unaware *= there;
        }
        let own_accord = lost(hasty(haste, silence, hastens(round_trip)));
        let heartbeat = lost(u32::from(silence >= HEARTBEAT_YIELDED));
        heartbeat * (unheard + unaware * own_accord)
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
    let probability: f64 = paths.iter().map(|path| path.probability(now)).product();
    now >= unjudged_until(paths) && probability <= SILENCE_DOUBT
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

/// A loss as it counts for a silence.
fn judged(loss: f64) -> f64 {
    let loss = if loss <= SILENCE_LOSS_MEASURED {
        loss.min(SILENCE_LOSS_PROMISED)
    } else {
        loss
    };
    loss.clamp(Loss::MIN, Loss::MAX)
}

/// After how long a silence of a peer what each of our questions has it send would begin to arrive; later ones are of no use.
fn answered_from(haste: Haste, round_trip: Duration) -> impl Iterator<Item = Duration> {
    let first = ASK_AFTER + round_trip;
    let own = hastens(round_trip);
    haste
        .times()
        .map(move |since| first + since)
        .take_while(move |answered| *answered < own)
}

/// After how long a silence of a peer what it sends in haste of its own accord would begin to arrive.
fn hastens(round_trip: Duration) -> Duration {
    SUSPECT_AFTER + HEARTBEAT_YIELDED + round_trip
}

/// Packets of a peer that is in haste since then.
fn hasty(haste: Haste, silence: Duration, since: Duration) -> u32 {
    silence.checked_sub(since).map_or(0, |span| {
        let sent = haste.times().take_while(|sent| *sent <= span).count();
        u32::try_from(sent).unwrap_or(u32::MAX)
    })
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
            loss_out: loss,
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

    /// At even losses the terms can be counted.
    // [WIRE-50] [WIRE-130]
    #[test]
    fn a_silence_is_as_probable_as_what_it_misses() {
        let path = quiet(1_000, 0.5, 30);
        for (ms, probability) in [
            (479, 1.0),
            // The heartbeat.
            (480, 0.5),
            (609, 0.5),
            // Its repetition, if the first question arrived.
            (610, 0.5 * (0.5 + 0.5 * 0.5)),
            // Another one, or the first if only the second question arrived.
            (660, 0.5 * (0.25 + 0.25 * 0.5 + 0.5 * 0.25)),
        ] {
            let found = path.probability(at(1_000 + ms));
            assert!((found - probability).abs() < 1e-9, "{ms}: {found}");
        }
        let unknown = Quiet {
            round_trip: None,
            ..path
        };
        assert!((unknown.probability(at(3_000)) - 0.5_f64.powi(4)).abs() < 1e-9);
    }

    /// Of a peer that obeys the wire's rules: which question arrives first, if any, and when the peer had sent something before.
    #[test]
    fn nothing_is_missed_before_it_is_sent() {
        for (haste, round_trip_ms) in [2, 10, 20, 48, 50, 120, 200, 400]
            .into_iter()
            .flat_map(|ms| [(Haste::Wearing, ms), (Haste::Lasting, ms)])
        {
            let round_trip = Duration::from_millis(round_trip_ms);
            let questions: Vec<Duration> = answered_from(haste, round_trip).collect();
            for heard in questions.iter().map(Some).chain([None]) {
                let since = heard.copied().unwrap_or(hastens(round_trip));
                for last_ms in [0, 100, 199, 200, 399] {
                    let sent = sent_in_silence(haste, round_trip / 2, last_ms, heard.copied());
                    for ms in 0..3_000 {
                        let silence = Duration::from_millis(ms);
                        let counted =
                            u32::from(silence >= HEARTBEAT_YIELDED) + hasty(haste, silence, since);
                        let now = at(10_000) + silence + SILENCE_SLACK;
                        let here = |sent: &&MonoTime| **sent + round_trip / 2 <= now;
                        let would_be_here = sent.iter().filter(here).count();
                        assert!(
                            counted as usize <= would_be_here,
                            "{round_trip_ms} {heard:?} {last_ms} {ms}"
                        );
                    }
                }
            }
        }
    }

    /// What a peer sends after a packet that arrives at 10 s, of which none arrives. It had heard something `last_ms` before that packet,
    /// and hears then only what would be answered after so long a silence.
    fn sent_in_silence(
        haste: Haste,
        way: Duration,
        last_ms: u64,
        answered: Option<Duration>,
    ) -> Vec<MonoTime> {
        let last = at(10_000).before(way);
        let heard = last.before(Duration::from_millis(last_ms));
        let mut peer = crate::path::Silence::new(at(0));
        peer.on_sent(heard.before(HEARTBEAT_YIELDED));
        peer.on_heard(heard, way * 2);
        peer.on_answered(heard);
        peer.on_sent(last);
        // The report of that packet comes as late as it may.
        let reported = at(10_000) + way + HEARTBEAT_YIELDED;
        let asked = answered.map(|answered| at(10_000) + answered.saturating_sub(way));
        let mut sent = Vec::new();
        let mut now = last;
        while now < at(14_000) {
            if now == reported {
                peer.on_answered(now);
            }
            if Some(now) == asked {
                peer.on_heard(now, way * 2);
                peer.on_missing(now);
            }
            if now >= peer.heartbeat_at(haste) {
                peer.on_sent(now);
                sent.push(now);
            }
            now = now + Duration::from_micros(500);
        }
        sent
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
            (0.5, 1_155),
            (0.8, 2_305),
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
        assert!((1_000..1_900).contains(&both), "{both}");
        let clean = quiet(0, 0.0, 20);
        assert_eq!(told_after(&[clean, quiet(1_000, 0.0, 100)]), 940);
        assert!(!is_silent(at(9_000), &[]));
    }
}
