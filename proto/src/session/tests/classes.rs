//! What each class promises.

use super::seal::noise;
use super::*;
use crate::base::limits::{
    DELIVERIES_MAX, FRAGMENT_BYTES_MAX, FRAGMENTS_MAX, HELD_BACK_BYTES_MAX, MESSAGE_BYTES_MAX,
    RELIABLE_WINDOW, TRANSMITS_MAX,
};

// [WIRE-82]
#[test]
fn of_latest_only_what_is_newer_is_delivered_and_the_rest_is_superseded() {
    let mut pair = Pair::new();
    let sent: Vec<_> = (0..4).map(|n| pair.send_one(LATEST, &[n])).collect();
    for n in [1, 0, 3, 2] {
        pair.reach_truck(&sent[n]).unwrap();
        let expected: &[&[u8]] = if n == 1 || n == 3 { &[&[n as u8]] } else { &[] };
        assert_eq!(pair.applied_at_truck(), expected);
    }
    let stats = pair.stats(LATEST);
    assert_eq!(
        (stats.applied, stats.superseded, stats.applied_number),
        (2, 2, 4)
    );
}

// [WIRE-82]
#[test]
fn a_newer_latest_message_replaces_one_that_nobody_took_yet() {
    let mut pair = Pair::new();
    for n in 0..2 {
        pair.anna.send(pair.now, LATEST, TTL, &[n]).unwrap();
    }
    let waiting = pair.anna.poll_transmit().unwrap();
    assert_eq!((waiting.number, pair.anna.poll_transmit()), (2, None));
    pair.reach_truck(&waiting).unwrap();
    let newer = pair.send_one(LATEST, &[2]);
    pair.reach_truck(&newer).unwrap();
    assert_eq!(pair.applied_at_truck(), [[2]]);
    let stats = pair.stats(LATEST);
    assert_eq!((stats.delivered, stats.superseded), (1, 1));
}

// [WIRE-83]
#[test]
fn unordered_messages_are_delivered_on_arrival() {
    let mut pair = Pair::new();
    let sent: Vec<_> = (0..3).map(|n| pair.send_one(UNORDERED, &[n])).collect();
    for n in [2, 0, 1] {
        pair.reach_truck(&sent[n]).unwrap();
        assert_eq!(pair.messages_at_truck(), [[n as u8]]);
    }
    assert_eq!(pair.anna.unresolved().count(), 0);
}

// [WIRE-84]
#[test]
fn reliable_and_stop_messages_are_held_back_until_their_turn() {
    for flow in [RELIABLE, STOP] {
        let mut pair = Pair::new();
        let sent: Vec<_> = (0..4).map(|n| pair.send_one(flow, &[n])).collect();
        for n in [3, 1] {
            pair.reach_truck(&sent[n]).unwrap();
            assert_eq!(pair.at_truck(), []);
        }
        pair.reach_truck(&sent[0]).unwrap();
        assert_eq!(pair.messages_at_truck(), [[0], [1]]);
        pair.reach_truck(&sent[2]).unwrap();
        assert_eq!(pair.messages_at_truck(), [[2], [3]]);
    }
}

// [WIRE-84]
#[test]
fn a_stop_overtakes_what_waits_to_be_sent() {
    let mut pair = Pair::new();
    for flow in [RELIABLE, LATEST, STOP] {
        pair.anna.send(pair.now, flow, TTL, b"x").unwrap();
    }
    assert_eq!(pair.anna.poll_transmit().map(|o| o.flow), Some(STOP));
    let again: Vec<_> = pair.anna.unresolved().map(|o| o.flow).collect();
    assert_eq!(again, [STOP, RELIABLE]);
}

// [WIRE-85]
#[test]
fn a_reliable_sender_stays_within_the_window_of_its_oldest_unresolved_number() {
    let mut pair = Pair::new();
    let sent: Vec<_> = (0..RELIABLE_WINDOW)
        .map(|_| pair.send_one(RELIABLE, b"x"))
        .collect();
    let full = pair.anna.send(pair.now, RELIABLE, TTL, b"x");
    assert_eq!(full, Err(SendError::WindowFull));
    for outbound in &sent[1..] {
        pair.reach_truck(outbound).unwrap();
    }
    pair.report_to_anna();
    let full = pair.anna.send(pair.now, RELIABLE, TTL, b"x");
    assert_eq!(full, Err(SendError::WindowFull));
    pair.reach_truck(&sent[0]).unwrap();
    assert_eq!(pair.applied_at_truck().len(), 128);
    pair.report_to_anna();
    assert_eq!(pair.receipts().len(), 128);
    assert_eq!(pair.send_one(RELIABLE, b"x").number, 129);
}

// [WIRE-85] [WIRE-86]
#[test]
fn a_number_a_window_ahead_says_what_was_given_up() {
    let mut pair = Pair::new();
    for _ in 0..3 {
        for _ in 0..100 {
            pair.send_one(RELIABLE, b"lost");
        }
        pair.pass(5_000);
        pair.anna.on_timeout(pair.now);
    }
    let sent = pair.send_one(RELIABLE, b"here");
    assert_eq!(sent.number, 301);
    pair.reach_truck(&sent).unwrap();
    assert_eq!(pair.at_truck(), [], "173 to 300 may still come");
    assert_eq!(pair.stats(RELIABLE).expired, 301 - RELIABLE_WINDOW);
    let beat = pair.beat_from_anna();
    pair.reach_truck(&beat).unwrap();
    assert_eq!(pair.messages_at_truck(), [b"here"]);
    assert_eq!(pair.stats(RELIABLE).expired, 300);
}

// [WIRE-86]
#[test]
fn an_expired_number_does_not_block_what_is_behind_it() {
    let mut pair = Pair::new();
    pair.send(RELIABLE, Duration::from_millis(100), b"lost");
    let (_, behind) = pair.send(RELIABLE, Duration::from_secs(10), b"behind");
    pair.reach_truck(&behind[0]).unwrap();
    pair.pass(1_100);
    pair.on_timeout();
    assert!(pair.anna.report_wanted());
    assert_eq!(pair.receipts(), [(1, Resolution::Unknown)]);
    assert_eq!(pair.at_truck(), []);
    let beat = pair.beat_from_anna();
    pair.reach_truck(&beat).unwrap();
    assert_eq!(pair.applied_at_truck(), [b"behind"]);
    assert_eq!(pair.stats(RELIABLE).expired, 1);
    pair.report_to_anna();
    assert_eq!(pair.receipts(), [(2, Resolution::Applied)]);
}

// [WIRE-86]
#[test]
fn a_floor_is_learnt_before_anything_of_its_flow_arrives() {
    let mut pair = Pair::new();
    let lost = pair.send_one(RELIABLE, b"lost");
    pair.pass(2_000);
    pair.on_timeout();
    let beat = pair.beat_from_anna();
    pair.reach_truck(&beat).unwrap();
    pair.at_truck();
    assert_eq!(pair.stats(RELIABLE).expired, 1);
    pair.reach_truck(&lost).unwrap();
    assert_eq!(pair.at_truck(), [], "too late");
    let next = pair.send_one(RELIABLE, b"next");
    pair.reach_truck(&next).unwrap();
    assert_eq!(pair.messages_at_truck(), [b"next"]);
}

// [WIRE-87]
#[test]
fn the_longest_message_arrives_in_fragments_on_every_class_but_latest() {
    for flow in [UNORDERED, RELIABLE, STOP] {
        let mut pair = Pair::new();
        let message = noise(MESSAGE_BYTES_MAX);
        let (number, sent) = pair.send(flow, TTL, &message);
        assert_eq!((sent.len(), number), (FRAGMENTS_MAX, FRAGMENTS_MAX as u64));
        for outbound in sent.iter().rev() {
            assert_eq!(pair.at_truck(), []);
            pair.reach_truck(outbound).unwrap();
        }
        let [delivery] = pair.at_truck().try_into().unwrap();
        assert_eq!((delivery.number, delivery.bytes), (number, message));
        pair.truck.on_outcome(flow, number, Outcome::Applied);
        pair.report_to_anna();
        let expected: &[_] = if flow == UNORDERED {
            &[]
        } else {
            &[(number, Resolution::Applied)]
        };
        assert_eq!(pair.receipts(), expected);
        assert_eq!(pair.anna.unresolved().count(), 0);
    }
}

// [WIRE-86] [WIRE-87]
#[test]
fn a_message_that_lost_a_fragment_expires_as_a_whole() {
    for missing in [0, 1, 2] {
        let mut pair = Pair::new();
        let (number, sent) = pair.send(RELIABLE, TTL, &noise(2_500));
        let (_, behind) = pair.send(RELIABLE, Duration::from_secs(10), b"behind");
        for (index, outbound) in sent.iter().chain(&behind).enumerate() {
            if index != missing {
                pair.reach_truck(outbound).unwrap();
            }
        }
        assert_eq!(pair.at_truck(), []);
        pair.pass(1_500);
        pair.on_timeout();
        let beat = pair.beat_from_anna();
        pair.reach_truck(&beat).unwrap();
        assert_eq!(pair.applied_at_truck(), [b"behind"], "without {missing}");
        assert!(pair.stats(RELIABLE).expired >= 1);
        pair.report_to_anna();
        let receipts = pair.receipts();
        assert_eq!(receipts[0].0, number);
        assert_eq!(receipts[1], (number + 1, Resolution::Applied));
    }
}

#[test]
fn what_is_held_back_is_bounded_in_bytes_and_comes_again() {
    // [WIRE-106]
    let mut pair = Pair::new();
    let ttl = Duration::from_secs(20);
    let flows = (1..=62).map(|channel| Flow::new(Channel::new(channel).unwrap(), Class::Reliable));
    let long = noise(FRAGMENT_BYTES_MAX);
    let mut firsts = Vec::new();
    let (mut held, mut refused) = (0, Vec::new());
    for flow in flows {
        firsts.push(pair.send(flow, ttl, b"first").1.remove(0));
        for _ in 1..RELIABLE_WINDOW {
            let early = pair.send(flow, ttl, &long).1.remove(0);
            match pair.reach_truck(&early) {
                Ok(()) => held += FRAGMENT_BYTES_MAX,
                Err(rejection) => {
                    assert_eq!(rejection, Rejection::Busy);
                    refused.push(early);
                }
            }
        }
    }
    assert!(held <= HELD_BACK_BYTES_MAX, "{held}");
    assert!(
        held + 2 * FRAGMENT_BYTES_MAX > HELD_BACK_BYTES_MAX,
        "{held}"
    );
    assert!(refused.len() > 6_000);
    assert_eq!(pair.at_truck(), []);

    let mut delivered = 0;
    for first in firsts {
        pair.reach_truck(&first).unwrap();
        delivered += pair.applied_at_truck().len();
    }
    assert_eq!(delivered, 62 + held / FRAGMENT_BYTES_MAX);
    for again in &refused {
        assert_eq!(pair.reach_truck(again), Ok(()), "it may come again");
        delivered += pair.applied_at_truck().len();
    }
    assert_eq!(delivered, 62 * 128);
}

#[test]
fn queues_that_nobody_empties_are_bounded() {
    let mut pair = Pair::new();
    for _ in 0..TRANSMITS_MAX {
        pair.anna.send(pair.now, UNORDERED, TTL, b"x").unwrap();
    }
    let full = pair.anna.send(pair.now, UNORDERED, TTL, b"x");
    assert_eq!(full, Err(SendError::QueueFull));
    for _ in 0..DELIVERIES_MAX {
        let outbound = pair.anna.poll_transmit().unwrap();
        pair.reach_truck(&outbound).unwrap();
    }
    let last = pair.send_one(UNORDERED, b"last");
    assert_eq!(pair.reach_truck(&last), Err(Rejection::Busy));
    assert_eq!(pair.messages_at_truck().len(), DELIVERIES_MAX);
    assert_eq!(pair.reach_truck(&last), Ok(()), "it may come again");
}
