//! A node's own certificate and key.

use std::fmt;

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair};

use super::fleet;
use crate::base::limits::CERTIFICATE_BYTES_MAX;

/// A node's certificate and the use of its private key.
///
/// This is where a key in a TPM or behind PKCS#11 plugs in: nothing here ever sees the private key.
pub trait Credential: Send + Sync {
    /// The certificate (DER), at most [`CERTIFICATE_BYTES_MAX`] bytes.
    fn certificate(&self) -> &[u8];

    /// A signature over `message` with the certificate's key: 64 bytes for Ed25519, ASN.1 DER over SHA-256 for P-256.
    /// Empty when the key cannot be used now.
    fn sign(&self, message: &[u8]) -> Vec<u8>;
}

/// A certificate with its private key in memory.
pub struct KeyPair {
    certificate: Vec<u8>,
    key: PrivateKey,
}

enum PrivateKey {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl KeyPair {
    /// A certificate and its Ed25519 or P-256 private key (PKCS#8, DER).
    ///
    /// # Errors
    /// [`KeyError`] when either cannot be used or they do not belong together: the files are wrong.
    pub fn from_pkcs8(certificate: &[u8], pkcs8: &[u8]) -> Result<KeyPair, KeyError> {
        if certificate.len() > CERTIFICATE_BYTES_MAX {
            return Err(KeyError::CertificateTooLong);
        }
        // OpenSSL leaves the public key out of PKCS#8; the check against the certificate below stands in for it.
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
            .map(PrivateKey::Ed25519)
            .or_else(|_| {
                EcdsaKeyPair::from_pkcs8(
                    &ECDSA_P256_SHA256_ASN1_SIGNING,
                    pkcs8,
                    &SystemRandom::new(),
                )
                .map(PrivateKey::P256)
            })
            .map_err(|_| KeyError::UnusableKey)?;
        let pair = KeyPair {
            certificate: certificate.to_vec(),
            key,
        };
        let probe = b"longrein/1 does this key belong to this certificate?";
        match fleet::verify_signature(certificate, probe, &pair.sign(probe)) {
            Ok(()) => Ok(pair),
            Err(fleet::CertificateError::Malformed | fleet::CertificateError::Algorithm) => {
                Err(KeyError::UnusableCertificate)
            }
            Err(_) => Err(KeyError::NotOfCertificate),
        }
    }
}

impl Credential for KeyPair {
    fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.key {
            PrivateKey::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            // ring draws the nonce of ECDSA from the system itself and takes no other source; so runs with P-256 keys are
            // not repeatable bit by bit, runs with Ed25519 keys are.
            PrivateKey::P256(key) => key
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .unwrap_or_default(),
        }
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = match self.key {
            PrivateKey::Ed25519(_) => "Ed25519",
            PrivateKey::P256(_) => "P-256",
        };
        f.debug_struct("KeyPair")
            .field("algorithm", &algorithm)
            .finish_non_exhaustive()
    }
}

/// Why a certificate and key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither an Ed25519 nor a P-256 private key in PKCS#8.
    #[error("the private key is not Ed25519 or P-256 in PKCS#8")]
    UnusableKey,
    /// No X.509 certificate.
    #[error("the certificate cannot be read")]
    UnusableCertificate,
    /// The certificate would not fit a handshake.
    #[error("the certificate is longer than {CERTIFICATE_BYTES_MAX} bytes")]
    CertificateTooLong,
    /// The certificate is of another key.
    #[error("the private key does not belong to the certificate")]
    NotOfCertificate,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::test_authority::{KeyType, TestAuthority};

    #[test]
    fn a_key_signs_what_its_certificate_verifies() {
        let authority = TestAuthority::new("demo");
        for key_type in KeyType::ALL {
            let pair = authority.credential("agent/truck-17", key_type);

            let signature = pair.sign(b"word");

            assert_eq!(
                fleet::verify_signature(pair.certificate(), b"word", &signature),
                Ok(())
            );
            assert!(fleet::verify_signature(pair.certificate(), b"work", &signature).is_err());
        }
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let authority = TestAuthority::new("demo");
        for (one, other) in [
            (KeyType::Ed25519, KeyType::Ed25519),
            (KeyType::P256, KeyType::P256),
            (KeyType::Ed25519, KeyType::P256),
        ] {
            let (certificate, _) = authority.issue("agent/truck-17", one);
            let (_, key) = authority.issue("agent/truck-17", other);

            assert_eq!(
                KeyPair::from_pkcs8(&certificate, &key).err(),
                Some(KeyError::NotOfCertificate)
            );
        }
    }

    #[test]
    fn rubbish_is_neither_key_nor_certificate() {
        let authority = TestAuthority::new("demo");
        let (certificate, key) = authority.issue("agent/truck-17", KeyType::Ed25519);

        for (certificate, key, error) in [
            (&certificate[..], &b"key"[..], KeyError::UnusableKey),
            (b"certificate", &key, KeyError::UnusableCertificate),
            (&[0; 801], &key, KeyError::CertificateTooLong),
        ] {
            assert_eq!(KeyPair::from_pkcs8(certificate, key).err(), Some(error));
        }
    }

    #[test]
    fn no_private_key_is_printed() {
        let pair = TestAuthority::new("demo").credential("agent/truck-17", KeyType::Ed25519);

        assert_eq!(
            format!("{pair:?}"),
            "KeyPair { algorithm: \"Ed25519\", .. }"
        );
    }
}
