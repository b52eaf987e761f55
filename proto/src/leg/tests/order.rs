//! What is sent first.

use super::joined::{HERE, Joined, THERE, ms, sealed, sealed_of};
use crate::base::{Class, MonoTime, PathId, SessionId};
use crate::leg::{Leg, Origin};
use crate::wire::{Chunk, Packet, Parcel};

const NOW: MonoTime = MonoTime::from_us(1_000_000);

fn classes(packet: &Packet) -> Vec<Class> {
    let class = |chunk: &Chunk| {
        if let Chunk::Tracked { parcel, .. } | Chunk::Untracked { parcel, .. } = chunk {
            Parcel::peek(parcel).ok().map(|head| head.class())
        } else {
            None
        }
    };
    packet.chunks.iter().filter_map(class).collect()
}

#[test]
fn urgent_classes_go_first_on_every_path() {
    // [WIRE-54]
    let mut leg = Leg::new(NOW);
    for session in 1..=3 {
        for class in [
            Class::Reliable,
            Class::Unordered,
            Class::Latest,
            Class::Stop,
        ] {
            let parcel = sealed_of(SessionId(session), class, 1, 60);
            leg.send(NOW, parcel, NOW + ms(1_000), Origin::here(NOW))
                .unwrap();
        }
    }
    leg.add_path(NOW, PathId(1));
    leg.remove_path(NOW, PathId(1));
    // Ids are given; the second time a path comes all parcels are repeated on it.
    leg.add_path(NOW + ms(500), PathId(2));
    let packets: Vec<_> = std::iter::from_fn(|| leg.poll_transmit())
        .map(|(_, bytes)| classes(&Packet::decode(&bytes).unwrap()))
        .collect();
    assert_eq!(packets.len(), 2);
    let rank = |class: &Class| {
        [
            Class::Stop,
            Class::Latest,
            Class::Unordered,
            Class::Reliable,
        ]
        .iter()
        .position(|c| c == class)
    };
    for packet in packets {
        assert_eq!(packet.len(), 12);
        assert!(packet.iter().map(rank).is_sorted());
    }
}

#[test]
fn the_first_wake_up_sends_at_once_and_in_order() {
    // [WIRE-54]
    let mut joined = Joined::new(1, &[0, 0]);
    let now = joined.now;
    let mut leg = Leg::new(now);
    for class in [
        Class::Reliable,
        Class::Latest,
        Class::Unordered,
        Class::Stop,
    ] {
        leg.send(now, sealed(class, 1), now + ms(100), Origin::here(now))
            .unwrap();
    }
    leg.add_path(now, PathId(1));
    let (_, bytes) = leg.poll_transmit().unwrap();
    let order = [
        Class::Stop,
        Class::Latest,
        Class::Unordered,
        Class::Reliable,
    ];
    assert_eq!(classes(&Packet::decode(&bytes).unwrap()), order);
    joined.send(HERE, Class::Reliable, 1, ms(100));
    // A pair on each path.
    assert_eq!(joined.sent[HERE].len(), 4);
    assert!(joined.sent[HERE].iter().all(|sent| sent.0 == now));
    joined.run(ms(10));
    assert_eq!(joined.numbers(THERE, Class::Reliable), [1]);
}

#[test]
fn what_is_said_goes_on_its_path_only() {
    let mut joined = Joined::new(1, &[0, 0]);
    let welcome = Chunk::Welcome {
        version: 1,
        node_incarnation: 2,
        leg_incarnation: 3,
        features: 0,
    };
    joined.legs[HERE].say(joined.now, PathId(1), welcome.clone());
    joined.take(HERE);
    let [(_, PathId(1), packet)] = &joined.sent[HERE][..] else {
        panic!("one packet on path 1");
    };
    assert_eq!(
        (packet.path_sequence, &packet.chunks[..]),
        (2, &[welcome][..])
    );
    joined.run(ms(50));
    assert_eq!(joined.got[THERE].len(), 0);
}
