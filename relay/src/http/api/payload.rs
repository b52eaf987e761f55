//! What messages say: JSON as it is, or any bytes in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use longrein_proto::base::limits::MESSAGE_BYTES_MAX;
use longrein_proto::wire::hub::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::refusal::unprocessable;
use crate::http::problem::Problem;

/// A payload that comes in: JSON in `payload`, or bytes in `payload_base64`.
pub(super) fn read(
    payload: Option<Box<RawValue>>,
    base64: Option<String>,
) -> Result<Bytes, Problem> {
    let bytes = match (payload, base64) {
        (Some(payload), None) => payload.get().as_bytes().to_vec(),
        (None, Some(text)) => STANDARD
            .decode(text)
            .map_err(|_| unprocessable("`payload_base64` is no base64 (RFC 4648 §4)"))?,
        _ => {
            let detail = "one of `payload` and `payload_base64` is needed, and not both";
            return Err(unprocessable(detail));
        }
    };
    if bytes.len() > MESSAGE_BYTES_MAX {
        let refusal = longrein_proto::wire::hub::HubRefusal::TooLarge;
        return Err(super::refusal::problem(&refusal));
    }
    Ok(Bytes::from(bytes))
}

/// A payload that goes out: JSON as it came when it is that, and base64 otherwise.
pub(super) fn show(bytes: &Bytes) -> (Option<Box<RawValue>>, Option<String>) {
    let text = std::str::from_utf8(&bytes.0).ok();
    match text.and_then(|text| serde_json::from_str::<Box<RawValue>>(text).ok()) {
        Some(json) => (Some(json), None),
        None => (None, Some(STANDARD.encode(&bytes.0))),
    }
}

/// A value that is there, `null` too.
pub(super) fn any<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The same as JSON text.
pub(super) fn text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_goes_through_as_it_came_and_other_bytes_as_base64() {
        let json: Box<RawValue> = serde_json::from_str("{\"a\": 1.0, \"b\":[ ]}").unwrap();
        let bytes = read(Some(json), None).unwrap();
        assert_eq!(&*bytes.0, b"{\"a\": 1.0, \"b\":[ ]}");
        assert_eq!(show(&bytes).0.unwrap().get(), "{\"a\": 1.0, \"b\":[ ]}");
        let bytes = read(None, Some("AP8=".to_string())).unwrap();
        assert_eq!(&*bytes.0, [0, 255]);
        assert_eq!(show(&bytes).1.unwrap(), "AP8=");
    }

    #[test]
    fn none_or_both_of_them_or_one_that_is_too_long_is_refused() {
        let json: Box<RawValue> = serde_json::from_str("null").unwrap();
        assert!(read(None, None).is_err());
        assert!(read(Some(json), Some("AA==".to_string())).is_err());
        assert!(read(None, Some("?".to_string())).is_err());
        let long = "A".repeat(4 * MESSAGE_BYTES_MAX);
        assert!(read(None, Some(long)).is_err());
    }
}
