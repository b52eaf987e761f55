//! Options of every verb that connects to a fleet.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use longrein_io::config::{COMMON_VARIABLES, Loader};
use longrein_io::dictionaries::DictionarySection;
use longrein_io::exit::Exit;
use longrein_io::log;
use longrein_io::sections::{IdentitySection, LinkSection, LogSection, RelaySection};
use longrein_proto::base::{Name, NameError};
use serde::Deserialize;

use super::failure::Failure;
use super::run::patiently;
use crate::{Connection, RecordSection, Settings};

/// Who the operator is and which relays to use. Flags win over the environment, that over the configuration file.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    /// Folder with authority.pem, node.pem and node.key, as `longrein fleet init` makes it for a controller [env: LONGREIN_IDENTITY_DIRECTORY]
    #[arg(long, value_name = "DIR")]
    pub identity: Option<PathBuf>,

    /// A relay to use, for example relay-a=192.0.2.1:4433; give one --relay for each, all are used at once
    #[arg(long = "relay", value_name = "NAME=HOST:PORT")]
    pub relays: Vec<RelayAddress>,

    /// A dictionary for compression, and the functions whose commands are compressed with it: FILE, or FUNCTIONS=FILE with commas between;
    /// give one --dictionary for each
    #[arg(long = "dictionary", value_name = "[FUNCTIONS=]FILE")]
    pub dictionaries: Vec<DictionaryFile>,

    /// Configuration file (TOML) with the same settings, and links; see controller/controller.example.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The configuration file of the command line.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    identity: Option<IdentitySection>,
    relay: Vec<RelaySection>,
    link: Vec<LinkSection>,
    dictionary: Vec<DictionarySection>,
    record: Option<RecordSection>,
    log: Option<LogSection>,
}

impl ConnectionArgs {
    /// Connects as flags, environment and file say, and starts the log when they ask for one.
    ///
    /// # Errors
    /// What is wrong with them, or why no relay is reached.
    pub async fn connect(&self) -> Result<Connection, Failure> {
        self.connect_within(Settings::PATIENCE).await
    }

    /// As [`ConnectionArgs::connect`], with more or less patience for the first relay.
    ///
    /// # Errors
    /// As [`ConnectionArgs::connect`].
    pub async fn connect_within(&self, patience: Duration) -> Result<Connection, Failure> {
        let config = self.config()?;
        if let Some(section) = &config.log {
            log::start(section.level);
        }
        let settings = settings(config, patience)?;
        let names: Vec<&str> = settings.relays.iter().map(|r| r.name.as_str()).collect();
        let what = format!("connecting to {}", names.join(", "));
        Ok(patiently(&what, Connection::connect(settings)).await?)
    }

    fn config(&self) -> Result<Config, Failure> {
        let directory = self
            .identity
            .as_ref()
            .map(|directory| directory.display().to_string());
        let mut config: Config = Loader::new(self.config.as_deref())?
            .variables(&COMMON_VARIABLES)?
            .flag("identity.directory", directory)
            .finish()?;
        if !self.relays.is_empty() {
            let section = |relay: &RelayAddress| RelaySection {
                name: relay.name.clone(),
                address: format!("{}:{}", relay.host, relay.port),
            };
            config.relay = self.relays.iter().map(section).collect();
        }
        if !self.dictionaries.is_empty() {
            let section = |dictionary: &DictionaryFile| DictionarySection {
                file: dictionary.file.clone(),
                id: None,
                functions: dictionary.functions.clone(),
            };
            config.dictionary = self.dictionaries.iter().map(section).collect();
        }
        Ok(config)
    }
}

fn settings(config: Config, patience: Duration) -> Result<Settings, Failure> {
    let identity = config.identity.ok_or_else(|| {
        let line = "who are you? give --identity DIR, LONGREIN_IDENTITY_DIRECTORY, or [identity] in a --config file";
        Failure::new(Exit::Usage, line)
    })?;
    if config.relay.is_empty() {
        let line =
            "which relays? give --relay NAME=HOST:PORT for each, or [[relay]] in a --config file";
        return Err(Failure::new(Exit::Usage, line));
    }
    Ok(Settings {
        identity: identity.directory,
        relays: config.relay,
        links: config.link,
        dictionaries: config.dictionary,
        record: config.record,
        patience,
    })
}

/// A dictionary, and the functions whose commands are compressed with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DictionaryFile {
    /// The functions; none when it is only for what vehicles send.
    pub functions: Vec<Name>,
    /// The dictionary.
    pub file: PathBuf,
}

impl FromStr for DictionaryFile {
    type Err = NameError;

    fn from_str(text: &str) -> Result<DictionaryFile, NameError> {
        let (functions, file) = text.split_once('=').unwrap_or(("", text));
        let names = functions.split(',').filter(|name| !name.is_empty());
        Ok(DictionaryFile {
            functions: names.map(str::parse).collect::<Result<_, _>>()?,
            file: file.into(),
        })
    }
}

/// A relay's name in the fleet and where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayAddress {
    /// The name in the relay's certificate.
    pub name: Name,
    /// Host name or address; an IPv6 address stands in brackets.
    pub host: String,
    /// UDP port.
    pub port: u16,
}

impl FromStr for RelayAddress {
    type Err = RelayAddressError;

    fn from_str(text: &str) -> Result<RelayAddress, RelayAddressError> {
        let parts = || {
            let (name, address) = text.split_once('=')?;
            let (host, port) = address.rsplit_once(':')?;
            let bare = !host.contains([':', ' ', '/']);
            let bracketed = host.starts_with('[') && host.ends_with(']');
            Some(RelayAddress {
                name: name.parse().ok()?,
                host: Some(host)
                    .filter(|host| !host.is_empty() && (bare || bracketed))?
                    .to_string(),
                port: port.parse().ok().filter(|port| *port != 0)?,
            })
        };
        parts().ok_or(RelayAddressError)
    }
}

impl fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}:{}", self.name, self.host, self.port)
    }
}

/// A text that names no relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a relay is written NAME=HOST:PORT, for example relay-a=192.0.2.1:4433 or relay-b=[2001:db8::1]:4433"
)]
pub struct RelayAddressError;

#[cfg(test)]
mod tests {
    use super::*;

    fn args(relays: &[&str]) -> ConnectionArgs {
        ConnectionArgs {
            identity: Some("harbour/controller-alice".into()),
            relays: relays.iter().map(|relay| relay.parse().unwrap()).collect(),
            dictionaries: Vec::new(),
            config: None,
        }
    }

    #[test]
    fn the_example_file_is_the_default_and_its_examples_are_valid() {
        let text = include_str!("../../controller.example.toml");
        let directory = std::env::temp_dir().join(format!("longrein-cli-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let parse = |name: &str, text: &str| {
            let file = directory.join(name);
            std::fs::write(&file, text).unwrap();
            let loader = Loader::new(Some(&file)).unwrap();
            loader.finish::<Config>().unwrap()
        };
        assert_eq!(parse("example.toml", text), Config::default());
        let set = text.replace("\n#", "\n").replace("\n ", "\n# ");
        let config = parse("set.toml", &set);
        assert_eq!((config.relay.len(), config.link.len()), (2, 2));
        assert_eq!(config.dictionary.len(), 2);
        let record = config.record.as_ref().unwrap();
        // The example says the defaults.
        let least = parse("least.toml", "[record]\ndirectory = \"record\"\n").record;
        assert_eq!(Some(record), least.as_ref());
        let settings = settings(config, Settings::PATIENCE).unwrap();
        let routes = longrein_io::sections::routes(&settings.relays, &settings.links).unwrap();
        assert_eq!(routes.len(), 4);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_is_missing_is_asked_for() {
        let config = args(&[]).config().unwrap();
        let failure = settings(config, Settings::PATIENCE).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.to_string().contains("--relay NAME=HOST:PORT"));
        let failure = settings(Config::default(), Settings::PATIENCE).unwrap_err();
        assert!(failure.to_string().contains("--identity DIR"));
    }

    #[test]
    fn a_dictionary_is_a_file_with_or_without_functions() {
        let parse = |text: &str| {
            let parsed = text.parse::<DictionaryFile>().ok()?;
            let names = parsed.functions.iter().map(ToString::to_string).collect();
            Some((names, parsed.file))
        };
        type Parsed = Option<(Vec<String>, PathBuf)>;
        let cases: [(&str, Parsed); 3] = [
            ("a/b.zdict", Some((vec![], "a/b.zdict".into()))),
            (
                "arm,bed=x",
                Some((vec!["arm".into(), "bed".into()], "x".into())),
            ),
            ("No Name=x", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn relays_of_the_command_line_are_used_as_they_are_written() {
        let config = args(&["a=192.0.2.1:1", "b=[2001:db8::1]:2"])
            .config()
            .unwrap();
        let addresses: Vec<&str> = config.relay.iter().map(|r| r.address.as_str()).collect();
        assert_eq!(addresses, ["192.0.2.1:1", "[2001:db8::1]:2"]);
    }
}
