//! What full deflection means.

/// What full deflection means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Speed at full deflection, in mm/s, not negative.
    pub speed_max_mm_s: i16,
    /// Curvature at full deflection, in 1/km, not negative.
    pub curvature_max_per_km: i16,
}

impl Reach {
    /// The speed at this part of full deflection, -1,000 to 1,000 thousandths.
    pub fn speed_mm_s(self, deflection: i16) -> i16 {
        part(self.speed_max_mm_s, deflection)
    }

    /// The curvature at this part of full deflection, -1,000 to 1,000 thousandths.
    pub fn curvature_per_km(self, deflection: i16) -> i16 {
        part(self.curvature_max_per_km, deflection)
    }

    /// The speed, within reach.
    pub fn clamp_speed(self, speed_mm_s: i16) -> i16 {
        clamp(speed_mm_s, self.speed_max_mm_s)
    }

    /// The curvature, within reach.
    pub fn clamp_curvature(self, curvature_per_km: i16) -> i16 {
        clamp(curvature_per_km, self.curvature_max_per_km)
    }
}

fn part(max: i16, deflection: i16) -> i16 {
    let part = i32::from(max.max(0)) * i32::from(deflection.clamp(-1_000, 1_000)) / 1_000;
    i16::try_from(part).expect("a part of an i16 is one")
}

fn clamp(value: i16, max: i16) -> i16 {
    value.clamp(-max.max(0), max.max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_deflection_is_the_maximum_and_no_deflection_gives_more() {
        let reach = Reach {
            speed_max_mm_s: i16::MAX,
            curvature_max_per_km: 200,
        };
        assert_eq!(reach.speed_mm_s(1_000), i16::MAX);
        assert_eq!(reach.speed_mm_s(i16::MIN), -i16::MAX);
        assert_eq!(reach.curvature_per_km(-500), -100);
        assert_eq!(reach.clamp_speed(i16::MIN), -i16::MAX);
        assert_eq!(reach.clamp_curvature(300), 200);
    }
}
