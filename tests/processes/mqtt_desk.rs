//! An operator that commands devices behind a broker.

use std::time::Duration;

use longrein::local_fleet::{LocalFleet, Plan};
use longrein::{
    Body, Connection, Events, Lease, Receipt, Resolution, Telemetry, Vehicle, VehicleEvent,
};
use serde_json::Value;
use tokio::time::timeout;

use super::fleet;
use super::mosquitto::Mosquitto;
use super::until::{PATIENCE, until};

/// Longer than any of these tests needs.
pub const TTL: Duration = Duration::from_secs(20);

/// A fleet with the function `valves`, which is the devices of this broker.
pub fn plan(broker: &Mosquitto, version: &str, qos: u8) -> Plan {
    let yard = format!(
        "[[mqtt]]\nname = \"yard\"\naddress = \"127.0.0.1:{}\"\nversion = {version:?}\navailability = \"longrein/truck-17\"\n",
        broker.port
    );
    Plan {
        functions: yard + &function("valves", "yard", qos),
        ..fleet::plan()
    }
}

/// A function of this name: the devices of the broker of this section.
pub fn function(name: &str, broker: &str, qos: u8) -> String {
    format!(
        "[[function]]\nname = {name:?}\nkind = \"opaque\"\nwatchdog = false\n\
         adapter = {{ kind = \"mqtt\", broker = {broker:?}, command = \"devices/{{device}}/cmd\", qos = {qos}, \
         telemetry = [\"devices/{{device}}/state\"], presence = {{ topic = \"devices/{{device}}/online\" }}, fail_safe = \"close\" }}\n"
    )
}

/// An operator that holds the lease of the valves.
pub struct Desk {
    pub connection: Connection,
    pub vehicle: Vehicle,
    pub lease: Lease,
    pub events: Events,
    /// What it heard so far.
    pub lines: Vec<Value>,
}

impl Desk {
    /// At the desk, with the lease.
    pub async fn new(fleet: &LocalFleet) -> Desk {
        let settings = longrein::demo::settings(fleet).unwrap();
        let connection = Connection::connect(settings).await.unwrap();
        let vehicle = connection.open(&"truck-17".parse().unwrap()).await.unwrap();
        let events = vehicle.watch().await.unwrap();
        let lease = vehicle.take(&"valves".parse().unwrap()).await.unwrap();
        Desk {
            connection,
            vehicle,
            lease,
            events,
            lines: Vec::new(),
        }
    }

    /// Sends a command to a device.
    pub async fn send(&self, device: &str, payload: &str, ttl: Duration) -> Receipt {
        let body = serde_json::json!({ "device": device, "payload": payload });
        let body = Body::Opaque(body.to_string().into_bytes());
        self.lease.send_reliable(body, ttl).await.unwrap()
    }

    /// What becomes of a command to a device.
    pub async fn command(&self, device: &str, payload: &str, ttl: Duration) -> Resolution {
        let receipt = self.send(device, payload, ttl).await;
        timeout(PATIENCE, receipt.outcome())
            .await
            .expect("an outcome")
    }

    /// Waits for a line that fits.
    pub async fn hears(&mut self, fact: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let found = async {
            let mut seen = 0;
            loop {
                if let Some(line) = self.lines.iter().skip(seen).find(|line| fits(line)) {
                    return line.clone();
                }
                seen = self.lines.len();
                let event = self.events.next().await.expect("events");
                self.take(event);
            }
        };
        match timeout(PATIENCE, found).await {
            Ok(line) => line,
            Err(_) => {
                let last = self.lines.len().saturating_sub(5);
                panic!(
                    "never: {fact}; {} lines, the last {:?}",
                    self.lines.len(),
                    &self.lines[last..]
                )
            }
        }
    }

    /// Hears what comes for so long.
    pub async fn listens(&mut self, span: Duration) {
        let end = tokio::time::Instant::now() + span;
        while let Ok(event) = tokio::time::timeout_at(end, self.events.next()).await {
            self.take(event.expect("events"));
        }
    }

    fn take(&mut self, event: VehicleEvent) {
        if let VehicleEvent::Telemetry {
            telemetry: Telemetry::Opaque(bytes),
            ..
        } = event
        {
            let text = String::from_utf8(bytes).unwrap();
            let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
            self.lines.extend(lines);
        }
    }

    /// Waits for a device to be there.
    pub async fn sees(&mut self, device: &str) {
        let fits = |line: &Value| line["device"] == *device && line["online"] == true;
        self.hears(&format!("{device} is there"), fits).await;
    }
}

/// Waits for a line of the agent's log with all of these.
pub fn agent_says(fleet: &LocalFleet, parts: &[&str]) {
    until(&format!("the agent says {parts:?}"), || {
        let log = fleet.folder().join("truck-17.log");
        let log = std::fs::read_to_string(log).unwrap_or_default();
        let mut lines = log.lines();
        lines
            .any(|line| parts.iter().all(|part| line.contains(part)))
            .then_some(())
    });
}
