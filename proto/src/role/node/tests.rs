use std::collections::BTreeSet;

use super::*;
use crate::base::limits::HELLO_INTERVAL;

struct Counting(u8);

impl Entropy for Counting {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
    }
}

fn at(ms: u64) -> MonoTime {
    MonoTime::from_us(ms * 1_000)
}

const NO_CLOCK: UnixTime = UnixTime::since_unix_epoch(Duration::ZERO);

fn unix(s: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(s))
}

fn peer(name: &str) -> Peer {
    Peer {
        node: name.parse().unwrap(),
        groups: Vec::new(),
        not_before: unix(4_000_000_000),
        not_after: unix(4_000_000_000),
        fingerprint: [0; 32],
    }
}

fn node_with_paths(paths: &[u32]) -> Node {
    let mut node = Node::new(&mut Counting(0));
    for path in paths {
        let link = "lte".parse().unwrap();
        node.on_path_up(at(0), PathId(*path), link, peer("relay/a"));
    }
    node
}

/// The paths on which hellos went out.
fn hellos(node: &mut Node) -> Vec<u32> {
    let sent = std::iter::from_fn(|| node.poll_transmit());
    sent.filter(|transmit| {
        let packet = Packet::decode(&transmit.bytes).unwrap();
        matches!(packet.chunks.first(), Some(Chunk::Hello { .. }))
    })
    .map(|transmit| transmit.path.0)
    .collect()
}

fn welcome(node_incarnation: u64, leg_incarnation: u64) -> Vec<u8> {
    greeting(
        at(0),
        Chunk::Welcome {
            version: VERSION,
            node_incarnation,
            leg_incarnation,
            features: 0,
        },
    )
}

fn legs_up(node: &mut Node) -> usize {
    let facts = std::iter::from_fn(|| node.poll_fact());
    facts
        .filter(|fact| matches!(fact, Fact::LegUp { .. }))
        .count()
}

#[test]
fn a_relay_that_is_no_longer_used_gives_way_to_a_new_one_and_one_that_is_does_not() {
    let mut node = Node::new(&mut Counting(0));
    let link: Name = "lte".parse().unwrap();
    let relays = u32::try_from(RELAYS_MAX).unwrap();
    for number in 1..=relays + 1 {
        let relay = peer(&format!("relay/r{number}"));
        node.on_path_up(at(0), PathId(number), link.clone(), relay);
    }
    assert_eq!(node.counters().refused_paths, 1);
    node.on_path_down(at(1), PathId(3));
    node.on_path_up(at(2), PathId(100), link, peer("relay/new"));
    assert_eq!(node.counters().refused_paths, 1);
    let names: Vec<String> = node
        .paths()
        .iter()
        .map(|view| view.relay.to_string())
        .collect();
    assert!(names.contains(&"relay/new".to_string()), "{names:?}");
    assert_eq!(names.len(), RELAYS_MAX);
}

// [WIRE-110]
#[test]
fn a_path_is_greeted_until_its_welcome_and_carries_nothing_else_before() {
    let mut node = node_with_paths(&[1]);
    assert_eq!(hellos(&mut node), [1]);
    assert_eq!(node.next_timeout(), Some(at(0) + HELLO_INTERVAL));
    node.on_timeout(at(50), NO_CLOCK);
    assert_eq!(hellos(&mut node), [1]);

    // Neither a welcome to another run of the program nor anything else ends that.
    let strange = welcome(node.incarnation + 1, 5);
    let other = greeting(at(60), Chunk::Floor { id: 3 });
    for bytes in [strange, other] {
        node.on_packet(at(60), PathId(1), &bytes);
    }
    node.on_packet(at(60), PathId(1), &[0xff]);
    node.on_packet(at(60), PathId(2), &welcome(node.incarnation, 5));
    let counters = node.counters();
    assert_eq!(counters.unexpected_packets, 3);
    assert_eq!(counters.malformed_packets, 1);
    assert_eq!(legs_up(&mut node), 0);
    let parcel = Parcel::Notice(Notice::Draining).encode();
    node.send_everywhere(at(70), &parcel, at(70), at(9_000));
    assert_eq!(hellos(&mut node), []);

    node.on_packet(at(80), PathId(1), &welcome(node.incarnation, 5));
    assert_eq!(legs_up(&mut node), 1);
    node.on_timeout(at(200), NO_CLOCK);
    assert_eq!(hellos(&mut node), []);
}

// [WIRE-111]
#[test]
fn a_relay_that_has_forgotten_the_node_is_greeted_on_all_paths_again() {
    let mut node = node_with_paths(&[1, 2]);
    for path in [1, 2] {
        node.on_packet(at(10), PathId(path), &welcome(node.incarnation, 5));
    }
    assert_eq!(legs_up(&mut node), 1);
    hellos(&mut node);

    // A new path reaches the relay's new run.
    node.on_path_up(at(20), PathId(3), "wifi".parse().unwrap(), peer("relay/a"));
    assert_eq!(hellos(&mut node), [3]);
    node.on_packet(at(30), PathId(3), &welcome(node.incarnation, 6));
    assert_eq!(legs_up(&mut node), 1);
    assert_eq!(hellos(&mut node), [1, 2]);
}

#[test]
fn only_relays_are_taken_and_not_more_than_the_bound() {
    let mut node = node_with_paths(&[]);
    let link: Name = "lte".parse().unwrap();
    for (path, name) in (0..).zip(["controller/anna", "agent/truck-17"]) {
        node.on_path_up(at(0), PathId(path), link.clone(), peer(name));
    }
    for number in 0..=u32::try_from(RELAYS_MAX).unwrap() {
        let relay = peer(&format!("relay/{number}"));
        node.on_path_up(at(0), PathId(10 + number), link.clone(), relay);
    }
    assert_eq!(node.counters().refused_paths, 3);
    assert_eq!(hellos(&mut node).len(), RELAYS_MAX);
}

/// What the program is to do, as (path, wanted).
fn redials(node: &mut Node) -> Vec<(u32, bool)> {
    std::iter::from_fn(|| node.poll_redial())
        .map(|redial| (redial.path.0, redial.wanted))
        .collect()
}

/// Lets the node's timers ring until then; when the first redial was wanted.
fn run_until(node: &mut Node, until: MonoTime) -> Option<(MonoTime, Vec<(u32, bool)>)> {
    while let Some(due) = node.next_timeout().filter(|due| *due <= until) {
        node.on_timeout(due, NO_CLOCK);
        let redials = redials(node);
        if !redials.is_empty() {
            return Some((due, redials));
        }
    }
    None
}

// [WIRE-131]
#[test]
fn a_silent_path_is_dialled_anew_once_and_no_longer_when_it_speaks() {
    let mut node = node_with_paths(&[1]);
    node.on_packet(at(10), PathId(1), &welcome(node.incarnation, 5));
    let empty = |sequence| {
        let packet = Packet {
            path_sequence: sequence,
            tx_time_us: 0,
            report: None,
            ack: AckState::default(),
            chunks: Vec::new(),
        };
        packet.encode()
    };
    node.on_packet(at(20), PathId(1), &empty(1));

    let (when, wanted) = run_until(&mut node, at(60_000)).unwrap();
    assert_eq!(wanted, [(1, true)]);
    assert!((at(3_020)..at(3_220)).contains(&when), "{when:?}");
    assert_eq!(run_until(&mut node, at(60_000)), None);

    node.on_packet(at(60_000), PathId(1), &empty(2));
    assert_eq!(redials(&mut node), [(1, false)]);
    let (when, wanted) = run_until(&mut node, at(90_000)).unwrap();
    assert_eq!(wanted, [(1, true)]);
    assert!(when < at(63_300), "{when:?}");

    // What is gone needs no more said of it.
    node.on_packet(when, PathId(1), &empty(3));
    node.on_path_down(when, PathId(1));
    assert_eq!(redials(&mut node), []);
}

// [WIRE-131]
#[test]
fn a_path_that_is_not_welcomed_is_dialled_anew() {
    let mut node = node_with_paths(&[1]);
    assert_eq!(
        run_until(&mut node, at(60_000)),
        Some((at(10_000), vec![(1, true)]))
    );
    node.on_packet(at(60_000), PathId(1), &welcome(node.incarnation, 5));
    assert_eq!(redials(&mut node), [(1, false)]);
}

// [WIRE-160] [WIRE-163]
#[test]
fn a_relay_whose_certificate_has_ended_is_heard_no_more_and_dialled_anew() {
    let mut node = node_with_paths(&[1, 2]);
    for path in [1, 2] {
        node.on_packet(at(10), PathId(path), &welcome(node.incarnation, 5));
    }
    // A thousand seconds are left.
    node.on_timeout(at(20), unix(3_999_999_000));
    assert_eq!(redials(&mut node), []);
    // Before they are over, it may have a newer one.
    node.on_timeout(at(800_000), unix(3_999_999_800));
    let wanted: BTreeSet<_> = redials(&mut node).into_iter().collect();
    assert_eq!(wanted, [(1, true), (2, true)].into());
    node.on_timeout(at(1_000_000), unix(4_000_000_000));
    assert_eq!(redials(&mut node), []);
    assert_eq!(node.paths().len(), 2);
    // Path 2 is dialled anew by then.
    let mut newer = peer("relay/a");
    newer.not_after = unix(5_000_000_000);
    node.on_path_up(at(1_000_100), PathId(3), "lte".parse().unwrap(), newer);
    node.on_path_down(at(1_000_200), PathId(2));
    node.on_timeout(at(1_001_100), unix(4_000_000_001));
    assert_eq!(redials(&mut node), [(1, true)]);
    assert_eq!(node.paths().len(), 1);
}

// [WIRE-163]
#[test]
fn with_a_newer_certificate_all_paths_are_dialled_anew_also_those_that_work_again() {
    let mut node = node_with_paths(&[1]);
    assert_eq!(
        run_until(&mut node, at(60_000)),
        Some((at(10_000), vec![(1, true)]))
    );
    node.redial_all();
    assert_eq!(redials(&mut node), [(1, true)]);
    node.on_packet(at(60_000), PathId(1), &welcome(node.incarnation, 5));
    assert_eq!(redials(&mut node), []);
}
