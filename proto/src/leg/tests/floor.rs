//! Expired ids do not block those behind them.

use super::joined::{HERE, Joined, THERE, ms};
use crate::base::Class;
use crate::wire::Chunk;

#[test]
fn a_floor_unblocks_the_window_after_an_outage() {
    // [WIRE-46] [WIRE-53]
    for loss in [0, 50] {
        let mut joined = Joined::new(3, &[loss]);
        joined.run(ms(1_000));
        joined.links[0].cut = [true; 2];
        for number in 1..=200 {
            joined.send(HERE, Class::Unordered, number, ms(500));
        }
        joined.run(ms(2_000));
        assert_eq!(joined.legs[HERE].waiting(), 0);
        assert_eq!(joined.legs[HERE].counters().expired, 200);
        joined.links[0].cut = [false; 2];
        for number in 201..=400 {
            joined.send(HERE, Class::Unordered, number, ms(5_000));
        }
        joined.run(ms(5_000));
        let mut numbers = joined.numbers(THERE, Class::Unordered);
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(201..=400), "loss {loss}");
        assert_eq!(joined.legs[THERE].counters().bad_chunks, 0);
    }
}

#[test]
fn a_floor_is_repeated_until_it_is_acknowledged_and_then_no_more() {
    // [WIRE-46]
    let mut joined = Joined::new(4, &[0]);
    joined.run(ms(1_000));
    joined.links[0].cut[HERE] = true;
    joined.send(HERE, Class::Reliable, 1, ms(100));
    joined.run(ms(300));
    let floors = |joined: &Joined| {
        let is_floor = |chunk: &Chunk| *chunk == Chunk::Floor { id: 2 };
        let sent = joined.sent[HERE].iter();
        sent.filter(|(_, _, packet)| packet.chunks.iter().any(is_floor))
            .count()
    };
    let before = floors(&joined);
    assert!(before >= 3, "{before}");
    joined.links[0].cut[HERE] = false;
    joined.run(ms(300));
    let after = floors(&joined);
    assert!(after > before);
    joined.run(ms(2_000));
    assert_eq!(floors(&joined), after);
}

#[test]
fn in_the_dark_floors_go_with_the_heartbeats_only() {
    // [WIRE-46] [WIRE-50]
    let mut joined = Joined::new(6, &[0]);
    joined.run(ms(1_000));
    joined.links[0].cut = [true; 2];
    joined.send(HERE, Class::Reliable, 1, ms(100));
    joined.run(ms(12_000));
    let before = joined.sent[HERE].len();
    joined.run(ms(2_000));
    let packets = &joined.sent[HERE][before..];
    assert!((10..=11).contains(&packets.len()), "{}", packets.len());
    let is_floor = |chunk: &Chunk| *chunk == Chunk::Floor { id: 2 };
    let all = packets
        .iter()
        .all(|sent| sent.2.chunks.iter().any(is_floor));
    assert!(all);
}

#[test]
fn an_id_that_expires_between_others_does_not_block_them() {
    let mut joined = Joined::new(5, &[0]);
    joined.run(ms(1_000));
    for number in 1..=1_000 {
        joined.links[0].cut[HERE] = number % 3 == 0;
        let ttl = if number % 3 == 0 { ms(5) } else { ms(5_000) };
        joined.send(HERE, Class::Reliable, number, ttl);
        joined.run(ms(10));
    }
    joined.run(ms(1_000));
    let wanted = (1..=1_000).filter(|number| number % 3 != 0);
    let mut numbers = joined.numbers(THERE, Class::Reliable);
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(wanted));
    assert_eq!(joined.legs[HERE].waiting(), 0);
}
