//! Events of a vehicle as lines for people and as JSON for programs.

use std::fmt::Write;

use longrein_proto::base::{Channel, Class, Flow, Name, Right, Rights};
use longrein_proto::role::VehicleStatus;
use longrein_proto::session::{Age, Resolution};
use longrein_proto::wire::{
    Description, FunctionDescription, FunctionKind, LegTimes, News, Telemetry,
};
use serde_json::{Value, json};

use crate::{Vehicle, VehicleEvent};

/// An event as one JSON object.
pub fn json(vehicle: &Vehicle, event: &VehicleEvent) -> Value {
    let mut object = match event {
        VehicleEvent::Up { description } => json!({
            "event": "up",
            "functions": functions_json(description),
        }),
        VehicleEvent::Described { description } => json!({
            "event": "described",
            "functions": functions_json(description),
        }),
        VehicleEvent::News { function, news } => news_json(function, news),
        VehicleEvent::Down { why } => json!({ "event": "down", "why": why.to_string() }),
        VehicleEvent::Presence { relay, present } => json!({
            "event": "presence",
            "relay": relay.name.as_str(),
            "present": present,
        }),
        VehicleEvent::Draining { relay } => json!({
            "event": "draining",
            "relay": relay.name.as_str(),
        }),
        VehicleEvent::Status(status) => status_json(&functions(vehicle), status),
        VehicleEvent::Telemetry {
            function,
            telemetry,
            age,
        } => telemetry_json(function, telemetry, *age),
        VehicleEvent::Receipt {
            function,
            number,
            outcome,
        } => receipt_json(function, *number, outcome),
        VehicleEvent::LeaseLost { function, loss } => json!({
            "event": "lease_lost",
            "function": function.as_str(),
            "why": loss.to_string(),
        }),
    };
    if let Some(object) = object.as_object_mut() {
        object.insert("vehicle".to_string(), vehicle.name().as_str().into());
    }
    object
}

/// An event as one line; none for a status, which is told when it changes, see [`status_line`].
pub fn line(event: &VehicleEvent) -> Option<String> {
    Some(match event {
        VehicleEvent::Up { .. } => "session is up".to_string(),
        VehicleEvent::Described { .. } => "what you may do here has changed".to_string(),
        VehicleEvent::News { function, news } => news_line(function, news)?,
        VehicleEvent::Down { why } => format!("session is over: {why}; calling again"),
        VehicleEvent::Presence {
            relay,
            present: true,
        } => format!("vehicle is at {relay}"),
        VehicleEvent::Presence {
            relay,
            present: false,
        } => format!("vehicle is not at {relay}"),
        VehicleEvent::Draining { relay } => format!("{relay} ends soon"),
        VehicleEvent::Status(_) => return None,
        VehicleEvent::Telemetry {
            function,
            telemetry,
            age,
        } => telemetry_line(function, telemetry, *age),
        VehicleEvent::Receipt {
            function,
            number,
            outcome,
        } => format!("{function} command {number}: {}", outcome_text(outcome)),
        VehicleEvent::LeaseLost { function, loss } => format!("{function}: {loss}"),
    })
}

/// What a person wants to know of a status, without what changes all the time.
pub fn status_line(functions: &[Name], status: &VehicleStatus) -> String {
    let mut line = String::new();
    if status.beat.stopped {
        line.push_str("EMERGENCY STOP is latched; ");
    }
    for (index, (name, report)) in functions.iter().zip(&status.beat.functions).enumerate() {
        let separator = if index == 0 { "" } else { "; " };
        let holder = match &report.holder {
            Some(holder) => format!("held by {holder}"),
            None => "free".to_string(),
        };
        // Writing to a string cannot fail.
        write!(line, "{separator}{name}: {}, {holder}", report.stage).ok();
    }
    line
}

/// That the emergency stop is latched now, or no more.
pub fn latch_line(vehicle: &Name, stopped: bool) -> String {
    match stopped {
        true => format!("EMERGENCY STOP is latched: `longrein reset {vehicle}` clears it"),
        false => "emergency stop is cleared".to_string(),
    }
}

/// As [`latch_line`], for programs.
pub fn latch_json(vehicle: &Name, stopped: bool) -> Value {
    json!({
        "event": if stopped { "stop_latched" } else { "stop_cleared" },
        "vehicle": vehicle.as_str(),
    })
}

/// The vehicle's functions, in the order of its status.
pub fn functions(vehicle: &Vehicle) -> Vec<Name> {
    let functions = vehicle.description().functions.into_iter();
    functions.map(|function| function.name).collect()
}

/// The flow of a function's commands of this class; none when there is no such function.
pub fn flow(functions: &[Name], function: &Name, class: Class) -> Option<Flow> {
    let place = functions.iter().position(|name| name == function)?;
    let channel = Channel::new(u8::try_from(place + 1).ok()?)?;
    Some(Flow::new(channel, class))
}

/// Whole and tenths of milliseconds.
pub fn milliseconds(span: std::time::Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1e3)
}

fn status_json(functions: &[Name], status: &VehicleStatus) -> Value {
    let beat = &status.beat;
    let functions: Vec<Value> = functions
        .iter()
        .zip(&beat.functions)
        .map(|(name, report)| {
            json!({
                "name": name.as_str(),
                "stage": report.stage.to_string(),
                "holder": report.holder.as_ref().map(ToString::to_string),
                "token": report.token.0,
            })
        })
        .collect();
    let mut object = json!({
        "event": "status",
        "stopped": beat.stopped,
        "stop_generation": beat.stop_generation,
        "functions": functions,
        "delay_us": beat.times.map(times_json),
    });
    add_age(&mut object, status.age);
    object
}

/// Where a command's time went, in µs.
pub fn times_json(times: LegTimes) -> Value {
    let us = |tens: u32| u64::from(tens) * 10;
    json!({
        "controller": us(times.controller_10us),
        "uplink": us(times.uplink_10us),
        "relay": us(times.relay_10us),
        "downlink": us(times.downlink_10us),
        "agent": us(times.agent_10us),
    })
}

fn telemetry_json(function: &Name, telemetry: &Telemetry, age: Option<Age>) -> Value {
    let mut object = match telemetry {
        Telemetry::Vehicle(state) => json!({
            "event": "telemetry",
            "function": function.as_str(),
            "x_mm": state.x_mm,
            "y_mm": state.y_mm,
            "heading_mrad": state.heading_mrad,
            "speed_mm_s": state.speed_mm_s,
        }),
        Telemetry::Opaque(bytes) => {
            let mut object = json!({
                "event": "telemetry",
                "function": function.as_str(),
                "hex": hex(bytes),
            });
            if let (Some(lines), Some(object)) = (json_lines(bytes), object.as_object_mut()) {
                object.insert("lines".to_string(), lines.into());
            }
            object
        }
    };
    add_age(&mut object, age);
    object
}

/// What a device said, when it is objects of JSON, one a line.
fn json_lines(bytes: &[u8]) -> Option<Vec<Value>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let objects = text.lines().map(serde_json::from_str::<Value>);
    let objects: Vec<Value> = objects.collect::<Result<_, _>>().ok()?;
    let all = !objects.is_empty() && objects.iter().all(Value::is_object);
    all.then_some(objects)
}

fn telemetry_line(function: &Name, telemetry: &Telemetry, age: Option<Age>) -> String {
    let metres = |mm: i32| f64::from(mm) / 1e3;
    let what = match telemetry {
        Telemetry::Vehicle(state) => format!(
            "x {:.2} m, y {:.2} m, heading {:.1} deg, {:.2} m/s",
            metres(state.x_mm),
            metres(state.y_mm),
            (f64::from(state.heading_mrad) / 1e3).to_degrees(),
            metres(state.speed_mm_s.into()),
        ),
        Telemetry::Opaque(bytes) => match (json_lines(bytes), std::str::from_utf8(bytes)) {
            (Some(_), Ok(text)) => text.replace('\n', " "),
            (None, _) | (_, Err(_)) => format!("{} bytes", bytes.len()),
        },
    };
    match age {
        Some(Age { age, error }) => format!(
            "{function}: {what} ({} old, +- {})",
            milliseconds(age),
            milliseconds(error)
        ),
        None => format!("{function}: {what}"),
    }
}

fn receipt_json(function: &Name, number: u64, outcome: &Resolution) -> Value {
    let why = match outcome {
        Resolution::Refused(why) => Some(why.to_string()),
        Resolution::Applied | Resolution::Expired | Resolution::Unknown => None,
    };
    json!({
        "event": "receipt",
        "function": function.as_str(),
        "number": number,
        "outcome": outcome_word(outcome),
        "why": why,
    })
}

/// A receipt's one word.
pub fn outcome_word(outcome: &Resolution) -> &'static str {
    match outcome {
        Resolution::Applied => "applied",
        Resolution::Refused(_) => "refused",
        Resolution::Expired => "expired",
        Resolution::Unknown => "unknown",
    }
}

fn outcome_text(outcome: &Resolution) -> String {
    match outcome {
        Resolution::Refused(why) => format!("refused: {why}"),
        Resolution::Applied | Resolution::Expired | Resolution::Unknown => {
            outcome_word(outcome).to_string()
        }
    }
}

fn functions_json(description: &Description) -> Vec<Value> {
    let one = |function: &FunctionDescription| {
        json!({
            "name": function.name.as_str(),
            "kind": kind_word(function.kind),
            "may": rights_words(function.rights),
        })
    };
    description.functions.iter().map(one).collect()
}

/// The words for rights.
pub fn rights_words(rights: Rights) -> Vec<&'static str> {
    let all = Right::ALL.into_iter();
    all.filter(|right| rights.has(*right))
        .map(Right::as_str)
        .collect()
}

/// What becomes of the offer of a lease, as one line; a loss is told with the lease.
pub fn news_line(function: &Name, news: &News) -> Option<String> {
    Some(match news {
        News::Ring {
            from,
            ttl_ms,
            offer,
            ..
        } => format!(
            "{function}: {from} offers you the lease (offer {offer}, {} s)",
            ttl_ms / 1_000
        ),
        News::Accepted { offer, .. } => format!("{function}: offer {offer} is accepted"),
        News::Over { offer, how, .. } => format!("{function}: offer {offer}: {how}"),
        News::Lost { .. } => return None,
    })
}

fn news_json(function: &Name, news: &News) -> Value {
    let function = function.as_str();
    match news {
        News::Ring {
            offer,
            ttl_ms,
            from,
            ..
        } => json!({
            "event": "lease_offered",
            "function": function,
            "offer": offer.0,
            "from": from.to_string(),
            "ttl_ms": ttl_ms,
        }),
        News::Accepted { offer, .. } => json!({
            "event": "offer_accepted",
            "function": function,
            "offer": offer.0,
        }),
        News::Over { offer, how, .. } => json!({
            "event": "offer_over",
            "function": function,
            "offer": offer.0,
            "how": how.to_string(),
        }),
        News::Lost { token, how, .. } => json!({
            "event": "lease_removed",
            "function": function,
            "token": token.0,
            "why": how.to_string(),
        }),
    }
}

fn kind_word(kind: FunctionKind) -> &'static str {
    match kind {
        FunctionKind::Drive => "drive",
        FunctionKind::Opaque => "opaque",
    }
}

fn add_age(object: &mut Value, age: Option<Age>) {
    let us = |span: std::time::Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    if let Some(object) = object.as_object_mut() {
        object.insert("age_us".to_string(), age.map(|age| us(age.age)).into());
        object.insert(
            "age_error_us".to_string(),
            age.map(|age| us(age.error)).into(),
        );
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use longrein_proto::base::{FencingToken, Refusal, Stage};
    use longrein_proto::wire::{AgentBeat, FunctionReport, VehicleState};

    use super::*;

    fn drive() -> Name {
        "drive".parse().unwrap()
    }

    fn status(stopped: bool) -> VehicleStatus {
        let report = FunctionReport {
            stage: Stage::Hold,
            token: FencingToken(7),
            holder: Some("controller/alice".parse().unwrap()),
        };
        let beat = AgentBeat {
            stopped,
            functions: vec![report],
            times: Some(LegTimes {
                uplink_10us: 1_000,
                ..LegTimes::default()
            }),
            ..AgentBeat::default()
        };
        VehicleStatus { beat, age: None }
    }

    #[test]
    fn a_status_names_stage_holder_and_stop() {
        let functions = [drive()];
        assert_eq!(
            status_line(&functions, &status(false)),
            "drive: Hold, held by controller/alice"
        );
        let line = status_line(&functions, &status(true));
        assert!(line.starts_with("EMERGENCY STOP is latched; drive: "));
        let object = status_json(&functions, &status(true));
        assert_eq!(object["functions"][0]["token"], 7);
        assert_eq!(object["delay_us"]["uplink"], 10_000);
        assert_eq!(object["age_us"], Value::Null);
    }

    #[test]
    fn a_latched_stop_says_what_clears_it() {
        let truck = "truck-17".parse().unwrap();
        assert_eq!(
            latch_line(&truck, true),
            "EMERGENCY STOP is latched: `longrein reset truck-17` clears it"
        );
        assert_eq!(latch_line(&truck, false), "emergency stop is cleared");
        assert_eq!(latch_json(&truck, true)["event"], "stop_latched");
        assert_eq!(latch_json(&truck, false)["event"], "stop_cleared");
    }

    #[test]
    fn telemetry_is_shown_in_units_and_opaque_bytes_as_hexadecimal() {
        let state = VehicleState {
            x_mm: 1_500,
            y_mm: -20,
            heading_mrad: 1_571,
            speed_mm_s: -250,
        };
        let age = Age {
            age: Duration::from_micros(12_340),
            error: Duration::from_micros(560),
        };
        assert_eq!(
            telemetry_line(&drive(), &Telemetry::Vehicle(state), Some(age)),
            "drive: x 1.50 m, y -0.02 m, heading 90.0 deg, -0.25 m/s (12.3 ms old, +- 0.6 ms)"
        );
        let opaque = Telemetry::Opaque(vec![0, 0xab]);
        let object = telemetry_json(&drive(), &opaque, Some(age));
        assert_eq!(object["hex"], "00ab");
        assert_eq!(object["age_us"], 12_340);
    }

    #[test]
    fn a_receipt_says_why_it_was_refused() {
        let refused = Resolution::Refused(Refusal::Stopped);
        let object = receipt_json(&drive(), 3, &refused);
        assert_eq!(object["outcome"], "refused");
        assert_eq!(object["why"], "emergency stop is latched");
        assert_eq!(
            receipt_json(&drive(), 3, &Resolution::Applied)["why"],
            Value::Null
        );
    }
}
