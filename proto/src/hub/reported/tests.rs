#![allow(clippy::wildcard_enum_match_arm, reason = "a test knows what is asked")]

use super::*;
use crate::base::limits::REPORT_EVERY;
use crate::wire::hub::Item;

fn at(ms: u64) -> MonoTime {
    MonoTime::from_us(ms * 1_000)
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn value(text: &str) -> Bytes {
    Bytes::from(text.as_bytes())
}

/// The document at the hub, and how often it was written.
struct Hub {
    items: BTreeMap<Name, Bytes>,
    writes: usize,
    ask: u32,
}

impl Hub {
    fn new() -> Hub {
        Hub {
            items: BTreeMap::new(),
            writes: 0,
            ask: 0,
        }
    }

    fn answer(&mut self, request: &Request) -> Answer {
        match request {
            Request::Document { .. } => Answer::Document(Document {
                revision: 1,
                items: self.items.iter().map(item).collect(),
            }),
            Request::Set { changes, .. } => {
                self.writes += 1;
                for change in changes {
                    match &change.value {
                        Some(value) => self.items.insert(change.key.clone(), value.clone()),
                        None => self.items.remove(&change.key),
                    };
                }
                Answer::Done { revision: 1 }
            }
            other => panic!("{other:?}"),
        }
    }

    /// Answers at once all that is asked at this time.
    fn serve(&mut self, reported: &mut Reported, now: MonoTime) {
        while let Some(request) = reported.next_request(now) {
            self.ask += 1;
            reported.on_asked(now, self.ask, &request);
            assert_eq!(reported.next_timeout(), None, "one at a time");
            let answer = self.answer(&request);
            let answered = CallerEvent::Answered {
                ask: self.ask,
                answer,
            };
            assert!(reported.on_event(now, &answered));
        }
    }
}

fn item((key, value): (&Name, &Bytes)) -> Item {
    Item {
        key: key.clone(),
        revision: 1,
        value: value.clone(),
        by: truck(),
        at_ms: 0,
    }
}

fn truck() -> NodeName {
    "agent/truck-17".parse().unwrap()
}

#[test]
fn only_what_differs_is_written_and_what_else_was_there_is_removed() {
    let (mut hub, mut reported) = (Hub::new(), Reported::new(truck()));
    hub.items.insert(name("old"), value("1"));
    hub.items.insert(name("same"), value("2"));
    reported.set(&name("same"), Some(value("2"))).unwrap();
    reported.set(&name("new"), Some(value("3"))).unwrap();
    assert_eq!(reported.next_request(at(0)), None, "there is no hub");
    assert!(!reported.on_event(at(0), &CallerEvent::Up));
    hub.serve(&mut reported, at(0));
    let keys: Vec<&str> = hub.items.keys().map(Name::as_str).collect();
    assert_eq!((keys, hub.writes), (vec!["new", "same"], 1));
    assert_eq!(reported.next_timeout(), None, "there is nothing to say");
    reported.set(&name("new"), Some(value("3"))).unwrap();
    assert_eq!(reported.next_timeout(), None, "it is the same");
}

#[test]
fn what_changes_all_the_time_is_written_five_times_a_second_and_the_last_state_arrives() {
    let (mut hub, mut reported) = (Hub::new(), Reported::new(truck()));
    reported.on_event(at(0), &CallerEvent::Up);
    for ms in 0..10_000 {
        reported
            .set(&name("n"), Some(value(&ms.to_string())))
            .unwrap();
        hub.serve(&mut reported, at(ms));
    }
    assert_eq!(hub.writes, 50);
    let due = reported.next_timeout().unwrap();
    assert!(due <= at(9_999) + REPORT_EVERY);
    hub.serve(&mut reported, due);
    assert_eq!(hub.items[&name("n")], value("9999"));
    assert_eq!(reported.next_timeout(), None);
}

#[test]
fn a_hub_that_comes_back_without_the_document_gets_it_again() {
    let (mut hub, mut reported) = (Hub::new(), Reported::new(truck()));
    reported.on_event(at(0), &CallerEvent::Up);
    reported.set(&name("n"), Some(value("1"))).unwrap();
    hub.serve(&mut reported, at(0));
    // It ends while a write is under way.
    reported.set(&name("n"), Some(value("2"))).unwrap();
    let request = reported.next_request(at(300)).unwrap();
    reported.on_asked(at(300), 77, &request);
    assert_eq!(reported.open_ask(), Some(77));
    reported.on_event(at(400), &CallerEvent::Down);
    assert_eq!(reported.next_request(at(5_000)), None);
    let mut hub = Hub::new();
    reported.on_event(at(5_000), &CallerEvent::Up);
    hub.serve(&mut reported, at(5_000));
    assert_eq!(hub.items[&name("n")], value("2"));
    let late = CallerEvent::Answered {
        ask: 77,
        answer: Answer::Done { revision: 9 },
    };
    assert!(!reported.on_event(at(5_001), &late));
}

#[test]
fn a_hub_that_refuses_is_asked_again_later_and_later() {
    let mut reported = Reported::new(truck());
    reported.on_event(at(0), &CallerEvent::Up);
    let mut now = at(0);
    let mut waits = Vec::new();
    for ask in 1..=9 {
        let request = reported.next_request(now).unwrap();
        reported.on_asked(now, ask, &request);
        let answer = Answer::Refused(HubRefusal::Degraded);
        reported.on_event(now, &CallerEvent::Answered { ask, answer });
        let due = reported.next_timeout().unwrap();
        waits.push(due.since(now).as_secs());
        now = due;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
}

#[test]
fn what_no_document_holds_is_refused_and_changes_nothing() {
    let mut reported = Reported::new(truck());
    let long = Bytes::from(vec![0; DOCUMENT_VALUE_BYTES_MAX + 1]);
    let refused = reported.set(&name("n"), Some(long));
    assert_eq!(refused, Err(HubRefusal::TooLarge));
    let mut taken = 0;
    while reported
        .set(
            &name(&format!("n{taken}")),
            Some(Bytes::from(vec![0; 4_096])),
        )
        .is_ok()
    {
        taken += 1;
    }
    assert_eq!(taken, 15);
    for number in 0..DOCUMENT_ITEMS_MAX {
        reported
            .set(&name(&format!("n{number}")), Some(value("0")))
            .unwrap();
    }
    let refused = reported.set(&name("more"), Some(value("0")));
    assert_eq!(refused, Err(HubRefusal::Full));
    reported.set(&name("n0"), None).unwrap();
    reported.set(&name("more"), Some(value("0"))).unwrap();
}
