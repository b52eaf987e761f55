//! `latest` parcels: the newest wins.

use std::sync::Arc;

use super::joined::{HERE, Joined, THERE, ms, sealed, sealed_of};
use crate::base::{Class, MonoTime, PathId, SessionId};
use crate::leg::{Leg, Origin};
use crate::wire::{AckState, Chunk, Notice, Packet, Parcel, Trail};

#[test]
fn what_is_latest_never_goes_backwards_on_unequal_paths() {
    // [WIRE-45]
    for (seed, loss) in [(1, 0), (2, 20), (3, 50)] {
        let mut joined = Joined::new(seed, &[loss, loss]);
        joined.links[1].delay = ms(95);
        for number in 1..=500 {
            joined.send(HERE, Class::Latest, number, ms(200));
            joined.run(ms(20));
        }
        let numbers = joined.numbers(THERE, Class::Latest);
        assert!(numbers.is_sorted_by(|a, b| a < b), "loss {loss}");
        assert!(numbers.len() as u64 > 450 - 4 * loss, "{}", numbers.len());
        assert!(joined.legs[THERE].counters().superseded > 100);
    }
}

#[test]
fn without_a_path_only_the_newest_of_each_flow_waits_until_its_deadline() {
    // [WIRE-53]
    let at = |ms: u64| MonoTime::from_us(ms * 1_000);
    let mut leg = Leg::new(at(0));
    let send = |leg: &mut Leg, session, number| {
        let parcel = sealed_of(SessionId(session), Class::Latest, number, 50);
        leg.send(at(1), parcel, at(200), Origin::here(at(1)))
            .unwrap();
    };
    for number in [1, 2, 4, 3] {
        send(&mut leg, 1, number);
    }
    send(&mut leg, 2, 1);
    assert_eq!((leg.waiting(), leg.counters().superseded), (2, 3));
    assert_eq!(leg.next_timeout(), Some(at(200)));
    let mut late = leg.clone();
    leg.add_path(at(150), PathId(1));
    let (_, bytes) = leg.poll_transmit().unwrap();
    let chunks = Packet::decode(&bytes).unwrap().chunks;
    let trail = Trail {
        sender_10us: 14_900,
        relayed: None,
    };
    let wanted = [(1, 4), (2, 1)].map(|(session, number)| Chunk::Untracked {
        trail,
        parcel: sealed_of(SessionId(session), Class::Latest, number, 50),
    });
    assert!(
        wanted.iter().all(|chunk| chunks.contains(chunk)),
        "{chunks:?}"
    );
    assert_eq!(chunks.len(), 2);
    // Repeats, as nothing is known of the path, end with the deadline.
    leg.on_timeout(at(200));
    assert_eq!((leg.waiting(), leg.counters().expired), (0, 0));
    late.add_path(at(200), PathId(1));
    let (_, bytes) = late.poll_transmit().unwrap();
    assert_eq!(Packet::decode(&bytes).unwrap().chunks, []);
    assert_eq!((late.waiting(), late.counters().expired), (0, 2));
}

#[test]
fn an_untracked_parcel_of_another_class_is_refused() {
    // [WIRE-44]
    let mut joined = Joined::new(1, &[0]);
    let notice = Parcel::Notice(Notice::Draining).encode();
    for parcel in [sealed(Class::Reliable, 1), notice, Arc::new([0xff])] {
        let packet = Packet {
            path_sequence: 1,
            tx_time_us: 0,
            report: None,
            ack: AckState::default(),
            chunks: vec![Chunk::Untracked {
                trail: Trail::default(),
                parcel,
            }],
        };
        assert_eq!(joined.forge(THERE, packet), []);
    }
    assert_eq!(joined.legs[THERE].counters().bad_chunks, 3);
    joined.send(HERE, Class::Latest, 1, ms(100));
    let latest = joined.sent[HERE].len();
    joined.send(HERE, Class::Reliable, 1, ms(100));
    let chunks = |i: usize| joined.sent[HERE][i].2.chunks.clone();
    assert!(matches!(chunks(0)[..], [Chunk::Untracked { .. }]));
    assert!(matches!(chunks(latest)[..], [Chunk::Tracked { id: 1, .. }]));
}
