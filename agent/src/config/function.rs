//! `[[function]]`: something on the vehicle that can be commanded.

use std::time::Duration;

use longrein_io::config::{ConfigError, as_text};
use longrein_proto::base::Name;
use longrein_proto::control::{ActuationConfig, DriveLimits, DriveLimitsError};
use longrein_proto::role::FunctionConfig;
use longrein_proto::wire::FunctionKind;
use serde::{Deserialize, Serialize};

use super::watchdog::{WatchdogSection, WatchdogTimes};
use crate::adapter::AdapterConfig;

/// `[[function]]`: something on the vehicle that can be commanded.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionSection {
    /// What controllers call it.
    #[serde(with = "as_text")]
    pub name: Name,
    /// What its commands are.
    #[serde(default)]
    pub kind: FunctionKindWord,
    /// A lease lapses after this long without a renewal, in ms.
    #[serde(default = "lease_ttl_ms")]
    pub lease_ttl_ms: u16,
    /// After how long without a valid command each stage is entered, or false.
    #[serde(default)]
    pub watchdog: WatchdogSection,
    /// Bounds of drive commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsSection>,
    /// The device behind it.
    pub adapter: AdapterConfig,
}

/// The word for a function's kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FunctionKindWord {
    /// Typed drive commands: speed and curvature, which the agent can bound.
    #[default]
    Drive,
    /// Bytes that the agent does not understand.
    Opaque,
}

/// `limits`: bounds of drive commands, enforced whatever is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    /// Highest speed in both directions, in mm/s.
    pub speed_max_mm_s: u16,
    /// Highest curvature in both directions, in 1/km.
    pub curvature_max_per_km: u16,
    /// Commands a second; more are refused.
    pub rate_max_hz: u16,
    /// How fast speed may grow, in mm/s².
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acceleration_max_mm_s2: Option<u16>,
    /// How fast curvature may change, in 1/km per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steering_max_per_km_s: Option<u16>,
    /// Whether the highest speed falls with the delay between picture and motion.
    pub latency_cap: bool,
    /// How old the picture may be that the operator saw, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture_age_max_ms: Option<u16>,
}

impl Default for LimitsSection {
    /// All that the wire can say, and twice the rate of the fastest controllers.
    fn default() -> LimitsSection {
        LimitsSection {
            speed_max_mm_s: i16::MAX.unsigned_abs(),
            curvature_max_per_km: i16::MAX.unsigned_abs(),
            rate_max_hz: 200,
            acceleration_max_mm_s2: None,
            steering_max_per_km_s: None,
            latency_cap: false,
            picture_age_max_ms: None,
        }
    }
}

impl FunctionSection {
    /// What serde cannot check.
    ///
    /// # Errors
    /// What is wrong and what is allowed.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !LEASE_TTL_MS.contains(&self.lease_ttl_ms) {
            let (min, max) = LEASE_TTL_MS.into_inner();
            return Err(self.wrong(format!("`lease_ttl_ms` must be {min} to {max}")));
        }
        if self.kind == FunctionKindWord::Drive && self.watchdog == WatchdogSection::Off {
            return Err(self.wrong("`watchdog = false` is for kind = \"opaque\" only, where the device has a fail-safe of its own"));
        }
        if self.kind == FunctionKindWord::Opaque && self.limits.is_some() {
            return Err(self.wrong(
                "`limits` are for kind = \"drive\" only: opaque commands cannot be bounded",
            ));
        }
        self.actuation()?;
        self.adapter
            .check(self.kind.into())
            .map_err(|error| self.wrong(error.to_string()))
    }

    /// For the role.
    pub fn role(&self) -> FunctionConfig {
        FunctionConfig {
            name: self.name.clone(),
            kind: self.kind.into(),
            lease_ttl: Duration::from_millis(self.lease_ttl_ms.into()),
        }
    }

    /// For the control thread.
    ///
    /// # Errors
    /// Times or bounds that are none.
    pub fn actuation(&self) -> Result<ActuationConfig, ConfigError> {
        let watchdog = self
            .watchdog
            .times()
            .map(WatchdogTimes::watchdog)
            .transpose()
            .map_err(|error| self.wrong(format!("`watchdog`: {error}")))?;
        let limits = match self.kind {
            FunctionKindWord::Drive => Some(
                self.limits
                    .unwrap_or_default()
                    .drive_limits()
                    .map_err(|error| self.wrong(format!("`limits`: {error}")))?,
            ),
            FunctionKindWord::Opaque => None,
        };
        Ok(ActuationConfig { watchdog, limits })
    }

    fn wrong(&self, what: impl Into<String>) -> ConfigError {
        ConfigError::Wrong {
            place: format!("[[function]] {}", self.name),
            what: what.into(),
        }
    }
}

impl LimitsSection {
    fn drive_limits(self) -> Result<DriveLimits, DriveLimitsError> {
        let simple = DriveLimits::new(
            self.speed_max_mm_s,
            self.curvature_max_per_km,
            self.rate_max_hz,
        )?;
        let picture_age_max = self.picture_age_max_ms.map(u64::from);
        Ok(DriveLimits {
            acceleration_max_mm_s2: self.acceleration_max_mm_s2,
            steering_max_per_km_s: self.steering_max_per_km_s,
            latency_cap: self.latency_cap,
            picture_age_max: picture_age_max.map(Duration::from_millis),
            ..simple
        })
    }
}

impl From<FunctionKindWord> for FunctionKind {
    fn from(word: FunctionKindWord) -> FunctionKind {
        match word {
            FunctionKindWord::Drive => FunctionKind::Drive,
            FunctionKindWord::Opaque => FunctionKind::Opaque,
        }
    }
}

const fn lease_ttl_ms() -> u16 {
    500
}

/// Renewed five times in its life, a shorter lease would lapse on a mobile network's round trip; a longer one keeps others
/// out for a minute after a controller's death.
const LEASE_TTL_MS: std::ops::RangeInclusive<u16> = 200..=60_000;
