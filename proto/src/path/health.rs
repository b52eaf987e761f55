//! Whether a path works.

use std::time::Duration;

use crate::base::MonoTime;
use crate::base::limits::HEARTBEAT;

/// Whether a path works, by how long nothing was heard on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Nothing was heard yet.
    Unknown,
    /// Something was heard within [`SUSPECT_AFTER`].
    Live,
    /// Nothing for a while: it still gets its copies.
    Suspect,
    /// Nothing for long: it gets heartbeats only, while another path works.
    Down,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    Heard,
    SilentFor(Duration),
}

/// A path's health and when it changes by itself.
#[derive(Clone, Copy, Debug)]
pub struct HealthClock {
    health: Health,
    heard: MonoTime,
}

impl HealthClock {
    /// A path that begins now.
    pub const fn new(now: MonoTime) -> HealthClock {
        HealthClock {
            health: Health::Unknown,
            heard: now,
        }
    }

    /// How the path stands.
    pub const fn health(&self) -> Health {
        self.health
    }

    /// Something arrived; the new health when it changed.
    pub fn on_heard(&mut self, now: MonoTime) -> Option<Health> {
        self.heard = now;
        self.apply(Fact::Heard)
    }

    /// Time has passed; the new health when it changed.
    pub fn on_timeout(&mut self, now: MonoTime) -> Option<Health> {
        self.apply(Fact::SilentFor(now.since(self.heard)))
    }

    /// When the health changes if nothing is heard.
    pub fn next_timeout(&self) -> Option<MonoTime> {
        match self.health {
            Health::Unknown | Health::Suspect => Some(self.heard + DOWN_AFTER),
            Health::Live => Some(self.heard + SUSPECT_AFTER),
            Health::Down => None,
        }
    }

    fn apply(&mut self, fact: Fact) -> Option<Health> {
        let before = self.health;
        self.health = next(before, fact);
        (self.health != before).then_some(self.health)
    }
}

fn next(health: Health, fact: Fact) -> Health {
    match (health, fact) {
        (_, Fact::Heard) => Health::Live,
        (_, Fact::SilentFor(span)) if span >= DOWN_AFTER => Health::Down,
        (Health::Live, Fact::SilentFor(span)) if span >= SUSPECT_AFTER => Health::Suspect,
        (unchanged, Fact::SilentFor(_)) => unchanged,
    }
}

/// Three heartbeats in a row are missing: 1 in 125 times at 20 % loss, and a suspect path loses nothing by it.
const SUSPECT_AFTER: Duration = HEARTBEAT.saturating_mul(3);
/// Fifteen heartbeats in a row are missing: by chance 1 in 30,000 times at 50 % loss.
const DOWN_AFTER: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_path_becomes_suspect_then_down_and_live_at_once_when_heard() {
        let at = |ms: u64| MonoTime::from_us(ms * 1_000);
        let mut path = HealthClock::new(at(0));
        assert_eq!(path.on_timeout(at(600)), None);
        assert_eq!(path.on_heard(at(700)), Some(Health::Live));
        assert_eq!(path.on_timeout(at(1_299)), None);
        assert_eq!(path.on_timeout(at(1_300)), Some(Health::Suspect));
        assert_eq!(path.next_timeout(), Some(at(3_700)));
        assert_eq!(path.on_timeout(at(3_700)), Some(Health::Down));
        assert_eq!(path.next_timeout(), None);
        assert_eq!(path.on_heard(at(9_000)), Some(Health::Live));
    }

    #[test]
    fn a_path_on_which_nothing_is_ever_heard_goes_down() {
        let at = |ms: u64| MonoTime::from_us(ms * 1_000);
        let mut path = HealthClock::new(at(0));
        assert_eq!(path.on_timeout(at(3_000)), Some(Health::Down));
    }
}
