//! Who is who, and what only two ends can read: certificates, the handshake of a session, its keys, signed statements.

mod credential;
mod fleet;
mod handshake;
mod introduction;
mod keys;
mod noise;
mod ratchet;
mod renewal;
mod revocations;
mod secret;
mod statement;
#[cfg(test)]
pub(crate) mod test_authority;
mod token;

pub use credential::{Credential, KeyError, KeyPair};
pub use fleet::{CertificateError, Fleet, Peer, verify_signature};
pub use handshake::{Established, HandshakeError, Initiator, Responder};
pub use introduction::FEATURE_DICTIONARIES;
pub use keys::{OpenError, OpenKey, SealError, SealKey};
pub use renewal::{renewal_apart, renewal_due};
pub use revocations::{RevocationOutcome, sign_revocations};
pub use statement::{sign_statement, verify_statement};
pub use token::{Issued, Token, TokenNames, TokenVerdict, judge_renewal};
