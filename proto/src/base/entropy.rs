//! Randomness, passed in.

/// A source of random bytes: the system's in programs, seeded in simulations.
pub trait Entropy: Send {
    /// Fills `bytes` with random ones.
    fn fill(&mut self, bytes: &mut [u8]);

    /// A random number.
    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }
}
