//! Tracked parcels arrive exactly once, whatever gets lost.

use super::joined::{HERE, Joined, THERE, ms};
use crate::base::Class;

/// Sends 10 a second of each tracked class both ways for 10 s; returns the legs after another 5 s.
fn exchange(seed: u64, loss_percent: &[u64]) -> Joined {
    let mut joined = Joined::new(seed, loss_percent);
    for number in 1..=100 {
        for end in [HERE, THERE] {
            joined.send(end, Class::Reliable, number, ms(20_000));
            joined.send(end, Class::Unordered, number, ms(20_000));
        }
        joined.run(ms(100));
    }
    joined.run(ms(5_000));
    joined
}

#[test]
fn every_tracked_parcel_arrives_once_and_clears_the_outbox() {
    // [WIRE-41] [WIRE-43]
    for (seed, loss) in [(1, 0), (2, 20), (3, 50), (4, 80)] {
        let joined = exchange(seed, &[loss, loss]);
        for end in [HERE, THERE] {
            for class in [Class::Reliable, Class::Unordered] {
                let mut numbers = joined.numbers(end, class);
                numbers.sort_unstable();
                assert!(numbers.into_iter().eq(1..=100), "loss {loss}");
            }
            let leg = &joined.legs[end];
            assert_eq!(leg.waiting(), 0, "loss {loss}");
            let counters = leg.counters();
            assert_eq!(
                (counters.parcels_sent, counters.parcels_received),
                (200, 200)
            );
            assert_eq!((counters.expired, counters.overflow), (0, 0));
            assert_eq!(
                (counters.bad_acks, counters.bad_chunks, counters.bad_reports),
                (0, 0, 0)
            );
        }
    }
}

#[test]
fn without_loss_a_parcel_is_sent_once_on_each_path_and_takes_one_way() {
    // [WIRE-58]
    let joined = exchange(1, &[0, 0]);
    let counters = joined.legs[HERE].counters();
    // One copy on the other path, and at first, when nothing is known of the paths, a few more.
    let copies = counters.copies_sent;
    assert!((200..240).contains(&copies), "{copies}");
    assert_eq!(joined.legs[THERE].counters().duplicates, copies);
    let newest = joined.got[THERE].last().unwrap();
    assert_eq!((newest.trail.sender_10us, newest.transit), (0, ms(10)));
}

#[test]
fn a_burst_over_the_window_arrives_whole() {
    // [WIRE-42]
    for loss in [0, 30] {
        let mut joined = Joined::new(9, &[loss]);
        for number in 1..=500 {
            joined.send(HERE, Class::Reliable, number, ms(30_000));
        }
        joined.run(ms(15_000));
        let mut numbers = joined.numbers(THERE, Class::Reliable);
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(1..=500), "loss {loss}");
        assert_eq!(joined.legs[HERE].waiting(), 0);
        assert_eq!(joined.legs[THERE].counters().bad_chunks, 0);
    }
}

#[test]
fn both_ends_estimate_the_links() {
    let mut joined = Joined::new(5, &[0, 50]);
    for number in 1..=2_000 {
        joined.send(HERE, Class::Latest, number, ms(200));
        joined.run(ms(20));
    }
    let paths = joined.legs[HERE].paths();
    assert!(paths[0].loss < 0.01, "{:?}", paths[0]);
    assert!((paths[1].loss - 0.5).abs() < 0.12, "{:?}", paths[1]);
    for path in paths {
        assert_eq!(path.rtt_min, Some(ms(20)), "{path:?}");
        assert!(path.queue < ms(1), "{path:?}");
        assert!(path.sent_packets >= 2_000 && path.sent_bytes > 2_000 * 60);
    }
}
