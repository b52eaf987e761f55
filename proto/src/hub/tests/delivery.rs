//! Messages of a room reach who reads them, in order, once, whatever breaks.

use std::time::Duration;

use super::rig::{Rig, join, publish};
use crate::base::Class;
use crate::hub::CallerEvent;
use crate::wire::hub::{Answer, HubRefusal, LeaveReason, Start};

fn joined(answer: &Answer) -> bool {
    matches!(answer, Answer::Joined { .. })
}

// [WIRE-191] [WIRE-192]
#[test]
fn reliable_messages_of_any_size_reach_all_members_in_order() {
    for seed in 1..20 {
        let mut rig = Rig::new(seed);
        let members: Vec<_> = ["controller/anna", "controller/otto", "service/erp"]
            .map(|name| rig.add(name))
            .into();
        for member in &members {
            assert!(joined(&rig.answer(*member, join(Start::Now, 1_000))));
        }
        let mut sent = Vec::new();
        for number in 1..=40_u64 {
            let payload = vec![number as u8; [1, 100, 1_000, 1_001, 30_000][number as usize % 5]];
            rig.ask(members[0], publish(Class::Reliable, number, &payload));
            sent.push((Some(number), payload));
        }
        rig.run(Duration::from_secs(2));
        for member in &members {
            assert_eq!(rig.payloads(*member), sent, "seed {seed}");
        }
    }
}

#[test]
fn a_message_of_64_kib_arrives_and_a_longer_one_is_refused() {
    let mut rig = Rig::new(3);
    let anna = rig.add("controller/anna");
    rig.answer(anna, join(Start::Now, 0));
    let longest = vec![7; 64 * 1024];
    assert!(matches!(
        rig.answer(anna, publish(Class::Reliable, 1, &longest)),
        Answer::Published { .. }
    ));
    assert_eq!(rig.payloads(anna), [(Some(1), longest)]);
    let answer = rig.answer(anna, publish(Class::Reliable, 2, &vec![7; 64 * 1024 + 1]));
    assert_eq!(answer, Answer::Refused(HubRefusal::TooLarge));
}

#[test]
fn a_message_that_is_sent_again_is_taken_once() {
    for kept in [0, 100] {
        let mut rig = Rig::new(5);
        let anna = rig.add("controller/anna");
        rig.answer(anna, join(Start::Now, kept));
        let first = rig.answer(anna, publish(Class::Reliable, 9, b"a"));
        let again = rig.answer(anna, publish(Class::Reliable, 9, b"a"));
        let (Answer::Published { cursor: first, .. }, Answer::Published { cursor: again, .. }) =
            (first, again)
        else {
            panic!("not published");
        };
        assert_eq!(first, again);
        assert_eq!(rig.payloads(anna).len(), 1);
    }
}

#[test]
fn of_latest_the_newest_of_each_sender_counts_and_nothing_is_kept() {
    let mut rig = Rig::new(8);
    let (anna, otto) = (rig.add("controller/anna"), rig.add("controller/otto"));
    for member in [anna, otto] {
        rig.answer(member, join(Start::Now, 100));
    }
    for number in 1..=200 {
        rig.ask(anna, publish(Class::Latest, number, &number.to_be_bytes()));
    }
    rig.settle();
    let heard = rig.payloads(otto);
    assert!(heard.iter().all(|(cursor, _)| cursor.is_none()));
    let newest = heard.iter().map(|(_, payload)| payload.clone()).max();
    assert_eq!(newest, Some(200_u64.to_be_bytes().to_vec()));
    assert!(rig.store.journals.is_empty());
}

#[test]
fn who_was_away_goes_on_behind_its_cursor_and_has_every_message_once() {
    for seed in 1..10 {
        let mut rig = Rig::new(seed);
        let anna = rig.add("controller/anna");
        let otto = rig.add("controller/otto");
        for member in [anna, otto] {
            rig.answer(member, join(Start::Now, 10_000));
        }
        for number in 1..=10 {
            rig.ask(anna, publish(Class::Reliable, number, b"x"));
        }
        rig.settle();
        let events = rig.events(otto);
        let cursor = events.iter().rev().find_map(|event| match event {
            CallerEvent::Message { cursor, .. } => *cursor,
            _ => None,
        });
        rig.remove(otto, LeaveReason::Timeout);
        // More than is in memory.
        for number in 11..=700 {
            rig.ask(anna, publish(Class::Reliable, number, &[0; 2_000]));
            if number % 50 == 0 {
                rig.settle();
            }
        }
        rig.settle();
        let otto = rig.add("controller/otto");
        let answer = rig.answer(otto, join(Start::After(cursor.unwrap()), 10_000));
        assert!(joined(&answer));
        rig.run(Duration::from_secs(5));
        let numbers: Vec<u64> = rig
            .payloads(otto)
            .into_iter()
            .filter_map(|(n, _)| n)
            .collect();
        assert_eq!(numbers, (11..=700).collect::<Vec<u64>>(), "seed {seed}");
    }
}

// [WIRE-197]
#[test]
fn what_is_not_kept_any_more_is_skipped_and_who_reads_hears_that() {
    let mut rig = Rig::new(2);
    let anna = rig.add("controller/anna");
    rig.answer(anna, join(Start::Now, 20));
    let first = rig.answer(anna, publish(Class::Reliable, 1, b"x"));
    let Answer::Published {
        cursor: Some(first),
        ..
    } = first
    else {
        panic!("not published");
    };
    for number in 2..=100 {
        rig.answer(anna, publish(Class::Reliable, number, b"x"));
    }
    let otto = rig.add("controller/otto");
    let answer = rig.answer(otto, join(Start::After(first), 20));
    let Answer::Joined { topics, .. } = answer else {
        panic!("not joined");
    };
    assert!(topics[0].is_broken);
    rig.run(Duration::from_secs(1));
    let numbers: Vec<u64> = rig
        .payloads(otto)
        .into_iter()
        .filter_map(|(n, _)| n)
        .collect();
    assert!(numbers.len() >= 20 && numbers.last() == Some(&100));
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
fn a_member_that_takes_nothing_holds_up_nobody() {
    let mut rig = Rig::new(4);
    let (anna, otto) = (rig.add("controller/anna"), rig.add("controller/otto"));
    let deaf = rig.add("controller/deaf");
    for member in [anna, otto, deaf] {
        rig.answer(member, join(Start::Now, 10_000));
    }
    // Its leg brings nothing: nothing is acknowledged.
    rig.mute(deaf);
    for number in 1..=300 {
        rig.answer(anna, publish(Class::Reliable, number, b"x"));
    }
    assert_eq!(rig.payloads(otto).len(), 300);
    assert!(rig.payloads(deaf).is_empty());
}

// [WIRE-198]
#[test]
fn a_member_for_which_too_much_waits_has_to_begin_anew() {
    let mut rig = Rig::new(4);
    let (anna, deaf) = (rig.add("controller/anna"), rig.add("controller/deaf"));
    rig.answer(anna, join(Start::Now, 0));
    rig.mute(deaf);
    let rooms = || crate::wire::hub::Request::Rooms {
        after: None,
        count: 1,
    };
    // Whoever asks and does not listen has answers waiting; its own caller asks no more than it may.
    for _ in 0..3 {
        for _ in 0..400 {
            rig.ask_the_hub(deaf, rooms());
        }
        rig.settle();
    }
    assert_eq!(rig.hub.counters().resets, 1);
    assert!(matches!(rig.answer(anna, rooms()), Answer::Rooms { .. }));
}
