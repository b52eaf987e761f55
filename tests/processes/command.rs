//! `longrein command` sends what only the device understands, and says what became of each.

use std::io::Write;
use std::net::UdpSocket;
use std::time::Duration;

use longrein::local_fleet::LocalFleet;
use serde_json::Value;

use super::complaint::expect;
use super::fleet;
use super::mavlink_peer;
use super::program::{Ended, Program};
use super::tunnel;

/// A device that takes datagrams, and a fleet whose agent hands it those of its function `mavlink`, an opaque one.
fn scene() -> (UdpSocket, LocalFleet) {
    let device = UdpSocket::bind("127.0.0.1:0").unwrap();
    device.set_read_timeout(Some(PATIENCE)).unwrap();
    let behind = device.local_addr().unwrap().to_string();
    let fleet = fleet::start(mavlink_peer::plan(&behind));
    (device, fleet)
}

fn arguments(fleet: &LocalFleet, controller: &str, words: &[&str]) -> Vec<String> {
    let verb = ["command", "truck-17", "mavlink"].iter().chain(words);
    let mut arguments: Vec<String> = verb.map(ToString::to_string).collect();
    arguments.extend(fleet::connection(fleet, controller));
    arguments
}

/// Runs it with these lines on stdin.
fn command(fleet: &LocalFleet, words: &[&str], lines: &[u8]) -> (Ended, Vec<Value>) {
    let mut program = Program::start("longrein", arguments(fleet, "desk", words));
    // It may have ended, when it reads none.
    let _ = program.stdin().write_all(lines);
    let ended = program.ended();
    let printed = ended.stdout.iter().filter(|_| words.contains(&"--json"));
    let objects = printed.map(|line| serde_json::from_str(line).unwrap());
    let objects = objects.collect();
    (ended, objects)
}

fn heard(device: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 65_536];
    let length = device.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

#[test]
fn commands_reach_the_device_once_and_what_became_of_each_is_printed() {
    let (device, fleet) = scene();
    let (ended, printed) = command(&fleet, &["on", "--device", "lamp-7", "--json"], b"");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let wrapped = br#"{"device":"lamp-7","payload":"on"}"#;
    assert_eq!(heard(&device), wrapped);
    assert_eq!(printed[0]["number"], 1);
    assert_eq!(printed[0]["device"], "lamp-7");
    assert_eq!(printed[0]["bytes"], wrapped.len());
    assert_eq!(printed[0]["outcome"], "applied");
    assert_eq!(printed[0]["why"], Value::Null);
    assert_eq!(printed[1]["event"], "summary");
    assert_eq!(printed[1]["applied"], 1);

    let (ended, printed) = command(&fleet, &["00ff", "--hex", "--json"], b"");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(heard(&device), [0, 0xff]);
    assert_eq!(printed[0]["bytes"], 2);

    let own = br#"{"device":"lamp-8","payload":"off"}"#;
    let lines = [b"dim\n\n".as_slice(), own, b"\n\xff\n"].concat();
    let words = [
        "--lines",
        "--rate-hz",
        "100",
        "--device",
        "lamp-7",
        "--json",
    ];
    let (ended, printed) = command(&fleet, &words, &lines);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(heard(&device), br#"{"device":"lamp-7","payload":"dim"}"#);
    assert_eq!(heard(&device), own);
    assert_eq!(heard(&device), br#"{"device":"lamp-7","payload_hex":"ff"}"#);
    let told: Vec<_> = printed[..3]
        .iter()
        .map(|line| (line["number"].clone(), line["device"].clone()))
        .collect();
    let devices = ["lamp-7", "lamp-8", "lamp-7"];
    let expected = (1..).map(Value::from).zip(devices.map(Value::from));
    assert_eq!(told, expected.take(3).collect::<Vec<_>>());
    assert!(printed[..3].iter().all(|line| line["outcome"] == "applied"));
    assert_eq!(printed[3]["applied"], 3);

    let file = fleet.folder().join("mission");
    std::fs::write(&file, vec![7; 5_000]).unwrap();
    let (ended, _) = command(&fleet, &["--file", &file.display().to_string()], b"");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout, ["1: applied"]);
    assert_eq!(heard(&device), vec![7; 5_000]);

    let words = ["--lines", "--class", "unordered", "--json"];
    let (ended, printed) = command(&fleet, &words, b"a\nb\n");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(printed[0]["outcome"], "sent");
    assert_eq!(printed[2]["event"], "summary");
    assert_eq!(printed[2]["sent"], 2);
    let mut both = [heard(&device), heard(&device)];
    both.sort();
    assert_eq!(both, [b"a", b"b"]);
}

#[test]
fn what_is_refused_or_cannot_be_sent_has_its_exit_code() {
    let (device, fleet) = scene();
    let said = |words: &[&str], code, parts: &[&str]| {
        expect("longrein", &arguments(&fleet, "desk", words), code, parts)
    };
    said(&["0", "--hex"], 2, &["PAYLOAD has half a byte"]);
    said(&["--file", "/no/such/file"], 2, &["--file /no/such/file"]);
    let mut ghost = arguments(&fleet, "desk", &["on"]);
    ghost[1] = "ghost".to_string();
    expect("longrein", &ghost, 5, &["no relay knows a vehicle ghost"]);
    let mut arm = arguments(&fleet, "desk", &["on"]);
    arm[2] = "arm".to_string();
    expect("longrein", &arm, 2, &["no function arm", "it has mavlink"]);

    // A line that is wrong ends the input; what went before it is done.
    let (ended, printed) = command(&fleet, &["--lines", "--hex", "--json"], b"00\nxx\n01\n");
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(heard(&device), [0]);
    assert_eq!(printed.len(), 2);

    let (tunnel, _) = tunnel::start(&fleet, "alice");
    said(&["on"], 3, &["held by controller/alice"]);
    drop(tunnel);

    // Nothing takes it any more: the agent says so.
    drop(device);
    let (ended, printed) = command(&fleet, &["on", "--json", "--wait-s", "5"], b"");
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert_eq!(printed[0]["outcome"], "refused");
    assert!(printed[0]["why"].is_string());
}

/// For a datagram that was sent.
const PATIENCE: Duration = Duration::from_secs(10);
