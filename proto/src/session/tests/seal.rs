//! What is on the wire, what opens, and what is refused.

use super::*;
use crate::base::limits::{KEY_AGE_MAX, MESSAGE_BYTES_MAX, NUMBER_MAX, REPLAY_WINDOW, TTL_MAX};
use crate::session::Dictionary;
use crate::session::samples::{status, trained};

// [WIRE-80]
#[test]
fn a_message_is_sealed_once_and_every_copy_is_the_same_bytes() {
    let mut pair = Pair::new();
    let first = pair.send_one(RELIABLE, b"mode");
    assert_eq!(pair.anna.unresolved().collect::<Vec<_>>(), [&first]);
    assert_eq!(pair.anna.counters().sealed, 1);
    let second = pair.send_one(RELIABLE, b"mode");
    assert_eq!((first.number, second.number), (1, 2));
    assert_ne!(first.parcel, second.parcel);
    let other_flow = pair.send_one(LATEST, b"mode");
    assert_eq!(other_flow.number, 1, "each flow has its own numbers");
}

// [WIRE-81]
#[test]
fn a_copy_is_refused_and_counted_apart() {
    let mut pair = Pair::new();
    for flow in [LATEST, UNORDERED, RELIABLE, STOP] {
        let sent = pair.send_one(flow, b"once");
        assert_eq!(pair.reach_truck(&sent), Ok(()));
        assert_eq!(pair.reach_truck(&sent), Err(Rejection::Replayed));
        assert_eq!(pair.messages_at_truck(), [b"once"]);
        assert_eq!(pair.stats(flow).received, 1);
    }
}

// [WIRE-81]
#[test]
fn a_forged_copy_does_not_shadow_the_real_one() {
    let mut pair = Pair::new();
    for flow in [LATEST, UNORDERED, RELIABLE, STOP] {
        let sent = pair.send_one(flow, b"real");
        let (header, ciphertext) = parts(&sent);
        for forged in [
            (
                SealedHeader {
                    ttl_ms: 60_000,
                    ..header
                },
                ciphertext.clone(),
            ),
            (
                SealedHeader {
                    number: 99_999,
                    ..header
                },
                ciphertext.clone(),
            ),
            (
                SealedHeader {
                    flow: Flow::new(DRIVE, Class::Latest),
                    number: 77,
                    ..header
                },
                ciphertext.clone(),
            ),
            (header, vec![0; ciphertext.len()]),
            (header, Vec::new()),
        ] {
            let now = pair.truck_now();
            let result = pair.truck.on_sealed(now, forged.0, &forged.1);
            assert_eq!(result, Err(Rejection::Forged));
        }
        assert_eq!(pair.reach_truck(&sent), Ok(()));
        assert_eq!(pair.messages_at_truck(), [b"real"]);
    }
}

// [WIRE-81]
#[test]
fn a_number_behind_the_window_or_beyond_all_bounds_is_refused_unopened() {
    let mut pair = Pair::new();
    let old = pair.send_one(UNORDERED, b"old");
    let mut newest = old.clone();
    for _ in 0..REPLAY_WINDOW {
        newest = pair.send_one(UNORDERED, b"new");
    }
    pair.reach_truck(&newest).unwrap();
    assert_eq!(pair.reach_truck(&old), Err(Rejection::TooOld));
    let (header, ciphertext) = parts(&newest);
    for (number, why) in [
        (0, Rejection::TooOld),
        (NUMBER_MAX + 1, Rejection::Malformed),
        (u64::MAX, Rejection::Malformed),
    ] {
        let header = SealedHeader { number, ..header };
        let result = pair.truck.on_sealed(pair.now, header, &ciphertext);
        assert_eq!(result, Err(why));
    }
    let header = SealedHeader {
        session: SessionId(8),
        ..header
    };
    let result = pair.truck.on_sealed(pair.now, header, &ciphertext);
    assert_eq!(result, Err(Rejection::OtherSession));
}

// [WIRE-102]
#[test]
fn a_time_to_live_out_of_range_is_refused() {
    let mut pair = Pair::new();
    for ttl in [
        Duration::ZERO,
        Duration::from_micros(999),
        TTL_MAX + Duration::from_micros(1),
    ] {
        let result = pair.anna.send(pair.now, UNORDERED, ttl, b"x");
        assert_eq!(result, Err(SendError::TtlOutOfRange));
    }
    let (_, sent) = pair.send(UNORDERED, Duration::from_micros(1_999), b"x");
    assert_eq!(parts(&sent[0]).0.ttl_ms, 1);
    assert_eq!(sent[0].deadline, pair.now + Duration::from_millis(1));
}

// [WIRE-87]
#[test]
fn a_message_that_is_too_long_is_refused_and_uses_no_number() {
    let mut pair = Pair::new();
    let noise: Vec<u8> = noise(1_001);
    let latest = pair.anna.send(pair.now, LATEST, TTL, &noise);
    assert_eq!(latest, Err(SendError::TooLarge));
    let longest = vec![0; MESSAGE_BYTES_MAX + 1];
    let reliable = pair.anna.send(pair.now, RELIABLE, TTL, &longest);
    assert_eq!(reliable, Err(SendError::TooLarge));
    assert_eq!(pair.send_one(LATEST, b"x").number, 1);
    assert_eq!(pair.send_one(RELIABLE, b"x").number, 1);
}

// [WIRE-101]
#[test]
fn keys_rotate_and_what_was_sealed_before_still_opens() {
    let mut pair = Pair::new();
    let before = pair.send_one(UNORDERED, b"old key");
    pair.now = pair.now + KEY_AGE_MAX;
    pair.exchange_beats();
    let ttl = Duration::from_secs(30);
    let (_, old) = pair.send(UNORDERED, ttl, b"old key");
    assert_eq!(parts(&old[0]).0.key_phase, parts(&before).0.key_phase + 1);
    assert_eq!(pair.anna.counters().key_rotations, 1);
    pair.now = pair.now + KEY_AGE_MAX;
    let after = pair.send_one(UNORDERED, b"new key");
    assert_eq!(pair.reach_truck(&after), Ok(()));
    assert_eq!(pair.messages_at_truck(), [b"new key"]);
    let (header, ciphertext) = parts(&old[0]);
    let now = pair.truck_now();
    assert_eq!(pair.truck.on_sealed(now, header, &ciphertext), Ok(()));
    assert_eq!(pair.truck.next_timeout(), Some(now + TTL_MAX));
    pair.truck.on_timeout(now + TTL_MAX);
    assert_eq!(pair.truck.next_timeout(), None);
}

/// One trained dictionary, for the drive function.
fn dictionaries(id: u16) -> Dictionaries {
    let mut dictionaries = Dictionaries::new();
    let dictionary = Dictionary::new(&trained(), Some(id)).unwrap();
    let functions = ["drive".parse().unwrap()];
    dictionaries.insert(dictionary, &functions).unwrap();
    dictionaries
}

// [WIRE-96] [WIRE-126]
#[test]
fn a_message_is_compressed_with_the_dictionary_that_both_ends_have() {
    let text = status(1_000);
    let mut pair = Pair::with(true, &dictionaries(3), &dictionaries(3));
    pair.anna.name_channel(DRIVE, &"drive".parse().unwrap());
    let plain = pair.send_one(UNORDERED, &text).parcel.len();
    assert!(plain > text.len(), "the truck has not said anything yet");
    let tags = pair.truck.dictionaries();
    pair.anna.on_dictionaries(&tags);
    let sent = pair.send_one(UNORDERED, &text);
    assert!(sent.parcel.len() + 50 < plain);
    pair.reach_truck(&sent).unwrap();
    assert_eq!(pair.messages_at_truck(), std::slice::from_ref(&text));
    let stop = pair.send_one(STOP, &text);
    assert!(stop.parcel.len() > text.len(), "stops are not compressed");
    pair.anna.on_dictionaries(&[]);
    assert_eq!(pair.send_one(UNORDERED, &text).parcel.len(), plain);
}

// [WIRE-126]
#[test]
fn a_dictionary_with_another_number_or_content_is_not_the_same() {
    let text = status(1_000);
    let mut pair = Pair::with(true, &dictionaries(3), &dictionaries(4));
    pair.anna.name_channel(DRIVE, &"drive".parse().unwrap());
    let mut other = pair.anna.dictionaries();
    other[0].digest[7] ^= 1;
    for theirs in [pair.truck.dictionaries(), other] {
        pair.anna.on_dictionaries(&theirs);
        let sent = pair.send_one(UNORDERED, &text);
        assert!(sent.parcel.len() > text.len());
    }
    assert_eq!(pair.anna.counters().compressed, 0);
}

// [WIRE-97]
#[test]
fn without_the_dictionary_a_message_is_refused_as_malformed() {
    let text = status(1_000);
    let mut pair = Pair::with(true, &dictionaries(3), &Dictionaries::new());
    pair.anna.name_channel(DRIVE, &"drive".parse().unwrap());
    let false_tags = pair.anna.dictionaries();
    pair.anna.on_dictionaries(&false_tags);
    let sent = pair.send_one(RELIABLE, &text);
    pair.reach_truck(&sent).unwrap();
    assert_eq!(pair.messages_at_truck(), Vec::<Vec<u8>>::new());
    assert_eq!(pair.truck.counters().without_dictionary, 1);
    assert!(pair.truck.report_wanted());
    pair.report_to_anna();
    let refused = Resolution::Refused(crate::base::Refusal::Malformed);
    assert_eq!(pair.receipts(), [(1, refused)]);
}

#[test]
fn nothing_secret_is_printed() {
    let mut pair = Pair::new();
    let sent = pair.send_one(UNORDERED, b"secret");
    pair.reach_truck(&sent).unwrap();
    let delivery = pair.truck.poll_delivery();
    let text = format!("{:?} {delivery:?}", pair.truck);
    let payload = format!("{:?}", b"secret");
    assert!(
        text.contains("number: 1, bytes: 6") && !text.contains(&payload),
        "{text}"
    );
}

/// Bytes that cannot be compressed.
pub(super) fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u64;
    std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    })
    .take(count)
    .collect()
}
