//! Driving with two sticks and buttons.

use super::{Controls, Reach};

/// Driving with two sticks and buttons: one stick is the speed, the other the curvature, one button the dead-man.
#[derive(Debug)]
pub struct StickState {
    reach: Reach,
    speed: i16,
    curvature: i16,
    dead_man: bool,
    /// After a stop the hand has to be put on anew.
    let_go_first: bool,
    resume: bool,
    stop: bool,
    quit: bool,
}

/// What happened to the sticks and buttons. Deflections are -1,000 to 1,000 thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StickFact {
    /// Where the stick for the speed is; positive is forward.
    Speed(i16),
    /// Where the stick for the curvature is; positive is left.
    Curvature(i16),
    /// The dead-man is held or not; may be told again and again.
    DeadMan(bool),
    /// The resume button is held or not; may be told again and again.
    Resume(bool),
    /// The stop button went down.
    Stop,
    /// The end button went down.
    Quit,
}

/// The values of an axis at rest and at its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AxisRange {
    /// Value at one end.
    pub minimum: i32,
    /// Value at the other end.
    pub maximum: i32,
    /// How far around the middle the device itself calls rest.
    pub flat: i32,
}

impl StickState {
    /// At rest.
    pub fn new(reach: Reach) -> StickState {
        StickState {
            reach,
            speed: 0,
            curvature: 0,
            dead_man: false,
            let_go_first: false,
            resume: false,
            stop: false,
            quit: false,
        }
    }

    /// Takes in what happened.
    pub fn on_fact(&mut self, fact: StickFact) {
        match fact {
            StickFact::Speed(deflection) => self.speed = deflection,
            StickFact::Curvature(deflection) => self.curvature = deflection,
            StickFact::DeadMan(held) => {
                self.let_go_first &= held;
                self.dead_man = held && !self.let_go_first;
            }
            StickFact::Resume(held) => self.resume = held,
            StickFact::Stop => {
                (self.dead_man, self.let_go_first) = (false, true);
                self.stop = true;
            }
            StickFact::Quit => self.quit = true,
        }
    }

    /// What the operator wants now.
    pub fn controls(&mut self) -> Controls {
        let resume = self.dead_man && self.resume;
        let (speed, curvature) = match self.dead_man && !resume {
            true => (self.speed, self.curvature),
            false => (0, 0),
        };
        Controls {
            speed_mm_s: self.reach.speed_mm_s(speed),
            curvature_per_km: self.reach.curvature_per_km(curvature),
            dead_man: self.dead_man,
            resume,
            stop: std::mem::take(&mut self.stop),
            quit: self.quit,
        }
    }
}

impl AxisRange {
    /// The deflection at this value, -1,000 to 1,000: zero within the dead zone around the middle, full at the ends.
    pub fn deflection(self, value: i32) -> i16 {
        let (low, high) = (i64::from(self.minimum), i64::from(self.maximum));
        let half = (high - low) / 2;
        let zone = i64::from(self.flat).max(half * DEAD_ZONE_PERCENT / 100);
        // Doubled, so that a middle between two values is exact.
        let off = (2 * i64::from(value) - low - high) / 2;
        if half <= zone || off.abs() <= zone {
            return 0;
        }
        let part = (off.abs() - zone) * 1_000 / (half - zone);
        let part = i16::try_from(part.min(1_000)).unwrap_or(1_000);
        if off < 0 { -part } else { part }
    }
}

/// Around the middle, in hundredths of the way to an end: worn sticks rest that far off.
const DEAD_ZONE_PERCENT: i64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const REACH: Reach = Reach {
        speed_max_mm_s: 2_000,
        curvature_max_per_km: 200,
    };

    fn after(facts: &[StickFact]) -> StickState {
        let mut sticks = StickState::new(REACH);
        facts.iter().for_each(|fact| sticks.on_fact(*fact));
        sticks
    }

    #[test]
    fn sticks_drive_while_the_dead_man_is_held() {
        let facts = [StickFact::Speed(500), StickFact::Curvature(-1_000)];
        let mut sticks = after(&facts);
        assert_eq!(sticks.controls(), Controls::default());
        sticks.on_fact(StickFact::DeadMan(true));
        let controls = sticks.controls();
        assert_eq!(
            (controls.speed_mm_s, controls.curvature_per_km),
            (1_000, -200)
        );
        sticks.on_fact(StickFact::DeadMan(false));
        assert_eq!(sticks.controls(), Controls::default());
    }

    #[test]
    fn resume_comes_with_zero_speed() {
        let facts = [
            StickFact::Speed(500),
            StickFact::DeadMan(true),
            StickFact::Resume(true),
        ];
        let controls = after(&facts).controls();
        assert!(controls.resume && controls.dead_man && controls.speed_mm_s == 0);
    }

    #[test]
    fn a_stop_is_told_once_and_takes_the_hand_off_and_quit_stays() {
        let mut sticks = after(&[StickFact::DeadMan(true), StickFact::Stop, StickFact::Quit]);
        let first = sticks.controls();
        assert!(first.stop && !first.dead_man && first.quit);
        sticks.on_fact(StickFact::DeadMan(true));
        let second = sticks.controls();
        assert!(!second.stop && !second.dead_man && second.quit);
        sticks.on_fact(StickFact::DeadMan(false));
        sticks.on_fact(StickFact::DeadMan(true));
        assert!(sticks.controls().dead_man);
    }

    #[test]
    fn an_axis_rests_in_its_dead_zone_and_is_full_at_its_ends() {
        let stick = AxisRange {
            minimum: -32_768,
            maximum: 32_767,
            flat: 128,
        };
        for (value, deflection) in [(0, 0), (2_600, 0), (-2_600, 0), (32_767, 1_000)] {
            assert_eq!(stick.deflection(value), deflection, "{value}");
        }
        assert_eq!(stick.deflection(-32_768), -1_000);
        assert!(stick.deflection(2_700) > 0);
        let byte = AxisRange {
            minimum: 0,
            maximum: 255,
            flat: 15,
        };
        let at = |value| byte.deflection(value);
        assert_eq!((at(0), at(128), at(255)), (-1_000, 0, 1_000));
        // A device that reports nonsense does not move the vehicle.
        let none = AxisRange {
            minimum: 0,
            maximum: 0,
            flat: 0,
        };
        assert_eq!(none.deflection(i32::MAX), 0);
    }
}
