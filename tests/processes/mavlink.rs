//! A MAVLink ground station drives an autopilot through the tunnel.

use std::collections::BTreeMap;

use longrein::local_fleet::Folder;
use rustix::process::Signal;

use super::mavlink_peer::{self, Summary, address};
use super::{fleet, tunnel};

#[test]
fn every_message_arrives_once_and_unchanged_through_the_death_of_a_relay_and_the_cut_of_a_link() {
    let folder = Folder::new().unwrap();
    let file = |name: &str| folder.path().join(name);
    let mut autopilot = mavlink_peer::start(&["autopilot"], &file("autopilot.json"));
    let behind = address(&autopilot.prints("listens on"));
    let mut fleet = fleet::start(mavlink_peer::plan(&behind));
    let (tunnel, front) = tunnel::start(&fleet, "desk");
    fleet::controller_is_everywhere(&fleet, "desk");
    let mut ground = mavlink_peer::start(&["ground", &front], &file("ground.json"));

    ground.prints("sent 130");
    fleet.kill_relay(0);
    ground.prints("sent 260");
    fleet.cut_link(0, true);

    let ended = ground.ended();
    assert_eq!(ended.code, Some(0), "{:?}", ended.stderr);
    let ended = autopilot.ended();
    assert_eq!(ended.code, Some(0), "{:?}", ended.stderr);
    let (ground, autopilot) = (
        Summary::read(&file("ground.json")),
        Summary::read(&file("autopilot.json")),
    );
    assert_eq!((ground.sent.len(), autopilot.sent.len()), (408, 408));
    arrived("to the autopilot", &ground.sent, &autopilot.received);
    arrived("to the ground", &autopilot.sent, &ground.received);
    assert_eq!(autopilot.count("MANUAL_CONTROL", 255), 400);
    assert_eq!(autopilot.count("HEARTBEAT", 255), 8);
    assert_eq!(ground.count("ATTITUDE", 1), 400);
    assert_eq!(ground.count("HEARTBEAT", 1), 8);

    tunnel.signal(Signal::INT);
    let ended = tunnel.ended();
    assert_eq!(ended.code, Some(0), "{:?}", ended.stderr);
}

/// Order is not promised, and nothing else may differ.
fn arrived(way: &str, sent: &[String], received: &[String]) {
    let mut balance: BTreeMap<&str, i32> = BTreeMap::new();
    for message in sent {
        *balance.entry(message).or_default() -= 1;
    }
    for message in received {
        *balance.entry(message).or_default() += 1;
    }
    balance.retain(|_, count| *count != 0);
    assert!(
        balance.is_empty(),
        "{way}, {} of {} messages: lost (-) or twice (+): {balance:?}",
        received.len(),
        sent.len()
    );
}
