//! Acknowledgements are state that every packet repeats.

use super::joined::{HERE, Joined, THERE, ms};
use crate::base::{Class, PathId};

#[test]
fn an_acknowledgement_goes_within_3_ms_on_the_path_of_the_data() {
    // [WIRE-49]
    let mut joined = Joined::new(1, &[0, 0]);
    for number in 1..=600 {
        joined.send(HERE, Class::Latest, number, ms(100));
        joined.send(THERE, Class::Latest, number, ms(100));
        joined.run(ms(20));
    }
    joined.links[1].cut[HERE] = true;
    let start = joined.now;
    joined.send(HERE, Class::Reliable, 1, ms(1_000));
    joined.run(ms(50));
    let acks: Vec<_> = joined.sent[THERE]
        .iter()
        .filter(|(at, _, packet)| *at >= start && packet.ack.cumulative == 1)
        .map(|(at, path, packet)| (at.since(start), *path, packet.chunks.len()))
        .collect();
    assert_eq!(acks, [(ms(13), PathId(0), 0)]);
    assert_eq!(joined.legs[HERE].waiting(), 0);
}

#[test]
fn every_packet_on_every_path_carries_the_state() {
    // [WIRE-40]
    let mut joined = Joined::new(2, &[0, 0]);
    for number in 1..=10 {
        joined.send(HERE, Class::Reliable, number, ms(1_000));
    }
    joined.run(ms(200));
    let from = joined.sent[THERE].len();
    joined.send(THERE, Class::Latest, 1, ms(100));
    joined.send(THERE, Class::Reliable, 1, ms(100));
    joined.run(ms(400));
    let packets = &joined.sent[THERE][from..];
    assert!(
        packets
            .iter()
            .all(|(_, _, packet)| packet.ack.cumulative == 10)
    );
    assert!(
        [0, 1]
            .iter()
            .all(|path| packets.iter().any(|p| p.1 == PathId(*path)))
    );
}

#[test]
fn a_duplicate_is_acknowledged_again() {
    // [WIRE-49]
    let mut joined = Joined::new(3, &[0]);
    joined.run(ms(1_000));
    joined.links[0].cut[THERE] = true;
    joined.send(HERE, Class::Reliable, 1, ms(5_000));
    joined.run(ms(500));
    let silent = joined.legs[THERE].counters();
    assert!(silent.duplicates >= 4 && silent.parcels_received == 1);
    assert_eq!(joined.legs[HERE].waiting(), 1);
    joined.links[0].cut[THERE] = false;
    joined.run(ms(250));
    assert_eq!(joined.legs[HERE].waiting(), 0);
}
