//! Drives over two poor links.

use std::net::UdpSocket;
use std::time::Duration;

use longrein::demo::AppliedLines;
use longrein::local_fleet::Plan;
use longrein::{Body, Connection, Drive, Resolution, Settings, Vehicle};
use longrein_tests::wan::{
    CONTROLLER, Counters, Interface, Loss, Profile, VEHICLE, Wan, WanFleet, fleet_nodes,
};
use tokio::time::{MissedTickBehavior, interval};

use super::fleet::plan;
use super::network::network;

#[test]
fn a_drive_at_a_fifth_of_loss_keeps_the_classes_promises_when_a_link_goes_off() {
    // Four copies and later two, of each of which a fifth is lost.
    let Some(counters) = keeps_its_promises(0.2, Some("lte")) else {
        return;
    };
    assert!(counters[0].1.cut > 0, "the relays noticed by silence only");
}

/// `./dev cross` runs this with agents of other processors.
#[test]
fn a_drive_over_links_that_lose_half_keeps_the_classes_promises() {
    keeps_its_promises(0.5, None);
}

/// Drives at this loss; halfway one of the links may go off. What the links carried, up and down.
fn keeps_its_promises(
    loss: f64,
    goes_off: Option<&'static str>,
) -> Option<[(Counters, Counters); 2]> {
    let ms = Duration::from_millis;
    let loss = Loss::random(loss);
    let lte = Profile::delayed(ms(30)).with_jitter(ms(10), true);
    let nodes = fleet_nodes(
        vec![
            Interface::new("lte", lte.with_loss(loss)),
            Interface::new("wifi", Profile::delayed(ms(10)).with_loss(loss)),
        ],
        &[("relay-a", Profile::CLEAR), ("relay-b", Profile::CLEAR)],
        vec![Interface::new("office", Profile::delayed(ms(5)))],
    );
    let wan = network(&nodes)?;
    // The device at the end of the reliable commands.
    let device = wan
        .node(VEHICLE)
        .enter(|| UdpSocket::bind("127.0.0.1:0").unwrap());
    device.set_nonblocking(true).unwrap();
    let mut fleet = WanFleet::start(wan, with_gears(plan(), &device)).unwrap();
    let settings = fleet.settings("desk").unwrap();
    let (wan, controller) = (fleet.wan(), fleet.wan().node(CONTROLLER));
    let receipts = controller.enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(drive(wan, settings, goes_off))
    });
    let counters = ["lte", "wifi"].map(|link| wan.counters(VEHICLE, link));
    eprintln!("{counters:?}");
    assert_eq!(wan.strays(), 0);
    fleet.stop().unwrap();

    assert_eq!(receipts, vec![Resolution::Applied; GEARS.into()]);
    assert_eq!(received(&device), (0..GEARS).collect::<Vec<_>>());
    let lines = AppliedLines::read(&fleet.applied_log()).unwrap();
    let driven: Vec<_> = lines
        .commands
        .iter()
        .filter(|command| command.channel == 1)
        .collect();
    assert!(
        driven.is_sorted_by(|a, b| a.number < b.number),
        "in order, once"
    );
    for command in &driven {
        let sent_us = command.sent_there_us.unwrap();
        assert!(command.applied_at_us - sent_us < TTL_US, "{command:?}");
    }
    let lost = DRIVES - driven.len();
    eprintln!("{lost} of {DRIVES} drive commands superseded, late or lost");
    assert!(lost < DRIVES / 5, "{lost} of {DRIVES} lost");
    for (up, down) in counters {
        for way in [up, down] {
            assert!(way.lost > 0, "{way:?}");
            assert!(way.offered < PACKETS_MAX, "{way:?}");
        }
    }
    Some(counters)
}

/// Drives, sends a gear now and then, and may switch a link off in the middle; what became of the gears.
async fn drive(wan: &Wan, settings: Settings, goes_off: Option<&str>) -> Vec<Resolution> {
    let connection = Connection::connect(settings).await.unwrap();
    let vehicle = connection.open(&"truck-17".parse().unwrap()).await.unwrap();
    let wheel = take(&vehicle, "drive").await;
    let gears = take(&vehicle, "gears").await;
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut receipts = Vec::new();
    for tick in 0..DRIVES {
        ticks.tick().await;
        if let (true, Some(link)) = (tick == DRIVES / 2, goes_off) {
            wan.switch(VEHICLE, link, false);
        }
        if tick % DRIVES_PER_GEAR == 0 {
            let gear = Body::Opaque(vec![u8::try_from(receipts.len()).unwrap()]);
            receipts.push(gears.send_reliable(gear, GEAR_TTL).await.unwrap());
        }
        // Every copy of one command may get lost, also of the one that enables motion.
        let enabling = tick < ENABLING;
        let drive = Drive {
            speed_mm_s: if enabling { 0 } else { 1_000 },
            curvature_per_km: 0,
        };
        wheel.drive(drive, true, enabling).await.unwrap();
    }
    let mut outcomes = Vec::new();
    for receipt in receipts {
        outcomes.push(receipt.outcome().await);
    }
    gears.release().await.unwrap();
    wheel.release().await.unwrap();
    connection.close().await;
    outcomes
}

async fn take(vehicle: &Vehicle, function: &str) -> longrein::Lease {
    vehicle.take(&function.parse().unwrap()).await.unwrap()
}

/// A function besides, for whose device the socket stands.
fn with_gears(mut plan: Plan, device: &UdpSocket) -> Plan {
    plan.functions += &format!(
        "[[function]]\nname = \"gears\"\nkind = \"opaque\"\nwatchdog = false\n\
         adapter = {{ kind = \"udp\", send_to = \"{}\" }}\n",
        device.local_addr().unwrap()
    );
    plan
}

/// What the device got, all of which was applied.
fn received(device: &UdpSocket) -> Vec<u8> {
    let mut packet = [0; 16];
    std::iter::from_fn(|| device.recv(&mut packet).ok().map(|_| packet[0])).collect()
}

/// 50 a second, for 6 s.
const DRIVES: usize = 300;
/// Of these, those that ask for motion.
const ENABLING: usize = 10;
const DRIVES_PER_GEAR: usize = 10;
const GEARS: u8 = 30;
const GEAR_TTL: Duration = Duration::from_secs(20);
/// Time to live of a drive command.
const TTL_US: u64 = 200_000;
/// Of one link and direction: under eight times what 9 s without loss take.
const PACKETS_MAX: u64 = 6_000;
