//! `[[allow]]`: who may do what.

use std::fmt;
use std::str::FromStr;

use longrein_io::config::as_texts;
use longrein_proto::base::{Name, NodeKind, NodeName, Right, Rights};
use longrein_proto::control::{Rule, Who};
use serde::{Deserialize, Serialize};

/// `[[allow]]`: who may do what. What no section allows is refused.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AllowSection {
    /// For whom it is.
    #[serde(with = "as_texts")]
    pub who: Vec<WhoText>,
    /// What they may do.
    #[serde(with = "as_texts")]
    pub may: Vec<RightText>,
    /// With which functions; with all when there are none.
    #[serde(default, with = "as_texts", skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Name>,
    /// Whoever commands with a higher priority may take a function from one with a lower.
    #[serde(default)]
    pub priority: u8,
}

/// `anybody`, `controller/NAME`, `service/NAME` or `group/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhoText(Who);

/// The word for a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RightText(Right);

impl AllowSection {
    /// For the role.
    pub fn rule(&self) -> Rule {
        let functions = (!self.functions.is_empty()).then(|| self.functions.clone());
        Rule {
            who: self.who.iter().map(|who| who.0.clone()).collect(),
            may: self.may.iter().map(|right| right.0).collect::<Rights>(),
            functions,
            priority: self.priority,
        }
    }
}

impl FromStr for WhoText {
    type Err = String;

    fn from_str(text: &str) -> Result<WhoText, String> {
        let wrong = || {
            format!(
                "{text:?} is nobody; allowed are \"anybody\", \"controller/NAME\", \"service/NAME\" and \"group/NAME\""
            )
        };
        if text == ANYBODY {
            return Ok(WhoText(Who::Anybody));
        }
        if let Some(group) = text.strip_prefix(GROUP) {
            return Ok(WhoText(Who::Group(group.parse().map_err(|_| wrong())?)));
        }
        let node: NodeName = text.parse().map_err(|_| wrong())?;
        if matches!(node.kind, NodeKind::Controller | NodeKind::Service) {
            Ok(WhoText(Who::Node(node)))
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for WhoText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Who::Anybody => f.write_str(ANYBODY),
            Who::Node(node) => node.fmt(f),
            Who::Group(name) => write!(f, "{GROUP}{name}"),
        }
    }
}

impl FromStr for RightText {
    type Err = String;

    fn from_str(text: &str) -> Result<RightText, String> {
        let known = Right::ALL.into_iter().find(|right| right.as_str() == text);
        known.map(RightText).ok_or_else(|| {
            let words: Vec<&str> = Right::ALL.into_iter().map(Right::as_str).collect();
            format!("{text:?} is no right; allowed are {}", words.join(", "))
        })
    }
}

impl fmt::Display for RightText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

const ANYBODY: &str = "anybody";
const GROUP: &str = "group/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_groups_and_rights_are_read_as_they_are_written() {
        for who in [
            "anybody",
            "controller/alice",
            "service/dispatch",
            "group/night",
        ] {
            assert_eq!(who.parse::<WhoText>().unwrap().to_string(), who);
        }
        for nobody in [
            "alice",
            "agent/truck",
            "relay/east",
            "group/",
            "group/A",
            "",
        ] {
            let error = nobody.parse::<WhoText>().unwrap_err();
            assert!(error.contains("\"controller/NAME\""), "{error}");
        }
        for right in Right::ALL {
            assert_eq!(right.as_str().parse(), Ok(RightText(right)));
        }
        let error = "drive".parse::<RightText>().unwrap_err();
        assert_eq!(
            error,
            "\"drive\" is no right; allowed are observe, command, stop, reset, supervise"
        );
    }
}
