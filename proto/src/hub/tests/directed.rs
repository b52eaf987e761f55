//! Messages to nodes, and what becomes of them.

use std::time::Duration;

use super::rig::{Rig, id, join, name};
use crate::base::{Class, NodeKind, NodeName};
use crate::hub::{CallerEvent, ClientId, Source, Table};
use crate::wire::hub::{
    Answer, Bytes, Direct, HubRefusal, LeaveReason, LineMessage, Publish, Request, Selector, Start,
    TargetOutcome, TargetResult, Targets, Tell, Want,
};

fn node(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn direct(number: u64, to: &[&str], want: Want) -> Direct {
    Direct {
        to: Targets::Nodes(to.iter().map(|text| node(text)).collect()),
        flow: name("orders"),
        class: Class::Reliable,
        ttl_ms: 2_000,
        id: id(number),
        is_kept: false,
        want,
        payload: Bytes::from(b"go".as_slice()),
    }
}

fn results(rig: &mut Rig, client: ClientId) -> Vec<TargetResult> {
    let results = |event| match event {
        CallerEvent::Told(Tell::Results { results, .. }) => Some(results),
        _ => None,
    };
    let mut all: Vec<_> = rig
        .events(client)
        .into_iter()
        .filter_map(results)
        .flatten()
        .collect();
    all.sort_by(|a, b| a.node.cmp(&b.node));
    all
}

fn heard(rig: &mut Rig, client: ClientId) -> usize {
    let is_it = |event: &CallerEvent| matches!(event, CallerEvent::Told(Tell::Directed(_)));
    rig.events(client)
        .iter()
        .filter(|event| is_it(event))
        .count()
}

#[test]
fn each_target_has_a_result() {
    let mut rig = Rig::new(1);
    let (erp, anna) = (rig.add("service/erp"), rig.add("controller/anna"));
    let to = ["controller/anna", "controller/away"];
    let answer = rig.answer(erp, Request::Send(direct(1, &to, Want::Delivered)));
    assert!(matches!(answer, Answer::Sent { targets: 2, .. }));
    rig.settle();
    let outcomes: Vec<TargetOutcome> = results(&mut rig, erp)
        .into_iter()
        .map(|result| result.outcome)
        .collect();
    assert_eq!(outcomes, [TargetOutcome::Delivered, TargetOutcome::Offline]);
    assert_eq!(heard(&mut rig, anna), 1);
}

#[test]
fn applied_is_said_by_the_application_and_unknown_by_its_silence() {
    let mut rig = Rig::new(1);
    let erp = rig.add("service/erp");
    let (anna, otto) = (rig.add("controller/anna"), rig.add("controller/otto"));
    let to = ["controller/anna", "controller/otto"];
    rig.answer(erp, Request::Send(direct(1, &to, Want::Applied)));
    assert_eq!((heard(&mut rig, anna), heard(&mut rig, otto)), (1, 1));
    let applied = Request::Outcome {
        id: id(1),
        from: node("service/erp"),
        outcome: TargetOutcome::Applied,
    };
    rig.answer(anna, applied);
    rig.run(Duration::from_secs(4));
    let outcomes: Vec<TargetOutcome> = results(&mut rig, erp)
        .into_iter()
        .map(|result| result.outcome)
        .collect();
    assert_eq!(outcomes, [TargetOutcome::Applied, TargetOutcome::Unknown]);
}

#[test]
fn a_selector_names_those_that_are_here() {
    let mut rig = Rig::new(1);
    let erp = rig.add("service/erp");
    let (anna, otto) = (rig.add("controller/anna"), rig.add("controller/otto"));
    rig.answer(anna, join(Start::Now, 0));
    for (selector, expected) in [
        (
            Selector {
                kind: Some(NodeKind::Controller),
                ..Selector::default()
            },
            2,
        ),
        (
            Selector {
                room: Some(name("yard")),
                ..Selector::default()
            },
            1,
        ),
        (
            Selector {
                group: Some(name("none")),
                ..Selector::default()
            },
            0,
        ),
    ] {
        let mut message = direct(expected.into(), &[], Want::Nothing);
        message.id = id(100 + u64::from(expected));
        message.to = Targets::Select(selector);
        let answer = rig.answer(erp, Request::Send(message));
        assert!(matches!(answer, Answer::Sent { targets, .. } if targets == expected));
    }
    assert_eq!((heard(&mut rig, anna), heard(&mut rig, otto)), (2, 1));
}

#[test]
fn a_message_that_is_kept_waits_for_who_is_away_and_comes_once_and_in_order() {
    let mut rig = Rig::new(6);
    let erp = rig.add("service/erp");
    for number in 1..=20 {
        let mut message = direct(number, &["controller/anna"], Want::Delivered);
        message.ttl_ms = 3_600_000;
        (message.is_kept, message.payload) = (true, Bytes::from([number as u8].as_slice()));
        assert!(matches!(
            rig.answer(erp, Request::Send(message)),
            Answer::Sent { .. }
        ));
    }
    let kept = results(&mut rig, erp);
    assert!(
        kept.iter()
            .all(|result| result.outcome == TargetOutcome::Kept)
            && kept.len() == 20
    );
    let anna = rig.add("controller/anna");
    rig.answer(
        anna,
        Request::Mailbox {
            from: Start::Oldest,
        },
    );
    rig.settle();
    let came: Vec<u8> = rig
        .payloads(anna)
        .into_iter()
        .map(|(_, payload)| payload[0])
        .collect();
    assert_eq!(came, (1..=20).collect::<Vec<u8>>());
    rig.answer(anna, Request::Taken { below: 15 });
    rig.remove(anna, LeaveReason::Ended);
    let anna = rig.add("controller/anna");
    rig.answer(
        anna,
        Request::Mailbox {
            from: Start::Oldest,
        },
    );
    rig.settle();
    let numbers: Vec<u64> = rig
        .payloads(anna)
        .into_iter()
        .filter_map(|(n, _)| n)
        .collect();
    assert_eq!(numbers, (15..=20).collect::<Vec<u64>>());
}

/// [WIRE-193] Its sender has not heard that it was kept, and its reader is done with it, when the hub dies.
#[test]
fn a_message_that_was_taken_out_of_its_mailbox_does_not_come_again() {
    let letter = |number| {
        let mut message = direct(number, &["controller/anna"], Want::Nothing);
        message.ttl_ms = 3_600_000;
        message.is_kept = true;
        Request::Send(message)
    };
    let mut rig = Rig::new(6);
    let (mut erp, mut anna) = (rig.add("service/erp"), rig.add("controller/anna"));
    for below in [2, 4] {
        for number in 1..=5 {
            rig.answer(erp, letter(number));
        }
        // With the mailbox in memory, and with nothing of it there after a death.
        for below in [below, below + 1] {
            rig.answer(anna, Request::Taken { below });
            let again = rig.kill_hub();
            (erp, anna) = (again[&erp], again[&anna]);
        }
    }
    for number in 1..=6 {
        rig.answer(erp, letter(number));
    }
    rig.answer(
        anna,
        Request::Mailbox {
            from: Start::Oldest,
        },
    );
    rig.settle();
    let numbers = rig.payloads(anna).into_iter().filter_map(|(n, _)| n);
    // The one that was not taken, and the new one.
    assert_eq!(numbers.collect::<Vec<u64>>(), [5, 6]);
}

/// What could not be taken, because the disk is full, stays and is taken later.
#[test]
fn what_a_broken_store_does_not_let_go_is_taken_when_it_works_again() {
    let mut rig = Rig::new(6);
    let (erp, anna) = (rig.add("service/erp"), rig.add("controller/anna"));
    let mut message = direct(1, &["controller/anna"], Want::Nothing);
    (message.ttl_ms, message.is_kept) = (3_600_000, true);
    rig.answer(erp, Request::Send(message));
    for (is_broken, answer) in [
        (true, Answer::Refused(HubRefusal::Degraded)),
        (false, Answer::Done { revision: 0 }),
    ] {
        rig.is_broken = is_broken;
        assert_eq!(rig.answer(anna, Request::Taken { below: 2 }), answer);
    }
    let (revision, _) = &rig.store.records[&(Table::Taken, "mail/controller/anna".to_string())];
    assert_eq!(*revision, 1);
}

#[test]
fn a_mailbox_is_bounded_and_says_so_and_what_is_over_is_not_delivered() {
    let mut rig = Rig::new(6);
    let erp = rig.add("service/erp");
    for number in 1..=17 {
        let mut message = direct(number, &["controller/anna"], Want::Delivered);
        message.is_kept = true;
        message.payload = Bytes::from(vec![0; 64 * 1024]);
        rig.answer(erp, Request::Send(message));
    }
    let full = TargetOutcome::Refused(HubRefusal::Full);
    let refused = results(&mut rig, erp)
        .into_iter()
        .filter(|r| r.outcome == full)
        .count();
    assert_eq!(refused, 1);
    rig.run(Duration::from_secs(3));
    let anna = rig.add("controller/anna");
    rig.answer(
        anna,
        Request::Mailbox {
            from: Start::Oldest,
        },
    );
    rig.settle();
    assert!(rig.payloads(anna).is_empty(), "their time is over");
}

#[test]
fn nothing_that_is_kept_is_of_another_class_than_reliable() {
    let mut rig = Rig::new(6);
    let erp = rig.add("service/erp");
    let mut message = direct(1, &["controller/anna"], Want::Nothing);
    (message.is_kept, message.class) = (true, Class::Latest);
    let refused = Answer::Refused(HubRefusal::Malformed);
    assert_eq!(rig.answer(erp, Request::Send(message)), refused);
}

#[test]
fn a_private_message_reaches_the_named_members_only() {
    let mut rig = Rig::new(6);
    let (anna, otto, eva) = (
        rig.add("controller/anna"),
        rig.add("controller/otto"),
        rig.add("controller/eva"),
    );
    for member in [anna, otto, eva] {
        rig.answer(member, join(Start::Now, 0));
    }
    let private = |to: &str| {
        Request::Publish(Publish {
            room: name("yard"),
            topic: name("talk"),
            class: Class::Reliable,
            ttl_ms: 1_000,
            id: id(1),
            to: vec![node(to)],
            want: Want::Nothing,
            payload: Bytes::from(b"psst".as_slice()),
        })
    };
    rig.answer(anna, private("controller/otto"));
    assert_eq!((heard(&mut rig, otto), heard(&mut rig, eva)), (1, 0));
    let stranger = Answer::Refused(HubRefusal::NotAMember);
    assert_eq!(rig.answer(anna, private("controller/stranger")), stranger);
}

#[test]
fn a_mailbox_is_read_by_its_node_alone() {
    let mut rig = Rig::new(6);
    let (erp, anna) = (rig.add("service/erp"), rig.add("controller/anna"));
    let mut message = direct(1, &["controller/anna"], Want::Nothing);
    message.is_kept = true;
    rig.answer(erp, Request::Send(message));
    let history = || Request::History {
        journal: crate::wire::hub::Journal::Mailbox {
            node: node("controller/anna"),
        },
        from: crate::wire::hub::HistoryFrom::End,
        backwards: false,
        count: 10,
    };
    assert_eq!(
        rig.answer(erp, history()),
        Answer::Refused(HubRefusal::NotAllowed)
    );
    let Answer::History { entries, .. } = rig.answer(anna, history()) else {
        panic!("no history");
    };
    assert_eq!(entries.len(), 1);
    rig.answer(
        anna,
        Request::Mailbox {
            from: Start::Oldest,
        },
    );
    let is_mail = |event: &CallerEvent| {
        matches!(event, CallerEvent::Message { source: Source::Mailbox, message: LineMessage::Post(post), .. }
            if post.from == node("service/erp"))
    };
    assert!(rig.events(anna).iter().any(is_mail));
}
