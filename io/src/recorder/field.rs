//! What entries are made of, as bytes and as JSON.

use std::fmt;

use longrein_proto::wire::{Body, Command, DecodeError, Reader, Telemetry, VehicleState, Writer};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::limits::{ENTRY_BYTES_MAX, TEXT_BYTES_MAX};

/// A field of an entry.
pub(super) trait Field: Sized {
    /// Its type in JSON schema.
    const SCHEMA: &'static str;

    fn write(&self, writer: &mut Writer);

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// A LEB128 number.
impl Field for u64 {
    const SCHEMA: &'static str = r#"{"type":"integer"}"#;

    fn write(&self, writer: &mut Writer) {
        writer.leb(*self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
        reader.leb()
    }
}

/// A LEB128 number: twice the value, or twice its distance below zero less one.
impl Field for i64 {
    const SCHEMA: &'static str = r#"{"type":"integer"}"#;

    fn write(&self, writer: &mut Writer) {
        writer.leb(((self << 1) ^ (self >> 63)).cast_unsigned());
    }

    fn read(reader: &mut Reader<'_>) -> Result<i64, DecodeError> {
        let number = reader.leb()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }
}

/// A LEB128 number: zero for none, else one more.
impl Field for Option<u64> {
    const SCHEMA: &'static str = r#"{"type":["integer","null"]}"#;

    fn write(&self, writer: &mut Writer) {
        writer.leb(self.map_or(0, |number| number.saturating_add(1)));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Option<u64>, DecodeError> {
        Ok(reader.leb()?.checked_sub(1))
    }
}

/// A LEB128 length, then the characters.
impl Field for String {
    const SCHEMA: &'static str = r#"{"type":"string"}"#;

    fn write(&self, writer: &mut Writer) {
        let mut end = self.len().min(TEXT_BYTES_MAX);
        while !self.is_char_boundary(end) {
            end -= 1;
        }
        bytes(writer, self.as_bytes().get(..end).unwrap_or_default());
    }

    fn read(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
        let text = taken(reader, TEXT_BYTES_MAX)?.to_vec();
        String::from_utf8(text).map_err(|_| DecodeError::Malformed("a text is not UTF-8"))
    }
}

/// As a text; an empty one is none.
impl Field for Option<String> {
    const SCHEMA: &'static str = r#"{"type":["string","null"]}"#;

    fn write(&self, writer: &mut Writer) {
        match self {
            Some(text) => text.write(writer),
            None => writer.leb(0),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Option<String>, DecodeError> {
        Ok(Some(String::read(reader)?).filter(|text| !text.is_empty()))
    }
}

/// SHA-256 of a certificate (DER): 32 bytes, hexadecimal in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

impl Field for Fingerprint {
    const SCHEMA: &'static str = r#"{"type":"string"}"#;

    fn write(&self, writer: &mut Writer) {
        writer.bytes(&self.0);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Fingerprint, DecodeError> {
        reader.array().map(Fingerprint)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Bytes: a LEB128 length, then they; hexadecimal in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hex(pub Vec<u8>);

impl Field for Hex {
    const SCHEMA: &'static str = r#"{"type":"string"}"#;

    fn write(&self, writer: &mut Writer) {
        bytes(writer, &self.0);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Hex, DecodeError> {
        Ok(Hex(taken(reader, ENTRY_BYTES_MAX)?.to_vec()))
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(&self.0))
    }
}

/// A command as it stands on the wire ([`Command`]): a LEB128 length, then its bytes; an object in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commanded(pub Vec<u8>);

impl Field for Commanded {
    const SCHEMA: &'static str = r#"{"type":"object","properties":{"token":{"type":"integer"},"dead_man":{"type":"boolean"},"resume":{"type":"boolean"},"speed_mm_s":{"type":"integer"},"curvature_per_km":{"type":"integer"},"bytes":{"type":"string"}}}"#;

    fn write(&self, writer: &mut Writer) {
        bytes(writer, &self.0);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Commanded, DecodeError> {
        Ok(Commanded(taken(reader, ENTRY_BYTES_MAX)?.to_vec()))
    }
}

impl Serialize for Commanded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Ok(command) = Command::decode(&self.0) else {
            return as_bytes(serializer, &self.0);
        };
        let mut object = serializer.serialize_struct("Command", 5)?;
        object.serialize_field("token", &command.token.0)?;
        object.serialize_field("dead_man", &command.dead_man)?;
        object.serialize_field("resume", &command.resume)?;
        match &command.body {
            Body::Drive(drive) => {
                object.serialize_field("speed_mm_s", &drive.speed_mm_s)?;
                object.serialize_field("curvature_per_km", &drive.curvature_per_km)?;
            }
            Body::Opaque(bytes) => object.serialize_field("bytes", &hex(bytes))?,
        }
        object.end()
    }
}

/// Telemetry as it stands on the wire ([`Telemetry`]): a LEB128 length, then its bytes; an object in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told(pub Vec<u8>);

impl Field for Told {
    const SCHEMA: &'static str = r#"{"type":"object","properties":{"x_mm":{"type":"integer"},"y_mm":{"type":"integer"},"heading_mrad":{"type":"integer"},"speed_mm_s":{"type":"integer"},"bytes":{"type":"string"}}}"#;

    fn write(&self, writer: &mut Writer) {
        bytes(writer, &self.0);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Told, DecodeError> {
        Ok(Told(taken(reader, ENTRY_BYTES_MAX)?.to_vec()))
    }
}

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Telemetry::decode(&self.0) {
            Ok(Telemetry::Vehicle(VehicleState {
                x_mm,
                y_mm,
                heading_mrad,
                speed_mm_s,
            })) => {
                let mut object = serializer.serialize_struct("Telemetry", 4)?;
                object.serialize_field("x_mm", &x_mm)?;
                object.serialize_field("y_mm", &y_mm)?;
                object.serialize_field("heading_mrad", &heading_mrad)?;
                object.serialize_field("speed_mm_s", &speed_mm_s)?;
                object.end()
            }
            Ok(Telemetry::Opaque(bytes)) => as_bytes(serializer, &bytes),
            Err(_) => as_bytes(serializer, &self.0),
        }
    }
}

fn as_bytes<S: Serializer>(serializer: S, bytes: &[u8]) -> Result<S::Ok, S::Error> {
    let mut object = serializer.serialize_struct("Bytes", 1)?;
    object.serialize_field("bytes", &hex(bytes))?;
    object.end()
}

fn bytes(writer: &mut Writer, bytes: &[u8]) {
    writer.leb(bytes.len() as u64);
    writer.bytes(bytes);
}

fn taken<'a>(reader: &mut Reader<'a>, bytes_max: usize) -> Result<&'a [u8], DecodeError> {
    let length = usize::try_from(reader.leb()?)
        .ok()
        .filter(|length| *length <= bytes_max);
    reader.bytes(length.ok_or(DecodeError::Malformed("a field is too long"))?)
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    let pair = |byte: &u8| [digit(byte >> 4), digit(byte & 15)];
    bytes.iter().flat_map(pair).collect()
}
