//! A record as MCAP, for Foxglove and other tools that read it.

use std::collections::{BTreeMap, btree_map};
use std::fs::File;
use std::io::{BufWriter, Seek, Write};

use longrein_io::recorder::{Event, Recorded};
use mcap::McapError;
use mcap::records::MessageHeader;
use mcap::write::WriteOptions;

/// Writes entries as JSON messages, one channel for each kind, named `/record/<kind>`, with a JSON schema.
pub struct McapExport<W: Write + Seek> {
    writer: mcap::Writer<W>,
    channels: BTreeMap<&'static str, u16>,
}

/// Why a record cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file cannot be written.
    #[error(transparent)]
    Mcap(#[from] McapError),
    /// An entry is no JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl McapExport<BufWriter<File>> {
    /// Into this file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(file: File) -> Result<Self, ExportError> {
        McapExport::begin(BufWriter::new(file))
    }
}

impl<W: Write + Seek> McapExport<W> {
    /// Into anything that can be written.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(to: W) -> Result<Self, ExportError> {
        let writer = WriteOptions::new()
            .compression(None)
            .library(concat!("longrein ", env!("CARGO_PKG_VERSION")))
            .create(to)?;
        Ok(McapExport {
            writer,
            channels: BTreeMap::new(),
        })
    }

    /// The next entry. Its time is that of the wall clock as it stood then.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, entry: &Recorded) -> Result<(), ExportError> {
        let name = entry.event.name();
        let channel_id = match self.channels.entry(name) {
            btree_map::Entry::Occupied(channel) => *channel.get(),
            btree_map::Entry::Vacant(place) => {
                let schema = self.writer.add_schema(
                    &format!("longrein.record.{name}"),
                    "jsonschema",
                    schema(name).as_bytes(),
                )?;
                let topic = format!("/record/{name}");
                let none = BTreeMap::new();
                *place.insert(self.writer.add_channel(schema, &topic, "json", &none)?)
            }
        };
        let time_ns = entry.wall_us.saturating_mul(1_000);
        let header = MessageHeader {
            channel_id,
            sequence: u32::try_from(entry.entry & u64::from(u32::MAX)).unwrap_or(0),
            log_time: time_ns,
            publish_time: time_ns,
        };
        let message = serde_json::to_vec(entry)?;
        self.writer.write_to_known_channel(&header, &message)?;
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<W, ExportError> {
        self.writer.finish()?;
        Ok(self.writer.into_inner())
    }
}

/// The JSON schema of an entry of this kind.
fn schema(name: &str) -> String {
    let kind = Event::KINDS.iter().find(|kind| kind.name == name);
    let fields = kind.map_or(&[][..], |kind| kind.fields);
    let mut properties: Vec<String> = COMMON
        .iter()
        .chain(fields)
        .map(|(field, schema)| format!("{field:?}:{schema}"))
        .collect();
    if kind.is_none() {
        properties.extend(UNKNOWN.map(|(field, schema)| format!("{field:?}:{schema}")));
    }
    format!(
        r#"{{"title":"longrein.record.{name}","type":"object","properties":{{{}}}}}"#,
        properties.join(",")
    )
}

/// What every entry has.
const COMMON: [(&str, &str); 6] = [
    ("kind", r#"{"type":"string"}"#),
    ("segment", r#"{"type":"integer"}"#),
    ("entry", r#"{"type":"integer"}"#),
    ("at_us", r#"{"type":"integer"}"#),
    ("wall_us", r#"{"type":"integer"}"#),
    ("wall_error_ms", r#"{"type":["integer","null"]}"#),
];

/// What is told of a kind that this version does not know.
const UNKNOWN: [(&str, &str); 2] = [
    ("number", r#"{"type":"integer"}"#),
    ("fields", r#"{"type":"string"}"#),
];

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use longrein_io::recorder::{Commanded, Hex};
    use longrein_proto::base::FencingToken;
    use longrein_proto::wire::{Body, Command, Drive};
    use serde_json::Value;

    use super::*;

    fn recorded(entry: u64, event: Event) -> Recorded {
        Recorded {
            segment: 1,
            entry,
            at_us: 5_000_000 + entry,
            wall_us: 1_795_000_000_000_000 + entry,
            wall_error_ms: None,
            event,
        }
    }

    fn entries() -> Vec<Recorded> {
        let command = Command {
            token: FencingToken(7),
            dead_man: true,
            resume: false,
            application_id: None,
            picture_age: None,
            body: Body::Drive(Drive {
                speed_mm_s: 1_000,
                curvature_per_km: -100,
            }),
        };
        let drive = || "drive".to_string();
        let events = [
            Event::Stage {
                function: drive(),
                stage: "Nominal".into(),
            },
            Event::Command {
                function: drive(),
                class: "latest".into(),
                number: 17,
                age_us: Some(23_000),
                error_us: None,
                verdict: "applied".into(),
                why: None,
                command: Commanded(command.encode()),
            },
            Event::Unknown {
                number: 200,
                fields: Hex(vec![1, 2]),
            },
            Event::Stage {
                function: drive(),
                stage: "Hold".into(),
            },
        ];
        (1..).zip(events).map(|(n, e)| recorded(n, e)).collect()
    }

    #[test]
    fn an_export_has_every_entry_in_order_with_its_time_and_a_schema_that_names_its_fields() {
        let mut export = McapExport::begin(Cursor::new(Vec::new())).unwrap();
        for entry in entries() {
            export.write(&entry).unwrap();
        }
        let file = export.finish().unwrap().into_inner();

        let messages: Vec<mcap::Message<'_>> = mcap::MessageStream::new(&file)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(messages.len(), 4);
        for (message, entry) in messages.iter().zip(entries()) {
            let value: Value = serde_json::from_slice(&message.data).unwrap();
            assert_eq!(value, serde_json::to_value(&entry).unwrap());
            assert_eq!(message.log_time, entry.wall_us * 1_000);
            let topic = format!("/record/{}", entry.event.name());
            assert_eq!(
                (
                    message.channel.topic.as_str(),
                    message.channel.message_encoding.as_str()
                ),
                (topic.as_str(), "json")
            );
            let schema = message.channel.schema.as_ref().unwrap();
            assert_eq!(schema.encoding, "jsonschema");
            let schema: Value = serde_json::from_slice(&schema.data).unwrap();
            for (field, value) in value.as_object().unwrap() {
                let allowed = &schema["properties"][field]["type"];
                let is = |name: &str| match name {
                    "integer" => value.is_u64() || value.is_i64(),
                    "string" => value.is_string(),
                    "null" => value.is_null(),
                    "object" => value.is_object(),
                    _ => false,
                };
                let fits = match allowed.as_array() {
                    Some(names) => names.iter().any(|name| is(name.as_str().unwrap())),
                    None => is(allowed.as_str().unwrap()),
                };
                assert!(fits, "{field}: {value} is not {allowed}");
            }
        }
        let command: Value = serde_json::from_slice(&messages[1].data).unwrap();
        assert_eq!(command["command"]["speed_mm_s"], 1_000);
        assert_eq!(command["command"]["curvature_per_km"], -100);
    }

    #[test]
    fn every_kind_has_a_schema_that_is_json() {
        for kind in Event::KINDS {
            let schema: Value = serde_json::from_str(&schema(kind.name)).unwrap();
            for (field, _) in kind.fields {
                assert!(
                    schema["properties"][field]["type"].is_string()
                        || schema["properties"][field]["type"].is_array()
                );
            }
        }
    }
}
