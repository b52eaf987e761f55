//! Heartbeats and health.

use std::collections::BTreeSet;

use super::joined::{HERE, Joined, THERE, ms};
use crate::base::PathId;
use crate::path::Health;
use crate::wire::Packet;

#[test]
fn heartbeats_keep_idle_paths_live() {
    // [WIRE-50] [WIRE-51]
    let mut joined = Joined::new(1, &[0, 0]);
    joined.run(ms(60_000));
    for end in [HERE, THERE] {
        let changes: Vec<_> = std::iter::from_fn(|| joined.legs[end].poll_change()).collect();
        assert_eq!(changes.len(), 2);
        assert!(changes.iter().all(|change| change.health == Health::Live));
        for path in joined.legs[end].paths() {
            assert_eq!(path.health, Health::Live);
            assert_eq!(path.sent_packets, path.received_packets);
            // A minute of one every 350 to 400 ms.
            assert!((150..=172).contains(&path.sent_packets));
            assert_eq!(path.rtt_min, Some(ms(20)));
        }
    }
    let numbers = joined.sent[HERE].iter().filter(|sent| sent.1 == PathId(0));
    let numbers: Vec<u32> = numbers.map(|sent| sent.2.path_sequence).collect();
    assert!(numbers.iter().copied().eq(2..=numbers.len() as u32 + 1));
    let has_report = |sent: &&(_, _, Packet)| sent.2.report.is_some();
    let reports = joined.sent[HERE].iter().filter(has_report).count();
    assert_eq!(reports, joined.sent[HERE].len());
}

#[test]
fn heartbeats_go_on_while_a_path_is_down_and_revive_it() {
    // [WIRE-50]
    let mut joined = Joined::new(2, &[0, 0]);
    joined.run(ms(1_000));
    joined.links[1].cut = [true; 2];
    let mut seen = BTreeSet::new();
    for _ in 0..100 {
        joined.run(ms(100));
        let changes = std::iter::from_fn(|| joined.legs[HERE].poll_change());
        seen.extend(changes.map(|change| (change.path, change.health)));
    }
    let path = PathId(1);
    assert!(seen.contains(&(path, Health::Suspect)) && seen.contains(&(path, Health::Down)));
    joined.links[1].cut = [false; 2];
    joined.run(ms(250));
    assert_eq!(
        joined.legs[HERE].poll_change().unwrap().health,
        Health::Live
    );
}

#[test]
fn a_heavily_lossy_path_stays_usable() {
    let mut joined = Joined::new(3, &[80]);
    let mut down_steps = 0;
    for _ in 0..6_000 {
        joined.run(ms(100));
        down_steps += usize::from(joined.legs[HERE].paths()[0].health == Health::Down);
    }
    assert!(down_steps < 600, "{down_steps}");
    let loss = joined.legs[HERE].paths()[0].loss;
    assert!((loss - 0.8).abs() < 0.15, "{loss}");
}
