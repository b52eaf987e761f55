//! What the sender learns of its reliable messages.

use super::*;
use crate::base::limits::{RECEIPT_GRACE, RELIABLE_WINDOW};
use crate::base::{NodeName, Refusal};
use crate::wire::{FlowCounts, FlowReport};

// [WIRE-98]
#[test]
fn every_outcome_comes_back_as_a_receipt() {
    let mut pair = Pair::new();
    let refusals = [
        Refusal::NotLeased,
        Refusal::HeldBy("controller/ben".parse().unwrap()),
    ];
    let outcomes = [
        Outcome::Applied,
        Outcome::Refused(refusals[0].clone()),
        Outcome::Expired,
        Outcome::Refused(refusals[1].clone()),
        Outcome::Applied,
    ];
    for outcome in &outcomes {
        let sent = pair.send_one(RELIABLE, b"x");
        pair.reach_truck(&sent).unwrap();
        let number = pair.at_truck()[0].number;
        pair.truck.on_outcome(RELIABLE, number, outcome.clone());
        pair.truck.on_outcome(RELIABLE, number, Outcome::Applied);
    }
    assert!(pair.truck.report_wanted());
    pair.report_to_anna();
    assert!(!pair.truck.report_wanted());
    let [first, second] = refusals.map(Resolution::Refused);
    assert_eq!(
        pair.receipts(),
        [
            (1, Resolution::Applied),
            (2, first),
            (3, Resolution::Expired),
            (4, second),
            (5, Resolution::Applied)
        ]
    );
    let stats = pair.stats(RELIABLE);
    assert_eq!((stats.applied, stats.refused, stats.expired), (2, 2, 1));
    assert_eq!(pair.anna.unresolved().count(), 0);
}

// [WIRE-98]
#[test]
fn outcomes_out_of_order_are_told_one_by_one() {
    let mut pair = Pair::new();
    for n in 0..3 {
        let sent = pair.send_one(RELIABLE, &[n]);
        pair.reach_truck(&sent).unwrap();
    }
    assert_eq!(
        pair.at_truck().len(),
        3,
        "none waits for the outcome of another"
    );
    pair.truck.on_outcome(RELIABLE, 3, Outcome::Applied);
    pair.report_to_anna();
    assert_eq!(pair.receipts(), [(3, Resolution::Applied)]);
    pair.truck.on_outcome(RELIABLE, 1, Outcome::Expired);
    pair.report_to_anna();
    assert_eq!(pair.receipts(), [(1, Resolution::Expired)]);
    pair.truck.on_outcome(RELIABLE, 2, Outcome::Applied);
    pair.report_to_anna();
    assert_eq!(pair.receipts(), [(2, Resolution::Applied)]);
}

// [WIRE-98]
#[test]
fn refusals_that_do_not_fit_one_report_come_in_the_next() {
    let mut pair = Pair::new();
    let holder: NodeName = format!("controller/{}", "x".repeat(48)).parse().unwrap();
    let count = RELIABLE_WINDOW;
    for _ in 0..count {
        let sent = pair.send_one(RELIABLE, b"x");
        pair.reach_truck(&sent).unwrap();
    }
    for delivery in pair.at_truck() {
        let refused = Outcome::Refused(Refusal::HeldBy(holder.clone()));
        pair.truck.on_outcome(RELIABLE, delivery.number, refused);
    }
    let mut numbers = Vec::new();
    for _ in 0..count {
        pair.exchange_beats();
        for (number, outcome) in pair.receipts() {
            assert_eq!(
                outcome,
                Resolution::Refused(Refusal::HeldBy(holder.clone()))
            );
            numbers.push(number);
        }
    }
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
}

// [WIRE-98]
#[test]
fn a_lost_report_is_repeated_by_the_next() {
    let mut pair = Pair::new();
    let sent = pair.send_one(RELIABLE, b"x");
    pair.reach_truck(&sent).unwrap();
    pair.applied_at_truck();
    pair.beat_from_truck();
    pair.report_to_anna();
    assert_eq!(pair.receipts(), [(1, Resolution::Applied)]);
    pair.report_to_anna();
    assert_eq!(pair.receipts(), [], "one receipt for each message");
}

// [WIRE-98]
#[test]
fn the_last_applied_number_of_a_latest_flow_and_its_age_come_with_the_report() {
    let mut pair = Pair::new();
    let sent = pair.send_one(LATEST, b"x");
    pair.pass(30);
    pair.reach_truck(&sent).unwrap();
    pair.applied_at_truck();
    pair.report_to_anna();
    let (number, age) = pair.anna.applied_by_peer(LATEST).unwrap();
    let age = age.unwrap();
    assert_eq!(number, 1);
    assert!(
        age > Duration::from_millis(25) && age < Duration::from_millis(35),
        "{age:?}"
    );
    assert_eq!(pair.receipts(), []);
}

// [WIRE-98]
#[test]
fn a_report_of_numbers_that_were_never_sent_is_counted_and_ignored() {
    let mut pair = Pair::new();
    pair.send_one(RELIABLE, b"x");
    let lie = |resolved, outcomes| FlowReport {
        flow: RELIABLE,
        send_floor: 0,
        resolved,
        outcomes,
        applied: 0,
        applied_age_us: 0,
        counts: FlowCounts::default(),
    };
    let lies = [
        lie(2, Vec::new()),
        lie(u64::MAX, Vec::new()),
        lie(0, vec![(2, Outcome::Applied)]),
    ];
    pair.anna.on_report(pair.now, 1, None, &lies);
    assert_eq!(pair.anna.counters().false_reports, 3);
    assert_eq!(pair.receipts(), []);
}

#[test]
fn a_floor_beyond_all_bounds_is_survived() {
    let mut pair = Pair::new();
    let report = FlowReport {
        flow: RELIABLE,
        send_floor: u64::MAX,
        resolved: 0,
        outcomes: Vec::new(),
        applied: 0,
        applied_age_us: 0,
        counts: FlowCounts::default(),
    };
    let now = pair.truck_now();
    pair.truck.on_report(now, 1, None, &[report]);
    let sent = pair.send_one(RELIABLE, b"x");
    assert_eq!(pair.reach_truck(&sent), Ok(()));
    assert_eq!(pair.at_truck(), []);
}

// [WIRE-99]
#[test]
fn without_a_receipt_in_time_a_message_is_unknown() {
    let mut pair = Pair::new();
    let sent = pair.send_one(RELIABLE, b"x");
    assert_eq!(pair.anna.next_timeout(), Some(sent.deadline));
    pair.now = sent.deadline;
    pair.on_timeout();
    assert_eq!(pair.anna.unresolved().count(), 0, "not offered any more");
    assert_eq!(pair.receipts(), [], "a receipt may still be under way");
    let end = sent.deadline + RECEIPT_GRACE;
    assert_eq!(pair.anna.next_timeout(), Some(end));
    pair.now = end;
    pair.on_timeout();
    assert_eq!(pair.receipts(), [(1, Resolution::Unknown)]);
    assert_eq!(pair.anna.next_timeout(), None);
}

// [WIRE-99]
#[test]
fn a_receipt_that_comes_shortly_after_the_deadline_counts() {
    let mut pair = Pair::new();
    let sent = pair.send_one(RELIABLE, b"x");
    pair.pass(350);
    pair.reach_truck(&sent).unwrap();
    pair.applied_at_truck();
    pair.pass(100);
    pair.on_timeout();
    pair.report_to_anna();
    assert_eq!(pair.receipts(), [(1, Resolution::Applied)]);
}

// [WIRE-99]
#[test]
fn when_the_session_ends_all_that_is_unresolved_is_unknown() {
    let mut pair = Pair::new();
    let sent = pair.send_one(RELIABLE, b"x");
    pair.send_one(STOP, b"x");
    pair.send_one(UNORDERED, b"x");
    pair.anna.end();
    assert_eq!(
        pair.receipts(),
        [(1, Resolution::Unknown), (1, Resolution::Unknown)]
    );
    let send = pair.anna.send(pair.now, STOP, TTL, b"x");
    assert_eq!(send, Err(SendError::Ended));
    assert_eq!(
        (pair.anna.poll_transmit(), pair.anna.next_timeout()),
        (None, None)
    );
    pair.truck.end();
    assert_eq!(pair.reach_truck(&sent), Err(Rejection::Ended));
    assert_eq!(pair.at_truck(), []);
}
