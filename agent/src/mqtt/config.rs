//! `[[mqtt]]`: a broker; and what stands for devices behind one in an adapter.

use std::fmt;
use std::path::PathBuf;

use longrein_io::config::as_text;
use longrein_proto::base::Name;
use serde::{Deserialize, Serialize};

use super::template::Template;

/// `[[mqtt]]`: a broker of MQTT.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerSection {
    /// What adapters, operators and logs call it.
    #[serde(with = "as_text")]
    pub name: Name,
    /// Host and TCP port.
    pub address: String,
    /// Of the protocol.
    #[serde(default)]
    pub version: Version,
    /// As the broker knows this agent; `longrein-AGENT-BROKER` when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// As whom it logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// File whose first line is the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Seconds of silence after which the connection is tried.
    #[serde(default = "keep_alive_s")]
    pub keep_alive_s: u16,
    /// Where it says that it is there, and the broker in its place when it is not: the will.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability: Option<String>,
    /// With these files for TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSection>,
}

/// `tls` of a broker.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    /// Certificates (PEM) of the authorities that the broker's may come from.
    pub ca: PathBuf,
    /// The agent's own certificate (PEM), with `key`, where the broker asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// Its key (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// The name in the broker's certificate, when it is not the host of `address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

/// The protocol's version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Version {
    /// 5: messages have an expiry.
    #[default]
    #[serde(rename = "5")]
    V5,
    /// 3.1.1: they have none, so commands go with QoS 0.
    #[serde(rename = "3.1.1")]
    V311,
}

/// Adapter `kind = "mqtt"`: devices behind a broker, which one function stands for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DevicesConfig {
    /// The `[[mqtt]]` section's name.
    #[serde(with = "as_text")]
    pub broker: Name,
    /// Where commands go, with `{device}`.
    pub command: Template,
    /// Of commands: by default 1, and 0 with version 3.1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<Qos>,
    /// Where the devices' messages come from, each with `{device}`.
    #[serde(default)]
    pub telemetry: Vec<Template>,
    /// Where they say that they are there, with `{device}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<PresenceConfig>,
    /// Seconds after which a device that says nothing counts as away; 0 for never.
    #[serde(default)]
    pub silent_s: u32,
    /// What every device is sent when the function enters MinimalRisk or the emergency stop is latched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_safe: Option<String>,
    /// Devices that are known at most.
    #[serde(default = "devices_max")]
    pub devices_max: usize,
    /// Seconds that the broker may be away before the function's device counts as lost.
    #[serde(default = "outage_max_s")]
    pub outage_max_s: u16,
    /// Seconds within which a message of QoS 1 or 2 that is the same again counts as a duplicate; 0 for none.
    #[serde(default = "duplicate_s")]
    pub duplicate_s: u16,
}

/// `presence` of devices.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PresenceConfig {
    /// With `{device}`.
    pub topic: Template,
    /// What it says of a device that is there.
    #[serde(default = "online")]
    pub online: String,
    /// What it says, with the device's will, of one that is not.
    #[serde(default = "offline")]
    pub offline: String,
}

/// `[[operator]]`: commands that come from MQTT, under an identity that takes leases like anyone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorSection {
    /// What logs call it.
    #[serde(with = "as_text")]
    pub name: Name,
    /// The `[[mqtt]]` section's name.
    #[serde(with = "as_text")]
    pub broker: Name,
    /// Folder with the identity of a controller or service, as `longrein fleet` makes it.
    pub identity: PathBuf,
    /// Where commands come from, with `{vehicle}` and `{function}`, as far as those below are not given.
    pub topic: Template,
    /// The vehicle that all commands are for.
    #[serde(
        default,
        with = "as_optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub vehicle: Option<Name>,
    /// The function that all commands are for.
    #[serde(
        default,
        with = "as_optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub function: Option<Name>,
    /// How long a command is worth applying, in ms, from its arrival here; less when the message says so.
    #[serde(default = "ttl_ms")]
    pub ttl_ms: u16,
    /// After how long without a command a lease is given back, in ms.
    #[serde(default = "idle_ms")]
    pub idle_ms: u32,
}

impl OperatorSection {
    /// What serde cannot check.
    ///
    /// # Errors
    /// What is wrong and what is allowed.
    pub(crate) fn check(&self) -> Result<(), String> {
        let wanted = [
            (VEHICLE, self.vehicle.is_none()),
            (FUNCTION, self.function.is_none()),
        ];
        let named: Vec<&str> = self.topic.names().collect();
        let known = named.iter().all(|name| [VEHICLE, FUNCTION].contains(name));
        if !known || wanted.iter().any(|(name, is)| named.contains(name) != *is) {
            return Err("`topic` has `{vehicle}` and `{function}`, each unless its key is given, and no other name".to_string());
        }
        if !(1..=60_000).contains(&self.ttl_ms) {
            return Err("`ttl_ms` is 1 to 60000".to_string());
        }
        if !(100..=3_600_000).contains(&self.idle_ms) {
            return Err("`idle_ms` is 100 to 3600000".to_string());
        }
        Ok(())
    }
}

/// An optional name as text.
mod as_optional_text {
    use longrein_proto::base::Name;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde wants a reference")]
    pub(super) fn serialize<S: Serializer>(
        name: &Option<Name>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match name {
            Some(name) => serializer.serialize_str(name.as_str()),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Name>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(serde::de::Error::custom))
            .transpose()
    }
}

/// How surely MQTT delivers a message: 0, 1 or 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Qos {
    /// At most once.
    AtMostOnce,
    /// At least once.
    AtLeastOnce,
    /// Exactly once.
    ExactlyOnce,
}

impl TryFrom<u8> for Qos {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Qos, &'static str> {
        match number {
            0 => Ok(Qos::AtMostOnce),
            1 => Ok(Qos::AtLeastOnce),
            2 => Ok(Qos::ExactlyOnce),
            _ => Err("QoS is 0, 1 or 2"),
        }
    }
}

impl From<Qos> for u8 {
    fn from(qos: Qos) -> u8 {
        qos as u8
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::V5 => "5",
            Version::V311 => "3.1.1",
        })
    }
}

impl BrokerSection {
    /// What serde cannot check.
    ///
    /// # Errors
    /// What is wrong and what is allowed.
    pub(crate) fn check(&self) -> Result<(), String> {
        let address = self.address.rsplit_once(':');
        if !address.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
            return Err(format!("`address`: {:?} is no `host:port`", self.address));
        }
        if self.keep_alive_s == 0 {
            return Err("`keep_alive_s` is at least 1".to_string());
        }
        if let Some(topic) = &self.availability {
            let template = Template::parse(topic).map_err(|e| format!("`availability`: {e}"))?;
            if !template.is_concrete() || template.names().next().is_some() {
                return Err("`availability` is one topic, without names and wildcards".to_string());
            }
        }
        if self.password_file.is_some() && self.username.is_none() {
            return Err("`password_file` needs a `username`".to_string());
        }
        let tls = self.tls.as_ref();
        if tls.is_some_and(|tls| tls.certificate.is_some() != tls.key.is_some()) {
            return Err("`tls` has `certificate` and `key`, or neither".to_string());
        }
        Ok(())
    }
}

impl DevicesConfig {
    /// What serde cannot check; `version` is that of the broker.
    ///
    /// # Errors
    /// What is wrong and what is allowed.
    pub(crate) fn check(&self, version: Version) -> Result<(), String> {
        if !self.command.is_concrete() || !self.command.names().eq([DEVICE]) {
            return Err(
                "`command` is a topic with `{device}`, and without other names and wildcards"
                    .to_string(),
            );
        }
        if version == Version::V311 && self.qos.is_some_and(|qos| qos > Qos::AtMostOnce) {
            return Err("`qos` is 0 with version \"3.1.1\", whose messages have no expiry: a broker could deliver an old command".to_string());
        }
        let presence = self.presence.as_ref().map(|presence| &presence.topic);
        for topic in self.telemetry.iter().chain(presence) {
            if !topic.names().eq([DEVICE]) {
                return Err(format!(
                    "{topic}: telemetry and presence have `{{device}}` in their topics, and no other name"
                ));
            }
        }
        if presence.is_none() && (self.telemetry.is_empty() || self.silent_s == 0) {
            return Err("commands go to devices that are known to be there: give `presence`, or `telemetry` and `silent_s`".to_string());
        }
        if !(1..=DEVICES_MAX).contains(&self.devices_max) {
            return Err(format!("`devices_max` is 1 to {DEVICES_MAX}"));
        }
        if self.outage_max_s > OUTAGE_MAX_S {
            return Err(format!("`outage_max_s` is 0 to {OUTAGE_MAX_S}"));
        }
        Ok(())
    }
}

/// The name in the topics of devices.
pub(crate) const DEVICE: &str = "device";
/// The names in the topics of operators.
pub(crate) const VEHICLE: &str = "vehicle";
/// The same.
pub(crate) const FUNCTION: &str = "function";
/// Devices of one function: 200 bytes each.
const DEVICES_MAX: usize = 10_000;
/// No command lives longer than a minute.
const OUTAGE_MAX_S: u16 = 60;

const fn keep_alive_s() -> u16 {
    15
}

const fn ttl_ms() -> u16 {
    1_000
}

const fn idle_ms() -> u32 {
    5_000
}

const fn devices_max() -> usize {
    1_000
}

const fn outage_max_s() -> u16 {
    30
}

const fn duplicate_s() -> u16 {
    10
}

fn online() -> String {
    "online".to_string()
}

fn offline() -> String {
    "offline".to_string()
}
