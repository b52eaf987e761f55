//! Seeded randomness.

use std::time::Duration;

use longrein_proto::base::Entropy;

/// A seeded generator (SplitMix64): small, and good enough to draw losses and test keys from.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The sequence of a seed.
    pub const fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// True with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// At least 0 and below 1.
    pub fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }

    /// A span with this mean, as long as the time until something that can happen at any moment.
    pub fn around(&mut self, mean: Duration) -> Duration {
        let unit = (self.draw() >> 11) as f64 / (1_u64 << 53) as f64;
        mean.mul_f64(-(1.0 - unit).ln())
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Entropy for Chance {
    fn fill(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            let drawn = self.draw().to_be_bytes();
            part.copy_from_slice(&drawn[..part.len()]);
        }
    }
}
