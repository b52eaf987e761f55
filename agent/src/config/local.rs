//! `[[local]]`: a socket for the vehicle's own software.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use longrein_io::config::{ConfigError, as_text, as_texts};
use longrein_proto::base::Name;
use serde::{Deserialize, Serialize};

use super::function::FunctionSection;
use crate::adapter::AdapterConfig;

/// `[[local]]`: a socket for the vehicle's own software, and what whoever may open it may do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LocalSection {
    /// What its clients may do.
    pub level: LocalLevel,
    /// The socket's file; by default `device.sock` or `observer.sock` in `/run/longrein/agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Group of the file, by name or number; without one the agent's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Permissions of the file, as octal digits.
    #[serde(default, with = "as_text")]
    pub mode: Mode,
    /// Functions that its clients may be the device of, speak for and have stand; all when there are none.
    #[serde(default, with = "as_texts", skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Name>,
}

/// What clients of a socket may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LocalLevel {
    /// Read how the vehicle stands.
    Observer,
    /// Also be a function's device, send its telemetry, have it stand, and stop the vehicle.
    Device,
}

/// Permissions of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

impl LocalSection {
    /// Where the socket is.
    pub fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(match self.level {
            LocalLevel::Observer => "/run/longrein/agent/observer.sock",
            LocalLevel::Device => "/run/longrein/agent/device.sock",
        }))
    }

    /// Whether its clients may be the device of this function.
    pub fn is_for(&self, function: &Name) -> bool {
        self.level == LocalLevel::Device
            && (self.functions.is_empty() || self.functions.contains(function))
    }

    /// What serde cannot check; `functions` are all that there are.
    ///
    /// # Errors
    /// What is wrong and what is allowed.
    fn check(&self, functions: &[&Name]) -> Result<(), ConfigError> {
        let wrong = |what: String| {
            let place = format!("[[local]] {}", self.path().display());
            Err(ConfigError::Wrong { place, what })
        };
        let bytes = self.path().as_os_str().len();
        if !self.path().is_absolute() || bytes > PATH_BYTES_MAX {
            return wrong(format!(
                "`path` must be absolute and of at most {PATH_BYTES_MAX} bytes"
            ));
        }
        if self.level == LocalLevel::Observer && !self.functions.is_empty() {
            return wrong("`functions` is for level = \"device\" only".to_string());
        }
        match self.functions.iter().find(|name| !functions.contains(name)) {
            Some(name) => wrong(format!(
                "`functions` names {name}, which is no [[function]]"
            )),
            None => Ok(()),
        }
    }
}

/// What serde cannot check of all sections together with the functions.
///
/// # Errors
/// Which section is wrong and what is allowed.
pub(super) fn check(
    sections: &[LocalSection],
    functions: &[FunctionSection],
) -> Result<(), ConfigError> {
    let wrong = |place: String, what: String| Err(ConfigError::Wrong { place, what });
    if sections.len() > SECTIONS_MAX {
        return wrong("[[local]]".to_string(), format!("at most {SECTIONS_MAX}"));
    }
    let names: Vec<&Name> = functions.iter().map(|section| &section.name).collect();
    let mut paths = BTreeSet::new();
    for section in sections {
        section.check(&names)?;
        let path = section.path();
        if !paths.insert(path) {
            let what = format!("the path {} is used twice", path.display());
            return wrong("[[local]]".to_string(), what);
        }
    }
    for function in functions {
        let name = &function.name;
        let is_local = matches!(function.adapter, AdapterConfig::Local(_));
        if is_local && !sections.iter().any(|section| section.is_for(name)) {
            let what = "adapter \"local\" needs a [[local]] with level = \"device\" for it";
            return wrong(format!("[[function]] {name}"), what.to_string());
        }
    }
    Ok(())
}

impl LocalLevel {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            LocalLevel::Observer => "observer",
            LocalLevel::Device => "device",
        }
    }
}

impl Default for Mode {
    /// For the owner and the group.
    fn default() -> Mode {
        Mode(0o660)
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Mode, String> {
        let mode = u32::from_str_radix(text, 8).ok();
        mode.filter(|mode| *mode <= 0o777)
            .map(Mode)
            .ok_or_else(|| format!("{text:?} are no permissions; allowed are \"0000\" to \"0777\""))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// Sockets of the local API: one for each level, and some for functions with users of their own.
const SECTIONS_MAX: usize = 4;
/// Of a Unix socket's address (unix(7)), less the zero at its end.
const PATH_BYTES_MAX: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_octal_digits() {
        assert_eq!("0660".parse(), Ok(Mode(0o660)));
        assert_eq!(Mode(0o66).to_string(), "0066");
        for wrong in ["", "668", "1777", "rw-rw----", "-1"] {
            assert!(wrong.parse::<Mode>().is_err(), "{wrong}");
        }
    }
}
