//! Everything is bounded, and what is full says so.

use super::joined::{HERE, Joined, THERE, ms, sealed, sealed_of};
use crate::base::limits::{
    LEG_WINDOW, OUTBOX_BYTES_MAX, OUTBOX_LATEST_MAX, OUTBOX_PARCELS_MAX,
    OUTBOX_PLAIN_PER_SOURCE_MAX, OUTBOX_STOPS_MAX, OUTBOX_STOPS_PER_SOURCE_MAX, PARCEL_BYTES_MAX,
    PATHS_PER_LEG_MAX, TRANSMITS_PER_LEG_MAX,
};
use crate::base::{Class, MonoTime, PathId, SessionId};
use crate::leg::{Leg, Origin, Overflow, Source};
use crate::wire::Chunk;

const NOW: MonoTime = MonoTime::from_us(1_000_000);

fn offer(leg: &mut Leg, session: u32, class: Class, bytes: usize) -> Result<(), Overflow> {
    let parcel = sealed_of(SessionId(session), class, 1, bytes);
    leg.send(NOW, parcel, NOW + ms(1_000), Origin::here(NOW))
}

#[test]
fn a_flood_of_one_class_is_refused_and_leaves_room_for_stops_and_driving() {
    // [WIRE-57]
    let mut leg = Leg::new(NOW);
    let floods = [
        (Class::Reliable, Overflow::Parcels),
        (Class::Latest, Overflow::Latest),
        (Class::Stop, Overflow::Stops),
    ];
    for (class, bound) in floods {
        let refusals: Vec<_> = (0..2_000)
            .filter_map(|session| offer(&mut leg, session, class, 40).err())
            .collect();
        assert!(refusals.len() > 1_000);
        assert!(refusals.iter().all(|refusal| *refusal == bound));
    }
    assert_eq!(leg.waiting(), OUTBOX_PARCELS_MAX);
    let parcel = sealed_of(SessionId(7), Class::Latest, 2, 40);
    let sibling = leg.send(NOW, parcel, NOW + ms(1_000), Origin::here(NOW));
    assert_eq!(sibling, Ok(()));
    assert_eq!(leg.waiting(), OUTBOX_PARCELS_MAX);
    assert_eq!(leg.counters().overflow as usize + leg.waiting(), 6_000);
    leg.on_timeout(NOW + ms(1_000));
    assert_eq!(leg.waiting(), 0);
    assert_eq!(offer(&mut leg, 1, Class::Reliable, 40), Ok(()));
}

#[test]
fn the_stops_of_one_source_leave_room_for_those_of_others() {
    // [WIRE-105]
    let mut leg = Leg::new(NOW);
    let mut flood = |source| {
        let origin = Origin {
            source: Some(Source(source)),
            ..Origin::here(NOW)
        };
        let parcel = |number| sealed_of(SessionId(1), Class::Stop, number, 40);
        let results = (0..20).map(|number| leg.send(NOW, parcel(number), NOW + ms(1_000), origin));
        let refused: Vec<_> = results.filter_map(Result::err).collect();
        (20 - refused.len(), refused.last().copied())
    };
    let share = OUTBOX_STOPS_PER_SOURCE_MAX;
    for source in 1..=3 {
        assert_eq!(flood(source), (share, Some(Overflow::StopsOfSource)));
    }
    assert_eq!(flood(4), (share, Some(Overflow::Stops)));
    assert_eq!(flood(5), (0, Some(Overflow::Stops)));
    leg.on_timeout(NOW + ms(1_000));
    assert_eq!(leg.waiting(), 0);
    for _ in 0..OUTBOX_STOPS_MAX {
        let own = leg.send(
            NOW + ms(1_000),
            sealed_of(SessionId(1), Class::Stop, 1, 40),
            NOW + ms(2_000),
            Origin::here(NOW),
        );
        assert_eq!(own, Ok(()), "a node's own stops are of one source");
    }
}

#[test]
fn long_parcels_are_bounded_in_bytes() {
    let mut leg = Leg::new(NOW);
    let mut long = |session| offer(&mut leg, session, Class::Unordered, 1_060);
    let fitted = (0..2_000).take_while(|session| long(*session).is_ok());
    let fitted = fitted.count();
    let refusal = long(2_000);
    assert_eq!(refusal, Err(Overflow::Bytes));
    let bytes = fitted * 1_060;
    let reserved = (OUTBOX_LATEST_MAX + OUTBOX_STOPS_MAX) * PARCEL_BYTES_MAX;
    assert!(bytes + reserved <= OUTBOX_BYTES_MAX);
    assert_eq!(offer(&mut leg, 1, Class::Stop, 1_060), Ok(()));
}

#[test]
fn what_no_packet_can_carry_is_refused() {
    let mut leg = Leg::new(NOW);
    let wrong = [
        sealed_of(SessionId(1), Class::Reliable, 1, 1_080),
        [0xff].into(),
        [].into(),
    ];
    for parcel in wrong {
        let refusal = leg.send(NOW, parcel, NOW + ms(10), Origin::here(NOW));
        assert_eq!(refusal, Err(Overflow::Unfit));
    }
    assert_eq!(leg.counters().overflow, 3);
}

#[test]
fn packets_that_nobody_takes_and_paths_beyond_eight_are_dropped() {
    let mut leg = Leg::new(NOW);
    let added = (0..20)
        .filter(|path| leg.add_path(NOW, PathId(*path)))
        .count();
    assert_eq!(added, PATHS_PER_LEG_MAX);
    assert!(!leg.add_path(NOW, PathId(0)));
    for step in 0..2_000_u32 {
        let now = NOW + ms(200) * step;
        leg.on_timeout(now);
    }
    assert_eq!(
        std::iter::from_fn(|| leg.poll_transmit()).count(),
        TRANSMITS_PER_LEG_MAX
    );
    assert!(leg.counters().packets_dropped > 9_000);
}

#[test]
fn ids_in_flight_stay_within_the_window_and_stops_pass_what_waits() {
    // [WIRE-42] [WIRE-54]
    let mut joined = Joined::new(1, &[0]);
    joined.links[0].cut[THERE] = true;
    for number in 1..=300 {
        joined.send(HERE, Class::Reliable, number, ms(10_000));
    }
    for number in 1..=20 {
        joined.send(HERE, Class::Stop, number, ms(10_000));
    }
    joined.run(ms(4_000));
    let ids = joined.sent[HERE]
        .iter()
        .flat_map(|(_, _, packet)| &packet.chunks);
    let highest = ids.filter_map(|chunk| {
        if let Chunk::Tracked { id, .. } = chunk {
            Some(*id)
        } else {
            None
        }
    });
    assert_eq!(highest.max(), Some(LEG_WINDOW));
    assert_eq!(joined.numbers(THERE, Class::Reliable).len(), 112);
    assert!(joined.numbers(THERE, Class::Stop).into_iter().eq(1..=16));
    joined.links[0].cut[THERE] = false;
    joined.run(ms(3_000));
    assert_eq!(joined.numbers(THERE, Class::Reliable).len(), 300);
    assert!(joined.numbers(THERE, Class::Stop).into_iter().eq(1..=20));
}

#[test]
fn no_deadline_is_farther_than_the_longest_time_to_live() {
    let mut leg = Leg::new(NOW);
    let deadline = MonoTime::from_us(u64::MAX);
    leg.send(NOW, sealed(Class::Reliable, 1), deadline, Origin::here(NOW))
        .unwrap();
    leg.on_timeout(NOW + ms(60_000));
    assert_eq!((leg.waiting(), leg.counters().expired), (0, 1));
}

#[test]
fn a_source_that_is_held_to_its_share_leaves_room_for_the_others() {
    // [WIRE-136]
    let mut leg = Leg::new(NOW);
    let mut flood = |source, class, is_held_to_share| {
        let origin = Origin {
            source: Some(Source(source)),
            is_held_to_share,
            ..Origin::here(NOW)
        };
        let parcel = |number| sealed_of(SessionId(source as u32), class, number, 40);
        let results = (1..=40).map(|number| leg.send(NOW, parcel(number), NOW + ms(1_000), origin));
        let refused: Vec<_> = results.filter_map(Result::err).collect();
        (40 - refused.len(), refused.last().copied())
    };
    let share = OUTBOX_PLAIN_PER_SOURCE_MAX;
    let full = Some(Overflow::ParcelsOfSource);
    assert_eq!(flood(1, Class::Unordered, true), (share, full));
    assert_eq!(flood(1, Class::Reliable, true), (0, full));
    assert_eq!(flood(2, Class::Reliable, true), (share, full));
    assert_eq!(flood(2, Class::Reliable, false), (40, None));
    assert_eq!(flood(3, Class::Unordered, false), (40, None));
    leg.on_timeout(NOW + ms(1_000));
    assert_eq!(leg.waiting(), 0);
}

#[test]
fn what_waits_already_waits_once_and_until_the_later_deadline() {
    // [WIRE-132]
    let source = |number| Origin {
        source: Some(Source(number)),
        ..Origin::here(NOW)
    };
    for class in [Class::Unordered, Class::Reliable, Class::Stop] {
        let mut leg = Leg::new(NOW);
        let again = |leg: &mut Leg, ttl, origin| {
            leg.send(NOW, sealed(class, 1), NOW + ms(ttl), origin)
                .unwrap();
        };
        for ttl in [500, 900, 100] {
            again(&mut leg, ttl, source(1));
        }
        // Stops are said again on purpose; and nobody's parcels hold up those of others.
        let own = if class == Class::Stop { 3 } else { 1 };
        assert_eq!(leg.waiting(), own, "{class:?}");
        again(&mut leg, 500, source(2));
        assert_eq!(leg.waiting(), own + 1, "{class:?}");
        leg.on_timeout(NOW + ms(899));
        assert_eq!(leg.waiting(), 1, "{class:?}");
        leg.on_timeout(NOW + ms(900));
        assert_eq!(leg.waiting(), 0, "{class:?}");
        again(&mut leg, 1_500, source(1));
        assert_eq!(leg.waiting(), 1, "{class:?}");
    }
}
