//! Public keys that tokens are verified with.

use std::path::{Path, PathBuf};

use longrein_proto::base::Name;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};

use super::jwk;

/// How a token is signed (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http::api) enum Algorithm {
    EdDsa,
    Es256,
    Rs256,
}

/// A public key; it decides the algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http::api) enum VerifyingKey {
    Ed25519(Vec<u8>),
    /// The point, uncompressed.
    P256(Vec<u8>),
    /// Modulus and exponent, big-endian.
    Rsa(Vec<u8>, Vec<u8>),
}

/// A key with the name that tokens call it by, if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http::api) struct NamedKey {
    pub(in crate::http::api) id: Option<String>,
    pub(in crate::http::api) key: VerifyingKey,
}

/// Why a file has no keys.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {what}")]
pub struct KeyError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

impl Algorithm {
    pub(super) fn of(text: &str) -> Option<Algorithm> {
        match text {
            "EdDSA" | "Ed25519" => Some(Algorithm::EdDsa),
            "ES256" => Some(Algorithm::Es256),
            "RS256" => Some(Algorithm::Rs256),
            _ => None,
        }
    }
}

impl VerifyingKey {
    pub(super) const fn algorithm(&self) -> Algorithm {
        match self {
            VerifyingKey::Ed25519(_) => Algorithm::EdDsa,
            VerifyingKey::P256(_) => Algorithm::Es256,
            VerifyingKey::Rsa(..) => Algorithm::Rs256,
        }
    }

    /// Whether this key's owner has signed a message.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            VerifyingKey::Ed25519(key) => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature)
            }
            VerifyingKey::P256(key) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, signature)
            }
            VerifyingKey::Rsa(n, e) => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
        };
        verified.is_ok()
    }

    /// The key in a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
    fn from_spki(der: &[u8]) -> Option<VerifyingKey> {
        if let Some(key) = der.strip_prefix(ED25519_SPKI) {
            return (key.len() == 32).then(|| VerifyingKey::Ed25519(key.to_vec()));
        }
        if let Some(point) = der.strip_prefix(P256_SPKI) {
            let is_whole = point.len() == 65 && point.first() == Some(&4);
            return is_whole.then(|| VerifyingKey::P256(point.to_vec()));
        }
        let (all, _) = element(SEQUENCE, der)?;
        let (algorithm, rest) = element(SEQUENCE, all)?;
        algorithm.starts_with(RSA_OID).then_some(())?;
        let (bits, _) = element(BIT_STRING, rest)?;
        let (numbers, _) = element(SEQUENCE, bits.strip_prefix(&[0])?)?;
        let (n, rest) = element(INTEGER, numbers)?;
        let (e, _) = element(INTEGER, rest)?;
        let plain = |number: &[u8]| number.strip_prefix(&[0]).unwrap_or(number).to_vec();
        Some(VerifyingKey::Rsa(plain(n), plain(e)))
    }
}

/// The keys of a file: public keys as PEM, or a JWKS.
///
/// # Errors
/// It cannot be read, or there is none in it.
pub(in crate::http::api) fn read_keys(name: &Name, file: &Path) -> Result<Vec<NamedKey>, KeyError> {
    let wrong = |what: String| KeyError {
        file: file.to_path_buf(),
        what,
    };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let keys = if text.trim_start().starts_with('{') {
        jwk::keys(text.as_bytes()).map_err(|what| wrong(what.to_string()))?
    } else {
        let blocks = pem::parse_many(&text).map_err(|error| wrong(error.to_string()))?;
        let public = blocks.iter().filter(|block| block.tag() == "PUBLIC KEY");
        let key = |block: &pem::Pem| VerifyingKey::from_spki(block.contents());
        // A token that names a key names the section's.
        let named = |key| NamedKey {
            id: Some(name.to_string()),
            key,
        };
        public.filter_map(key).map(named).collect()
    };
    if keys.is_empty() {
        let what =
            "no public key for EdDSA, ES256 or RS256 is in it, as PEM (`PUBLIC KEY`) or JWKS";
        return Err(wrong(what.to_string()));
    }
    Ok(keys)
}

/// The content of a DER element with this tag, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    (found == tag).then_some(())?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => {
            let (&length, rest) = rest.split_first()?;
            (usize::from(length), rest)
        }
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const INTEGER: u8 = 0x02;
/// What stands before the 32 bytes of an Ed25519 key (RFC 8410 §4).
pub(crate) const ED25519_SPKI: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// What stands before the 65 bytes of a point of P-256 (RFC 5480 §2).
const P256_SPKI: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// rsaEncryption (RFC 8017 §A.1).
const RSA_OID: &[u8] = &[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
];
