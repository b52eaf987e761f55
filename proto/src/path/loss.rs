//! How much of what is sent on a path gets lost.

use crate::base::MonoTime;
use crate::base::limits::DOWN_AFTER;

/// Share of the sent packets that do not arrive, from what the peer reports: an average that forgets.
///
/// What gets lost while nothing arrives at all for [`DOWN_AFTER`] does not count: it says how long the path was dark, and not how
/// many copies a path needs that is back. What comes then weighs as on a new path.
#[derive(Clone, Debug)]
pub struct Loss {
    share: f64,
    highest: u64,
    missing: u32,
    /// The newest number reported, how many were missing up to it, and when that was.
    newest: u64,
    newest_missing: u32,
    newest_at: MonoTime,
    /// Packets that the average is made of, up to [`PACKETS_FULL_WEIGHT`].
    known: f64,
}

impl Loss {
    /// Before the first report: [`Loss::START`].
    pub const fn new(now: MonoTime) -> Loss {
        Loss {
            share: Loss::START,
            highest: 0,
            missing: 0,
            newest: 0,
            newest_missing: 0,
            newest_at: now,
            known: 0.0,
        }
    }

    /// Assumed of an unknown path.
    pub const START: f64 = 0.3;
    /// No estimate is lower: a perfect path may fail too. So low that one copy on it meets every target.
    pub const MIN: f64 = 0.0004;
    /// No estimate is higher: the number of copies grows without bound towards 1.
    pub const MAX: f64 = 0.97;

    /// The share, [`Loss::MIN`] to [`Loss::MAX`].
    pub const fn share(&self) -> f64 {
        self.share
    }

    /// The peer says: up to `highest`, `missing` packets did not arrive. Reports that are older than the last one, or cover
    /// too few packets since, are skipped.
    pub fn on_report(&mut self, now: MonoTime, highest: u64, missing: u32) {
        if highest > self.newest {
            let lost = u64::from(missing.saturating_sub(self.newest_missing));
            let arrived = (highest - self.newest).saturating_sub(lost);
            let was_dark = now.since(self.newest_at) >= DOWN_AFTER && arrived <= DARK_ARRIVALS_MAX;
            (self.newest, self.newest_missing, self.newest_at) = (highest, missing, now);
            if was_dark {
                (self.highest, self.missing, self.known) = (highest, missing, 0.0);
            }
        }
        let packets = u32::try_from(highest.saturating_sub(self.highest)).unwrap_or(u32::MAX);
        if packets < PACKETS_MIN {
            return;
        }
        let packets = f64::from(packets);
        // Negative when packets that were late are not missing any more; then it corrects what they added before.
        let lost = (f64::from(missing) - f64::from(self.missing)).clamp(-packets, packets);
        // The assumption weighs nothing beside what is measured: a clean path is known as such after one sample.
        self.known = (self.known + packets).min(PACKETS_FULL_WEIGHT);
        let weight = (packets / self.known).min(1.0);
        self.share += weight * (lost / packets - self.share);
        self.share = self.share.clamp(Self::MIN, Self::MAX);
        self.highest = highest;
        self.missing = missing;
    }
}

/// After so many arrivals at most a time without reports was dark: where reports get lost, more of what they tell of arrived.
const DARK_ARRIVALS_MAX: u64 = 3;
/// Fewest packets of one sample.
const PACKETS_MIN: u32 = 20;
/// The average forgets in this many packets.
const PACKETS_FULL_WEIGHT: f64 = 200.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_converges_to_what_is_reported() {
        for (one_in, expected) in [(2, 0.5), (5, 0.2)] {
            let mut loss = Loss::new(MonoTime::ZERO);
            for highest in 1..2_000_u32 {
                loss.on_report(MonoTime::ZERO, highest.into(), highest / one_in);
            }
            assert!((loss.share() - expected).abs() < 0.02, "{}", loss.share());
        }
    }

    #[test]
    fn loss_stays_within_its_bounds_whatever_is_reported() {
        let mut loss = Loss::new(MonoTime::ZERO);
        loss.on_report(MonoTime::ZERO, 1_000, 0);
        assert!((loss.share() - Loss::MIN).abs() < 1e-9);
        loss.on_report(MonoTime::ZERO, 2_000, u32::MAX);
        assert!((loss.share() - Loss::MAX).abs() < 1e-9);
        loss.on_report(MonoTime::ZERO, u64::MAX, 0);
        assert!((loss.share() - Loss::MIN).abs() < 1e-9);
    }

    #[test]
    fn the_first_sample_replaces_the_assumption() {
        let mut loss = Loss::new(MonoTime::ZERO);
        loss.on_report(MonoTime::ZERO, 20, 0);
        assert!((loss.share() - Loss::MIN).abs() < 1e-9);
        loss.on_report(MonoTime::ZERO, 40, 10);
        assert!((loss.share() - 0.25).abs() < 0.001);
    }

    #[test]
    fn few_packets_and_old_reports_change_nothing() {
        let mut loss = Loss::new(MonoTime::ZERO);
        loss.on_report(MonoTime::ZERO, 19, 19);
        assert!((loss.share() - Loss::START).abs() < 1e-9);
        loss.on_report(MonoTime::ZERO, 1_000, 0);
        loss.on_report(MonoTime::ZERO, 500, 500);
        assert!((loss.share() - Loss::MIN).abs() < 1e-9);
    }

    #[test]
    fn what_is_lost_in_the_dark_says_nothing_about_the_path_that_is_back() {
        let at = |ms| MonoTime::ZERO + std::time::Duration::from_millis(ms);
        for (dark_ms, expected) in [(2_999, 0.9), (3_000, 0.25)] {
            let mut loss = Loss::new(at(0));
            for step in 1..=100_u32 {
                loss.on_report(at(0), (step * 20).into(), step * 5);
            }
            // Repeated reports of what is known already end no darkness.
            loss.on_report(at(2_000), 2_000, 500);
            let back = at(dark_ms);
            loss.on_report(back, 4_000, 500 + 1_998);
            assert!((loss.share() - expected).abs() < 0.1, "{}", loss.share());
            // The first sample afterwards weighs as on a new path.
            loss.on_report(back, 4_020, 500 + 1_998 + 10);
            let weight = if dark_ms < 3_000 { 0.1 } else { 1.0 };
            let moved = expected + weight * (0.5 - expected);
            assert!((loss.share() - moved).abs() < 0.1, "{}", loss.share());
        }
    }

    #[test]
    fn reports_that_do_not_come_are_no_darkness() {
        let mut loss = Loss::new(MonoTime::ZERO);
        for step in 1..=20_u32 {
            // Of 60 packets six arrive, and one of many reports.
            let now = MonoTime::ZERO + std::time::Duration::from_secs(4) * step;
            loss.on_report(now, (step * 60).into(), step * 54);
        }
        assert!((loss.share() - 0.9).abs() < 0.01, "{}", loss.share());
    }

    #[test]
    fn reordered_packets_are_not_lost_ones() {
        let mut loss = Loss::new(MonoTime::ZERO);
        for step in 1..200_u32 {
            loss.on_report(
                MonoTime::ZERO,
                (step * 20).into(),
                if step % 2 == 0 { 0 } else { 3 },
            );
        }
        assert!(loss.share() < 0.03, "{}", loss.share());
    }
}
