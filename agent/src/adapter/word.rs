//! The JSON that goes to a device and comes back: one object in one line or datagram.
//!
//! ```text
//! to the device    {"seq":7,"stage":"Nominal","stopped":false,"ttl_ms":98,"deadline_boottime_us":81234567,
//!                   "drive":{"speed_mm_s":1500,"curvature_per_km":-200}}
//!                  {"seq":8,"stage":"Ramp","stopped":false,"ttl_ms":100,"deadline_boottime_us":81254567}
//!                  {"seq":9,"stage":"Nominal","stopped":false,"ttl_ms":60,"deadline_boottime_us":81314567,"opaque_hex":"fd0900"}
//! from the device  {"ack":7}
//!                  {"telemetry":{"x_mm":10,"y_mm":-3,"heading_mrad":1570,"speed_mm_s":1480}}
//!                  {"telemetry_hex":"fd1c0000"}
//! ```

use std::fmt::Write as _;

use longrein_proto::base::{MonoTime, Name, limits};
use longrein_proto::control::Output;
use longrein_proto::wire::{Telemetry, VehicleState};
use serde::{Deserialize, Serialize};

/// What the agent says to a device.
#[derive(Debug, Serialize)]
pub struct Word {
    /// Where one connection carries the words for several.
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<String>,
    /// Grows by one; the device acknowledges it. Absent in datagrams.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    stage: String,
    stopped: bool,
    ttl_ms: u64,
    deadline_boottime_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    drive: Option<DriveWord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opaque_hex: Option<String>,
}

#[derive(Debug, Serialize)]
struct DriveWord {
    speed_mm_s: i16,
    curvature_per_km: i16,
}

impl Word {
    /// Stage, stop and typed command.
    pub fn new(seq: Option<u64>, now: MonoTime, output: &Output) -> Word {
        Word {
            function: None,
            seq,
            stage: output.stage.to_string(),
            stopped: output.stopped,
            ttl_ms: whole_ms(now, output.deadline),
            deadline_boottime_us: output.deadline.as_us(),
            drive: output.drive.map(|drive| DriveWord {
                speed_mm_s: drive.speed_mm_s,
                curvature_per_km: drive.curvature_per_km,
            }),
            opaque_hex: None,
        }
    }

    /// The same with an opaque command, until the earlier of the two deadlines.
    pub fn with_opaque(
        seq: u64,
        now: MonoTime,
        output: &Output,
        payload: &[u8],
        deadline: MonoTime,
    ) -> Word {
        let deadline = deadline.min(output.deadline);
        Word {
            ttl_ms: whole_ms(now, deadline),
            deadline_boottime_us: deadline.as_us(),
            opaque_hex: Some(to_hex(payload)),
            ..Word::new(Some(seq), now, output)
        }
    }

    /// The same for a connection that carries the words for several functions.
    pub fn of(self, function: &Name) -> Word {
        let function = Some(function.to_string());
        Word { function, ..self }
    }

    /// The JSON object without a line end.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What a device says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It read the word with this number.
    Ack(u64),
    /// State or bytes for the controller.
    Telemetry(Telemetry),
}

impl Answer {
    /// Reads one line.
    ///
    /// # Errors
    /// When it is none of the known objects; what it is instead is for the log.
    pub fn from_json(line: &[u8]) -> Result<Answer, String> {
        let read: RawAnswer = serde_json::from_slice(line).map_err(|e| e.to_string())?;
        Answer::new(read.ack, read.telemetry, read.telemetry_hex)
    }

    /// Of the one member that is there.
    ///
    /// # Errors
    /// When not exactly one is, or the text is not hexadecimal.
    pub fn new(
        ack: Option<u64>,
        telemetry: Option<RawState>,
        telemetry_hex: Option<String>,
    ) -> Result<Answer, String> {
        match (ack, telemetry, telemetry_hex) {
            (Some(seq), None, None) => Ok(Answer::Ack(seq)),
            (None, Some(state), None) => Ok(Answer::Telemetry(Telemetry::Vehicle(VehicleState {
                x_mm: state.x_mm,
                y_mm: state.y_mm,
                heading_mrad: state.heading_mrad,
                speed_mm_s: state.speed_mm_s,
            }))),
            (None, None, Some(hex)) => from_hex(&hex)
                .map(|bytes| Answer::Telemetry(Telemetry::Opaque(bytes)))
                .ok_or_else(|| "telemetry_hex is no hexadecimal text".to_string()),
            (_, _, _) => {
                Err("not exactly one of \"ack\", \"telemetry\", \"telemetry_hex\"".to_string())
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnswer {
    ack: Option<u64>,
    telemetry: Option<RawState>,
    telemetry_hex: Option<String>,
}

/// A vehicle's state in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawState {
    x_mm: i32,
    y_mm: i32,
    heading_mrad: i16,
    speed_mm_s: i16,
}

/// Bytes of the longest line that a device may send: the largest message as hexadecimal text, and its frame.
pub const LINE_BYTES_MAX: usize = 2 * limits::MESSAGE_BYTES_MAX + 64;

fn whole_ms(now: MonoTime, deadline: MonoTime) -> u64 {
    u64::try_from(deadline.since(now).as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > limits::MESSAGE_BYTES_MAX {
        return None;
    }
    let digit = |c: u8| char::from(c).to_digit(16);
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use longrein_proto::base::Stage;
    use longrein_proto::wire::Drive;

    use super::*;

    fn output(drive: Option<Drive>) -> Output {
        Output {
            stage: Stage::Nominal,
            stopped: false,
            drive,
            deadline: MonoTime::from_us(1_098_765),
            ttl_left: Duration::from_micros(98_765),
        }
    }

    const NOW: MonoTime = MonoTime::from_us(1_000_000);

    /// SAFE-61
    #[test]
    fn a_word_says_how_long_it_holds() {
        let drive = Drive {
            speed_mm_s: 1_500,
            curvature_per_km: -200,
        };
        assert_eq!(
            Word::new(Some(7), NOW, &output(Some(drive))).to_json(),
            r#"{"seq":7,"stage":"Nominal","stopped":false,"ttl_ms":98,"deadline_boottime_us":1098765,"drive":{"speed_mm_s":1500,"curvature_per_km":-200}}"#
        );
        assert_eq!(
            Word::new(None, NOW, &output(None)).to_json(),
            r#"{"stage":"Nominal","stopped":false,"ttl_ms":98,"deadline_boottime_us":1098765}"#
        );
        let payload = [0xfd, 0x09, 0x00];
        let deadline = MonoTime::from_us(1_060_000);
        assert_eq!(
            Word::with_opaque(9, NOW, &output(None), &payload, deadline).to_json(),
            r#"{"seq":9,"stage":"Nominal","stopped":false,"ttl_ms":60,"deadline_boottime_us":1060000,"opaque_hex":"fd0900"}"#
        );
    }

    #[test]
    fn answers_are_read() {
        let read = |line: &str| Answer::from_json(line.as_bytes());
        assert_eq!(read(r#"{"ack":7}"#), Ok(Answer::Ack(7)));
        assert_eq!(
            read(r#"{"telemetry":{"x_mm":10,"y_mm":-3,"heading_mrad":1570,"speed_mm_s":1480}}"#),
            Ok(Answer::Telemetry(Telemetry::Vehicle(VehicleState {
                x_mm: 10,
                y_mm: -3,
                heading_mrad: 1_570,
                speed_mm_s: 1_480
            })))
        );
        assert_eq!(
            read(r#"{"telemetry_hex":"fd1C"}"#),
            Ok(Answer::Telemetry(Telemetry::Opaque(vec![0xfd, 0x1c])))
        );
    }

    #[test]
    fn everything_else_is_refused() {
        for line in [
            "",
            "7",
            "{}",
            r#"{"ack":-1}"#,
            r#"{"ack":1,"telemetry_hex":""}"#,
            r#"{"telemetry_hex":"abc"}"#,
            r#"{"telemetry_hex":"+1"}"#,
            r#"{"telemetry":{"x_mm":10}}"#,
            r#"{"ack":1,"more":2}"#,
        ] {
            assert!(Answer::from_json(line.as_bytes()).is_err(), "{line}");
        }
    }
}
