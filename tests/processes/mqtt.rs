//! Legacy devices behind a real Mosquitto: commanded through the agent's gate, heard by whoever watches.

use std::io::Write;
use std::time::Duration;

use longrein::{Refusal, Resolution};
use longrein_io::runtime;
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::timeout;

use super::fleet;
use super::mosquitto::{Mosquitto, received};
use super::mqtt_desk::{Desk, TTL, plan};
use super::until::{PATIENCE, until};

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

/// SAFE-4, SAFE-120, SAFE-122
#[test]
fn a_command_under_an_old_token_or_too_late_is_never_published() {
    let mut broker = Mosquitto::start();
    let devices = broker.devices("5", 1, 0, 1);
    let fleet = fleet::start(plan(&broker, "5", 1));
    runtime::run(async || {
        let mut desk = Desk::new(&fleet).await;
        desk.sees("device-0").await;
        broker.stop();
        // Both wait for the broker. One is over before it is back; of the other the token is.
        let brief = desk
            .send("device-0", "late", Duration::from_millis(100))
            .await;
        let stale = desk.send("device-0", "late", TTL).await;
        assert_eq!(brief.outcome().await, Resolution::Expired);
        let before = desk.lease.token();
        let again = desk.vehicle.take(&"valves".parse().unwrap()).await.unwrap();
        assert!(again.token() > before);
        desk.lease = again;
        broker.start_again();
        assert_eq!(
            desk.command("device-0", "shut", TTL).await,
            Resolution::Applied
        );
        assert_eq!(
            timeout(PATIENCE, stale.outcome()).await.unwrap(),
            Resolution::Refused(Refusal::OldToken)
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
