//! One direction of an interface at work.

use std::time::Duration;

use super::loss::Losses;
use super::profile::{Profile, Queue};
use crate::Chance;

/// Decides what becomes of each packet of one direction. Time never goes back.
#[derive(Debug)]
pub(super) struct Shaper {
    profile: Profile,
    losses: Losses,
    chance: Chance,
    /// When the wire is free again.
    free_at: Duration,
    /// When the latest packet arrives.
    last_exit: Duration,
    /// How often it went off: what was under way then is lost.
    cuts: u64,
    counters: Counters,
}

/// What became of the packets of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that came.
    pub offered: u64,
    /// Bytes of these, with their IP headers.
    pub offered_bytes: u64,
    /// Packets that arrived.
    pub passed: u64,
    /// Bytes of these, with their IP headers.
    pub passed_bytes: u64,
    /// Lost on the wire.
    pub lost: u64,
    /// Found no room in the queue.
    pub overflowed: u64,
    /// Came while it was off, or were under way when it went off.
    pub cut: u64,
}

/// A packet on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pass {
    /// When it arrives.
    pub exit: Duration,
    cuts: u64,
}

impl Shaper {
    pub fn new(profile: Profile, mut chance: Chance) -> Shaper {
        Shaper {
            losses: Losses::new(&profile.loss, &mut chance),
            profile,
            chance,
            free_at: Duration::ZERO,
            last_exit: Duration::ZERO,
            cuts: 0,
            counters: Counters::default(),
        }
    }

    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// From now on packets fare by this profile. What is under way goes on as it was sent, unless the profile is off.
    pub fn change(&mut self, profile: Profile) {
        if profile.loss != self.profile.loss {
            self.losses = Losses::new(&profile.loss, &mut self.chance);
        }
        if !profile.on && self.profile.on {
            self.cuts += 1;
            (self.free_at, self.last_exit) = (Duration::ZERO, Duration::ZERO);
        }
        self.profile = profile;
    }

    /// A packet comes; none when it does not arrive.
    pub fn admit(&mut self, now: Duration, bytes: usize) -> Option<Pass> {
        self.counters.offered += 1;
        self.counters.offered_bytes += bytes as u64;
        if !self.profile.on {
            self.counters.cut += 1;
            return None;
        }
        let Some(sent) = self.send(now, bytes) else {
            self.counters.overflowed += 1;
            return None;
        };
        let Profile { loss, .. } = self.profile;
        if self.losses.takes(&loss, sent, &mut self.chance) {
            self.counters.lost += 1;
            return None;
        }
        let jitter = self.profile.jitter.mul_f64(self.chance.unit());
        let mut exit = sent + self.profile.delay + jitter;
        if !self.profile.reorder {
            exit = exit.max(self.last_exit);
        }
        self.last_exit = self.last_exit.max(exit);
        Some(Pass {
            exit,
            cuts: self.cuts,
        })
    }

    /// A packet would arrive now; false when it was cut off on its way.
    pub fn release(&mut self, pass: Pass, bytes: usize) -> bool {
        let passes = pass.cuts == self.cuts;
        if passes {
            self.counters.passed += 1;
            self.counters.passed_bytes += bytes as u64;
        } else {
            self.counters.cut += 1;
        }
        passes
    }

    /// When the packet has left; none when the queue has no room for it.
    fn send(&mut self, now: Duration, bytes: usize) -> Option<Duration> {
        let Some(rate) = self.profile.rate else {
            return Some(now);
        };
        let wait = self.free_at.saturating_sub(now);
        let room = match rate.queue {
            Queue::Time(most) => wait <= most,
            Queue::Bytes(most) => {
                let waiting = wait.as_nanos() * u128::from(rate.bits_per_s) / BIT_NS_PER_BYTE_S;
                waiting + bytes as u128 <= u128::from(most)
            }
        };
        if !room && !wait.is_zero() {
            return None;
        }
        let takes = bytes as u128 * BIT_NS_PER_BYTE_S / u128::from(rate.bits_per_s);
        let takes = u64::try_from(takes).unwrap_or(u64::MAX);
        self.free_at = now.max(self.free_at) + Duration::from_nanos(takes);
        Some(self.free_at)
    }
}

/// 8 bits a byte, 1,000,000,000 ns a second.
const BIT_NS_PER_BYTE_S: u128 = 8_000_000_000;

#[cfg(test)]
mod tests {
    use super::super::profile::Loss;
    use super::*;

    fn shaper(profile: Profile) -> Shaper {
        profile.check().unwrap();
        Shaper::new(profile, Chance::new(1))
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Whether each of many packets, one a millisecond, arrives.
    fn fates(profile: Profile) -> Vec<bool> {
        let mut shaper = shaper(profile);
        let fate = |n| shaper.admit(ms(n), 100).is_some();
        (0..PACKETS).map(fate).collect()
    }

    /// Share of lost packets, and the mean length of their runs.
    fn losses(fates: &[bool]) -> (f64, f64) {
        let lost = fates.iter().filter(|arrives| !**arrives).count() as f64;
        let runs = fates.chunk_by(|a, b| a == b).filter(|run| !run[0]).count();
        (lost / fates.len() as f64, lost / runs as f64)
    }

    #[test]
    fn random_loss_is_within_four_standard_deviations() {
        for share in [0.01, 0.2, 0.5, 0.8] {
            let (lost, run) = losses(&fates(Profile::CLEAR.with_loss(Loss::random(share))));
            let bound = 4.0 * (share * (1.0 - share) / PACKETS as f64).sqrt();
            assert!((lost - share).abs() < bound, "{lost} of {share}");
            let expected = 1.0 / (1.0 - share);
            assert!((run / expected - 1.0).abs() < 0.1, "runs of {run}");
        }
    }

    #[test]
    fn runs_and_spans_have_their_share_and_mean_length() {
        // One packet a millisecond: a span of 20 ms is a run of 20 packets, and a little more, as none shorter is seen.
        for (loss, share, mean) in [
            (Loss::runs(0.2, 5.0), 0.2, 5.0),
            (Loss::runs(0.8, 20.0), 0.8, 20.0),
            (Loss::spans(0.2, ms(20)), 0.2, 20.5),
            (Loss::spans(0.5, ms(50)), 0.5, 51.0),
        ] {
            let (lost, run) = losses(&fates(Profile::CLEAR.with_loss(loss)));
            assert!((lost / share - 1.0).abs() < 0.1, "{loss:?}: {lost}");
            assert!((run / mean - 1.0).abs() < 0.1, "{loss:?}: {run}");
        }
    }

    #[test]
    fn a_good_and_a_bad_state_lose_by_their_own_probabilities() {
        let loss = Loss {
            good: 0.1,
            bad: 0.9,
            ..Loss::runs(0.25, 10.0)
        };
        let (lost, _) = losses(&fates(Profile::CLEAR.with_loss(loss)));
        assert!((lost - 0.3).abs() < 0.02, "{lost}");
    }

    #[test]
    fn packets_leave_at_the_rate_and_the_queue_is_bounded_in_bytes() {
        // 1 Mbit/s: 125 bytes a millisecond.
        let profile = Profile::delayed(ms(10)).with_rate(1_000_000, Queue::Bytes(500));
        let mut shaper = shaper(profile);
        let exits: Vec<_> = (0..6)
            .map(|_| shaper.admit(ms(0), 125).map(|pass| pass.exit))
            .collect();
        let expected = [Some(11), Some(12), Some(13), Some(14), None, None];
        assert_eq!(exits, expected.map(|exit| exit.map(ms)));
        assert_eq!(shaper.admit(ms(2), 125).unwrap().exit, ms(15));
        assert_eq!(shaper.counters().overflowed, 2);
    }

    #[test]
    fn a_queue_is_bounded_in_time_too_and_an_idle_wire_needs_none() {
        let mut policer = shaper(Profile::CLEAR.with_rate(1_000_000, Queue::Bytes(0)));
        assert!(policer.admit(ms(0), 1_250).is_some());
        assert!(policer.admit(ms(9), 1_250).is_none());
        assert!(policer.admit(ms(10), 1_250).is_some());

        let queue = Queue::Time(ms(20));
        let mut shaper = shaper(Profile::CLEAR.with_rate(1_000_000, queue));
        let passed = (0..10).filter(|_| shaper.admit(ms(0), 1_250).is_some());
        assert_eq!(passed.count(), 3);
    }

    #[test]
    fn jitter_keeps_the_order_unless_it_may_not() {
        for reorder in [false, true] {
            let mut shaper = shaper(Profile::delayed(ms(10)).with_jitter(ms(20), reorder));
            let exits: Vec<Duration> = (0..1_000)
                .map(|n| shaper.admit(ms(n), 100).unwrap().exit)
                .collect();
            assert_eq!(exits.is_sorted(), !reorder);
            for (sent, exit) in (0..).map(ms).zip(exits) {
                assert!((sent + ms(10)..=sent + ms(30)).contains(&exit) || !reorder);
                assert!(exit >= sent + ms(10));
            }
        }
    }

    #[test]
    fn off_cuts_what_comes_and_what_is_under_way() {
        let mut shaper = shaper(Profile::delayed(ms(10)));
        let under_way = shaper.admit(ms(0), 100).unwrap();
        let profile = *shaper.profile();
        shaper.change(Profile {
            on: false,
            ..profile
        });
        assert_eq!(shaper.admit(ms(1), 100), None);
        shaper.change(profile);
        assert!(!shaper.release(under_way, 100));
        let later = shaper.admit(ms(2), 100).unwrap();
        assert!(shaper.release(later, 100));
        let expected = Counters {
            offered: 3,
            offered_bytes: 300,
            passed: 1,
            passed_bytes: 100,
            cut: 2,
            ..Counters::default()
        };
        assert_eq!(shaper.counters(), expected);
    }

    const PACKETS: u64 = 100_000;
}
