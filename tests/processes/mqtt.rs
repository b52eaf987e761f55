//! Legacy devices behind a real Mosquitto: commanded through the agent's gate, heard by whoever watches.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use longrein::local_fleet::{LocalFleet, Plan};
use longrein::{
    Body, Connection, Events, Lease, Refusal, Resolution, Telemetry, Vehicle, VehicleEvent,
};
use longrein_io::runtime;
use rustix::process::Signal;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::fleet;
use super::mosquitto::{Mosquitto, received};
use super::rounds::rounds_or;
use super::until::{PATIENCE, until};

const TTL: Duration = Duration::from_secs(20);

fn plan(broker: &Mosquitto, version: &str, qos: u8) -> Plan {
    let functions = format!(
        "[[mqtt]]\nname = \"yard\"\naddress = \"127.0.0.1:{}\"\nversion = {version:?}\navailability = \"longrein/truck-17\"\n\
         [[function]]\nname = \"valves\"\nkind = \"opaque\"\nwatchdog = false\n\
         adapter = {{ kind = \"mqtt\", broker = \"yard\", command = \"devices/{{device}}/cmd\", qos = {qos}, \
         telemetry = [\"devices/{{device}}/state\"], presence = {{ topic = \"devices/{{device}}/online\" }}, fail_safe = \"close\" }}\n",
        broker.port
    );
    Plan {
        functions,
        ..fleet::plan()
    }
}

/// An operator that holds the lease of the valves.
struct Desk {
    connection: Connection,
    vehicle: Vehicle,
    lease: Lease,
    events: Events,
    lines: Vec<Value>,
}

impl Desk {
    async fn new(fleet: &LocalFleet) -> Desk {
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

    async fn command(&self, device: &str, payload: &str, ttl: Duration) -> Resolution {
        let body = serde_json::json!({ "device": device, "payload": payload });
        let body = Body::Opaque(body.to_string().into_bytes());
        let receipt = self.lease.send_reliable(body, ttl).await.unwrap();
        timeout(PATIENCE, receipt.outcome())
            .await
            .expect("an outcome")
    }

    /// Waits for a line that fits.
    async fn hears(&mut self, fact: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let found = async {
            loop {
                if let Some(line) = self.lines.iter().find(|line| fits(line)) {
                    return line.clone();
                }
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

    async fn listens(&mut self, span: Duration) {
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

    async fn sees(&mut self, device: &str) {
        let fits = |line: &Value| line["device"] == *device && line["online"] == true;
        self.hears(&format!("{device} is there"), fits).await;
    }
}

/// SAFE-120, SAFE-121, SAFE-123, SAFE-124
#[test]
fn commands_reach_devices_that_are_there_with_their_deadline_and_nobody_else() {
    let broker = Mosquitto::start();
    let mut devices = broker.devices("5", 2, 20, 1);
    let mut begin = devices.stdin();
    let fleet = fleet::start(plan(&broker, "5", 1));
    runtime::run(async || {
        let mut desk = Desk::new(&fleet).await;
        for device in ["device-0", "device-1"] {
            desk.sees(device).await;
        }
        writeln!(begin).unwrap();
        desk.hears("a state", |line| line["topic"] == "devices/device-1/state")
            .await;
        assert_eq!(
            desk.command("device-1", "open", TTL).await,
            Resolution::Applied
        );
        let absent = Resolution::Refused(Refusal::Absent);
        assert_eq!(desk.command("device-9", "open", TTL).await, absent);
        assert_eq!(
            desk.command("../device-1", "open", TTL).await,
            Resolution::Refused(Refusal::Malformed)
        );
        desk.hears("counters", |line| {
            line["counters"]["device_offline"] == 1 && line["counters"]["published"] == 1
        })
        .await;

        // The will of a device that dies says that it is away.
        devices.signal(Signal::KILL);
        let fits = |line: &Value| line["device"] == "device-1" && line["online"] == false;
        desk.hears("a device goes", fits).await;
        // For a second it may be its broker that ends; then the command is refused.
        assert_eq!(desk.command("device-1", "open", TTL).await, absent);
        let got = devices.objects();
        let got: Vec<&Value> = received(&got).collect();
        assert_eq!(got.len(), 1, "{got:?}");
        assert_eq!(
            (got[0]["device"].as_str(), got[0]["got"].as_str()),
            (Some("device-1"), Some("open"))
        );
        assert_eq!(got[0]["retained"], false);
        let left_ms = got[0]["deadline_ms"].as_i64().unwrap() - got[0]["at_ms"].as_i64().unwrap();
        assert!((1..=20_000).contains(&left_ms), "{left_ms}");
        assert!((1..=20).contains(&got[0]["expiry_s"].as_i64().unwrap()));

        // A stop reaches each of them that comes.
        desk.vehicle.stop(PATIENCE).await.unwrap();
        assert_eq!(
            desk.command("device-1", "open", TTL).await,
            Resolution::Refused(Refusal::Stopped)
        );
        let mut again = broker.devices("5", 2, 0, 1);
        again.prints("\"got\": \"close\"");
        desk.hears("a refusal is counted", |line| {
            line["counters"]["stopped"] == 1
        })
        .await;
        desk.connection.close().await;
        drop(again);
    })
    .unwrap();
    let mut availability = broker.subscribe("availability", &["-t", "longrein/truck-17", "-v"]);
    availability.prints("longrein/truck-17 online");
    drop(fleet);
    availability.prints("longrein/truck-17 offline");
}

/// SAFE-120, SAFE-122
#[test]
fn a_command_without_the_lease_or_under_an_old_token_is_never_published_and_counted() {
    let broker = Mosquitto::start();
    let devices = broker.devices("3.1.1", 1, 0, 1);
    let fleet = fleet::start(plan(&broker, "3.1.1", 0));
    runtime::run(async || {
        let mut desk = Desk::new(&fleet).await;
        desk.sees("device-0").await;
        let body = || Body::Opaque(br#"{"device":"device-0","payload":"late"}"#.to_vec());
        // The lease goes to Alice while the desk still believes that it holds it.
        let stale = desk
            .lease
            .send_reliable(body(), Duration::from_millis(1))
            .await
            .unwrap();
        assert_ne!(stale.outcome().await, Resolution::Applied);
        let before = desk.lease.token();
        desk.lease.release().await.unwrap();
        let lease = desk.vehicle.take(&"valves".parse().unwrap()).await.unwrap();
        assert!(lease.token() > before);
        desk.lease = lease;
        assert_eq!(
            desk.command("device-0", "shut", TTL).await,
            Resolution::Applied
        );
        until("the device hears it", || {
            received(&devices.objects())
                .any(|fact| fact["got"] == "shut")
                .then_some(())
        });
        assert!(!received(&devices.objects()).any(|fact| fact["got"] == "late"));
        desk.connection.close().await;
    })
    .unwrap();
}

/// SAFE-121
#[test]
fn over_restarts_of_the_broker_what_has_time_left_arrives_and_counts_match() {
    let (_, restarts) = rounds_or(3);
    for qos in [1, 2] {
        over_restarts(restarts, qos);
    }
}

fn over_restarts(restarts: u64, qos: u8) {
    let mut broker = Mosquitto::start();
    // What the broker passes on at all, as its own client hears it: of QoS 2 Mosquitto and paho lose some between them.
    let mut audit = broker.subscribe(
        "audit",
        &["-V", "mqttv311", "-q", "2", "-c", "-t", "devices/+/state"],
    );
    let commanded = broker.subscribe(
        "commanded",
        &["-V", "mqttv311", "-q", "2", "-c", "-t", "devices/+/cmd"],
    );
    let mut devices = broker.devices("5", 4, 100, qos);
    let mut input = devices.stdin();
    let fleet = fleet::start(plan(&broker, "5", qos));
    let (sent, outcomes, states) = runtime::run(async || {
        let mut desk = Desk::new(&fleet).await;
        for device in 0..4 {
            desk.sees(&format!("device-{device}")).await;
        }
        // Not before somebody hears them.
        writeln!(input).unwrap();
        let (sent, waiting) = command_over_restarts(&mut desk, &mut broker, restarts).await;
        let outcomes = outcomes(waiting).await;
        drop(input);
        let states_sent = until("the devices end", || {
            let facts = devices.objects().into_iter();
            facts.filter_map(|fact| fact["sent"].as_u64()).next()
        });
        // A last one after everything else.
        broker.publish(&["-q", "1", "-t", "devices/device-0/state", "-m", "the end"]);
        audit.prints("the end");
        desk.hears("the end", |line| line["payload"] == "the end")
            .await;
        // What the broker repeats may come behind it.
        desk.listens(Duration::from_secs(2)).await;
        let lines = desk.lines.iter();
        let states: Vec<String> = lines
            .filter_map(|line| line["payload"].as_str().map(String::from))
            .collect();
        assert_eq!(desk.events.missed(), 0);
        desk.connection.close().await;
        (sent, outcomes, (states_sent, states))
    })
    .unwrap();
    check_commands(
        qos,
        sent,
        &outcomes,
        (&devices.objects(), &commanded.printed()),
    );
    check_states(qos, states.0, &states.1, &audit.printed());
}

/// Numbered commands at 200 a second while the broker goes and comes.
async fn command_over_restarts(
    desk: &mut Desk,
    broker: &mut Mosquitto,
    restarts: u64,
) -> (usize, JoinSet<(usize, Resolution)>) {
    let mut waiting = JoinSet::new();
    let mut sent = 0;
    for phase in 0..restarts * 2 {
        for _ in 0..50 {
            let body = serde_json::json!({
                "device": format!("device-{}", sent % 4),
                "payload": format!("command {sent}"),
            });
            let body = Body::Opaque(body.to_string().into_bytes());
            // A full window makes its sender wait, as any.
            if let Ok(receipt) = desk.lease.send_reliable(body, TTL).await {
                let number = sent;
                waiting.spawn_local(async move { (number, receipt.outcome().await) });
                sent += 1;
            }
            desk.listens(Duration::from_millis(5)).await;
        }
        if phase % 2 == 0 {
            broker.stop();
        } else {
            broker.start_again();
        }
    }
    (sent, waiting)
}

async fn outcomes(mut waiting: JoinSet<(usize, Resolution)>) -> BTreeMap<usize, Resolution> {
    let mut outcomes = BTreeMap::new();
    while let Some(outcome) = timeout(PATIENCE, waiting.join_next()).await.unwrap() {
        let (number, outcome) = outcome.unwrap();
        outcomes.insert(number, outcome);
    }
    outcomes
}

/// What was applied arrived, with QoS 2 once; nothing arrived late; nearly all was in time for a broker that is away for a moment.
fn check_commands(
    qos: u8,
    sent: usize,
    outcomes: &BTreeMap<usize, Resolution>,
    (devices, commanded): (&[Value], &[String]),
) {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for fact in received(devices) {
        assert!(
            fact["at_ms"].as_i64() <= fact["deadline_ms"].as_i64(),
            "{fact}"
        );
        *counts.entry(fact["got"].as_str().unwrap()).or_default() += 1;
    }
    let mut applied = 0;
    for (number, _) in outcomes
        .iter()
        .filter(|(_, outcome)| **outcome == Resolution::Applied)
    {
        let count = counts.get(format!("command {number}").as_str()).copied();
        assert!(
            count.is_some(),
            "command {number} did not arrive; QoS {qos}"
        );
        // After a restart Mosquitto may give one of QoS 2 to one of its subscribers twice. What was published twice is with both.
        let line = format!("command {number}");
        let heard = commanded.iter().filter(|printed| **printed == line).count();
        assert!(
            qos == 1 || heard <= 1 || count == Some(1),
            "command {number}: {count:?} and {heard} times"
        );
        applied += 1;
    }
    let others = outcomes
        .iter()
        .filter(|(_, outcome)| **outcome != Resolution::Applied);
    let others: Vec<_> = others.collect();
    assert!(
        applied >= sent * 9 / 10,
        "QoS {qos}: {applied} of {sent}; {others:?}"
    );
}

/// Each state that the broker passed on arrived, once.
fn check_states(qos: u8, sent: u64, here: &[String], there: &[String]) {
    let count = |of: &[String]| {
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        for state in of.iter().filter(|state| state.starts_with("state ")) {
            *seen.entry(state.clone()).or_default() += 1;
        }
        seen
    };
    let (here, there) = (count(here), count(there));
    let missing = there.keys().filter(|state| !here.contains_key(*state));
    let missing: Vec<_> = missing.collect();
    assert!(
        missing.is_empty(),
        "QoS {qos}: of {} did not arrive: {missing:?}",
        there.len()
    );
    let twice: Vec<_> = here.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "QoS {qos}: not once: {twice:?}");
    assert!(there.len() as u64 >= sent / 2, "{} of {sent}", there.len());
}

/// SAFE-126, SAFE-127
#[test]
fn a_panel_commands_by_mqtt_under_an_identity_and_a_lease_of_its_own() {
    let broker = Mosquitto::start();
    let devices = broker.devices("5", 1, 0, 1);
    let mut plan = plan(&broker, "5", 1);
    plan.controllers.push("panel".into());
    plan.functions += "[[operator]]\nname = \"panel\"\nbroker = \"yard\"\nidentity = \"$FLEET/controller-panel\"\n\
                       topic = \"panel/{vehicle}/{function}/set\"\nttl_ms = 20000\n";
    let fleet = fleet::start(plan);
    let answers = broker.subscribe("answers", &["-V", "mqttv5", "-t", "answers"]);
    let publish = |payload: &str, more: &[&str]| {
        let mut arguments = vec![
            "-V",
            "mqttv5",
            "-q",
            "1",
            "-t",
            "panel/truck-17/valves/set",
            "-m",
            payload,
        ];
        arguments.extend(["-D", "publish", "response-topic", "answers"]);
        arguments.extend(more);
        broker.publish(&arguments);
    };
    let answered = |count: usize| {
        until("an answer", || {
            let printed = answers.printed();
            (printed.len() >= count).then(|| printed[count - 1].clone())
        })
    };
    agent_says(&fleet, "operator of MQTT listens");
    publish(r#"{"device":"device-0","payload":"open"}"#, &["-r"]);
    assert_eq!(
        answered(1),
        r#"{"outcome":"refused","why":"a command must not be retained"}"#
    );
    let late = ["-D", "publish", "user-property", "deadline-unix-ms", "1000"];
    publish(r#"{"device":"device-0","payload":"open"}"#, &late);
    assert_eq!(answered(2), r#"{"outcome":"expired"}"#);
    // The device may not have been heard of yet.
    let mut asked = 2;
    loop {
        publish(r#"{"device":"device-0","payload":"shut"}"#, &[]);
        asked += 1;
        let answer = answered(asked);
        if answer == r#"{"outcome":"applied"}"# {
            break;
        }
        assert_eq!(answer, r#"{"outcome":"refused","why":"not there"}"#);
    }
    until("the device hears it", || {
        received(&devices.objects())
            .any(|fact| fact["got"] == "shut")
            .then_some(())
    });
    // While somebody else holds the lease it is refused like anyone.
    let held = runtime::run(async || {
        let lease = async {
            loop {
                let settings = longrein::demo::settings(&fleet).unwrap();
                let connection = Connection::connect(settings).await.unwrap();
                let vehicle = connection.open(&"truck-17".parse().unwrap()).await.unwrap();
                if let Ok(lease) = vehicle.take(&"valves".parse().unwrap()).await {
                    return (connection, lease);
                }
                connection.close().await;
                sleep(Duration::from_millis(200)).await;
            }
        };
        let (connection, lease) = timeout(PATIENCE, lease).await.unwrap();
        publish(r#"{"device":"device-0","payload":"open"}"#, &[]);
        let answer = answered(asked + 1);
        drop(lease);
        connection.close().await;
        answer
    })
    .unwrap();
    assert_eq!(
        held,
        r#"{"outcome":"refused","why":"held by controller/desk"}"#
    );
    assert_eq!(
        received(&devices.objects())
            .filter(|fact| fact["got"] == "open")
            .count(),
        0
    );
}

fn agent_says(fleet: &LocalFleet, part: &str) {
    until(part, || {
        let log = fleet.folder().join("truck-17.log");
        let log = std::fs::read_to_string(log).unwrap_or_default();
        log.contains(part).then_some(())
    });
}
