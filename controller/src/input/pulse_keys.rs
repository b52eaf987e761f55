//! Driving with keys whose releases are not told.

use std::collections::BTreeMap;
use std::time::Duration;

use longrein_proto::base::MonoTime;

use super::{Controls, Key, KeyFact, Reach};

/// Driving with keys whose releases are not told: each press moves the vehicle for a short pulse, slowly. There is no
/// dead-man; its bit is set for the length of the pulse.
#[derive(Debug)]
pub struct PulseKeys {
    reach: Reach,
    pulses: BTreeMap<Key, MonoTime>,
    stop: bool,
    quit: bool,
}

impl PulseKeys {
    /// No pulse is on. The speed is never more than [`PulseKeys::SPEED_MAX_MM_S`].
    pub fn new(reach: Reach) -> PulseKeys {
        PulseKeys {
            reach: Reach {
                speed_max_mm_s: reach.speed_max_mm_s.min(Self::SPEED_MAX_MM_S),
                ..reach
            },
            pulses: BTreeMap::new(),
            stop: false,
            quit: false,
        }
    }

    /// Takes in what happened.
    pub fn on_fact(&mut self, now: MonoTime, fact: KeyFact) {
        match fact {
            KeyFact::Pressed(Key::Quit) => self.quit = true,
            KeyFact::Pressed(Key::Stop) => {
                self.pulses.clear();
                self.stop = true;
            }
            KeyFact::Pressed(Key::DeadMan) | KeyFact::FocusLost => self.pulses.clear(),
            KeyFact::Pressed(key) => {
                if let Some(opposite) = opposite(key) {
                    self.pulses.remove(&opposite);
                }
                self.pulses.insert(key, now + Self::PULSE);
            }
            KeyFact::Released(_) => {}
        }
    }

    /// What the operator wants now.
    pub fn controls(&mut self, now: MonoTime) -> Controls {
        self.pulses.retain(|_, end| now < *end);
        let on = |key| self.pulses.contains_key(&key);
        let direction = |plus, minus| 1_000 * (i16::from(on(plus)) - i16::from(on(minus)));
        let resume = on(Key::Resume);
        let speed = match resume {
            true => 0,
            false => direction(Key::Forward, Key::Back),
        };
        Controls {
            speed_mm_s: self.reach.speed_mm_s(speed),
            curvature_per_km: self
                .reach
                .curvature_per_km(direction(Key::Left, Key::Right)),
            dead_man: !self.pulses.is_empty(),
            resume,
            stop: std::mem::take(&mut self.stop),
            quit: self.quit,
        }
    }

    /// How long one press moves the vehicle: longer than the gap between two repeats of a held key (30 to 100 ms), short
    /// enough that a vehicle at the highest speed goes on for 150 mm.
    pub const PULSE: Duration = Duration::from_millis(300);
    /// Highest speed, in mm/s: a slow walk, as there is no dead-man.
    pub const SPEED_MAX_MM_S: i16 = 500;
}

fn opposite(key: Key) -> Option<Key> {
    match key {
        Key::Forward => Some(Key::Back),
        Key::Back => Some(Key::Forward),
        Key::Left => Some(Key::Right),
        Key::Right => Some(Key::Left),
        Key::DeadMan | Key::Resume | Key::Stop | Key::Quit => None,
    }
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

    #[test]
    fn a_press_moves_for_one_pulse_at_the_capped_speed() {
        let mut pulse = PulseKeys::new(REACH);
        assert_eq!(pulse.controls(at(0)), Controls::default());
        pulse.on_fact(at(0), KeyFact::Pressed(Key::Forward));
        let moving = pulse.controls(at(299));
        assert_eq!((moving.speed_mm_s, moving.dead_man), (500, true));
        assert_eq!(pulse.controls(at(300)), Controls::default());
    }

    #[test]
    fn a_repeated_press_makes_the_pulse_longer() {
        let mut pulse = PulseKeys::new(REACH);
        for ms in [0, 200, 400] {
            pulse.on_fact(at(ms), KeyFact::Pressed(Key::Forward));
            assert_eq!(pulse.controls(at(ms + 199)).speed_mm_s, 500);
        }
        assert_eq!(pulse.controls(at(700)).speed_mm_s, 0);
    }

    #[test]
    fn the_opposite_key_turns_at_once_and_steering_keeps_its_own_pulse() {
        let mut pulse = PulseKeys::new(REACH);
        pulse.on_fact(at(0), KeyFact::Pressed(Key::Left));
        pulse.on_fact(at(100), KeyFact::Pressed(Key::Forward));
        pulse.on_fact(at(150), KeyFact::Pressed(Key::Back));
        let controls = pulse.controls(at(200));
        assert_eq!(
            (controls.speed_mm_s, controls.curvature_per_km),
            (-500, 200)
        );
        assert_eq!(pulse.controls(at(310)).curvature_per_km, 0);
    }

    #[test]
    fn the_space_bar_and_a_lost_keyboard_end_all_pulses() {
        for fact in [KeyFact::Pressed(Key::DeadMan), KeyFact::FocusLost] {
            let mut pulse = PulseKeys::new(REACH);
            pulse.on_fact(at(0), KeyFact::Pressed(Key::Forward));
            pulse.on_fact(at(1), fact);
            assert_eq!(pulse.controls(at(2)), Controls::default());
        }
    }

    #[test]
    fn resume_comes_with_zero_speed_and_a_stop_is_told_once() {
        let mut pulse = PulseKeys::new(REACH);
        pulse.on_fact(at(0), KeyFact::Pressed(Key::Forward));
        pulse.on_fact(at(0), KeyFact::Pressed(Key::Resume));
        let controls = pulse.controls(at(1));
        assert!(controls.resume && controls.speed_mm_s == 0);
        pulse.on_fact(at(2), KeyFact::Pressed(Key::Stop));
        assert!(pulse.controls(at(3)).stop);
        assert_eq!(pulse.controls(at(4)), Controls::default());
    }
}
