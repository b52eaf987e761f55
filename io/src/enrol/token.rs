//! A token as people pass it on.

use std::fmt;
use std::io::Read;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use longrein_proto::base::{Name, NodeKind};
use longrein_proto::crypto::TokenNames;
use ring::digest::{SHA256, digest};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use super::EnrolError;
use crate::files::FileError;
use crate::keys::{Identity, IdentityError};

/// What makes a machine a node: the authority's certificate, which pins it, and a key with a certificate that is good for
/// nothing but a question to that authority.
///
/// As text: `lrt1_`, then in base64 for URLs 1 kind, 1 whether the name is a prefix, 1+ name, 2 length and the authority's
/// certificate, 2 length and the token's certificate, the key (PKCS#8), and 4 bytes of the SHA-256 of all that.
pub struct EnrolmentToken {
    /// The kind of node that it is for.
    pub kind: NodeKind,
    /// The names that it is for.
    pub names: TokenNames,
    /// The authority's certificate.
    pub authority: CertificateDer<'static>,
    /// The token's own certificate.
    pub certificate: CertificateDer<'static>,
    /// Its key.
    pub key: PrivatePkcs8KeyDer<'static>,
}

impl EnrolmentToken {
    /// The text of the token: whoever has it can use it.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(vec![self.kind as u8]);
        let (is_prefix, name) = match &self.names {
            TokenNames::One(name) => (0, name),
            TokenNames::Prefix(name) => (1, name),
        };
        bytes.extend([
            is_prefix,
            u8::try_from(name.as_str().len()).unwrap_or(u8::MAX),
        ]);
        bytes.extend(name.as_str().as_bytes());
        for part in [&self.authority, &self.certificate] {
            bytes.extend(u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend(part.as_ref());
        }
        bytes.extend(self.key.secret_pkcs8_der());
        let sum = checksum(&bytes);
        bytes.extend(sum);
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        Zeroizing::new(format!("{PREFIX}{}", text.as_str()))
    }

    /// The token that a command line names: its text, or `-` for what stands on standard input.
    ///
    /// # Errors
    /// When it is none, or standard input cannot be read.
    pub fn of_argument(argument: String) -> Result<EnrolmentToken, EnrolError> {
        let mut text = Zeroizing::new(argument);
        if text.as_str() == "-" {
            text.clear();
            let mut stdin = std::io::stdin().lock().take(TEXT_BYTES_MAX);
            stdin
                .read_to_string(&mut text)
                .map_err(|source| FileError {
                    file: "standard input".into(),
                    doing: "read",
                    source,
                })?;
        }
        Ok(text.parse()?)
    }

    /// Who the holder of the token is, whatever this machine takes for the time: the relay and the authority know it.
    ///
    /// # Errors
    /// When the parts of the token do not belong together.
    pub fn identity(&self) -> Result<Identity, IdentityError> {
        let (authority, certificate) = (self.authority.clone(), self.certificate.clone());
        let identity = Identity::from_parts(authority, certificate, self.key.clone_key())?;
        identity.expect_kind(NodeKind::Newcomer)?;
        Ok(identity)
    }
}

impl FromStr for EnrolmentToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<EnrolmentToken, TokenError> {
        let text = text
            .trim()
            .strip_prefix(PREFIX)
            .ok_or(TokenError::NoToken)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| TokenError::Damaged)?;
        let (body, sum) = bytes.split_last_chunk().ok_or(TokenError::Damaged)?;
        if checksum(body) != *sum {
            return Err(TokenError::Damaged);
        }
        decode(body).ok_or(TokenError::Damaged)
    }
}

impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolmentToken")
            .field("kind", &self.kind)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

fn decode(bytes: &[u8]) -> Option<EnrolmentToken> {
    let (&[kind, is_prefix, length], rest) = bytes.split_first_chunk()?;
    let kind = NodeKind::ALL
        .into_iter()
        .find(|known| *known as u8 == kind)?;
    let (name, rest) = rest.split_at_checked(usize::from(length))?;
    let name: Name = std::str::from_utf8(name).ok()?.parse().ok()?;
    let names = match is_prefix {
        0 => TokenNames::One(name),
        1 => TokenNames::Prefix(name),
        _ => return None,
    };
    let (authority, rest) = certificate(rest)?;
    let (certificate, key) = certificate(rest)?;
    Some(EnrolmentToken {
        kind,
        names,
        authority,
        certificate,
        key: PrivatePkcs8KeyDer::from(key.to_vec()),
    })
}

fn certificate(bytes: &[u8]) -> Option<(CertificateDer<'static>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (der, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((CertificateDer::from(der.to_vec()), rest))
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    let mut sum = [0; 4];
    for (to, from) in sum.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    sum
}

/// Bytes on standard input that may hold a token: one has about a thousand.
const TEXT_BYTES_MAX: u64 = 16 * 1024;
const PREFIX: &str = "lrt1_";

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is something else.
    #[error("this is no token: one begins with {PREFIX} and is printed by `longrein fleet token`")]
    NoToken,
    /// Part of it is missing or changed.
    #[error("the token is not whole: copy all of it")]
    Damaged,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(names: TokenNames) -> EnrolmentToken {
        EnrolmentToken {
            kind: NodeKind::Agent,
            names,
            authority: vec![1, 2, 3].into(),
            certificate: vec![4, 5].into(),
            key: vec![6, 7, 8].into(),
        }
    }

    #[test]
    fn a_token_is_read_back_the_same() {
        let name: Name = "truck-17".parse().unwrap();
        for names in [TokenNames::One(name.clone()), TokenNames::Prefix(name)] {
            let token = token(names);
            let text = token.to_text();
            let read: EnrolmentToken = format!(" {}\n", text.as_str()).parse().unwrap();
            assert_eq!((read.kind, &read.names), (token.kind, &token.names));
            assert_eq!(read.authority, token.authority);
            assert_eq!(read.certificate, token.certificate);
            assert_eq!(read.key.secret_pkcs8_der(), token.key.secret_pkcs8_der());
        }
    }

    #[test]
    fn a_token_that_is_not_whole_is_told_from_what_is_none() {
        let text = token(TokenNames::One("a".parse().unwrap())).to_text();
        for length in PREFIX.len()..text.len() {
            let part = text[..length].parse::<EnrolmentToken>();
            assert_eq!(part.map(drop), Err(TokenError::Damaged), "{length}");
        }
        let changed = text.replacen(&text[9..10], if &text[9..10] == "A" { "B" } else { "A" }, 1);
        assert!(changed.parse::<EnrolmentToken>().is_err());
        for other in ["", "lrt2_aaaa", "truck-17"] {
            let read = other.parse::<EnrolmentToken>().map(drop);
            assert_eq!(read, Err(TokenError::NoToken), "{other}");
        }
    }

    #[test]
    fn debug_output_shows_no_key() {
        let shown = format!("{:?}", token(TokenNames::One("a".parse().unwrap())));
        assert!(!shown.contains("key") && !shown.contains('6'), "{shown}");
    }
}
