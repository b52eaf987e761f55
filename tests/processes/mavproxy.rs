//! MAVProxy, as it comes, through the tunnel.

use std::ffi::OsStr;

use longrein::local_fleet::Folder;

use super::mavlink_peer::{self, Summary, address};
use super::until::until;
use super::{fleet, tunnel};

#[test]
fn mavproxy_finds_its_vehicle_reads_its_parameters_and_stays_through_the_death_of_a_relay() {
    let folder = Folder::new().unwrap();
    let file = |name: &str| folder.path().join(name);
    let mut vehicle = mavlink_peer::start(&["vehicle"], &file("vehicle.json"));
    let behind = address(&vehicle.prints("listens on"));
    let mut fleet = fleet::start(mavlink_peer::plan(&behind));
    let (_tunnel, front) = tunnel::start(&fleet, "desk");
    fleet::controller_is_everywhere(&fleet, "desk");

    let program = mavlink_peer::environment().join("bin/mavproxy.py");
    let master = format!("--master=udpout:{front}");
    let base = format!("--state-basedir={}", folder.path().display());
    let mut arguments: Vec<&OsStr> = vec!["-u".as_ref(), program.as_ref()];
    // Without a window, and without the transfer of files, for whose answer it waits 12 s.
    let modules = "--default-modules=link,signing,param,mode";
    for option in [&master, &base, modules, "--daemon", "--non-interactive"] {
        arguments.push(option.as_ref());
    }
    let mut mavproxy = mavlink_peer::python("mavproxy.py", &arguments);
    mavproxy.prints("Detected vehicle 1:1");
    mavproxy.prints("Received 4 parameters");

    fleet.kill_relay(0);
    let heard = vehicle.printed().len();
    until("MAVProxy is heard after the relay's death", || {
        let lines = vehicle.printed();
        let received = |line: &&String| line.starts_with("received");
        (lines[heard..].iter().filter(received).count() > 0).then_some(())
    });
    drop(vehicle.stdin());
    let ended = vehicle.ended();
    assert_eq!(ended.code, Some(0), "{:?}", ended.stderr);
    let lost = mavproxy.printed();
    let lost = lost.iter().find(|line| line.contains("link 1 down"));
    assert_eq!(lost, None);

    let summary = Summary::read(&file("vehicle.json"));
    assert!(summary.count("HEARTBEAT", 255) > 1);
    assert_eq!(summary.count("BAD_DATA", 0), 0);
    // MAVProxy numbers its messages from 0 on; order is not promised.
    let mut numbers: Vec<u8> = summary.types.iter().map(|(_, _, seq)| *seq).collect();
    numbers.sort_unstable();
    let all: Vec<u8> = (0..=u8::MAX).take(numbers.len()).collect();
    assert_eq!(numbers, all, "lost or twice");
}
