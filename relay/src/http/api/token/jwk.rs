//! Sets of keys as issuers publish them (RFC 7517, RFC 7518 §6, RFC 8037 §2).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::verifying::{NamedKey, VerifyingKey};

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

/// A key; what is not known of it is skipped.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
}

/// The keys of a set that tokens can be verified with, at most [`KEYS_MAX`].
pub(super) fn keys(text: &[u8]) -> Result<Vec<NamedKey>, &'static str> {
    let set: Set = serde_json::from_slice(text).map_err(|_| "it is no JWKS (RFC 7517)")?;
    let signs = |jwk: &Jwk| {
        jwk.purpose
            .as_deref()
            .is_none_or(|purpose| purpose == "sig")
    };
    let keys = set.keys.into_iter().filter(signs).filter_map(|jwk| {
        let key = jwk.key()?;
        Some(NamedKey { id: jwk.kid, key })
    });
    Ok(keys.take(KEYS_MAX).collect())
}

impl Jwk {
    fn key(&self) -> Option<VerifyingKey> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => {
                let x = bytes(&self.x)?;
                (x.len() == 32).then_some(VerifyingKey::Ed25519(x))
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(&self.x)?, bytes(&self.y)?);
                let is_whole = x.len() == 32 && y.len() == 32;
                is_whole.then(|| VerifyingKey::P256([vec![4], x, y].concat()))
            }
            ("RSA", _) => Some(VerifyingKey::Rsa(bytes(&self.n)?, bytes(&self.e)?)),
            _ => None,
        }
    }
}

fn bytes(text: &Option<String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.as_ref()?).ok()
}

/// Keys of one set: an issuer has a few, of which the newest sign.
const KEYS_MAX: usize = 64;
