//! What a path may send now.

use crate::base::limits::{
    BURST, PACKET_BYTES_MAX, PLAIN_SHARE_PERCENT, STOP_RESERVE_BITS_PER_S, WIRE_OVERHEAD_BYTES,
};
use crate::base::{Class, MonoTime};

/// A token bucket with two compartments, each with its guaranteed share of the rate: one for `latest`, one for the other
/// classes. What overflows one goes to the other. Stops have a reserve, and take what they need beyond from `latest`.
#[derive(Clone, Copy, Debug)]
pub struct Tokens {
    /// Bytes.
    latest: f64,
    plain: f64,
    reserve: f64,
    /// Most that each compartment holds.
    full: f64,
    /// Only `latest` and stops may go.
    plain_paused: bool,
    filled_at: MonoTime,
}

impl Tokens {
    /// Full compartments of a path with this rate.
    pub fn new(now: MonoTime, bits_per_s: f64) -> Tokens {
        let full = depth(bits_per_s);
        Tokens {
            latest: full,
            plain: full,
            reserve: STOP_RESERVE_BYTES,
            full,
            plain_paused: false,
            filled_at: now,
        }
    }

    /// Time passed at this rate.
    pub fn fill(&mut self, now: MonoTime, bits_per_s: f64, plain_allowed: bool) {
        let seconds = now.since(self.filled_at).as_secs_f64();
        self.filled_at = self.filled_at.max(now);
        let gained = bits_per_s / 8.0 * seconds;
        self.full = depth(bits_per_s);
        let share = f64::from(PLAIN_SHARE_PERCENT) / 100.0;
        self.latest += gained * (1.0 - share);
        self.plain += gained * share;
        let over = (self.latest - self.full).max(0.0);
        self.latest -= over;
        self.plain += over;
        let over = (self.plain - self.full).max(0.0);
        self.plain -= over;
        self.latest = (self.latest + over).min(self.full);
        self.plain_paused = !plain_allowed;
        let reserve = f64::from(STOP_RESERVE_BITS_PER_S) / 8.0;
        self.reserve = (self.reserve + reserve * seconds).min(STOP_RESERVE_BYTES);
    }

    /// Whether so many bytes of a class may go now.
    pub fn affords(&self, class: Class, bytes: usize) -> bool {
        !self.is_paused(class) && self.lacks(class, bytes) <= 0.0
    }

    fn is_paused(&self, class: Class) -> bool {
        self.plain_paused && matches!(class, Class::Unordered | Class::Reliable)
    }

    /// Takes what [`Self::affords`] allowed: from its own compartment, else from the upper half of the other one.
    pub fn spend(&mut self, class: Class, bytes: usize) {
        let cost = cost(bytes);
        match class {
            Class::Latest if self.latest < cost && self.spare(self.plain) >= cost => {
                self.plain -= cost;
            }
            Class::Latest => self.latest -= cost,
            Class::Unordered | Class::Reliable if self.plain >= cost => self.plain -= cost,
            Class::Unordered | Class::Reliable if self.spare(self.latest) >= cost => {
                self.latest -= cost;
            }
            Class::Unordered | Class::Reliable => self.plain -= cost,
            Class::Stop if self.reserve >= cost => self.reserve -= cost,
            Class::Stop => self.latest = (self.latest - cost).max(-self.full),
        }
    }

    /// Takes for what has to go in any case, such as a heartbeat: that makes a debt, which is bounded.
    pub fn spend_anyway(&mut self, bytes: usize) {
        let cost = cost(bytes);
        if self.latest >= self.plain {
            self.latest = (self.latest - cost).max(-self.full);
        } else {
            self.plain = (self.plain - cost).max(-self.full);
        }
    }

    /// Whether an acknowledgement may go for its own sake. It leaves room for parcels: they carry it too.
    pub fn affords_state(&self) -> bool {
        self.spare(self.latest.max(self.plain)) >= 0.0
    }

    /// Seconds at this rate until so many bytes of a class may go.
    pub fn wait_s(&self, class: Class, bytes: usize, bits_per_s: f64) -> f64 {
        if self.is_paused(class) {
            return PAUSE_S;
        }
        let plain_share = f64::from(PLAIN_SHARE_PERCENT) / 100.0;
        let cost = cost(bytes);
        let latest = (1.0 - plain_share, self.latest);
        let plain = (plain_share, self.plain);
        let (own, other) = match class {
            Class::Latest => (latest, plain),
            Class::Unordered | Class::Reliable => (plain, latest),
            Class::Stop => (latest, latest),
        };
        let until = |(share, there): (f64, f64), wanted: f64| {
            (wanted - there).max(0.0) / (bits_per_s / 8.0 * share).max(1.0)
        };
        let spare = until(other, cost + self.full * KEPT_SHARE);
        until(own, cost).min(spare).max(MOMENT_S)
    }

    /// How full the fuller compartment is.
    pub fn fullness(&self) -> f64 {
        self.latest.max(self.plain) / self.full
    }

    /// What one compartment may give to the other's class.
    fn spare(&self, there: f64) -> f64 {
        there - self.full * KEPT_SHARE
    }

    fn lacks(&self, class: Class, bytes: usize) -> f64 {
        let there = match class {
            Class::Latest => self.latest.max(self.spare(self.plain)),
            Class::Unordered | Class::Reliable => self.plain.max(self.spare(self.latest)),
            Class::Stop => self.latest.max(self.reserve),
        };
        cost(bytes) - there
    }
}

fn depth(bits_per_s: f64) -> f64 {
    (bits_per_s / 8.0 * BURST.as_secs_f64()).max(DEPTH_MIN)
}

fn cost(bytes: usize) -> f64 {
    u32::try_from(bytes).map_or(f64::MAX, f64::from)
}

/// 1.5 full packets: a bucket that never holds a whole packet would stop everything.
const DEPTH_MIN: f64 = (PACKET_BYTES_MAX + WIRE_OVERHEAD_BYTES) as f64 * 1.5;
/// Stops at once: two full packets, or a dozen stops.
const STOP_RESERVE_BYTES: f64 = (PACKET_BYTES_MAX + WIRE_OVERHEAD_BYTES) as f64 * 2.0;
/// What is paused is looked at again after this: when the rate may change.
const PAUSE_S: f64 = 0.1;
/// What a compartment keeps for its own class.
const KEPT_SHARE: f64 = 0.5;
/// Compartments are looked at again after this.
const MOMENT_S: f64 = 0.001;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MEGABIT: f64 = 1_000_000.0;

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(ms)
    }

    /// Bytes that each class gets in a second when both always want more, 1,000 at a time.
    fn shared_out(classes: [Class; 2]) -> [usize; 2] {
        let mut tokens = Tokens::new(at(0), MEGABIT);
        let mut got = [0; 2];
        for ms in 0..10_000 {
            tokens.fill(at(ms), MEGABIT, true);
            for (class, got) in classes.into_iter().zip(&mut got) {
                while tokens.affords(class, 1_000) {
                    tokens.spend(class, 1_000);
                    *got += 100;
                }
            }
        }
        got
    }

    #[test]
    fn each_compartment_has_its_share_and_takes_what_the_other_leaves() {
        let [latest, plain] = shared_out([Class::Latest, Class::Reliable]);
        assert!((85_000..90_000).contains(&latest), "{latest}");
        assert!((37_000..40_000).contains(&plain), "{plain}");
        for class in [Class::Latest, Class::Reliable] {
            let [alone, _] = shared_out([class, class]);
            assert!((124_000..127_000).contains(&alone), "{class:?} {alone}");
        }
    }

    #[test]
    fn a_whole_packet_and_a_half_fit_at_any_rate() {
        let mut tokens = Tokens::new(at(0), 16_000.0);
        let packet = PACKET_BYTES_MAX + WIRE_OVERHEAD_BYTES;
        for class in [Class::Latest, Class::Reliable] {
            assert!(tokens.affords(class, packet * 3 / 2));
            tokens.spend(class, packet);
        }
        tokens.fill(at(2_000), 16_000.0, true);
        assert!(tokens.affords(Class::Latest, packet));
    }

    #[test]
    fn what_is_paused_does_not_go_whatever_is_there() {
        let mut tokens = Tokens::new(at(0), MEGABIT);
        tokens.fill(at(1), MEGABIT, false);
        assert!(!tokens.affords(Class::Reliable, 100) && !tokens.affords(Class::Unordered, 100));
        assert!(tokens.affords(Class::Latest, 100) && tokens.affords(Class::Stop, 100));
        tokens.fill(at(2), MEGABIT, true);
        assert!(tokens.affords(Class::Reliable, 100));
    }

    #[test]
    fn stops_go_when_nothing_else_may() {
        let mut tokens = Tokens::new(at(0), MEGABIT);
        for _ in 0..100 {
            tokens.spend_anyway(1_000);
        }
        assert!(!tokens.affords_state());
        assert!(!tokens.affords(Class::Latest, 100) && !tokens.affords(Class::Reliable, 100));
        assert!(tokens.affords(Class::Stop, 2_000));
        tokens.spend(Class::Stop, 2_000);
        assert!(!tokens.affords(Class::Stop, 2_000));
        // A debt has a bound.
        tokens.fill(at(200), MEGABIT, true);
        assert!(tokens.affords_state());
    }

    #[test]
    fn acknowledgements_leave_room_for_parcels() {
        let mut tokens = Tokens::new(at(0), MEGABIT);
        while tokens.affords_state() {
            tokens.spend_anyway(100);
        }
        assert!(tokens.affords(Class::Latest, 1_000) && tokens.affords(Class::Reliable, 1_000));
    }

    #[test]
    fn the_wait_that_is_told_is_long_enough_and_not_much_longer() {
        for class in [Class::Latest, Class::Reliable] {
            let mut tokens = Tokens::new(at(0), MEGABIT);
            for _ in 0..20 {
                tokens.spend_anyway(1_000);
            }
            let wait_s = tokens.wait_s(class, 1_000, MEGABIT);
            let mut at_most = tokens;
            at_most.fill(
                at(0) + Duration::from_secs_f64(wait_s + 0.001),
                MEGABIT,
                true,
            );
            assert!(at_most.affords(class, 1_000), "{class:?} {wait_s}");
            let mut sooner = tokens;
            sooner.fill(at(0) + Duration::from_secs_f64(wait_s * 0.8), MEGABIT, true);
            assert!(!sooner.affords(class, 1_000), "{class:?} {wait_s}");
        }
    }
}
