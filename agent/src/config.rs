//! The configuration of an agent.

mod allow;
mod function;
mod local;
mod watchdog;

use std::path::PathBuf;
use std::time::Duration;

use longrein_io::config::ConfigError;
use longrein_io::dial::Route;
use longrein_io::dictionaries::{DictionarySection, dictionaries};
use longrein_io::recorder::limits::ROOM_MB_MAX;
use longrein_io::sections::{
    IdentitySection, LinkSection, LogSection, RelaySection, routes, used_twice,
};
use longrein_proto::base::Channel;
use longrein_proto::base::limits::FUNCTIONS_MAX;
use longrein_proto::control::Policy;
use longrein_proto::session::Dictionaries;
use serde::{Deserialize, Serialize};

use crate::adapter::AdapterConfigError;
use crate::mqtt::config::{BrokerSection, OperatorSection};
pub use allow::{AllowSection, RightText, WhoText};
pub use function::{FunctionKindWord, FunctionSection, LimitsSection};
pub use local::{LocalLevel, LocalSection, Mode};
pub use watchdog::{WatchdogSection, WatchdogTimes};

/// Everything an agent is set to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where it keeps what it must know after a restart.
    pub state_directory: PathBuf,
    /// Whether a reset of the emergency stop needs two persons.
    pub reset_by_two: bool,
    /// Hours after which a list of revocations is too old: then no session stands. Without it no list is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocations_max_age_h: Option<u32>,
    /// Who it is.
    pub identity: IdentitySection,
    /// What is recorded.
    pub record: RecordSection,
    /// How much is logged.
    pub log: LogSection,
    /// The relays; all are used at once.
    pub relay: Vec<RelaySection>,
    /// The ways out of the machine; all are used at once.
    pub link: Vec<LinkSection>,
    /// What can be commanded; the first is channel 1.
    pub function: Vec<FunctionSection>,
    /// Who may do what; what none of these allows is refused.
    pub allow: Vec<AllowSection>,
    /// Sockets for the vehicle's own software.
    pub local: Vec<LocalSection>,
    /// What makes messages smaller.
    pub dictionary: Vec<DictionarySection>,
    /// What the fleet's hub is told.
    pub hub: HubSection,
    /// Brokers of MQTT, whose devices are behind functions.
    pub mqtt: Vec<BrokerSection>,
    /// Who commands by MQTT.
    pub operator: Vec<OperatorSection>,
}

/// `[record]`: what is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordSection {
    /// Folder of the signed record; `record` in the state directory when it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// Megabytes that the record takes at most; 0 for none.
    pub max_mb: u64,
    /// Whether commands are in it.
    pub commands: bool,
    /// Whether telemetry is in it.
    pub telemetry: bool,
    /// File that gets one JSON line for each applied command and each stage that is entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<PathBuf>,
}

/// `[hub]`: what the fleet's hub is told of the vehicle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubSection {
    /// Whether leases, stages, the stop and the links are told: the vehicle's `reported` document.
    pub report: bool,
}

impl Default for HubSection {
    fn default() -> HubSection {
        HubSection { report: true }
    }
}

impl RecordSection {
    /// Bytes that the record takes at most.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.max_mb.saturating_mul(1024 * 1024)
    }
}

impl Default for RecordSection {
    fn default() -> RecordSection {
        RecordSection {
            directory: None,
            max_mb: 64,
            commands: true,
            telemetry: true,
            applied: None,
        }
    }
}

impl Config {
    /// As the role takes it.
    pub fn revocations_max_age(&self) -> Option<Duration> {
        let hours = self.revocations_max_age_h?;
        Some(Duration::from_secs(u64::from(hours) * 3_600))
    }

    /// What serde cannot check.
    ///
    /// # Errors
    /// Which section is wrong and what is allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.routes()?;
        let wrong = |place: String, what: String| Err(ConfigError::Wrong { place, what });
        if self.record.max_mb > ROOM_MB_MAX {
            let what = format!("`max_mb` is 0 to {ROOM_MB_MAX}");
            return wrong("[record]".to_string(), what);
        }
        if self.function.is_empty() {
            let what = format!(
                "name 1 to {FUNCTIONS_MAX} functions in the --config file, see agent.example.toml"
            );
            return wrong("no [[function]]".to_string(), what);
        }
        let place = "[[function]]".to_string();
        if self.function.len() > FUNCTIONS_MAX {
            return wrong(place, format!("at most {FUNCTIONS_MAX}"));
        }
        if let Some(name) = used_twice(self.function.iter().map(|section| &section.name)) {
            return wrong(place, format!("the name {name} is used twice"));
        }
        for section in &self.function {
            section.check()?;
        }
        let allowed = self.allow.iter().flat_map(|section| &section.functions);
        for name in allowed {
            if !self.function.iter().any(|section| section.name == *name) {
                let what = format!("`functions` names {name}, which is no [[function]]");
                return wrong("[[allow]]".to_string(), what);
            }
        }
        if self.allow.len() > RULES_MAX {
            return wrong("[[allow]]".to_string(), format!("at most {RULES_MAX}"));
        }
        self.check_brokers()?;
        local::check(&self.local, &self.function)?;
        let named = self
            .dictionary
            .iter()
            .flat_map(|section| &section.functions);
        for name in named {
            if !self.function.iter().any(|section| section.name == *name) {
                let what = format!("`functions` names {name}, which is no [[function]]");
                return wrong("[[dictionary]]".to_string(), what);
            }
        }
        Ok(())
    }

    fn check_brokers(&self) -> Result<(), ConfigError> {
        let wrong = |place: String, what: String| ConfigError::Wrong { place, what };
        if let Some(name) = used_twice(self.mqtt.iter().map(|section| &section.name)) {
            let what = format!("the name {name} is used twice");
            return Err(wrong("[[mqtt]]".to_string(), what));
        }
        for section in &self.mqtt {
            let place = format!("[[mqtt]] {}", section.name);
            section.check().map_err(|what| wrong(place, what))?;
        }
        if let Some(name) = used_twice(self.operator.iter().map(|section| &section.name)) {
            let what = format!("the name {name} is used twice");
            return Err(wrong("[[operator]]".to_string(), what));
        }
        for section in &self.operator {
            let place = format!("[[operator]] {}", section.name);
            let broker = &section.broker;
            if !self.mqtt.iter().any(|section| section.name == *broker) {
                let what = format!("`broker` names {broker}, which is no [[mqtt]]");
                return Err(wrong(place, what));
            }
            section.check().map_err(|what| wrong(place, what))?;
        }
        for function in &self.function {
            let Some(devices) = function.adapter.devices() else {
                continue;
            };
            let place = || format!("[[function]] {}", function.name);
            let mut brokers = self.mqtt.iter();
            let broker = brokers.find(|section| section.name == devices.broker);
            let broker = broker.ok_or_else(|| {
                let broker = devices.broker.clone();
                wrong(place(), AdapterConfigError::NoBroker { broker }.to_string())
            })?;
            let checked = devices.check(broker.version);
            checked.map_err(|what| wrong(place(), format!("adapter \"mqtt\": {what}")))?;
        }
        for section in &self.mqtt {
            let place = format!("[[mqtt]] {}", section.name);
            self.check_use(section).map_err(|what| wrong(place, what))?;
        }
        Ok(())
    }

    /// Whether there is somebody to connect to a broker for.
    fn check_use(&self, broker: &BrokerSection) -> Result<(), String> {
        let mut devices = self.function.iter().filter_map(|f| f.adapter.devices());
        if devices.any(|devices| devices.broker == broker.name) {
            return Ok(());
        }
        let commands = |operator: &OperatorSection| operator.broker == broker.name;
        if !self.operator.iter().any(commands) {
            return Err("no [[function]] and no [[operator]] uses it".to_string());
        }
        if broker.availability.is_some() {
            return Err(
                "`availability` is of devices, and no [[function]] has any there".to_string(),
            );
        }
        Ok(())
    }

    /// Where the record is written; nowhere when it has no room.
    pub(crate) fn record_directory(&self) -> Option<PathBuf> {
        let own = self.record.directory.clone();
        let directory = own.unwrap_or_else(|| self.state_directory.join("record"));
        (self.record.max_mb > 0).then_some(directory)
    }

    /// Every link to every relay.
    ///
    /// # Errors
    /// Which section is wrong and what is allowed.
    pub fn routes(&self) -> Result<Vec<Route>, ConfigError> {
        routes(&self.relay, &self.link)
    }

    /// Who may do what.
    pub fn policy(&self) -> Policy {
        let rules = self.allow.iter().map(AllowSection::rule).collect();
        Policy::new(rules).with_reset_by_two(self.reset_by_two)
    }

    /// The dictionaries, from their files.
    ///
    /// # Errors
    /// Which section or file is wrong and what to do.
    pub fn dictionaries(&self) -> Result<Dictionaries, ConfigError> {
        dictionaries(&self.dictionary)
    }

    /// The functions with their channels.
    pub fn functions(&self) -> impl Iterator<Item = (Channel, &FunctionSection)> {
        (1..=Channel::MAX)
            .filter_map(Channel::new)
            .zip(&self.function)
    }

    /// The same as TOML text.
    pub fn to_text(&self) -> String {
        toml::to_string(self).expect("names, numbers and paths that were read from text")
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            state_directory: "/var/lib/longrein/agent".into(),
            reset_by_two: false,
            revocations_max_age_h: None,
            identity: IdentitySection {
                directory: "/etc/longrein/agent".into(),
            },
            record: RecordSection::default(),
            log: LogSection::default(),
            relay: Vec::new(),
            link: Vec::new(),
            function: Vec::new(),
            allow: Vec::new(),
            local: Vec::new(),
            dictionary: Vec::new(),
            hub: HubSection::default(),
            mqtt: Vec::new(),
            operator: Vec::new(),
        }
    }
}

/// Rules of a policy: each request of a controller looks through all of them.
const RULES_MAX: usize = 256;

#[cfg(test)]
mod tests;
