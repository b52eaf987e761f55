//! An event as it is kept until it is delivered, and what is posted of it.

use longrein_io::date;
use longrein_io::entropy::SystemEntropy;
use longrein_proto::base::Entropy;
use longrein_proto::hub::Entry;
use longrein_proto::wire::hub::MessageId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An event that is kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in crate::http) struct Kept {
    /// What it is of: events of one source are delivered in order.
    pub(in crate::http) source: String,
    /// What kind it is.
    pub(in crate::http) kind: String,
    /// Of a message of the mailbox, its number there: it is taken when it is delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mail: Option<u64>,
    /// What is posted.
    pub(in crate::http) body: Box<RawValue>,
    /// What became of it, if it is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::http) end: Option<End>,
}

/// Why an event is dead.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in crate::http) struct End {
    /// How often it was posted.
    pub(in crate::http) attempts: u32,
    /// When for the last time, in milliseconds since 1970.
    pub(in crate::http) at_ms: u64,
    /// What came of the last time.
    pub(in crate::http) why: String,
}

/// What is posted, as the Standard Webhooks specification suggests it.
#[derive(Serialize)]
struct Posted<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: String,
    data: &'a RawValue,
}

impl Kept {
    /// A new one; none when it is too long to be kept.
    pub(super) fn new(
        source: &str,
        kind: &str,
        mail: Option<u64>,
        at_ms: u64,
        data: &impl Serialize,
    ) -> Option<Kept> {
        let data = serde_json::value::to_raw_value(data).ok()?;
        let posted = Posted {
            kind,
            timestamp: timestamp(at_ms),
            data: &data,
        };
        let body = serde_json::value::to_raw_value(&posted).ok()?;
        (body.get().len() <= BODY_BYTES_MAX).then(|| Kept {
            source: source.to_string(),
            kind: kind.to_string(),
            mail,
            body,
            end: None,
        })
    }

    /// For the store.
    pub(super) fn entry(&self, number: u64, id: MessageId, at_ms: u64) -> Entry {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        Entry {
            number,
            at_ms,
            id,
            bytes: bytes.into(),
        }
    }

    /// From the store; none of what cannot be read.
    pub(super) fn read(entry: &Entry) -> Option<Kept> {
        serde_json::from_slice(&entry.bytes).ok()
    }
}

/// The header `webhook-id`: the same whenever the event is posted.
pub(in crate::http) fn webhook_id(id: MessageId) -> String {
    format!("msg_{:032x}", u128::from_be_bytes(id.0))
}

/// The event that a `webhook-id` names.
pub(in crate::http) fn read_webhook_id(text: &str) -> Option<MessageId> {
    let digits = text.strip_prefix("msg_")?;
    let is_hex = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = u128::from_str_radix(digits, 16).ok()?;
    is_hex.then(|| MessageId(number.to_be_bytes()))
}

pub(super) fn new_id() -> MessageId {
    let mut id = [0; 16];
    SystemEntropy::new().fill(&mut id);
    MessageId(id)
}

/// As ISO 8601 has it, with milliseconds.
fn timestamp(at_ms: u64) -> String {
    let text = date::utc_us(at_ms.saturating_mul(1_000)).replacen(' ', "T", 1);
    format!("{}Z", text.trim_end_matches("000 UTC"))
}

/// Bytes of a body: the longest message in base64, and what stands around it.
const BODY_BYTES_MAX: usize = 192 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_posted_says_what_it_is_and_when_it_happened() {
        let data = json!({ "room": "yard" });
        let kept = Kept::new("topic", "topic", None, 1_234, &data).unwrap();
        let body: Value = serde_json::from_str(kept.body.get()).unwrap();
        assert_eq!(
            body,
            json!({ "type": "topic", "timestamp": "1970-01-01T00:00:01.234Z", "data": data })
        );
        let read = Kept::read(&kept.entry(1, MessageId([7; 16]), 1_234)).unwrap();
        assert_eq!(read.body.get(), kept.body.get());
    }

    #[test]
    fn an_id_is_read_back() {
        let id = MessageId([7; 16]);
        let text = webhook_id(id);
        assert_eq!(text, "msg_07070707070707070707070707070707");
        assert_eq!(read_webhook_id(&text), Some(id));
        for text in ["", "msg_", "msg_07", "07070707070707070707070707070707"] {
            assert_eq!(read_webhook_id(text), None);
        }
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let long = "x".repeat(BODY_BYTES_MAX);
        assert!(Kept::new("topic", "topic", None, 0, &long).is_none());
    }
}
