//! A thousand devices behind one bridge.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use longrein::Resolution;
use longrein_io::runtime;
use rustix::process::Signal;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::fleet;
use super::mosquitto::{Mosquitto, received};
use super::mqtt_desk::{Desk, TTL, plan};
use super::until::{PATIENCE, until};

/// SAFE-120
#[test]
fn each_of_a_thousand_devices_is_seen_heard_and_commanded_and_seen_to_go() {
    let broker = Mosquitto::start();
    let mut devices = broker.devices("5", DEVICES, 500, 1);
    let mut begin = devices.stdin();
    let fleet = fleet::start(plan(&broker, "5", 1));
    let names: BTreeSet<String> = (0..DEVICES).map(|n| format!("device-{n}")).collect();
    runtime::run(async || {
        let mut desk = Desk::new(&fleet).await;
        for name in &names {
            desk.sees(name).await;
        }
        writeln!(begin).unwrap();
        for name in &names {
            let topic = format!("devices/{name}/state");
            desk.hears(&topic, |line| line["topic"] == *topic).await;
        }
        let mut waiting = JoinSet::new();
        for name in &names {
            let receipt = desk.send(name, &format!("for {name}"), TTL).await;
            waiting.spawn_local(async move { receipt.outcome().await });
            if waiting.len() >= WAITING_MAX {
                settle_one(&mut waiting).await;
            }
        }
        while !waiting.is_empty() {
            settle_one(&mut waiting).await;
        }
        let counts = until("the devices hear it", || {
            let facts = devices.objects();
            let mut counts = BTreeMap::new();
            for fact in received(&facts) {
                let (device, got) = (fact["device"].as_str(), fact["got"].as_str());
                let name = device.unwrap().to_string();
                assert_eq!(got, Some(format!("for {name}").as_str()));
                *counts.entry(name).or_insert(0) += 1;
            }
            (counts.len() == names.len()).then_some(counts)
        });
        assert!(counts.values().all(|count| *count == 1), "{counts:?}");
        devices.signal(Signal::KILL);
        for name in &names {
            let gone =
                |line: &serde_json::Value| line["device"] == *name && line["online"] == false;
            desk.hears(&format!("{name} goes"), gone).await;
        }
        desk.connection.close().await;
    })
    .unwrap();
}

async fn settle_one(waiting: &mut JoinSet<Resolution>) {
    let outcome = timeout(PATIENCE, waiting.join_next()).await.unwrap();
    assert_eq!(outcome.unwrap().unwrap(), Resolution::Applied);
}

/// Commands on their way at once.
const WAITING_MAX: usize = 32;
const DEVICES: u32 = 1_000;
