//! What comes from the hub, as JSON for the vehicle's own programs.

use std::fmt::Display;

use longrein_proto::wire::hub::{Bytes, Item};
use serde_json::Value;

use crate::adapter::word::to_hex;

/// A member of an object: the bytes themselves when they are JSON, else `<name>_hex`.
pub(crate) fn value(name: &str, bytes: &Bytes) -> String {
    match json(&bytes.0) {
        Some(text) => format!(r#""{name}":{text}"#),
        None => format!(r#""{name}_hex":"{}""#, to_hex(&bytes.0)),
    }
}

/// An item of a document as a member of an object.
pub(crate) fn item(item: &Item) -> String {
    format!(
        r#""{}":{{{},"revision":{},"by":"{}","at_ms":{}}}"#,
        item.key,
        value("value", &item.value),
        item.revision,
        item.by,
        item.at_ms
    )
}

/// A name, or null.
pub(crate) fn quoted(name: Option<&impl Display>) -> String {
    name.map_or_else(|| "null".to_string(), |name| format!("\"{name}\""))
}

/// The text that these bytes are, if it is JSON. It is told as it is, so that it never gets longer.
fn json(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    // Read as a whole: what is nested too deeply for this is not told to others as JSON.
    serde_json::from_str::<Value>(text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_as_it_is_and_everything_else_in_digits() {
        let told = |bytes: &[u8]| value("value", &Bytes::from(bytes));
        assert_eq!(told(b"{\"a\": 1e5}"), r#""value":{"a": 1e5}"#);
        assert_eq!(told(b"5"), r#""value":5"#);
        assert_eq!(told(b"north"), r#""value_hex":"6e6f727468""#);
        assert_eq!(told(b""), r#""value_hex":"""#);
        assert_eq!(told(&[b'"', 0xff, b'"']), r#""value_hex":"22ff22""#);
        assert_eq!(told(b"1,\"x\":2"), r#""value_hex":"312c2278223a32""#);
    }
}
