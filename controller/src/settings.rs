//! What a connection to a fleet needs to know.

use std::path::PathBuf;
use std::time::Duration;

use longrein_io::config::ConfigError;
use longrein_io::dictionaries::DictionarySection;
use longrein_io::recorder::limits::{ROOM_MB_MAX, ROOM_MB_MIN};
use longrein_io::sections::{LinkSection, RelaySection};
use longrein_proto::base::Name;
use serde::Deserialize;

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
    /// Where and what it records; nothing without it.
    pub record: Option<RecordSection>,
    /// How long [`crate::Connection::connect`] waits for the first relay.
    pub patience: Duration,
}

/// `[record]`: where and what a controller records, see `docs/record.md`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordSection {
    /// Its folder; no two programs may share it.
    pub directory: PathBuf,
    /// Megabytes that it takes at most, [`ROOM_MB_MIN`] to [`ROOM_MB_MAX`].
    #[serde(default = "max_mb_default")]
    pub max_mb: u64,
    /// Whether commands are in it.
    #[serde(default = "yes")]
    pub commands: bool,
    /// Whether telemetry is in it.
    #[serde(default = "yes")]
    pub telemetry: bool,
}

impl RecordSection {
    /// # Errors
    /// What is wrong and what is allowed.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if (ROOM_MB_MIN..=ROOM_MB_MAX).contains(&self.max_mb) {
            return Ok(());
        }
        Err(ConfigError::Wrong {
            place: "[record]".to_string(),
            what: format!("`max_mb` is {ROOM_MB_MIN} to {ROOM_MB_MAX}"),
        })
    }

    pub(crate) fn bytes_max(&self) -> u64 {
        self.max_mb.saturating_mul(1024 * 1024)
    }
}

fn max_mb_default() -> u64 {
    64
}

fn yes() -> bool {
    true
}

impl Settings {
    /// Settings without relays yet.
    pub fn new(identity: impl Into<PathBuf>) -> Settings {
        Settings {
            identity: identity.into(),
            relays: Vec::new(),
            links: Vec::new(),
            dictionaries: Vec::new(),
            record: None,
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
