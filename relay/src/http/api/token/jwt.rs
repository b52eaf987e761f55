//! A token as it comes: header, claims and signature.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::TokenError;
use super::verifying::{Algorithm, VerifyingKey};

/// A token in its parts (RFC 7515 §3.1), not believed yet.
#[derive(Debug)]
pub(in crate::http::api) struct Jwt<'a> {
    /// As its header says.
    pub(super) algorithm: Algorithm,
    /// The key's name, if the header has one.
    pub(in crate::http::api) key: Option<String>,
    claims: Map<String, Value>,
    signed: &'a [u8],
    signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// It is none, or one that is signed in no way that is known.
    pub(in crate::http::api) fn read(token: &'a str) -> Result<Jwt<'a>, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed("it is longer than 8 KiB"));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(PARTS)?;
        let (head, body) = signed.split_once('.').ok_or(PARTS)?;
        let head = object(head)?;
        // RFC 7515 §4.1.11: what has to be understood and is not.
        if head.contains_key("crit") {
            return Err(TokenError::Malformed("its header asks for extensions"));
        }
        let algorithm = head.get("alg").and_then(Value::as_str);
        let algorithm = algorithm
            .and_then(Algorithm::of)
            .ok_or(TokenError::Malformed(
                "it is not signed by EdDSA, ES256 or RS256",
            ))?;
        let key = head.get("kid").and_then(Value::as_str).map(str::to_string);
        Ok(Jwt {
            algorithm,
            key,
            claims: object(body)?,
            signed: signed.as_bytes(),
            signature: bytes(signature)?,
        })
    }

    /// Who says that it has signed it, before that is believed.
    pub(in crate::http::api) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// What it claims, if this key has signed it.
    ///
    /// # Errors
    /// The key is for another algorithm, or has not signed it.
    pub(in crate::http::api) fn believe(
        &self,
        key: &VerifyingKey,
    ) -> Result<&Map<String, Value>, TokenError> {
        // The key decides by what it verifies, never the token.
        if key.algorithm() != self.algorithm {
            return Err(TokenError::UnknownKey);
        }
        if key.verify(self.signed, &self.signature) {
            Ok(&self.claims)
        } else {
            Err(TokenError::Signature)
        }
    }
}

fn object(part: &str) -> Result<Map<String, Value>, TokenError> {
    let read = serde_json::from_slice(&bytes(part)?);
    read.map_err(|_| TokenError::Malformed("a part of it is no JSON object"))
}

fn bytes(part: &str) -> Result<Vec<u8>, TokenError> {
    let read = URL_SAFE_NO_PAD.decode(part);
    read.map_err(|_| TokenError::Malformed("a part of it is no base64url"))
}

const PARTS: TokenError = TokenError::Malformed("it has not three parts with points between");
/// Bytes of a token; those of large identity providers have about 2 KiB.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
