//! Secret bytes that are erased when they are dropped.

use std::fmt;

use ring::hkdf;
use zeroize::Zeroizing;

/// 32 secret bytes. They stay at one place in memory, so that nothing is left behind when the owner moves.
pub(super) struct Secret(Box<Zeroizing<[u8; Secret::BYTES]>>);

impl Secret {
    /// Bytes of a secret.
    pub(super) const BYTES: usize = 32;

    /// A secret that `fill` writes in place.
    pub(super) fn filled_by(fill: impl FnOnce(&mut [u8; Self::BYTES])) -> Secret {
        let mut secret = Secret(Box::new(Zeroizing::new([0; Self::BYTES])));
        fill(&mut secret.0);
        secret
    }

    /// The same secret at another place, for an owner that ends at another time.
    pub(super) fn copy(&self) -> Secret {
        Secret::filled_by(|bytes| bytes.copy_from_slice(self.bytes()))
    }

    /// HKDF-Expand of this secret (RFC 5869 §2.3) with SHA-256 and `label`.
    pub(super) fn derive(&self, label: &[u8]) -> Secret {
        expand(
            &hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, self.bytes()),
            label,
        )
    }

    /// HKDF (RFC 5869) with SHA-256 of key material that need not be uniform.
    pub(super) fn extract(salt: &[u8], material: &[u8], label: &[u8]) -> Secret {
        expand(
            &hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(material),
            label,
        )
    }

    /// The bytes, for the one call that needs them.
    pub(super) fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

fn expand(prk: &hkdf::Prk, label: &[u8]) -> Secret {
    Secret::filled_by(|bytes| {
        prk.expand(&[label], SecretLength)
            .and_then(|material| material.fill(bytes))
            .expect("one block is within the limit of HKDF");
    })
}

struct SecretLength;

impl hkdf::KeyType for SecretLength {
    fn len(&self) -> usize {
        Secret::BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed_and_labels_separate_what_is_derived() {
        let secret = Secret::filled_by(|bytes| bytes.fill(0xAB));

        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_ne!(secret.derive(b"a").bytes(), secret.derive(b"b").bytes());
        assert_eq!(secret.derive(b"a").bytes(), secret.derive(b"a").bytes());
        assert_ne!(
            Secret::extract(b"s", b"m", b"a").bytes(),
            Secret::extract(b"t", b"m", b"a").bytes()
        );
    }
}
