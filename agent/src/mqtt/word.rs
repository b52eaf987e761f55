//! The JSON of devices behind a broker: commands to them, and what they say, one object a line.
//!
//! ```text
//! command     {"device":"valve-3","payload":"open"}
//!             {"device":"valve-3","payload_hex":"00ff"}
//! telemetry   {"device":"valve-3","topic":"devices/valve-3/state","qos":1,"payload":"{\"open\":true}"}
//!             {"device":"valve-3","topic":"..","qos":0,"retained":true,"payload_hex":"00ff","properties":{"unit":"bar"},
//!              "response_topic":"..","correlation_hex":"01"}
//!             {"device":"valve-3","online":false,"why":"said so"}
//!             {"counters":{"published":12,"expired":1}}
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::Qos;
use super::devices::PresenceChange;
use super::message::Message;

/// A command to one device.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandWord {
    pub(crate) device: String,
    payload: Option<String>,
    payload_hex: Option<String>,
}

impl CommandWord {
    /// The command that these bytes are, and what the device is sent; none when they are none.
    pub(crate) fn read(bytes: &[u8]) -> Option<(String, Vec<u8>)> {
        let word: CommandWord = serde_json::from_slice(bytes).ok()?;
        let payload = match (word.payload, word.payload_hex) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(hex)) => from_hex(&hex)?,
            (Some(_), Some(_)) | (None, None) => return None,
        };
        Some((word.device, payload))
    }
}

/// What a device said.
#[derive(Debug, Serialize)]
struct TelemetryWord<'a> {
    device: &'a str,
    topic: &'a str,
    qos: u8,
    #[serde(skip_serializing_if = "is_false")]
    retained: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hex: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    properties: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_hex: Option<String>,
}

/// A device's message as a line.
pub(crate) fn telemetry(device: &str, message: &Message, qos: Qos) -> String {
    let text = std::str::from_utf8(&message.payload).ok();
    let pairs = message.properties.iter();
    line(&TelemetryWord {
        device,
        topic: &message.topic,
        qos: qos.into(),
        retained: message.retained,
        payload: text,
        payload_hex: text.is_none().then(|| hex(&message.payload)),
        properties: pairs
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect(),
        response_topic: message.response_topic.as_deref(),
        correlation_hex: message.correlation.as_deref().map(hex),
    })
}

/// That a device came or went, as a line.
pub(crate) fn presence(change: &PresenceChange) -> String {
    #[derive(Serialize)]
    struct PresenceWord<'a> {
        device: &'a str,
        online: bool,
        why: &'a str,
    }
    line(&PresenceWord {
        device: &change.device,
        online: change.online,
        why: change.why,
    })
}

/// What was counted so far, as a line.
pub(crate) fn counters(counts: &BTreeMap<&'static str, u64>) -> String {
    #[derive(Serialize)]
    struct CountersWord<'a> {
        counters: &'a BTreeMap<&'static str, u64>,
    }
    line(&CountersWord { counters: counts })
}

fn line(word: &impl Serialize) -> String {
    serde_json::to_string(word).expect("strings, numbers and maps of strings can be written")
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Two digits for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = (0..text.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_its_device_and_has_one_payload() {
        let read = |text: &str| CommandWord::read(text.as_bytes());
        assert_eq!(
            read(r#"{"device":"valve-3","payload":"open"}"#),
            Some(("valve-3".to_string(), b"open".to_vec()))
        );
        assert_eq!(
            read(r#"{"device":"v","payload_hex":"00Ff"}"#),
            Some(("v".to_string(), vec![0, 0xff]))
        );
        for wrong in [
            "",
            "open",
            r#"{"payload":"open"}"#,
            r#"{"device":"v"}"#,
            r#"{"device":"v","payload":"a","payload_hex":"00"}"#,
            r#"{"device":"v","payload_hex":"0"}"#,
            r#"{"device":"v","payload_hex":"+1"}"#,
            r#"{"device":"v","payload":"a","qos":2}"#,
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_devices_say_is_kept_whole() {
        let message = Message {
            topic: "d/v/state".to_string(),
            payload: b"{\"open\":true}".to_vec(),
            ..Message::default()
        };
        assert_eq!(
            telemetry("v", &message, Qos::AtLeastOnce),
            r#"{"device":"v","topic":"d/v/state","qos":1,"payload":"{\"open\":true}"}"#
        );
        let whole = Message {
            payload: vec![0xff],
            retained: true,
            response_topic: Some("r".to_string()),
            correlation: Some(vec![1]),
            properties: vec![("unit".to_string(), "bar".to_string())],
            ..message
        };
        assert_eq!(
            telemetry("v", &whole, Qos::AtMostOnce),
            r#"{"device":"v","topic":"d/v/state","qos":0,"retained":true,"payload_hex":"ff","properties":{"unit":"bar"},"response_topic":"r","correlation_hex":"01"}"#
        );
    }
}
