//! A station's own clock.

use longrein_proto::base::MonoTime;

/// Runs beside the world's time with an offset and a drift.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// What it shows at the world's beginning, in µs.
    pub offset_us: u64,
    /// How much faster than the world it runs, in parts per million.
    pub drift_ppm: i64,
}

impl Clock {
    /// What it shows at a point of the world's time.
    pub fn at(&self, world: MonoTime) -> MonoTime {
        let drift = i128::from(world.as_us()) * i128::from(self.drift_ppm) / 1_000_000;
        let shown = i128::from(world.as_us()) + i128::from(self.offset_us) + drift;
        MonoTime::from_us(u64::try_from(shown).unwrap_or(0))
    }

    /// The first point of the world's time at which it shows `shown` or more.
    pub fn world_time(&self, shown: MonoTime) -> MonoTime {
        let since = i128::from(shown.as_us()) - i128::from(self.offset_us);
        let world = since * 1_000_000 / (1_000_000 + i128::from(self.drift_ppm));
        let mut world = MonoTime::from_us(u64::try_from(world).unwrap_or(0));
        while self.at(world) < shown {
            world = MonoTime::from_us(world.as_us() + 1);
        }
        world
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_never_wakes_too_early() {
        for drift_ppm in [-200, 0, 200] {
            let clock = Clock {
                offset_us: 5_000_000,
                drift_ppm,
            };
            for us in [5_000_000, 5_000_001, 77_777_777, 1_000_000_000] {
                let world = clock.world_time(MonoTime::from_us(us));
                assert!(clock.at(world) >= MonoTime::from_us(us));
            }
        }
    }
}
