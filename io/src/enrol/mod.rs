//! How a machine becomes a node of a fleet: with a token, a key of its own making, and one question to the fleet's authority.

mod apply;
mod arguments;
mod folder;
mod renewal;
mod token;

use std::path::PathBuf;
use std::time::Duration;

use longrein_proto::base::limits::LINK_BUDGET_BITS_PER_S;
use longrein_proto::base::{Name, NodeKind, NodeName};
use longrein_proto::crypto::{CertificateError, TokenNames};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

pub use self::apply::{ApplyError, apply};
pub use self::arguments::EnrolArguments;
pub use self::renewal::{keep_renewed, renew};
pub use self::token::{EnrolmentToken, TokenError};
use crate::dial::Route;
use crate::exit::Exit;
use crate::files::FileError;
use crate::keys::IdentityError;
use crate::runtime;
use crate::socket::Bind;

/// Everything that a machine needs to become a node.
#[derive(Debug)]
pub struct Enrolment {
    /// The token.
    pub token: EnrolmentToken,
    /// The name, where the token leaves a choice.
    pub name: Option<Name>,
    /// Relays of the fleet, as `host` or `host:port`; one that is reached is enough.
    pub relays: Vec<String>,
    /// Where the identity goes.
    pub directory: PathBuf,
    /// Whether an identity that is there already gives way.
    pub replace: bool,
    /// How long to wait for the authority.
    pub patience: Duration,
}

impl Enrolment {
    /// Makes a key, has the authority certify it and keeps both; returns who this machine is now. Whoever is interrupted can
    /// do it again with the same token: the key is kept from the first attempt on.
    ///
    /// # Errors
    /// What is in the way, and what to do.
    pub fn enrol(&self, kind: NodeKind) -> Result<NodeName, EnrolError> {
        let node = self.node(kind)?;
        folder::check(&self.directory, self.replace)?;
        let key = folder::pending_key(&self.directory)?;
        let request = signing_request(&key)?;
        let identity = self.token.identity()?;
        let routes = self.relays.iter().map(|relay| route(relay)).collect();
        let asked = async || apply(&identity, routes, &node, request, self.patience).await;
        let certificate = runtime::run(asked).map_err(ApplyError::System)??;
        folder::keep(&self.directory, &self.token.authority, &certificate, &key)?;
        Ok(node)
    }

    fn node(&self, kind: NodeKind) -> Result<NodeName, EnrolError> {
        let token = &self.token;
        if token.kind != kind {
            let (is, wanted) = (token.kind, kind);
            return Err(EnrolError::OtherKind { is, wanted });
        }
        let name = match (&token.names, &self.name) {
            (TokenNames::One(name), None) => name,
            (TokenNames::Prefix(prefix), None) => {
                return Err(EnrolError::NameNeeded(prefix.clone()));
            }
            (names, Some(name)) if names.include(name) => name,
            (TokenNames::One(of) | TokenNames::Prefix(of), Some(name)) => {
                let (of, name) = (of.clone(), name.clone());
                return Err(EnrolError::OtherName { of, name });
            }
        };
        Ok(NodeName::new(kind, name.clone()))
    }
}

/// A signing request (PKCS#10, DER) for a key, which proves that its maker has it. It names nobody: the authority knows who asks.
///
/// # Errors
/// When the key cannot sign.
pub(crate) fn signing_request(key: &KeyPair) -> Result<Vec<u8>, EnrolError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(key).map_err(EnrolError::Key)?;
    Ok(request.der().to_vec())
}

fn route(relay: &str) -> Route {
    let has_port = relay.rsplit_once(':').is_some_and(|(host, port)| {
        port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
    });
    let address = if has_port {
        relay.to_string()
    } else {
        format!("{relay}:{RELAY_PORT}")
    };
    Route {
        link: "default".parse().expect("a name"),
        bind: Bind::Any,
        relay: "any".parse().expect("a name"),
        address,
        budget_kbit_s: u32::try_from(LINK_BUDGET_BITS_PER_S / 1_000).unwrap_or(u32::MAX),
    }
}

/// UDP port that relays listen on.
pub const RELAY_PORT: u16 = 4433;
/// How long a machine waits for the authority when nothing is said: a few rounds of handshakes over a bad network.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Why a machine is no node of the fleet now.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// There is an identity already.
    #[error("{} holds an identity already: give another folder, or --replace", .0.display())]
    Exists(PathBuf),
    /// The token is for another program.
    #[error("this token is for {}, not for {}: use the program that it is for", .is.as_str(), .wanted.as_str())]
    OtherKind {
        /// What the token is for.
        is: NodeKind,
        /// What this program is.
        wanted: NodeKind,
    },
    /// The token is for many names.
    #[error("this token is for names that begin with {0}: give --name")]
    NameNeeded(Name),
    /// The token is for another name.
    #[error("this token is for {of}, not for {name}")]
    OtherName {
        /// What the token is for.
        of: Name,
        /// What was wanted.
        name: Name,
    },
    /// The token is damaged.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The authority gave nothing.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The identity that is there cannot be used.
    #[error("identity: {0}")]
    Identity(#[from] IdentityError),
    /// The certificate that the authority made cannot be used now.
    #[error("the authority's certificate: {0}; is its clock right?")]
    Answer(CertificateError),
    /// Another program has the same identity, and is at it.
    #[error("another program of this identity renews it just now")]
    Busy,
    /// The key could not be made, read or used.
    #[error("the private key cannot be used: {0}")]
    Key(rcgen::Error),
}

impl EnrolError {
    /// The exit code of a program that gives up now.
    pub fn exit(&self) -> Exit {
        match self {
            EnrolError::Apply(error) => error.exit(),
            EnrolError::Identity(error) => error.exit(),
            EnrolError::File(_) | EnrolError::Answer(_) | EnrolError::Busy | EnrolError::Key(_) => {
                Exit::Failed
            }
            EnrolError::Exists(_)
            | EnrolError::OtherKind { .. }
            | EnrolError::NameNeeded(_)
            | EnrolError::OtherName { .. }
            | EnrolError::Token(_) => Exit::Usage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_without_a_port_has_the_usual_one() {
        for (relay, address) in [
            ("relay.example", "relay.example:4433"),
            ("192.0.2.1:7", "192.0.2.1:7"),
            ("[2001:db8::1]:7", "[2001:db8::1]:7"),
            ("[2001:db8::1]", "[2001:db8::1]:4433"),
        ] {
            assert_eq!(route(relay).address, address);
        }
    }
}
