//! A broker that goes and comes while devices are commanded and heard.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use longrein::{Body, Resolution};
use longrein_io::runtime;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::fleet;
use super::mosquitto::{Mosquitto, received};
use super::mqtt_desk::{Desk, TTL, plan};
use super::rounds::rounds_or;
use super::until::{PATIENCE, until};

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
