//! Driving with keys whose releases are told.

use std::collections::BTreeSet;
use std::time::Duration;

use longrein_proto::base::MonoTime;

use super::{Controls, Key, KeyFact, Reach};

/// Driving with keys whose releases are told: the held space bar is the dead-man, and the deflection grows while a key is held
/// and goes back when it is not.
#[derive(Debug)]
pub struct HeldKeys {
    reach: Reach,
    held: BTreeSet<Key>,
    /// Thousandths of full deflection.
    speed: i16,
    /// Thousandths of full deflection.
    curvature: i16,
    moved_at: Option<MonoTime>,
    stop: bool,
    quit: bool,
}

impl HeldKeys {
    /// No key is held.
    pub fn new(reach: Reach) -> HeldKeys {
        HeldKeys {
            reach,
            held: BTreeSet::new(),
            speed: 0,
            curvature: 0,
            moved_at: None,
            stop: false,
            quit: false,
        }
    }

    /// Takes in what happened.
    pub fn on_fact(&mut self, fact: KeyFact) {
        match fact {
            KeyFact::Pressed(Key::Quit) => self.quit = true,
            KeyFact::Pressed(Key::Stop) => {
                // The hand has to be put on anew afterwards.
                self.held.clear();
                self.stop = true;
            }
            KeyFact::Pressed(key) => {
                self.held.insert(key);
            }
            KeyFact::Released(key) => {
                self.held.remove(&key);
            }
            KeyFact::FocusLost => self.held.clear(),
        }
    }

    /// What the operator wants now.
    pub fn controls(&mut self, now: MonoTime) -> Controls {
        let passed = self.moved_at.map_or(Duration::ZERO, |then| now.since(then));
        self.moved_at = Some(now);
        let dead_man = self.holds(Key::DeadMan);
        let resume = dead_man && self.holds(Key::Resume);
        if dead_man && !resume {
            let step = step(passed);
            let speed = self.direction(Key::Forward, Key::Back);
            let curvature = self.direction(Key::Left, Key::Right);
            self.speed = towards(self.speed, speed, step);
            self.curvature = towards(self.curvature, curvature, step);
        } else {
            (self.speed, self.curvature) = (0, 0);
        }
        Controls {
            speed_mm_s: self.reach.speed_mm_s(self.speed),
            curvature_per_km: self.reach.curvature_per_km(self.curvature),
            dead_man,
            resume,
            stop: std::mem::take(&mut self.stop),
            quit: self.quit,
        }
    }

    fn holds(&self, key: Key) -> bool {
        self.held.contains(&key)
    }

    /// Full deflection to one side, or none.
    fn direction(&self, plus: Key, minus: Key) -> i16 {
        1_000 * (i16::from(self.holds(plus)) - i16::from(self.holds(minus)))
    }

    /// From rest to full deflection: slow enough to be dosed with a key, fast enough to evade.
    pub const FULL_AFTER: Duration = Duration::from_millis(500);
}

/// How far a deflection moves in this time, in thousandths.
fn step(passed: Duration) -> i16 {
    let step = passed.as_micros() * 1_000 / HeldKeys::FULL_AFTER.as_micros();
    i16::try_from(step).unwrap_or(i16::MAX).min(2_000)
}

fn towards(value: i16, target: i16, step: i16) -> i16 {
    value + (target - value).clamp(-step, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REACH: Reach = Reach {
        speed_max_mm_s: 2_000,
        curvature_max_per_km: 200,
    };

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_us(ms * 1_000)
    }

    fn pressed(keys: &[Key]) -> HeldKeys {
        let mut held = HeldKeys::new(REACH);
        held.controls(at(0));
        for key in keys {
            held.on_fact(KeyFact::Pressed(*key));
        }
        held
    }

    #[test]
    fn deflection_grows_while_a_key_is_held_and_goes_back_when_it_is_not() {
        let mut held = pressed(&[Key::DeadMan, Key::Forward, Key::Left]);
        let half = held.controls(at(250));
        assert_eq!((half.speed_mm_s, half.curvature_per_km), (1_000, 100));
        assert!(half.dead_man);
        assert_eq!(held.controls(at(9_000)).speed_mm_s, 2_000);

        held.on_fact(KeyFact::Released(Key::Forward));
        held.on_fact(KeyFact::Pressed(Key::Back));
        assert_eq!(held.controls(at(9_250)).speed_mm_s, 1_000);
        assert_eq!(held.controls(at(20_000)).speed_mm_s, -2_000);
        // Both ways at once is neither.
        held.on_fact(KeyFact::Pressed(Key::Forward));
        assert_eq!(held.controls(at(30_000)).speed_mm_s, 0);
    }

    #[test]
    fn without_the_dead_man_nothing_moves() {
        let mut held = pressed(&[Key::Forward]);
        assert_eq!(held.controls(at(1_000)), Controls::default());
        held.on_fact(KeyFact::Pressed(Key::DeadMan));
        assert!(held.controls(at(1_500)).speed_mm_s > 0);
        held.on_fact(KeyFact::Released(Key::DeadMan));
        assert_eq!(held.controls(at(1_520)), Controls::default());
    }

    #[test]
    fn a_lost_keyboard_releases_everything() {
        let mut held = pressed(&[Key::DeadMan, Key::Forward]);
        held.controls(at(500));
        held.on_fact(KeyFact::FocusLost);
        assert_eq!(held.controls(at(520)), Controls::default());
    }

    #[test]
    fn resume_comes_with_zero_speed_and_the_dead_man() {
        let mut held = pressed(&[Key::DeadMan, Key::Forward, Key::Resume]);
        let controls = held.controls(at(500));
        assert!(controls.resume && controls.dead_man);
        assert_eq!(controls.speed_mm_s, 0);
        let mut held = pressed(&[Key::Resume]);
        assert!(!held.controls(at(500)).resume);
    }

    #[test]
    fn a_stop_is_told_once_and_takes_the_hand_off() {
        let mut held = pressed(&[Key::DeadMan, Key::Forward]);
        held.on_fact(KeyFact::Pressed(Key::Stop));
        let first = held.controls(at(500));
        assert!(first.stop && !first.dead_man);
        let second = held.controls(at(520));
        assert!(!second.stop && !second.dead_man);
    }

    #[test]
    fn quit_stays() {
        let mut held = pressed(&[Key::Quit]);
        assert!(held.controls(at(1)).quit && held.controls(at(2)).quit);
    }
}
