//! The physics of the built-in vehicle: a point with heading, speed and curvature, that loses speed when nobody tells it to move.

use std::time::Duration;

use longrein_proto::base::{MonoTime, Stage};
use longrein_proto::control::Output;
use longrein_proto::wire::{Drive, VehicleState};

use super::config::SimConfig;

/// A simulated vehicle. It obeys what every device must: it stops by itself when its last word is over.
#[derive(Clone, Debug)]
pub struct SimVehicle {
    config: SimConfig,
    at: MonoTime,
    x_mm: f64,
    y_mm: f64,
    heading_rad: f64,
    speed_mm_s: f64,
    curvature_per_km: f64,
    word: Option<Output>,
    told_at: MonoTime,
}

impl SimVehicle {
    /// A vehicle that stands at the origin and looks east.
    pub fn new(config: &SimConfig, now: MonoTime) -> SimVehicle {
        SimVehicle {
            config: config.clone(),
            at: now,
            x_mm: 0.0,
            y_mm: 0.0,
            heading_rad: 0.0,
            speed_mm_s: 0.0,
            curvature_per_km: 0.0,
            word: None,
            told_at: now,
        }
    }

    /// The agent's word; the time until now passes under the word before.
    pub fn on_output(&mut self, now: MonoTime, output: &Output) {
        self.advance(now);
        self.word = Some(*output);
        self.told_at = now;
    }

    /// Lets the time until now pass. After a long pause (the process was stopped) everything that should have happened in it
    /// happens now.
    pub fn advance(&mut self, now: MonoTime) {
        while self.at < now {
            let wish = self.wish();
            if self.speed_mm_s == 0.0 && wish.speed_mm_s == 0.0 && self.word_is_over() {
                self.at = now;
                return;
            }
            let step = now.since(self.at).min(STEP);
            self.step(&wish, step.as_secs_f64());
            self.at = self.at + step;
        }
    }

    /// Where it is and how it moves.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "conversions of floats saturate"
    )]
    pub fn state(&self) -> VehicleState {
        VehicleState {
            x_mm: self.x_mm.round() as i32,
            y_mm: self.y_mm.round() as i32,
            heading_mrad: (self.heading_rad * 1_000.0).round() as i16,
            speed_mm_s: self.speed_mm_s.round() as i16,
        }
    }

    /// SAFE-60, SAFE-61: a word that is over, or the last of 100 ms ago, is none.
    fn word_is_over(&self) -> bool {
        self.word.is_none_or(|word| {
            word.deadline <= self.at || self.at.since(self.told_at) >= Output::SILENCE_MAX
        })
    }

    fn wish(&self) -> Wish {
        let stand = |loss_mm_s2| Wish {
            speed_mm_s: 0.0,
            loss_mm_s2: f64::from(loss_mm_s2),
            curvature_per_km: self.curvature_per_km,
        };
        let soft = stand(self.config.deceleration_mm_s2);
        let hard = stand(self.config.stop_deceleration_mm_s2);
        let Some(word) = self.word else { return soft };
        if word.stopped {
            return hard;
        }
        if self.word_is_over() {
            return soft;
        }
        match (word.stage, word.drive) {
            (Stage::MinimalRisk, _) => hard,
            (Stage::Ramp, _) | (Stage::Nominal | Stage::Hold, None) => soft,
            (Stage::Nominal, Some(drive)) => self.follow(drive),
            (Stage::Hold, Some(drive)) => {
                let mut wish = self.follow(drive);
                let same_way = wish.speed_mm_s * self.speed_mm_s > 0.0;
                if !same_way {
                    wish.speed_mm_s = 0.0;
                } else if wish.speed_mm_s.abs() > self.speed_mm_s.abs() {
                    wish.speed_mm_s = self.speed_mm_s;
                }
                wish
            }
        }
    }

    fn follow(&self, drive: Drive) -> Wish {
        let max = f64::from(self.config.speed_max_mm_s);
        Wish {
            speed_mm_s: f64::from(drive.speed_mm_s).clamp(-max, max),
            loss_mm_s2: f64::from(self.config.deceleration_mm_s2),
            curvature_per_km: f64::from(drive.curvature_per_km),
        }
    }

    fn step(&mut self, wish: &Wish, seconds: f64) {
        let gains = wish.speed_mm_s.abs() > self.speed_mm_s.abs()
            && wish.speed_mm_s * self.speed_mm_s >= 0.0;
        let rate = if gains {
            f64::from(self.config.acceleration_mm_s2)
        } else {
            wish.loss_mm_s2
        };
        self.speed_mm_s = approach(self.speed_mm_s, wish.speed_mm_s, rate * seconds);
        let steering = f64::from(self.config.steering_per_km_s) * seconds;
        self.curvature_per_km = approach(self.curvature_per_km, wish.curvature_per_km, steering);

        let way_mm = self.speed_mm_s * seconds;
        let turn_rad = way_mm * self.curvature_per_km / MM_PER_KM;
        let heading = self.heading_rad + turn_rad / 2.0;
        self.x_mm += way_mm * heading.cos();
        self.y_mm += way_mm * heading.sin();
        self.heading_rad = wrapped(self.heading_rad + turn_rad);
    }
}

struct Wish {
    speed_mm_s: f64,
    /// How fast speed is lost towards the wish.
    loss_mm_s2: f64,
    curvature_per_km: f64,
}

fn approach(value: f64, target: f64, step: f64) -> f64 {
    if (target - value).abs() <= step {
        target
    } else {
        value + step.copysign(target - value)
    }
}

fn wrapped(angle_rad: f64) -> f64 {
    use std::f64::consts::PI;
    (angle_rad + PI).rem_euclid(2.0 * PI) - PI
}

/// One step of the integration: 5 m/s move 25 mm in it.
const STEP: Duration = Duration::from_millis(5);
const MM_PER_KM: f64 = 1_000_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_us(1_000_000 + ms * 1_000)
    }

    fn word(now: MonoTime, stage: Stage, drive: Option<(i16, i16)>, ttl_ms: u64) -> Output {
        let ttl_left = Duration::from_millis(ttl_ms);
        Output {
            stage,
            stopped: false,
            drive: drive.map(|(speed_mm_s, curvature_per_km)| Drive {
                speed_mm_s,
                curvature_per_km,
            }),
            deadline: now + ttl_left,
            ttl_left,
        }
    }

    fn fed(from_ms: u64, to_ms: u64, vehicle: &mut SimVehicle, drive: (i16, i16)) {
        for ms in (from_ms..to_ms).step_by(20) {
            vehicle.on_output(at(ms), &word(at(ms), Stage::Nominal, Some(drive), 100));
        }
        vehicle.advance(at(to_ms));
    }

    fn at_speed() -> SimVehicle {
        let mut vehicle = SimVehicle::new(&SimConfig::default(), at(0));
        fed(0, 2_000, &mut vehicle, (3_000, 0));
        assert_eq!(vehicle.state().speed_mm_s, 3_000);
        vehicle
    }

    #[test]
    fn it_follows_a_circle_to_the_left() {
        let mut vehicle = SimVehicle::new(&SimConfig::default(), at(0));
        // Radius 2 m: a half circle takes 2π m.
        fed(0, 1_000, &mut vehicle, (0, 500));
        fed(1_000, 8_000, &mut vehicle, (1_000, 500));
        let state = vehicle.state();
        let way_mm = 6_750.0; // 7 s, of which 0.5 s to gain 1 m/s
        let angle = way_mm / 2_000.0;
        assert!(
            (f64::from(state.x_mm) - 2_000.0 * f64::sin(angle)).abs() < 50.0,
            "{state:?}"
        );
        assert!(
            (f64::from(state.y_mm) - 2_000.0 * (1.0 - f64::cos(angle))).abs() < 50.0,
            "{state:?}"
        );
        assert!(
            state.heading_mrad < 0,
            "wrapped past the half turn: {state:?}"
        );
    }

    /// SAFE-60
    #[test]
    fn silence_stops_it_also_when_the_whole_process_slept() {
        let mut vehicle = at_speed();
        let before = vehicle.state();
        vehicle.advance(at(1_980 + 3_600_000));
        let after = vehicle.state();
        assert_eq!(after.speed_mm_s, 0);
        // 80 ms at full speed, then v²/2a.
        let way_mm = after.x_mm - before.x_mm;
        assert!((2_000..2_100).contains(&way_mm), "{way_mm} mm");
    }

    /// SAFE-61
    #[test]
    fn it_brakes_when_the_word_is_over_though_others_follow() {
        let mut vehicle = at_speed();
        let late = word(at(2_000), Stage::Nominal, Some((3_000, 0)), 0);
        vehicle.on_output(at(2_000), &late);
        vehicle.advance(at(2_050));
        assert!(vehicle.state().speed_mm_s < 3_000);
    }

    /// SAFE-47
    #[test]
    fn without_a_command_it_slows_down_in_every_stage() {
        for stage in Stage::ALL {
            let mut vehicle = at_speed();
            vehicle.on_output(at(2_000), &word(at(2_000), stage, None, 100));
            vehicle.advance(at(2_100));
            assert!(vehicle.state().speed_mm_s <= 2_750, "{stage}");
        }
    }

    #[test]
    fn in_hold_it_keeps_its_way_and_gains_no_speed() {
        for (wanted, expected) in [(5_000, 3_000), (3_000, 3_000), (-3_000, 2_750)] {
            let mut vehicle = at_speed();
            let hold = word(at(2_000), Stage::Hold, Some((wanted, 0)), 100);
            vehicle.on_output(at(2_000), &hold);
            vehicle.advance(at(2_100));
            assert_eq!(vehicle.state().speed_mm_s, expected, "{wanted}");
        }
    }

    #[test]
    fn an_emergency_stop_brakes_harder_than_ramp() {
        let mut vehicle = at_speed();
        let mut stop = word(at(2_000), Stage::MinimalRisk, None, 100);
        stop.stopped = true;
        vehicle.on_output(at(2_000), &stop);
        vehicle.advance(at(2_500));
        assert_eq!(
            vehicle.state().speed_mm_s,
            0,
            "6 m/s²: 3 m/s in half a second"
        );
    }

    #[test]
    fn it_drives_no_faster_than_it_can() {
        let mut vehicle = at_speed();
        fed(2_000, 6_000, &mut vehicle, (i16::MIN, 0));
        assert_eq!(vehicle.state().speed_mm_s, -5_000);
    }
}
