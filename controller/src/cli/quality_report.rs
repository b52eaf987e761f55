//! How good the ways to a vehicle are, as text for people and as JSON for programs.

use std::time::Duration;

use longrein_proto::base::Name;
use longrein_proto::path::{Blame, End, PathStatus, Way};
use longrein_proto::role::PathView;
use longrein_proto::wire::LegTimes;
use serde_json::{Value, json};

use super::report::{milliseconds, times_json};
use crate::Quality;

/// The ways to one vehicle at one moment.
#[derive(Debug)]
pub struct Report {
    vehicle: Name,
    quality: Quality,
}

impl Report {
    /// Of this.
    pub fn new(vehicle: Name, quality: Quality) -> Report {
        Report { vehicle, quality }
    }

    /// Whether all that is shown was measured.
    pub fn is_settled(&self) -> bool {
        let measured = |view: &PathView| view.status.is_some_and(|status| status.rtt.is_some());
        self.quality.clock_error.is_some() && self.quality.paths.iter().all(measured)
    }

    /// A table, and what follows from it.
    pub fn lines(&self) -> Vec<String> {
        let mut rows = vec![HEAD.map(String::from)];
        rows.extend(self.quality.paths.iter().map(row));
        let mut lines = vec![format!("{}:", self.vehicle)];
        lines.extend(table(&rows));
        let counters = &self.quality.counters;
        lines.push(format!(
            "copies: {} beyond the first of {} parcels",
            counters.copies_sent, counters.parcels_sent
        ));
        lines.push(match self.times() {
            Some(times) => format!("commands: {}", delay(times)),
            None => "commands: none was applied in this session".to_string(),
        });
        lines.push(match self.quality.clock_error {
            Some(error) => format!("clock: known to +- {}", milliseconds(error)),
            None => "clock: not known yet".to_string(),
        });
        lines.push(self.blame().to_string());
        lines
    }

    /// All in one line: what is to blame, then path by path.
    pub fn line(&self) -> String {
        let mut parts = vec![format!("{}: {}", self.vehicle, self.blame())];
        parts.extend(self.times().map(|times| milliseconds(whole(times))));
        for view in &self.quality.paths {
            let [name, health, loss_up, loss_down, rtt, ..] = row(view);
            parts.push(format!(
                "{name} {health} loss {loss_up} / {loss_down} {rtt}"
            ));
        }
        parts.join(" | ")
    }

    /// One JSON object.
    pub fn json(&self) -> Value {
        let paths: Vec<Value> = self.quality.paths.iter().map(path_json).collect();
        let counters = &self.quality.counters;
        json!({
            "vehicle": self.vehicle.as_str(),
            "paths": paths,
            "parcels_sent": counters.parcels_sent,
            "copies_sent": counters.copies_sent,
            "delay_us": self.times().map(times_json),
            "clock_error_us": self.quality.clock_error.map(us),
            "blame": self.blame().to_string(),
        })
    }

    fn times(&self) -> Option<LegTimes> {
        self.quality.status.as_ref()?.beat.times
    }

    fn blame(&self) -> Blame {
        let named: Vec<(String, PathStatus)> = self
            .quality
            .paths
            .iter()
            .filter_map(|view| Some((name(view), view.status?)))
            .collect();
        let ways: Vec<Way<'_>> = named
            .iter()
            .map(|(link, status)| Way { link, status })
            .collect();
        Blame::of(End::Node, &ways, self.times())
    }
}

fn name(view: &PathView) -> String {
    format!("{}/{}", view.relay.name, view.link)
}

/// The cells of a path.
fn row(view: &PathView) -> [String; 9] {
    let unknown = || "-".to_string();
    let Some(status) = &view.status else {
        let mut cells = [const { String::new() }; 9];
        cells.fill("-".to_string());
        let [first, second, ..] = &mut cells;
        (*first, *second) = (name(view), "greeting".to_string());
        return cells;
    };
    let loss = |packets: u64, share: f64| match packets >= Blame::PACKETS_KNOWN {
        true => format!("{:.1} %", share * 100.0),
        false => unknown(),
    };
    [
        name(view),
        status.health.to_string(),
        loss(status.sent_packets, status.loss),
        loss(status.received_packets, status.loss_in),
        status.rtt.map_or_else(unknown, milliseconds),
        milliseconds(status.queue),
        milliseconds(status.queue_in),
        kilobytes(status.sent_bytes),
        kilobytes(status.received_bytes),
    ]
}

/// Rows with columns as wide as their widest cell.
fn table<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_string()
    };
    rows.iter().map(line).collect()
}

/// The whole delay, and what each part of the way has of it.
fn delay(times: LegTimes) -> String {
    let parts = ["controller", "uplink", "relay", "downlink", "agent"];
    let named: Vec<String> = parts
        .iter()
        .zip(times.parts())
        .map(|(part, tens)| format!("{part} {}", milliseconds(span(tens))))
        .collect();
    format!("{} = {}", milliseconds(whole(times)), named.join(" + "))
}

fn whole(times: LegTimes) -> Duration {
    times.parts().into_iter().map(span).sum()
}

fn span(tens_of_us: u32) -> Duration {
    Duration::from_micros(u64::from(tens_of_us) * 10)
}

fn kilobytes(bytes: u64) -> String {
    format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100)
}

fn us(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn path_json(view: &PathView) -> Value {
    let mut object = json!({ "relay": view.relay.name.as_str(), "link": view.link.as_str() });
    let Some((status, object_map)) = view.status.zip(object.as_object_mut()) else {
        return object;
    };
    let way = |loss: f64, queue: Duration, packets: u64, bytes: u64, packets_per_s: u32| {
        json!({
            "loss": loss,
            "queue_us": us(queue),
            "packets": packets,
            "bytes": bytes,
            "packets_per_s": packets_per_s,
        })
    };
    let known = json!({
        "health": status.health.to_string(),
        "rtt_us": status.rtt.map(us),
        "rtt_min_us": status.rtt_min.map(us),
        "up": way(
            status.loss,
            status.queue,
            status.sent_packets,
            status.sent_bytes,
            status.sent_packets_per_s,
        ),
        "down": way(
            status.loss_in,
            status.queue_in,
            status.received_packets,
            status.received_bytes,
            status.received_packets_per_s,
        ),
    });
    if let Value::Object(known) = known {
        object_map.extend(known);
    }
    object
}

const HEAD: [&str; 9] = [
    "path",
    "health",
    "loss up",
    "loss down",
    "rtt",
    "queue up",
    "queue down",
    "sent",
    "received",
];

#[cfg(test)]
mod tests {
    use longrein_proto::base::PathId;
    use longrein_proto::path::{Health, LinkId, Strain};
    use longrein_proto::role::VehicleStatus;
    use longrein_proto::wire::AgentBeat;

    use super::*;

    fn report(queue_ms: u64, times: Option<LegTimes>) -> Report {
        let status = PathStatus {
            path: PathId(1),
            link: LinkId(1),
            health: Health::Live,
            is_lost: false,
            loss: 0.012,
            rtt: Some(Duration::from_millis(41)),
            rtt_min: None,
            queue: Duration::from_millis(queue_ms),
            queue_in: Duration::ZERO,
            loss_in: 0.3,
            bits_per_s: 1_000_000.0,
            strain: Strain::None,
            sent_packets: 100,
            sent_bytes: 12_345,
            received_packets: 3,
            received_bytes: 99,
            sent_packets_per_s: 6,
            received_packets_per_s: 5,
        };
        let view = |link: &str, status| PathView {
            relay: "relay/a".parse().unwrap(),
            link: link.parse().unwrap(),
            seen_as: None,
            status,
        };
        let beat = AgentBeat {
            times,
            ..AgentBeat::default()
        };
        Report {
            vehicle: "truck-17".parse().unwrap(),
            quality: Quality {
                paths: vec![view("lte", Some(status)), view("wifi", None)],
                clock_error: Some(Duration::from_micros(1_200)),
                status: Some(VehicleStatus { beat, age: None }),
                counters: longrein_proto::leg::Counters {
                    copies_sent: 7,
                    parcels_sent: 90,
                    ..longrein_proto::leg::Counters::default()
                },
            },
        }
    }

    #[test]
    fn each_path_has_a_row_and_what_is_not_known_is_not_guessed() {
        let times = LegTimes {
            controller_10us: 10,
            uplink_10us: 1_100,
            relay_10us: 10,
            downlink_10us: 1_200,
            agent_10us: 20,
        };
        let lines = report(180, Some(times)).lines();
        assert_eq!(
            lines,
            [
                "truck-17:",
                "path    health    loss up  loss down  rtt      queue up  queue down  sent     received",
                "a/lte   live      1.2 %    -          41.0 ms  180.0 ms  0.0 ms      12.3 kB  0.0 kB",
                "a/wifi  greeting  -        -          -        -         -           -        -",
                "copies: 7 beyond the first of 90 parcels",
                "commands: 23.4 ms = controller 0.1 ms + uplink 11.0 ms + relay 0.1 ms + downlink 12.0 ms + agent 0.2 ms",
                "clock: known to +- 1.2 ms",
                "uplink of a/lte: 180 ms of queue",
            ]
        );
    }

    #[test]
    fn a_line_says_first_what_is_to_blame() {
        assert_eq!(
            report(0, None).line(),
            "truck-17: all links are quiet | a/lte live loss 1.2 % / - 41.0 ms | a/wifi greeting loss - / - -"
        );
    }

    #[test]
    fn programs_get_microseconds_and_shares() {
        let object = report(180, None).json();
        assert_eq!(object["paths"][0]["up"]["queue_us"], 180_000);
        assert_eq!(object["paths"][0]["down"]["loss"], 0.3);
        assert_eq!(object["paths"][1]["health"], Value::Null);
        assert_eq!(object["clock_error_us"], 1_200);
        assert_eq!(object["copies_sent"], 7);
        assert_eq!(object["delay_us"], Value::Null);
        assert_eq!(object["blame"], "uplink of a/lte: 180 ms of queue");
    }
}
