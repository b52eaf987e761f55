//! What a connection to a fleet needs to know.

use std::path::PathBuf;
use std::time::Duration;

use longrein_io::dictionaries::DictionarySection;
use longrein_io::sections::{LinkSection, RelaySection};
use longrein_proto::base::Name;

/// Who the operator is and which relays to use.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directory with `authority.pem`, `node.pem` and `node.key` of a controller, as `longrein fleet init` makes it.
    pub identity: PathBuf,
    /// The relays; all are used at once.
    pub relays: Vec<RelaySection>,
    /// The ways out of this machine; without any there is one, named `default`, by the routing table.
    pub links: Vec<LinkSection>,
    /// Dictionaries for compression.
    pub dictionaries: Vec<DictionarySection>,
    /// How long [`crate::Connection::connect`] waits for the first relay.
    pub patience: Duration,
}

impl Settings {
    /// Settings without relays yet.
    pub fn new(identity: impl Into<PathBuf>) -> Settings {
        Settings {
            identity: identity.into(),
            relays: Vec::new(),
            links: Vec::new(),
            dictionaries: Vec::new(),
            patience: Self::PATIENCE,
        }
    }

    /// Adds a relay: the name in its certificate, and `host:port`.
    #[must_use]
    pub fn relay(mut self, name: Name, address: impl Into<String>) -> Settings {
        self.relays.push(RelaySection {
            name,
            address: address.into(),
        });
        self
    }

    /// Two rounds of handshake attempts: enough for a network that loses four of five packets.
    pub const PATIENCE: Duration = Duration::from_secs(6);
}
