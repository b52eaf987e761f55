//! Whether losses come together.

/// Compares how often a packet is lost after a lost one with how often one is lost at all.
///
/// Looks at packets well behind the newest, so that late ones are not taken for lost ones.
#[derive(Clone, Debug, Default)]
pub struct Clumps {
    packets: f64,
    lost: f64,
    /// Lost packets whose predecessor was lost too.
    lost_together: f64,
    after_lost: bool,
}

impl Clumps {
    /// The next packet, in the order of numbers, arrived or is lost.
    pub fn on_packet(&mut self, lost: bool) {
        self.packets = self.packets * KEPT + 1.0;
        self.lost *= KEPT;
        self.lost_together *= KEPT;
        if lost {
            self.lost += 1.0;
            self.lost_together += f64::from(u8::from(self.after_lost));
        }
        self.after_lost = lost;
    }

    /// Mean length of runs of losses, as a multiple of what independent losses of the same share give: about 1 when losses
    /// are independent, more when they come together.
    pub fn factor(&self) -> f64 {
        if self.lost < LOST_MIN {
            return 1.0;
        }
        let share = self.lost / self.packets;
        let again = (self.lost_together / self.lost).min(AGAIN_MAX);
        ((1.0 - share) / (1.0 - again)).max(1.0)
    }
}

/// What is left of a count after another packet: it forgets in 500 packets.
const KEPT: f64 = 1.0 - 1.0 / 500.0;
/// Fewer losses say nothing about their neighbours.
const LOST_MIN: f64 = 20.0;
/// Keeps the factor finite on a dead path.
const AGAIN_MAX: f64 = 0.999;

#[cfg(test)]
mod tests {
    use super::*;

    /// Knuth's MMIX generator.
    fn shares(seed: u64) -> impl FnMut() -> f64 {
        let mut random = seed;
        move || {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 40) as f64 / (1_u64 << 24) as f64
        }
    }

    #[test]
    fn independent_losses_have_no_clumps_at_any_share() {
        for share in [0.05, 0.2, 0.5, 0.8, 0.9] {
            let (mut clumps, mut next) = (Clumps::default(), shares(7));
            let mut worst = 1.0_f64;
            for packet in 0..20_000 {
                clumps.on_packet(next() < share);
                if packet > 1_000 {
                    worst = worst.max(clumps.factor());
                }
            }
            assert!(worst < 1.9, "{worst} at {share}");
        }
    }

    #[test]
    fn losses_that_come_together_show() {
        for (long, apart) in [(5, 5), (20, 5), (100, 25)] {
            let mut clumps = Clumps::default();
            for packet in 0..5_000_u32 {
                clumps.on_packet(packet % (long + apart) < long);
            }
            let expected = f64::from(apart);
            let factor = clumps.factor();
            assert!(
                (factor / expected - 1.0).abs() < 1.0 && factor > 2.0,
                "{factor}"
            );
        }
    }

    #[test]
    fn a_clean_path_and_a_new_one_have_none() {
        let mut clumps = Clumps::default();
        assert!((clumps.factor() - 1.0).abs() < 1e-9);
        for _ in 0..1_000 {
            clumps.on_packet(false);
        }
        assert!((clumps.factor() - 1.0).abs() < 1e-9);
        for _ in 0..10_000 {
            clumps.on_packet(true);
        }
        assert!(clumps.factor().is_finite());
    }
}
