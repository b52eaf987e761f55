//! What is acknowledged is stored; a store that fails makes promises smaller, and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use super::rig::{Rig, join, name, publish};
use crate::base::Class;
use crate::wire::hub::{Answer, HistoryFrom, HubRefusal, Journal, Request, Start};

fn numbers(rig: &mut Rig, client: crate::hub::ClientId) -> Vec<u64> {
    rig.payloads(client)
        .into_iter()
        .filter_map(|(number, _)| number)
        .collect()
}

// [WIRE-194]
#[test]
fn nothing_is_told_before_it_is_stored() {
    let mut rig = Rig::new(1);
    let anna = rig.add("controller/anna");
    rig.answer(anna, join(Start::Now, 100));
    rig.is_slow = true;
    let ask = rig.ask(anna, publish(Class::Reliable, 1, b"x"));
    rig.settle();
    assert_eq!(rig.answer_to(anna, ask), None);
    assert!(rig.payloads(anna).is_empty());
    rig.is_slow = false;
    rig.settle();
    assert!(rig.answer_to(anna, ask).is_some());
}

// [WIRE-193]
#[test]
fn a_killed_hub_loses_nothing_that_was_acknowledged_and_nobody_hears_anything_twice() {
    let mut all_acknowledged = 0;
    for seed in 1..=60 {
        let mut rig = Rig::new(seed);
        let mut anna = rig.add("controller/anna");
        let mut otto = rig.add("controller/otto");
        for member in [anna, otto] {
            rig.answer(member, join(Start::Now, 100_000));
        }
        let (mut heard, mut acknowledged) = (Vec::new(), BTreeMap::new());
        let mut asked = Vec::new();
        for number in 1..=60_u64 {
            asked.push(rig.ask(
                anna,
                publish(Class::Reliable, number, &number.to_be_bytes()),
            ));
            rig.is_slow = (number + seed) % 3 == 0;
            rig.run(Duration::from_micros(500 * ((number * seed) % 7)));
            for ask in &asked {
                if let Some(Answer::Published { cursor, .. }) = rig.answer_to(anna, *ask) {
                    acknowledged.insert(*ask, cursor.unwrap().number);
                }
            }
            heard.extend(rig.payloads(otto));
            if (number + seed) % 11 == 0 {
                let renamed = rig.kill_hub();
                (anna, otto) = (renamed[&anna], renamed[&otto]);
            }
        }
        rig.is_slow = false;
        rig.run(Duration::from_secs(2));
        heard.extend(rig.payloads(otto));
        let payloads: Vec<Vec<u8>> = heard.iter().map(|(_, payload)| payload.clone()).collect();
        let expected: Vec<Vec<u8>> = (1..=60_u64).map(|n| n.to_be_bytes().to_vec()).collect();
        // Every message was asked for until it was answered, so all are there; each once, and in the order of its sender.
        assert_eq!(payloads, expected, "seed {seed}");
        all_acknowledged += acknowledged.len();
    }
    // Most of them were, some of them before a kill.
    assert!(all_acknowledged > 60 * 20, "{all_acknowledged}");
}

#[test]
fn a_store_that_takes_nothing_refuses_what_is_to_last_and_the_rest_goes_on() {
    let mut rig = Rig::new(7);
    let anna = rig.add("controller/anna");
    rig.answer(anna, join(Start::Now, 100));
    rig.answer(anna, publish(Class::Reliable, 1, b"x"));
    rig.is_broken = true;
    let degraded = Answer::Refused(HubRefusal::Degraded);
    for number in 2..=20 {
        assert_eq!(
            rig.answer(anna, publish(Class::Reliable, number, b"x")),
            degraded
        );
    }
    assert!(rig.hub.is_degraded());
    let live = rig.answer(anna, publish(Class::Unordered, 21, b"x"));
    assert!(matches!(live, Answer::Published { cursor: None, .. }));
    rig.is_broken = false;
    for number in 22..=30 {
        let answer = rig.answer(anna, publish(Class::Reliable, number, b"x"));
        assert!(matches!(answer, Answer::Published { .. }));
    }
    assert!(!rig.hub.is_degraded());
    assert_eq!(numbers(&mut rig, anna), (1..=10).collect::<Vec<u64>>());
}

#[test]
fn a_room_that_could_not_be_stored_is_none() {
    let mut rig = Rig::new(7);
    let anna = rig.add("controller/anna");
    rig.is_broken = true;
    let degraded = Answer::Refused(HubRefusal::Degraded);
    assert_eq!(rig.answer(anna, join(Start::Now, 100)), degraded);
    rig.is_broken = false;
    let room = Request::Room { room: name("yard") };
    assert_eq!(
        rig.answer(anna, room),
        Answer::Refused(HubRefusal::NoSuchRoom)
    );
}

#[test]
fn history_is_read_in_pages_both_ways_and_by_time() {
    let mut rig = Rig::new(9);
    let anna = rig.add("controller/anna");
    rig.answer(anna, join(Start::Now, 10_000));
    let mut middle = 0;
    for number in 1..=50 {
        if number == 26 {
            middle = rig.at().unix_ms;
        }
        rig.answer(anna, publish(Class::Reliable, number, b"x"));
    }
    let mut page = |from, backwards| {
        let request = Request::History {
            journal: Journal::Topic {
                room: name("yard"),
                topic: name("talk"),
            },
            from,
            backwards,
            count: 20,
        };
        match rig.answer(anna, request) {
            Answer::History { entries, more } => (entries, more),
            other => panic!("{other:?}"),
        }
    };
    let (first, more) = page(HistoryFrom::End, false);
    assert!(more && first.len() == 20 && first[0].cursor.number == 1);
    let (second, _) = page(HistoryFrom::After(first[19].cursor), false);
    assert_eq!(second[0].cursor.number, 21);
    let (newest, _) = page(HistoryFrom::End, true);
    assert_eq!(newest[0].cursor.number, 50);
    let (since, more) = page(HistoryFrom::Time(middle), false);
    assert!(more && since[0].cursor.number == 26);
}
