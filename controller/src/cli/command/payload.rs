//! What a command carries.

use serde_json::{Value, json};

/// What one command carries, and for which device, if the function stands for many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payload {
    pub(super) device: Option<String>,
    pub(super) bytes: Vec<u8>,
}

/// How what was given becomes a payload.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// It is in hexadecimal digits.
    pub(super) hex: bool,
    /// Wrapped for this device.
    pub(super) device: Option<String>,
}

impl Form {
    /// The payload of what was given.
    ///
    /// # Errors
    /// What is wrong with its digits.
    pub(super) fn payload(&self, given: &[u8]) -> Result<Payload, String> {
        let bytes = match self.hex {
            true => unhex(given)?,
            false => given.to_vec(),
        };
        Ok(match &self.device {
            Some(device) => Payload {
                bytes: wrap(device, &bytes),
                device: Some(device.clone()),
            },
            None => Payload {
                bytes,
                device: None,
            },
        })
    }

    /// The payload of a line, which may say itself which device it is for.
    ///
    /// # Errors
    /// As [`Form::payload`].
    pub(super) fn payload_of_line(&self, line: &[u8]) -> Result<Payload, String> {
        match named_device(line) {
            Some(device) => Ok(Payload {
                device: Some(device),
                bytes: line.to_vec(),
            }),
            None => self.payload(line),
        }
    }
}

/// As a function that stands for many devices takes it.
fn wrap(device: &str, bytes: &[u8]) -> Vec<u8> {
    let wrapped = match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "device": device, "payload": text }),
        Err(_) => json!({ "device": device, "payload_hex": hex(bytes) }),
    };
    wrapped.to_string().into_bytes()
}

/// The device that a whole object names.
fn named_device(line: &[u8]) -> Option<String> {
    let object: Value = serde_json::from_slice(line).ok()?;
    Some(object.as_object()?.get("device")?.as_str()?.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// White space may stand anywhere between digits.
fn unhex(digits: &[u8]) -> Result<Vec<u8>, String> {
    let mut nibbles = Vec::with_capacity(digits.len());
    for digit in digits.iter().filter(|digit| !digit.is_ascii_whitespace()) {
        let nibble = char::from(*digit).to_digit(16);
        let nibble = nibble.and_then(|nibble| u8::try_from(nibble).ok());
        nibbles.push(nibble.ok_or("is no hexadecimal number: it has other characters")?);
    }
    let (pairs, rest) = nibbles.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("has half a byte too much: hexadecimal bytes have two digits each".into());
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(hex: bool, device: Option<&str>) -> Form {
        let device = device.map(String::from);
        Form { hex, device }
    }

    fn bytes(form: &Form, line: &str) -> Result<String, String> {
        let payload = form.payload_of_line(line.as_bytes())?;
        Ok(String::from_utf8(payload.bytes).unwrap())
    }

    #[test]
    fn without_a_form_bytes_stay_as_they_are() {
        let plain = form(false, None);
        assert_eq!(bytes(&plain, " 00 ff "), Ok(" 00 ff ".into()));
        assert_eq!(plain.payload(&[0xff, 0]).unwrap().bytes, [0xff, 0]);
        assert_eq!(plain.payload(&[]).unwrap().bytes, [0_u8; 0]);
    }

    #[test]
    fn hexadecimal_digits_become_bytes_and_nothing_else_does() {
        let hex = form(true, None);
        assert_eq!(hex.payload(b"00 fF\n7a").unwrap().bytes, [0, 0xff, 0x7a]);
        for (wrong, why) in [
            ("0", "half a byte"),
            ("00f", "half a byte"),
            ("0x00", "other characters"),
            ("\u{e9}", "other characters"),
        ] {
            let error = hex.payload(wrong.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_payload_for_a_device_is_wrapped_as_text_or_else_in_digits() {
        let lamp = form(false, Some("lamp-7"));
        let wrapped = bytes(&lamp, "turn \"on\"");
        assert_eq!(
            wrapped.as_deref(),
            Ok(r#"{"device":"lamp-7","payload":"turn \"on\""}"#)
        );
        let payload = form(true, Some("lamp-7")).payload(b"00ff").unwrap();
        assert_eq!(payload.device.as_deref(), Some("lamp-7"));
        assert_eq!(
            payload.bytes,
            br#"{"device":"lamp-7","payload_hex":"00ff"}"#
        );
    }

    #[test]
    fn a_line_that_names_its_device_goes_as_it_is() {
        let line = r#"{"device":"lamp-8", "payload":"off"}"#;
        for form in [
            form(false, None),
            form(false, Some("lamp-7")),
            form(true, None),
        ] {
            let payload = form.payload_of_line(line.as_bytes()).unwrap();
            assert_eq!(payload.device.as_deref(), Some("lamp-8"));
            assert_eq!(payload.bytes, line.as_bytes());
        }
        let lamp = form(false, Some("lamp-7"));
        for other in [r#"{"payload":"off"}"#, r#"{"device":7}"#, "[]", "device"] {
            let payload = lamp.payload_of_line(other.as_bytes()).unwrap();
            assert_eq!(payload.device.as_deref(), Some("lamp-7"), "{other}");
        }
    }
}
