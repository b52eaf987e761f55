//! Who is who, and what only two ends can read: certificates, the handshake of a session, its keys, signed statements.

mod credential;
mod fleet;
mod handshake;
mod introduction;
mod keys;
mod noise;
mod papers;
mod ratchet;
mod renewal;
mod revocations;
mod run_key;
mod secret;
mod statement;
#[cfg(test)]
pub(crate) mod test_authority;
mod token;

pub use credential::{Credential, KeyError, KeyPair};
pub(crate) use fleet::fingerprint;
pub use fleet::{CertificateError, Fleet, Peer, verify_signature};
pub use handshake::{Established, HandshakeError, Initiator, Responder};
pub use introduction::{FEATURE_DICTIONARIES, FEATURE_PAPERS, FEATURE_WALL_CLOCK};
pub use keys::{OpenError, OpenKey, SealError, SealKey};
pub use papers::{PapersError, sign_papers, verify_papers};
pub use renewal::{renewal_apart, renewal_due};
pub use revocations::{RevocationOutcome, sign_revocations};
pub use run_key::{Run, RunKey};
pub use statement::{sign_statement, verify_statement};
pub use token::{Issued, Token, TokenNames, TokenVerdict, judge_renewal};
