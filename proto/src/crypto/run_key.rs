//! The key by which a caller knows two runs of the called node's program apart.

use std::fmt;

use super::secret::Secret;
use crate::base::Entropy;

/// The Noise static key of one run of a program that is called. It is never stored, so that no two runs have the same.
// [WIRE-167]
#[derive(Debug)]
pub struct RunKey(Secret);

impl RunKey {
    /// A new one.
    pub fn new(entropy: &mut dyn Entropy) -> RunKey {
        RunKey(Secret::filled_by(|bytes| entropy.fill(bytes)))
    }

    pub(super) fn secret(&self) -> Secret {
        self.0.copy()
    }
}

/// One run of a called node's program, by its Noise static public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Run(pub(super) [u8; 32]);

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, ..] = self.0;
        write!(f, "Run({first:02x}{second:02x}..)")
    }
}
