//! Configuration of adapters: `kind = "sim"`, `"udp"`, `"process"`, `"local"` or `"mqtt"`, and the keys of that kind.

use std::net::SocketAddr;

use longrein_proto::base::Name;
use longrein_proto::wire::FunctionKind;
use serde::{Deserialize, Serialize};

use super::mavlink::MavlinkConfig;
use crate::mqtt::config::DevicesConfig;

/// Which device is behind a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum AdapterConfig {
    /// The built-in simulated vehicle, for typed drive commands.
    Sim(SimConfig),
    /// A local UDP address, for opaque commands.
    Udp(UdpConfig),
    /// A child process with JSON lines on its standard input and output, for both.
    Process(ProcessConfig),
    /// A client of the local API, for both.
    Local(LocalConfig),
    /// All devices behind a broker of MQTT whose topics fit templates, for opaque commands.
    Mqtt(DevicesConfig),
}

/// The built-in simulated vehicle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimConfig {
    /// How often stage and command are sent to it, in ms.
    pub feed_ms: u16,
    /// How often it tells its state, in ms.
    pub telemetry_ms: u16,
    /// What it can drive, in mm/s.
    pub speed_max_mm_s: u16,
    /// How fast it gains speed, in mm/s².
    pub acceleration_mm_s2: u16,
    /// How fast it loses speed: towards a slower command, without a command, and in Ramp, in mm/s².
    pub deceleration_mm_s2: u16,
    /// How fast it loses speed in MinimalRisk and at an emergency stop, in mm/s².
    pub stop_deceleration_mm_s2: u16,
    /// How fast it can turn its wheels, as curvature in 1/km per second.
    pub steering_per_km_s: u16,
}

impl Default for SimConfig {
    /// A small delivery robot.
    fn default() -> SimConfig {
        SimConfig {
            feed_ms: 20,
            telemetry_ms: 50,
            speed_max_mm_s: 5_000,
            acceleration_mm_s2: 2_000,
            deceleration_mm_s2: 2_500,
            stop_deceleration_mm_s2: 6_000,
            steering_per_km_s: 2_000,
        }
    }
}

/// A local UDP address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdpConfig {
    /// Each accepted command goes there as one datagram; datagrams from there become telemetry.
    pub send_to: SocketAddr,
    /// Where commands come from and answers arrive; any free port of the same machine when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<SocketAddr>,
    /// Gets the stage as a small JSON datagram at the fixed rate, when present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage_to: Option<SocketAddr>,
    /// How often the stage is sent, in ms.
    #[serde(default = "feed_ms")]
    pub feed_ms: u16,
    /// What an autopilot that speaks MAVLink is told when commands end or are stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mavlink: Option<Box<MavlinkConfig>>,
}

/// A child process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessConfig {
    /// Program and arguments.
    pub command: Vec<String>,
    /// How often stage and command are sent to it, in ms.
    #[serde(default = "feed_ms")]
    pub feed_ms: u16,
    /// How long a child that ended stays down at first, in ms; doubles up to `restart_max_ms`, less a random part.
    #[serde(default = "restart_min_ms")]
    pub restart_min_ms: u32,
    /// How long it stays down at most, in ms.
    #[serde(default = "restart_max_ms")]
    pub restart_max_ms: u32,
    /// A child that does not answer for this long is killed and started again, in ms.
    #[serde(default = "unresponsive_ms")]
    pub unresponsive_ms: u32,
    /// How long a child may take to stop the vehicle and end when the agent ends, in ms; then it is killed.
    #[serde(default = "stop_ms")]
    pub stop_ms: u32,
}

impl ProcessConfig {
    /// This program and its arguments, the rest as by default.
    pub fn new(command: Vec<String>) -> ProcessConfig {
        ProcessConfig {
            command,
            feed_ms: feed_ms(),
            restart_min_ms: restart_min_ms(),
            restart_max_ms: restart_max_ms(),
            unresponsive_ms: unresponsive_ms(),
            stop_ms: stop_ms(),
        }
    }
}

const fn feed_ms() -> u16 {
    20
}

const fn restart_min_ms() -> u32 {
    100
}

const fn restart_max_ms() -> u32 {
    5_000
}

const fn unresponsive_ms() -> u32 {
    10_000
}

const fn stop_ms() -> u32 {
    2_000
}

/// A client of the local API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalConfig {
    /// How often stage and command are sent to it, in ms.
    #[serde(default = "feed_ms")]
    pub feed_ms: u16,
}

/// Why a function cannot have its adapter: a configuration to be corrected.
#[derive(Debug, thiserror::Error)]
pub enum AdapterConfigError {
    /// The adapter takes the other kind of command.
    #[error(
        "adapter \"{adapter}\" takes {takes} commands only; use adapter \"process\", \"local\" or another function kind"
    )]
    Kind {
        /// The configured adapter.
        adapter: &'static str,
        /// What it takes.
        takes: &'static str,
    },
    /// A value is outside what works.
    #[error("adapter \"{adapter}\": {key} must be {allowed}")]
    Value {
        /// The configured adapter.
        adapter: &'static str,
        /// The key.
        key: &'static str,
        /// What it may be.
        allowed: String,
    },
    /// The broker that it names is none.
    #[error("adapter \"mqtt\": `broker` names {broker}, which is no [[mqtt]]")]
    NoBroker {
        /// The broker.
        broker: Name,
    },
    /// The socket cannot be made.
    #[error("adapter \"udp\": {what} {address}: {why}")]
    Socket {
        /// What was tried.
        what: &'static str,
        /// With which address.
        address: SocketAddr,
        /// Why it failed.
        why: std::io::Error,
    },
}

impl AdapterConfig {
    /// The devices behind a broker that it stands for, if it does.
    pub(crate) fn devices(&self) -> Option<&DevicesConfig> {
        if let AdapterConfig::Mqtt(devices) = self {
            Some(devices)
        } else {
            None
        }
    }

    /// Whether this adapter can serve a function of this kind.
    ///
    /// # Errors
    /// When it cannot, or a value is outside what works.
    pub fn check(&self, kind: FunctionKind) -> Result<(), AdapterConfigError> {
        let (adapter, takes, fits, feed_ms) = match self {
            AdapterConfig::Sim(sim) => (
                "sim",
                "typed drive",
                kind == FunctionKind::Drive,
                sim.feed_ms,
            ),
            AdapterConfig::Udp(udp) => ("udp", "opaque", kind == FunctionKind::Opaque, udp.feed_ms),
            AdapterConfig::Process(process) => ("process", "all", true, process.feed_ms),
            AdapterConfig::Local(local) => ("local", "all", true, local.feed_ms),
            // It has no feed: its own keys are checked where its broker is known.
            AdapterConfig::Mqtt(_) => ("mqtt", "opaque", kind == FunctionKind::Opaque, 1),
        };
        if !fits {
            return Err(AdapterConfigError::Kind { adapter, takes });
        }
        let wrong = |key, allowed: &str| {
            Err(AdapterConfigError::Value {
                adapter,
                key,
                allowed: allowed.to_string(),
            })
        };
        // Half the silence after which devices fail safe: one lost turn does not stop the vehicle.
        if !(1..=50).contains(&feed_ms) {
            return wrong("feed_ms", "1 to 50");
        }
        match self {
            AdapterConfig::Sim(sim) if sim.telemetry_ms == 0 => wrong("telemetry_ms", "at least 1"),
            AdapterConfig::Sim(sim)
                if sim.deceleration_mm_s2 == 0 || sim.stop_deceleration_mm_s2 == 0 =>
            {
                wrong(
                    "deceleration_mm_s2 and stop_deceleration_mm_s2",
                    "at least 1",
                )
            }
            AdapterConfig::Process(process) if process.command.is_empty() => {
                wrong("command", "a program and its arguments")
            }
            AdapterConfig::Process(process) if process.unresponsive_ms < 1_000 => {
                wrong("unresponsive_ms", "at least 1000")
            }
            AdapterConfig::Udp(UdpConfig {
                mavlink: Some(mavlink),
                ..
            }) => mavlink
                .check()
                .or_else(|(key, allowed)| wrong(key, &allowed)),
            AdapterConfig::Sim(_)
            | AdapterConfig::Udp(_)
            | AdapterConfig::Process(_)
            | AdapterConfig::Local(_)
            | AdapterConfig::Mqtt(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<AdapterConfig, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn every_kind_is_read_with_its_defaults() {
        assert_eq!(
            read(r#"{"kind":"sim"}"#),
            Ok(AdapterConfig::Sim(SimConfig::default()))
        );
        let udp = read(r#"{"kind":"udp","send_to":"127.0.0.1:14550"}"#).unwrap();
        assert!(udp.check(FunctionKind::Opaque).is_ok());
        let process = read(r#"{"kind":"process","command":["child","-v"]}"#).unwrap();
        let expected = ProcessConfig::new(vec!["child".into(), "-v".into()]);
        assert_eq!(process, AdapterConfig::Process(expected));
        let local = read(r#"{"kind":"local"}"#).unwrap();
        assert_eq!(local, AdapterConfig::Local(LocalConfig { feed_ms: 20 }));
        for kind in [FunctionKind::Drive, FunctionKind::Opaque] {
            assert!(process.check(kind).is_ok());
            assert!(local.check(kind).is_ok());
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_what_is_allowed() {
        let error = read(r#"{"kind":"sim","speed":3}"#).unwrap_err();
        assert!(
            error.contains("`speed`") && error.contains("speed_max_mm_s"),
            "{error}"
        );
        let error = read(r#"{"kind":"can"}"#).unwrap_err();
        assert!(
            error.contains("`can`") && error.contains("process"),
            "{error}"
        );
    }

    #[test]
    fn an_adapter_that_does_not_fit_its_function_is_refused() {
        let sim = AdapterConfig::Sim(SimConfig::default());
        assert!(sim.check(FunctionKind::Drive).is_ok());
        assert!(matches!(
            sim.check(FunctionKind::Opaque),
            Err(AdapterConfigError::Kind { .. })
        ));
        for json in [
            r#"{"kind":"sim","feed_ms":100}"#,
            r#"{"kind":"sim","telemetry_ms":0}"#,
            r#"{"kind":"process","command":[]}"#,
        ] {
            assert!(
                matches!(
                    read(json).unwrap().check(FunctionKind::Drive),
                    Err(AdapterConfigError::Value { .. })
                ),
                "{json}"
            );
        }
    }

    #[test]
    fn what_is_printed_is_read_back_the_same() {
        for json in [
            r#"{"kind":"sim","speed_max_mm_s":900}"#,
            r#"{"kind":"udp","send_to":"127.0.0.1:1","stage_to":"127.0.0.1:2"}"#,
            r#"{"kind":"udp","send_to":"127.0.0.1:1","mavlink":{"on_hold":{"mode":4,"channels":[1500]}}}"#,
            r#"{"kind":"process","command":["x"]}"#,
            r#"{"kind":"local","feed_ms":10}"#,
        ] {
            let config = read(json).unwrap();
            let printed = serde_json::to_string(&config).unwrap();
            assert_eq!(read(&printed), Ok(config));
        }
    }
}
