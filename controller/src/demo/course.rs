//! The way that the demo drives.

use std::time::Duration;

use longrein_proto::wire::Drive;

/// What to command at a time of the drive: a figure of eight, one circle to the left and one to the right.
pub(super) fn at(time: Duration) -> Drive {
    let circle = time.as_millis() / CIRCLE.as_millis();
    let left = circle.is_multiple_of(2);
    Drive {
        speed_mm_s: SPEED_MM_S,
        curvature_per_km: if left {
            CURVATURE_PER_KM
        } else {
            -CURVATURE_PER_KM
        },
    }
}

/// One circle.
const CIRCLE: Duration = Duration::from_secs(10);
const SPEED_MM_S: i16 = 1_500;
/// 15 m of way make a full circle: 2π / 15 m = 0.419 per m.
const CURVATURE_PER_KM: i16 = 419;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_circles_turn_against_each_other_and_close() {
        let turn: f64 = (0..500)
            .map(|tick| {
                let drive = at(Duration::from_millis(tick * 20));
                f64::from(drive.speed_mm_s) * f64::from(drive.curvature_per_km) * 0.02 / 1e6
            })
            .sum();
        assert!((turn - std::f64::consts::TAU).abs() < 0.01, "{turn}");
        let second = at(Duration::from_secs(15));
        assert_eq!(
            second.curvature_per_km,
            -at(Duration::ZERO).curvature_per_km
        );
    }
}
