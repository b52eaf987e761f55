//! `watchdog`: a table of times, or false.

use std::fmt;
use std::time::Duration;

use longrein_proto::control::{WatchdogConfig, WatchdogConfigError};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// After how long without a valid command each stage is entered, or `false` where the device has a fail-safe of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchdogSection {
    /// With these times.
    On(WatchdogTimes),
    /// None.
    Off,
}

/// Times of a watchdog, all counted from the last valid command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchdogTimes {
    /// To Hold, in ms.
    pub hold_ms: u16,
    /// To Ramp, in ms.
    pub ramp_ms: u16,
    /// To MinimalRisk, in ms.
    pub minimal_risk_ms: u16,
}

impl Default for WatchdogTimes {
    fn default() -> WatchdogTimes {
        WatchdogTimes {
            hold_ms: 200,
            ramp_ms: 500,
            minimal_risk_ms: 1_500,
        }
    }
}

impl WatchdogTimes {
    pub(super) fn watchdog(self) -> Result<WatchdogConfig, WatchdogConfigError> {
        let ms = |ms: u16| Duration::from_millis(ms.into());
        WatchdogConfig::new(ms(self.hold_ms), ms(self.ramp_ms), ms(self.minimal_risk_ms))
    }
}

impl WatchdogSection {
    /// The times, unless it is off.
    pub fn times(self) -> Option<WatchdogTimes> {
        match self {
            WatchdogSection::On(times) => Some(times),
            WatchdogSection::Off => None,
        }
    }
}

impl Default for WatchdogSection {
    fn default() -> WatchdogSection {
        WatchdogSection::On(WatchdogTimes::default())
    }
}

impl Serialize for WatchdogSection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            WatchdogSection::On(times) => times.serialize(serializer),
            WatchdogSection::Off => serializer.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for WatchdogSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WatchdogSection, D::Error> {
        deserializer.deserialize_any(TableOrFalse)
    }
}

struct TableOrFalse;

impl<'de> Visitor<'de> for TableOrFalse {
    type Value = WatchdogSection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table with `hold_ms`, `ramp_ms` and `minimal_risk_ms`, or false")
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<WatchdogSection, E> {
        Ok(if on {
            WatchdogSection::default()
        } else {
            WatchdogSection::Off
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WatchdogSection, A::Error> {
        WatchdogTimes::deserialize(MapAccessDeserializer::new(map)).map(WatchdogSection::On)
    }
}
