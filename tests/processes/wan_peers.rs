//! Programs that know nothing of it, across the emulated wide-area network.

use std::net::UdpSocket;
use std::process::Command;
use std::thread::scope;
use std::time::{Duration, Instant};

use longrein::local_fleet::Folder;
use longrein_tests::wan::{Interface, Loss, NodePlan, Profile, Wan};

use super::network::network;
use super::program::Program;
use super::until::PATIENCE;

#[test]
fn a_web_server_and_its_client_see_a_slow_and_lossy_network_and_no_other() {
    let lossy = Profile::delayed(TEN_MS).with_loss(Loss::random(0.05));
    let Some(wan) = network(&nodes(lossy)) else {
        return;
    };
    let folder = Folder::new().unwrap();
    let lines: Vec<String> = (0..10_000).map(|n| format!("line {n:>16}")).collect();
    std::fs::write(folder.path().join("lines"), lines.join("\n") + "\n").unwrap();
    let (near, far) = (wan.node("near"), wan.node("far"));
    let address = far.address("wan").to_string();

    let mut serve = Command::new("python3");
    serve.args(["-u", "-m", "http.server", "8080", "--bind", &address]);
    serve.arg("--directory").arg(folder.path());
    let mut server = far.enter(|| Program::run("server", serve));
    server.prints("Serving HTTP");
    let mut fetch = Command::new("python3");
    fetch.args(["-c", FETCH, &format!("http://{address}:8080/lines")]);
    let ended = near.enter(|| Program::run("client", fetch)).ended();

    assert_eq!(ended.code, Some(0), "{:?}", ended.stderr);
    assert!(ended.stdout == lines, "the file is another");
    let (up, down) = wan.counters("near", "cable");
    assert!(down.passed_bytes > 210_000, "{down:?}");
    assert!(up.lost + down.lost > 0, "{up:?} {down:?}");
    // Who is elsewhere does not see the server.
    let mut fetch = Command::new("python3");
    fetch.args(["-c", FETCH, "http://127.0.0.1:8080/lines"]);
    let ended = near.enter(|| Program::run("client", fetch)).ended();
    assert_eq!(ended.code, Some(1));
}

#[test]
fn datagrams_leave_by_the_interface_that_their_socket_is_bound_to_and_none_comes_early() {
    let Some(wan) = network(&nodes(Profile::delayed(TEN_MS))) else {
        return;
    };
    for (interface, other) in [("cable", "radio"), ("radio", "cable")] {
        let before = wan.counters("near", other);
        for shortest in ping(&wan, interface) {
            assert!(shortest >= 2 * TEN_MS, "{shortest:?}");
        }
        let (up, down) = wan.counters("near", interface);
        assert_eq!((up.passed, down.passed), (PINGS.into(), PINGS.into()));
        assert_eq!(wan.counters("near", other), before);
    }
    assert_eq!(wan.strays(), 0);
    assert_eq!(wan.lateness().count(), 4 * u64::from(PINGS));
}

#[test]
fn an_interface_that_is_off_passes_nothing_and_the_other_one_everything() {
    let Some(wan) = network(&nodes(Profile::CLEAR)) else {
        return;
    };
    wan.switch("near", "cable", false);
    let node = wan.node("near");
    let socket = node.enter(|| UdpSocket::bind((node.address("cable"), 0)).unwrap());
    for _ in 0..PINGS {
        socket
            .send_to(b"nobody", (wan.node("far").address("wan"), 9))
            .unwrap();
    }
    assert_eq!(ping(&wan, "radio").len(), usize::from(PINGS));
    wan.switch("near", "cable", true);
    assert_eq!(ping(&wan, "cable").len(), usize::from(PINGS));
    let (up, down) = wan.counters("near", "cable");
    assert_eq!(
        (up.cut, up.passed, down.cut),
        (PINGS.into(), PINGS.into(), 0)
    );
}

/// Sends datagrams from an interface of the near node, which come back in order; their round trips.
fn ping(wan: &Wan, interface: &str) -> Vec<Duration> {
    let (near, far) = (wan.node("near"), wan.node("far"));
    let open = |address| {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    let there = far.enter(|| open(far.address("wan")));
    let here = near.enter(|| open(near.address(interface)));
    let to = there.local_addr().unwrap();
    scope(|scope| {
        scope.spawn(|| {
            let mut packet = [0; 8];
            for _ in 0..PINGS {
                let (bytes, back) = there.recv_from(&mut packet).unwrap();
                assert_eq!(back.ip(), near.address(interface));
                there.send_to(&packet[..bytes], back).unwrap();
            }
        });
        let sent: Vec<Instant> = (0..PINGS)
            .map(|n| {
                let now = Instant::now();
                here.send_to(&n.to_be_bytes(), to).unwrap();
                now
            })
            .collect();
        let answered = (0..PINGS).zip(sent).map(|(n, sent)| {
            let mut packet = [0; 8];
            assert_eq!(here.recv(&mut packet).unwrap(), 1);
            assert_eq!(packet[0], n);
            sent.elapsed()
        });
        answered.collect()
    })
}

/// One with two interfaces that fare like this both ways, and one that they lead to.
fn nodes(profile: Profile) -> [NodePlan; 2] {
    let interfaces = ["cable", "radio"].map(|name| Interface::new(name, profile));
    [
        NodePlan::new("near", interfaces.to_vec()),
        NodePlan::new("far", vec![Interface::new("wan", Profile::CLEAR)]),
    ]
}

const TEN_MS: Duration = Duration::from_millis(10);
const PINGS: u8 = 100;
/// Without a proxy that the environment may name.
const FETCH: &str = "import sys, urllib.request as r; sys.stdout.buffer.write(r.build_opener(r.ProxyHandler({})).open(sys.argv[1]).read())";
