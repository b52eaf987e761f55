//! What a client says: one JSON object a message. `docs/local-api.md` describes each.

use longrein_proto::wire::Telemetry;
use serde::Deserialize;
use serde_json::Value;

use super::hub_request::{HUB_VERBS, RawHub};
use super::post::HubAsk;
use crate::adapter::word::{Answer, RawState};

/// What a client says, and the number that its answer names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Named by the answer.
    pub id: Option<u64>,
    /// What it is about.
    pub ask: Ask,
}

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// It acknowledges a word for a function.
    Ack { function: String, seq: u64 },
    /// State or bytes of a function for controllers.
    Telemetry {
        function: String,
        telemetry: Telemetry,
    },
    /// It is the function's device from now on.
    Claim { function: String },
    /// It is the function's device no more.
    Release { function: String },
    /// The function is to stand.
    MinimalRisk { function: String, why: String },
    /// The vehicle is to stop.
    Stop { why: String },
    /// It asks something of the hub.
    Hub(HubAsk),
}

impl Request {
    /// Reads a message.
    ///
    /// # Errors
    /// What is wrong with it, for the client; and the number that it has, if that can be read.
    pub fn from_json(message: &[u8]) -> Result<Request, (Option<u64>, String)> {
        let raw: RawRequest =
            serde_json::from_slice(message).map_err(|error| (None, error.to_string()))?;
        let id = raw.id;
        match raw.ask() {
            Ok(ask) => Ok(Request { id, ask }),
            Err(what) => Err((id, what)),
        }
    }
}

impl Ask {
    /// The word by which an answer names it.
    pub fn word(&self) -> &'static str {
        match self {
            Ask::Ack { .. } => "ack",
            Ask::Telemetry { .. } => "telemetry",
            Ask::Claim { .. } => CLAIM,
            Ask::Release { .. } => RELEASE,
            Ask::MinimalRisk { .. } => MINIMAL_RISK,
            Ask::Stop { .. } => STOP,
            Ask::Hub(what) => what.word(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRequest {
    id: Option<u64>,
    #[serde(rename = "do")]
    verb: Option<String>,
    function: Option<String>,
    why: Option<String>,
    ack: Option<u64>,
    telemetry: Option<RawState>,
    telemetry_hex: Option<String>,
    key: Option<String>,
    value: Option<Value>,
    letter: Option<u64>,
    to: Option<Vec<String>>,
    flow: Option<String>,
    payload: Option<Value>,
    ttl_ms: Option<u64>,
    kept: Option<bool>,
}

impl RawRequest {
    fn ask(self) -> Result<Ask, String> {
        let says = self.ack.is_some() || self.telemetry.is_some() || self.telemetry_hex.is_some();
        let hub = RawHub {
            key: self.key,
            value: self.value,
            letter: self.letter,
            to: self.to,
            flow: self.flow,
            payload: self.payload,
            ttl_ms: self.ttl_ms,
            kept: self.kept,
        };
        let is_hubs = |verb: &String| HUB_VERBS.contains(&verb.as_str());
        if !hub.is_empty() && !self.verb.as_ref().is_some_and(is_hubs) {
            let hub = HUB_VERBS.join(", ");
            return Err(format!("a member that is for {hub} only"));
        }
        let Some(verb) = self.verb else {
            if self.why.is_some() {
                return Err("\"why\" is for \"stop\" and \"minimal_risk\" only".to_string());
            }
            let answer = Answer::new(self.ack, self.telemetry, self.telemetry_hex)?;
            let function = self.function.ok_or_else(no_function)?;
            return Ok(match answer {
                Answer::Ack(seq) => Ask::Ack { function, seq },
                Answer::Telemetry(telemetry) => Ask::Telemetry {
                    function,
                    telemetry,
                },
            });
        };
        if says {
            return Err(format!("\"{verb}\" goes alone"));
        }
        let why = self.why.unwrap_or_default();
        if why.len() > WHY_BYTES_MAX {
            return Err(format!("\"why\" has more than {WHY_BYTES_MAX} bytes"));
        }
        if verb == STOP {
            return match self.function {
                None => Ok(Ask::Stop { why }),
                Some(_) => Err("\"stop\" is for the whole vehicle: without \"function\"".into()),
            };
        }
        if is_hubs(&verb) {
            if self.function.is_some() {
                return Err(format!(
                    "\"{verb}\" is for the whole vehicle: without \"function\""
                ));
            }
            return hub.ask(&verb, &why).map(Ask::Hub);
        }
        let function = self.function.ok_or_else(no_function)?;
        match verb.as_str() {
            CLAIM => Ok(Ask::Claim { function }),
            RELEASE => Ok(Ask::Release { function }),
            MINIMAL_RISK => Ok(Ask::MinimalRisk { function, why }),
            _ => Err(format!(
                "\"do\" is none of \"{CLAIM}\", \"{RELEASE}\", \"{MINIMAL_RISK}\", \"{STOP}\""
            )),
        }
    }
}

fn no_function() -> String {
    "\"function\" is missing".to_string()
}

const CLAIM: &str = "claim";
const RELEASE: &str = "release";
const MINIMAL_RISK: &str = "minimal_risk";
const STOP: &str = "stop";
/// Bytes of a reason, which is for the log.
const WHY_BYTES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use longrein_proto::wire::VehicleState;

    use super::*;

    fn read(json: &str) -> Result<Request, (Option<u64>, String)> {
        Request::from_json(json.as_bytes())
    }

    #[test]
    fn each_request_is_read() {
        let function = || "drive".to_string();
        let why = "rubbish on the track".to_string();
        let state = VehicleState {
            x_mm: 1,
            y_mm: -2,
            heading_mrad: 3,
            speed_mm_s: 4,
        };
        for (json, id, ask) in [
            (
                r#"{"function":"drive","ack":7}"#,
                None,
                Ask::Ack {
                    function: function(),
                    seq: 7,
                },
            ),
            (
                r#"{"function":"drive","telemetry":{"x_mm":1,"y_mm":-2,"heading_mrad":3,"speed_mm_s":4}}"#,
                None,
                Ask::Telemetry {
                    function: function(),
                    telemetry: Telemetry::Vehicle(state),
                },
            ),
            (
                r#"{"id":1,"do":"claim","function":"drive"}"#,
                Some(1),
                Ask::Claim {
                    function: function(),
                },
            ),
            (
                r#"{"id":2,"do":"release","function":"drive"}"#,
                Some(2),
                Ask::Release {
                    function: function(),
                },
            ),
            (
                r#"{"id":3,"do":"minimal_risk","function":"drive","why":"rubbish on the track"}"#,
                Some(3),
                Ask::MinimalRisk {
                    function: function(),
                    why,
                },
            ),
            (r#"{"do":"stop"}"#, None, Ask::Stop { why: String::new() }),
        ] {
            assert_eq!(read(json), Ok(Request { id, ask }), "{json}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_number_where_that_can_be_read() {
        let long = format!(r#"{{"do":"stop","why":"{}"}}"#, "x".repeat(201));
        for (json, id) in [
            ("", None),
            ("\u{0}\u{1}", None),
            ("[]", None),
            ("{}", None),
            (r#"{"id":-1,"do":"stop"}"#, None),
            (r#"{"id":4,"do":"reset"}"#, Some(4)),
            (r#"{"id":5,"do":"reset","function":"drive"}"#, Some(5)),
            (r#"{"id":6,"do":"claim"}"#, Some(6)),
            (r#"{"do":"stop","function":"drive"}"#, None),
            (r#"{"do":"stop","ack":1}"#, None),
            (r#"{"ack":1}"#, None),
            (r#"{"function":"drive","ack":1,"why":"no"}"#, None),
            (r#"{"function":"drive","ack":1,"telemetry_hex":""}"#, None),
            (r#"{"function":"drive","telemetry_hex":"abc"}"#, None),
            (long.as_str(), None),
        ] {
            let (found, what) = read(json).unwrap_err();
            assert_eq!(found, id, "{json}");
            assert!(!what.is_empty());
        }
    }
}
