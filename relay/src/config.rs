//! The configuration of a relay.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use longrein_io::config::{ConfigError, as_text};
use longrein_io::listen::{ListenLimits, ListenSettings};
use longrein_io::sections::{IdentitySection, LogSection, used_twice};
use longrein_proto::base::Name;
use longrein_proto::base::limits::PACKET_BYTES_MAX;
use longrein_proto::role::RelayConfig;
use serde::{Deserialize, Serialize};

pub use crate::http::HttpSection;
use crate::store::Sync;

/// Everything a relay is set to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Who it is.
    pub identity: IdentitySection,
    /// What one node may use.
    pub budget: BudgetSection,
    /// How many connections each listener takes.
    pub connections: ConnectionsSection,
    /// What is served over HTTP.
    pub http: HttpSection,
    /// How much is logged.
    pub log: LogSection,
    /// Whether it is the fleet's hub.
    pub hub: HubSection,
    /// Where it listens.
    pub listen: Vec<ListenSection>,
}

/// `[[listen]]`: an address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ListenSection {
    /// What logs call it.
    #[serde(with = "as_text")]
    pub name: Name,
    /// Address and UDP port.
    pub address: SocketAddr,
    /// Only packets of this network interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
}

/// `[budget]`: what one node may use of the relay, all programs under its name together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetSection {
    /// Bytes a second that a node may send through the relay.
    pub source_bytes_per_s: u64,
    /// Bytes a second that a node may be sent.
    pub destination_bytes_per_s: u64,
}

/// `[connections]`: how many connections each listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionsSection {
    /// In all.
    pub total: usize,
    /// From one address (IPv6: one /64).
    pub per_source: usize,
    /// Not yet up, in all.
    pub half_open: usize,
    /// Not yet up, from one address.
    pub half_open_per_source: usize,
    /// Handshakes begun a second.
    pub handshakes_per_s: u32,
    /// Handshakes begun a second, from one address.
    pub handshakes_per_s_per_source: u32,
    /// From one node, all programs under its name together.
    pub per_node: usize,
}

/// `[hub]`: rooms, presence, mailboxes and what is kept of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubSection {
    /// Whether this relay is the fleet's hub; one of them is.
    pub enabled: bool,
    /// Folder of the hub's store.
    pub directory: PathBuf,
    /// When something is stored.
    pub sync: Sync,
}

impl Config {
    /// What serde cannot check.
    ///
    /// # Errors
    /// Which section is wrong and what is allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |place: &str, what: String| {
            let place = place.to_string();
            Err(ConfigError::Wrong { place, what })
        };
        if self.listen.is_empty() || self.listen.len() > LISTENERS_MAX {
            return wrong("[[listen]]", format!("1 to {LISTENERS_MAX} are needed"));
        }
        if let Some(name) = used_twice(self.listen.iter().map(|section| &section.name)) {
            return wrong("[[listen]]", format!("the name {name} is used twice"));
        }
        let least = u64::try_from(PACKET_BYTES_MAX).unwrap_or(u64::MAX);
        let BudgetSection {
            source_bytes_per_s,
            destination_bytes_per_s,
        } = self.budget;
        for (key, bytes_per_s) in [
            ("source_bytes_per_s", source_bytes_per_s),
            ("destination_bytes_per_s", destination_bytes_per_s),
        ] {
            if bytes_per_s < least {
                let what = format!("`{key}` must be at least {least}, one packet a second");
                return wrong("[budget]", what);
            }
        }
        if !self.hub.directory.is_absolute() {
            let what = "`directory` must be the whole path of a folder, from `/` on".to_string();
            return wrong("[hub]", what);
        }
        let ConnectionsSection {
            total,
            per_source,
            half_open,
            half_open_per_source,
            handshakes_per_s,
            handshakes_per_s_per_source,
            per_node,
        } = self.connections;
        let rate = |per_s| usize::try_from(per_s).unwrap_or(usize::MAX);
        // Half of the half-open bounds is where proof of the address begins.
        for (key, count, least) in [
            ("total", total, 1),
            ("per_source", per_source, 1),
            ("half_open", half_open, 2),
            ("half_open_per_source", half_open_per_source, 2),
            ("handshakes_per_s", rate(handshakes_per_s), 2),
            (
                "handshakes_per_s_per_source",
                rate(handshakes_per_s_per_source),
                2,
            ),
            ("per_node", per_node, 1),
        ] {
            if count < least {
                let what = format!("`{key}` must be at least {least}");
                return wrong("[connections]", what);
            }
        }
        if !self.http.webhooks.is_empty() && !self.hub.enabled {
            let what = "it is for the fleet's hub: [hub] needs `enabled = true`".to_string();
            return wrong("[[http.webhook]]", what);
        }
        self.http.check()
    }

    /// The same as TOML text.
    pub fn to_text(&self) -> String {
        toml::to_string(self).expect("names, numbers and paths that were read from text")
    }

    /// For the role.
    pub fn relay(&self) -> RelayConfig {
        RelayConfig {
            source_bytes_per_s: self.budget.source_bytes_per_s,
            destination_bytes_per_s: self.budget.destination_bytes_per_s,
        }
    }

    /// For each listener.
    pub fn listeners(&self) -> impl Iterator<Item = ListenSettings> {
        let limits = ListenLimits {
            connections: self.connections.total,
            connections_per_source: self.connections.per_source,
            half_open: self.connections.half_open,
            half_open_per_source: self.connections.half_open_per_source,
            handshakes_per_s: self.connections.handshakes_per_s,
            handshakes_per_s_per_source: self.connections.handshakes_per_s_per_source,
            connections_per_node: self.connections.per_node,
        };
        self.listen.iter().map(move |section| ListenSettings {
            name: section.name.clone(),
            address: section.address,
            interface: section.interface.clone(),
            limits,
        })
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            identity: IdentitySection {
                directory: "/etc/longrein/relay".into(),
            },
            budget: BudgetSection::default(),
            connections: ConnectionsSection::default(),
            http: HttpSection::default(),
            log: LogSection::default(),
            hub: HubSection::default(),
            listen: vec![ListenSection {
                name: "main".parse().expect("a name"),
                address: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT),
                interface: None,
            }],
        }
    }
}

impl Default for BudgetSection {
    fn default() -> BudgetSection {
        let RelayConfig {
            source_bytes_per_s,
            destination_bytes_per_s,
        } = RelayConfig::default();
        BudgetSection {
            source_bytes_per_s,
            destination_bytes_per_s,
        }
    }
}

impl Default for ConnectionsSection {
    fn default() -> ConnectionsSection {
        let limits = ListenLimits::default();
        ConnectionsSection {
            total: limits.connections,
            per_source: limits.connections_per_source,
            half_open: limits.half_open,
            half_open_per_source: limits.half_open_per_source,
            handshakes_per_s: limits.handshakes_per_s,
            handshakes_per_s_per_source: limits.handshakes_per_s_per_source,
            per_node: limits.connections_per_node,
        }
    }
}

impl Default for HubSection {
    fn default() -> HubSection {
        HubSection {
            enabled: false,
            directory: "/var/lib/longrein/relay/hub".into(),
            sync: Sync::default(),
        }
    }
}

/// Sockets of one relay: every one has buffers of 4 MiB.
const LISTENERS_MAX: usize = 16;
/// UDP port that relays listen on.
const PORT: u16 = 4433;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use longrein_io::config::Loader;

    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_example_file_is_the_defaults() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("relay.example.toml");
        let example: Config = Loader::new(Some(&file)).unwrap().finish().unwrap();
        assert_eq!(example, Config::default());
        assert_eq!(example.check().map_err(|error| error.to_string()), Ok(()));
    }

    #[test]
    fn the_example_file_explains_every_key() {
        let text = include_str!("../relay.example.toml");
        for line in Config::default().to_text().lines() {
            let Some((key, _)) = line.split_once(" = ") else {
                continue;
            };
            assert!(text.contains(&format!("\n{key} = ")), "{key}");
        }
    }

    #[test]
    fn a_hub_syncs_fully_or_normally() {
        for (text, sync) in [("full", Sync::Full), ("normal", Sync::Normal)] {
            let config = read(&format!("[hub]\nsync = \"{text}\"")).unwrap();
            assert_eq!(config.hub.sync, sync);
        }
        let error = read("[hub]\nsync = \"never\"").unwrap_err();
        assert!(error.contains("expected `full` or `normal`"), "{error}");
    }

    #[test]
    fn what_is_printed_is_read_back_the_same() {
        let config = Config::default();
        assert_eq!(read(&config.to_text()), Ok(config));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, expected) in [
            ("listen = []", "[[listen]]: 1 to 16 are needed"),
            (
                "[[listen]]\nname = \"a\"\naddress = \"[::]:1\"\n[[listen]]\nname = \"a\"\naddress = \"[::]:2\"",
                "[[listen]]: the name a is used twice",
            ),
            (
                "[budget]\nsource_bytes_per_s = 100",
                "[budget]: `source_bytes_per_s` must be at least 1150, one packet a second",
            ),
            (
                "[connections]\nhalf_open = 1",
                "[connections]: `half_open` must be at least 2",
            ),
            (
                "[hub]\ndirectory = \"hub\"",
                "[hub]: `directory` must be the whole path of a folder, from `/` on",
            ),
        ] {
            let error = read(text).unwrap().check().unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }
}
