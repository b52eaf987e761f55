//! Real agents with metered links, and with links that share an address.

use std::path::Path;
use std::time::Duration;

use longrein::{Connection, Drive};
use longrein_io::clock;
use longrein_tests::wan::{CONTROLLER, Interface, Profile, VEHICLE, WanFleet, fleet_nodes};
use serde_json::Value;

use super::fleet::{self, plan};
use super::network::network;
use super::pilot::Pilot;
use super::until::{PATIENCE, until};

/// [SAFE-110] [SAFE-112]
#[test]
fn an_agent_whose_links_are_spent_is_driven_and_tells_nothing_also_after_a_restart() {
    let mut plan = fleet::plan();
    plan.link_keys = "daily_mb = 2".to_string();
    let mut fleet = fleet::start(plan);
    let state = fleet.folder().join("state");
    fleet.stop_agent().unwrap();
    for link in ["lte", "wifi"] {
        let meter = meter(&state, link);
        assert!(used(&meter) > 500, "{meter}");
        assert_eq!(meter["is_final"], true);
    }
    let day = clock::unix_time().as_secs() / 86_400;
    let spent =
        |link| format!(r#"{{"link":"{link}","day":{day},"used_bytes":3000000,"is_final":true}}"#);
    let text = format!("[{},{}]", spent("lte"), spent("wifi"));
    std::fs::write(state.join("meters.json"), text).unwrap();

    fleet.start_agent().unwrap();
    let driver = Pilot::start(&fleet, "desk");
    driver.insist(1_000);
    let applied = fleet::applied(&fleet);
    until("commands are applied", || {
        (applied.read().commands.len() > 100).then_some(())
    });
    fleet.kill_agent();
    let killed_us = clock::now().as_us();
    let log = std::fs::read_to_string(fleet.folder().join("truck-17.log")).unwrap();
    for link in ["lte", "wifi"] {
        let said =
            |line: &&str| line.contains("link has used its daily budget") && line.contains(link);
        assert_eq!(log.lines().filter(said).count(), 1, "{log}");
        // Killed: what may be missing is added at the next start.
        let meter = meter(&state, link);
        assert_eq!(meter["is_final"], false);
        assert!(used(&meter) >= 3_000_000);
    }

    fleet.start_agent().unwrap();
    until("commands are applied again", || {
        (applied.read().since(killed_us).len() > 50).then_some(())
    });
    fleet.stop_agent().unwrap();
    driver.kill();
    let counters = std::fs::read_to_string(fleet.folder().join("truck-17.log")).unwrap();
    let withheld = counters.rsplit_once("telemetry_withheld=").unwrap().1;
    let withheld = withheld.split_whitespace().next().unwrap();
    assert!(withheld.parse::<u64>().unwrap() > 10, "{counters}");
    for link in ["lte", "wifi"] {
        assert!(used(&meter(&state, link)) > 3_000_000 + 2_000_000 / 256);
    }
}

/// [SAFE-110] [WIRE-169]
#[test]
fn what_an_agent_counts_is_what_its_network_carried_and_links_behind_one_address_are_told() {
    let interface = |name, ms| Interface::new(name, Profile::delayed(Duration::from_millis(ms)));
    let nodes = fleet_nodes(
        vec![interface("lte", 20), interface("wifi", 5)],
        &[("relay-a", Profile::CLEAR), ("relay-b", Profile::CLEAR)],
        vec![interface("office", 5)],
    );
    let Some(wan) = network(&nodes) else { return };
    let mut plan = plan();
    plan.link_keys = "daily_mb = 500".to_string();
    plan.functions += "[[link]]\nname = \"twin\"\ninterface = \"lte\"\ndaily_mb = 500\n";
    let mut fleet = WanFleet::start(wan, plan).unwrap();
    let said = "two links leave through the same public address";
    assert!(fleet.agent_mut().wait_for(said, PATIENCE));
    let settings = fleet.settings("desk").unwrap();
    fleet.wan().node(CONTROLLER).enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let connection = Connection::connect(settings).await.unwrap();
            let vehicle = connection.open(&"truck-17".parse().unwrap()).await.unwrap();
            let wheel = vehicle.take(&"drive".parse().unwrap()).await.unwrap();
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            for tick in 0..DRIVES {
                ticks.tick().await;
                let drive = Drive {
                    speed_mm_s: if tick < 10 { 0 } else { 1_000 },
                    curvature_per_km: 0,
                };
                wheel.drive(drive, true, tick < 10).await.unwrap();
            }
            wheel.release().await.unwrap();
            connection.close().await;
        });
    });
    fleet.agent_mut().terminate().unwrap();
    let log = fleet.agent().log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains(said)).collect();
    assert_eq!(told.len(), 1, "once, and not of Wi-Fi: {log}");
    assert!(
        told[0].contains("link=lte") && told[0].contains("other=twin"),
        "{}",
        told[0]
    );

    let carried = |interface| {
        let (up, down) = fleet.wan().counters(VEHICLE, interface);
        up.offered_bytes + down.passed_bytes
    };
    let counted = |link| used(&meter(&fleet.state_directory(), link));
    for (links, interface) in [(&["wifi"][..], "wifi"), (&["lte", "twin"][..], "lte")] {
        let counted: u64 = links.iter().map(|link| counted(link)).sum();
        let carried = carried(interface);
        eprintln!("{interface}: {counted} bytes counted, {carried} carried");
        // After the sockets are closed relays still send for a moment, and the kernel says that nobody is there.
        assert!(
            counted > 50_000 && counted <= carried,
            "{counted} of {carried}"
        );
        assert!(counted * 100 >= carried * 97, "{counted} of {carried}");
    }
}

/// A link's line of the file in the state directory.
fn meter(state: &Path, link: &str) -> Value {
    let text = std::fs::read_to_string(state.join("meters.json")).unwrap();
    let meters: Vec<Value> = serde_json::from_str(&text).unwrap();
    let found = meters.into_iter().find(|meter| meter["link"] == link);
    found.unwrap_or_else(|| panic!("no {link}: {text}"))
}

fn used(meter: &Value) -> u64 {
    meter["used_bytes"].as_u64().unwrap()
}

/// Commands, 50 a second.
const DRIVES: u32 = 250;
