//! Who asks: bearer tokens (JWT, RFC 7519) and the keys that they are signed with.

mod claims;
mod jwk;
mod jwt;
mod oidc;
mod verifying;

pub(super) use self::claims::{ClaimNames, Expected, Grant};
pub(super) use self::jwt::Jwt;
pub(super) use self::oidc::{Issuer, fitting};
pub(crate) use self::verifying::ED25519_SPKI;
pub use self::verifying::KeyError;
pub(super) use self::verifying::{NamedKey, read_keys};

/// Why a token is not believed. What is said of it helps its owner and tells nobody else anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    /// It is no token.
    #[error("it is no JWT: {0}")]
    Malformed(&'static str),
    /// No key is known that it could be signed with.
    #[error("no key of [[http.token_key]] or of the issuer fits it")]
    UnknownKey,
    /// The signature is another one.
    #[error("its signature is wrong")]
    Signature,
    /// A claim is missing or says something else.
    #[error("its claim `{claim}` {what}")]
    Claim {
        /// Which one.
        claim: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The issuer cannot be asked for its keys.
    #[error("the issuer's keys cannot be fetched now: {0}")]
    Issuer(String),
}
