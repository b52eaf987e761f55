//! What a client says of the hub, as it stands in a message.

use std::time::Duration;

use longrein_proto::base::limits::{KEPT_TTL_MAX, LIVE_TTL_MAX};
use longrein_proto::base::{Name, NodeName};
use serde_json::Value;

use super::post::HubAsk;

/// The members of a message that are about the hub.
#[derive(Debug, Default)]
pub(super) struct RawHub {
    pub(super) key: Option<String>,
    pub(super) value: Option<Value>,
    pub(super) letter: Option<u64>,
    pub(super) to: Option<Vec<String>>,
    pub(super) flow: Option<String>,
    pub(super) payload: Option<Value>,
    pub(super) ttl_ms: Option<u64>,
    pub(super) kept: Option<bool>,
}

impl HubAsk {
    /// The word by which an answer names it.
    pub fn word(&self) -> &'static str {
        match self {
            HubAsk::Report { .. } => REPORT,
            HubAsk::Letters => LETTERS,
            HubAsk::Gone => "gone",
            HubAsk::Outcome { declined: None, .. } => APPLIED,
            HubAsk::Outcome { .. } => DECLINED,
            HubAsk::Send { .. } => SEND,
        }
    }
}

impl RawHub {
    /// Whether none is there.
    pub(super) fn is_empty(&self) -> bool {
        let RawHub {
            key,
            value,
            letter,
            to,
            flow,
            payload,
            ttl_ms,
            kept,
        } = self;
        let texts = key.is_none() && flow.is_none() && to.is_none();
        let values = value.is_none() && payload.is_none();
        texts && values && letter.is_none() && ttl_ms.is_none() && kept.is_none()
    }

    /// What a verb of the hub's asks; `why` is the reason that stands beside it.
    pub(super) fn ask(self, verb: &str, why: &str) -> Result<HubAsk, String> {
        let missing = |what: &str| format!("\"{what}\" is missing");
        if !why.is_empty() && verb != DECLINED {
            return Err(format!("\"why\" is not for \"{verb}\""));
        }
        match verb {
            LETTERS if self.is_empty() => Ok(HubAsk::Letters),
            LETTERS => Err(format!("\"{LETTERS}\" goes alone")),
            REPORT => Ok(HubAsk::Report {
                key: name("key", self.key.as_deref().ok_or_else(|| missing("key"))?)?,
                value: self.value.map(|value| value.to_string()),
            }),
            APPLIED | DECLINED => {
                let why = if why.is_empty() { "declined" } else { why };
                let declined = (verb == DECLINED).then(|| name("why", why)).transpose()?;
                let letter = self.letter.ok_or_else(|| missing("letter"))?;
                Ok(HubAsk::Outcome { letter, declined })
            }
            SEND => self.send(),
            _ => Err(format!("\"{verb}\" is no verb")),
        }
    }

    fn send(self) -> Result<HubAsk, String> {
        let missing = |what: &str| format!("\"{what}\" is missing");
        let to = self.to.ok_or_else(|| missing("to"))?;
        if to.is_empty() || to.len() > TO_MAX {
            return Err(format!("\"to\" names 1 to {TO_MAX} nodes"));
        }
        let node = |text: &String| {
            let node: Result<NodeName, _> = text.parse();
            node.map_err(|error| format!("\"to\": {text:?}: {error}"))
        };
        let is_kept = self.kept.unwrap_or_default();
        let longest = if is_kept { KEPT_TTL_MAX } else { LIVE_TTL_MAX };
        let ttl = self.ttl_ms.map_or(LIVE_TTL_MAX, Duration::from_millis);
        if ttl.is_zero() || ttl > longest {
            return Err(format!("\"ttl_ms\" is 1 to {}", longest.as_millis()));
        }
        Ok(HubAsk::Send {
            to: to.iter().map(node).collect::<Result<_, _>>()?,
            flow: name("flow", self.flow.as_deref().ok_or_else(|| missing("flow"))?)?,
            ttl,
            is_kept,
            payload: self.payload.unwrap_or(Value::Null).to_string(),
        })
    }
}

fn name(what: &str, text: &str) -> Result<Name, String> {
    text.parse()
        .map_err(|error| format!("\"{what}\": {text:?}: {error}"))
}

/// The verbs that ask something of the hub.
pub(super) const HUB_VERBS: [&str; 5] = [REPORT, LETTERS, APPLIED, DECLINED, SEND];
const REPORT: &str = "report";
const LETTERS: &str = "letters";
const APPLIED: &str = "applied";
const DECLINED: &str = "declined";
const SEND: &str = "send";
/// Nodes that one letter of a client goes to.
const TO_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::request::{Ask, Request};
    use super::*;

    fn read(json: &str) -> Result<Ask, String> {
        let request = Request::from_json(json.as_bytes());
        request.map(|request| request.ask).map_err(|(_, what)| what)
    }

    #[test]
    fn each_request_of_the_hub_is_read() {
        let key = || "battery".parse().unwrap();
        for (json, ask) in [
            (
                r#"{"do":"report","key":"battery","value":{"percent":80}}"#,
                HubAsk::Report {
                    key: key(),
                    value: Some(r#"{"percent":80}"#.to_string()),
                },
            ),
            (
                r#"{"do":"report","key":"battery","value":null}"#,
                HubAsk::Report {
                    key: key(),
                    value: None,
                },
            ),
            (r#"{"id":1,"do":"letters"}"#, HubAsk::Letters),
            (
                r#"{"do":"applied","letter":7}"#,
                HubAsk::Outcome {
                    letter: 7,
                    declined: None,
                },
            ),
            (
                r#"{"do":"declined","letter":7,"why":"no-room"}"#,
                HubAsk::Outcome {
                    letter: 7,
                    declined: Some("no-room".parse().unwrap()),
                },
            ),
            (
                r#"{"do":"send","to":["controller/alice"],"flow":"note","payload":"low","kept":true,"ttl_ms":3600000}"#,
                HubAsk::Send {
                    to: vec!["controller/alice".parse().unwrap()],
                    flow: "note".parse().unwrap(),
                    ttl: Duration::from_secs(3_600),
                    is_kept: true,
                    payload: "\"low\"".to_string(),
                },
            ),
        ] {
            assert_eq!(read(json), Ok(Ask::Hub(ask)), "{json}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for json in [
            r#"{"do":"report"}"#,
            r#"{"do":"report","key":"UPPER","value":1}"#,
            r#"{"do":"report","key":"a","function":"drive"}"#,
            r#"{"do":"letters","key":"a"}"#,
            r#"{"do":"applied"}"#,
            r#"{"do":"applied","letter":1,"why":"no"}"#,
            r#"{"do":"declined","letter":1,"why":"No room"}"#,
            r#"{"do":"send","to":[],"flow":"a"}"#,
            r#"{"do":"send","to":["alice"],"flow":"a"}"#,
            r#"{"do":"send","to":["controller/alice"],"flow":"a","ttl_ms":3600000}"#,
            r#"{"do":"stop","key":"a"}"#,
            r#"{"do":"gone"}"#,
            r#"{"function":"drive","ack":1,"key":"a"}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}
