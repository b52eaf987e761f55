//! What a broken or hostile peer may do: nothing but harm its own leg.

use proptest::prelude::*;

use super::joined::{HERE, Joined, THERE, ms, sealed, sealed_of};
use crate::base::{Class, PathId, SessionId};
use crate::path::Loss;
use crate::wire::{AckState, Chunk, Packet, PathReport, Trail};

fn packet(ack: AckState, chunks: Vec<Chunk>) -> Packet {
    Packet {
        path_sequence: 1,
        tx_time_us: 0,
        report: None,
        ack,
        chunks,
    }
}

#[test]
fn forged_acknowledgements_are_ignored_and_counted() {
    // [WIRE-48]
    let mut joined = Joined::new(1, &[0]);
    joined.links[0].cut = [true; 2];
    joined.send(HERE, Class::Reliable, 1, ms(5_000));
    for (cumulative, bitmap) in [(2, vec![]), (u64::MAX, vec![1]), (0, vec![0b110])] {
        joined.forge(HERE, packet(AckState { cumulative, bitmap }, vec![]));
        assert_eq!(joined.legs[HERE].waiting(), 1);
    }
    assert_eq!(joined.legs[HERE].counters().bad_acks, 4);
    joined.links[0].cut = [false; 2];
    joined.run(ms(1_000));
    assert_eq!(joined.numbers(THERE, Class::Reliable), [1]);
    assert_eq!(joined.legs[HERE].waiting(), 0);
}

#[test]
fn forged_ids_floors_and_reports_are_ignored_and_counted() {
    // [WIRE-43] [WIRE-47] [WIRE-52]
    let mut joined = Joined::new(1, &[0]);
    let tracked = |id| Chunk::Tracked {
        id,
        trail: Trail::default(),
        parcel: sealed(Class::Reliable, id),
    };
    let floor = |id| Chunk::Floor { id };
    let chunks = vec![tracked(129), tracked(u64::MAX), floor(130), floor(u64::MAX)];
    assert_eq!(joined.forge(THERE, packet(AckState::default(), chunks)), []);
    assert_eq!(joined.legs[THERE].counters().bad_chunks, 4);
    let mut forged = packet(AckState::default(), vec![tracked(128)]);
    forged.report = Some(PathReport {
        highest: 77,
        missing: u32::MAX,
        queue_100us: u16::MAX,
        hold_10us: 0,
    });
    assert_eq!(joined.forge(THERE, forged).len(), 1);
    assert_eq!(joined.legs[THERE].counters().bad_reports, 1);
    assert_eq!(joined.legs[THERE].paths()[0].rtt, None);
}

#[test]
fn a_forged_number_shadows_its_own_flow_only() {
    let mut joined = Joined::new(1, &[0]);
    let latest = |session, number| Chunk::Untracked {
        trail: Trail::default(),
        parcel: sealed_of(SessionId(session), Class::Latest, number, 20),
    };
    let got = |joined: &mut Joined, chunk| {
        let packet = packet(AckState::default(), vec![chunk]);
        joined.forge(THERE, packet).len()
    };
    assert_eq!(got(&mut joined, latest(1, u64::MAX)), 1);
    assert_eq!(got(&mut joined, latest(1, 5)), 0);
    assert_eq!(got(&mut joined, latest(2, 5)), 1);
}

#[test]
fn a_packet_on_a_strange_path_is_dropped() {
    let mut joined = Joined::new(1, &[0]);
    let chunk = Chunk::Tracked {
        id: 1,
        trail: Trail::default(),
        parcel: sealed(Class::Reliable, 1),
    };
    let packet = packet(AckState::default(), vec![chunk]);
    let leg = &mut joined.legs[THERE];
    assert_eq!(leg.on_packet(joined.now, PathId(9), packet), []);
    assert_eq!(leg.counters().packets_strange, 1);
}

proptest! {
    #[test]
    fn no_packet_breaks_a_leg(seeds in prop::collection::vec(any::<(u32, u32, u64, u64, u16, u8)>(), 1..60)) {
        let mut joined = Joined::new(1, &[0, 0]);
        for (step, (sequence, tx_time_us, cumulative, id, hold_10us, byte)) in (1..).zip(seeds) {
            let near = |far: u64| if byte & 1 == 0 { far } else { far % 140 };
            joined.send(THERE, Class::Reliable, step, ms(100));
            joined.forge(THERE, Packet {
                path_sequence: sequence & 0x00ff_ffff,
                tx_time_us,
                report: Some(PathReport { highest: sequence & 0xff, missing: tx_time_us, queue_100us: hold_10us, hold_10us }),
                ack: AckState { cumulative: near(cumulative), bitmap: vec![byte; usize::from(byte % 17)] },
                chunks: vec![
                    Chunk::Tracked { id: near(id), trail: Trail::default(), parcel: vec![byte; 30].into() },
                    Chunk::Floor { id: near(id / 2) },
                ],
            });
            joined.run(ms(u64::from(byte)));
            let leg = &joined.legs[THERE];
            prop_assert!(leg.waiting() <= 60);
            for path in leg.paths() {
                prop_assert!((Loss::MIN..=Loss::MAX).contains(&path.loss));
            }
        }
    }
}
