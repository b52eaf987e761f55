//! Nothing late is delivered, and the clocks are learnt from beats.

use super::*;
use crate::base::Refusal;
use crate::wire::ClockEcho;

// [WIRE-92]
#[test]
fn what_is_expired_on_arrival_is_reported_and_not_delivered() {
    for flow in [LATEST, UNORDERED, RELIABLE, STOP] {
        let mut pair = Pair::new();
        let sent = pair.send_one(flow, b"late");
        pair.pass(399);
        pair.reach_truck(&sent).unwrap();
        assert_eq!(pair.at_truck(), [], "399 ms and the error make 400");
        assert_eq!(pair.stats(flow).expired, 1);
        let fresh = pair.send_one(flow, b"fresh");
        pair.reach_truck(&fresh).unwrap();
        assert_eq!(pair.messages_at_truck(), [b"fresh"]);
    }
}

// [WIRE-92] [WIRE-98]
#[test]
fn a_reliable_message_that_came_too_late_has_the_receipt_expired() {
    let mut pair = Pair::new();
    let sent = pair.send_one(RELIABLE, b"late");
    pair.pass(500);
    pair.reach_truck(&sent).unwrap();
    assert!(pair.truck.report_wanted());
    pair.on_timeout();
    pair.report_to_anna();
    assert_eq!(pair.receipts(), [(1, Resolution::Expired)]);
}

// [WIRE-90] [WIRE-92]
#[test]
fn a_delivery_knows_its_age_and_a_deadline_that_is_not_too_late() {
    let mut pair = Pair::new();
    let sent = pair.send_one(UNORDERED, b"x");
    let sent_at = pair.truck_now();
    pair.pass(50);
    pair.reach_truck(&sent).unwrap();
    let [delivery] = pair.at_truck().try_into().unwrap();
    let age = delivery.age.unwrap();
    let truth = Duration::from_millis(50);
    assert!(
        age.age.saturating_sub(age.error) <= truth && truth <= age.upper(),
        "{age:?}"
    );
    assert!(age.error < Duration::from_millis(3));
    assert_eq!(delivery.deadline, pair.truck_now() + (TTL - age.upper()));
    assert!(delivery.deadline <= sent_at + TTL);
    let local = pair.truck.clock().to_local(delivery.sent_at_us).unwrap();
    assert!(local.since(sent_at) < age.error && sent_at.since(local) < age.error);
}

// [WIRE-95]
#[test]
fn a_message_that_was_held_back_is_judged_again_when_it_is_its_turn() {
    let mut pair = Pair::new();
    let (_, first) = pair.send(RELIABLE, Duration::from_secs(10), b"first");
    let (_, second) = pair.send(RELIABLE, Duration::from_millis(200), b"second");
    pair.reach_truck(&second[0]).unwrap();
    pair.pass(250);
    pair.reach_truck(&first[0]).unwrap();
    assert_eq!(pair.applied_at_truck(), [b"first"]);
    assert_eq!(pair.stats(RELIABLE).expired, 1);
    pair.report_to_anna();
    assert_eq!(
        pair.receipts(),
        [(1, Resolution::Applied), (2, Resolution::Expired)]
    );
}

// [WIRE-95]
#[test]
fn a_message_that_expires_while_it_is_held_back_is_reported_at_once() {
    let mut pair = Pair::new();
    pair.send(RELIABLE, Duration::from_secs(10), b"first");
    let (_, second) = pair.send(RELIABLE, Duration::from_millis(200), b"second");
    pair.reach_truck(&second[0]).unwrap();
    pair.pass(200);
    for _ in 0..3 {
        if pair
            .truck
            .next_timeout()
            .is_some_and(|at| at <= pair.truck_now())
        {
            pair.on_timeout();
        }
    }
    assert!(pair.truck.report_wanted());
    assert_eq!(pair.truck.next_timeout(), None);
    pair.report_to_anna();
    assert_eq!(pair.receipts(), [(2, Resolution::Expired)]);
}

// [WIRE-93]
#[test]
fn without_a_clock_functions_are_refused_and_stops_and_the_session_channel_are_delivered() {
    let mut pair = Pair::without_clock();
    for flow in [LATEST, UNORDERED, RELIABLE] {
        let sent = pair.send_one(flow, b"x");
        pair.reach_truck(&sent).unwrap();
        assert_eq!(pair.at_truck(), [], "{flow:?}");
        assert_eq!(pair.stats(flow).refused, 1);
    }
    for flow in [STOP, Flow::new(Channel::SESSION, Class::Reliable)] {
        let sent = pair.send_one(flow, b"x");
        pair.reach_truck(&sent).unwrap();
        let [delivery] = pair.at_truck().try_into().unwrap();
        assert_eq!(delivery.age, None);
        assert_eq!(delivery.deadline, pair.truck_now() + TTL);
    }
    pair.exchange_beats();
    assert_eq!(
        pair.receipts(),
        [(1, Resolution::Refused(Refusal::NoClock))]
    );
    pair.exchange_beats();
    assert!(pair.truck.clock().error(pair.truck_now()).is_some());
    let sent = pair.send_one(LATEST, b"x");
    pair.reach_truck(&sent).unwrap();
    assert_eq!(pair.messages_at_truck(), [b"x"]);
}

// [WIRE-89] [WIRE-100]
#[test]
fn beats_bring_the_clock_when_one_direction_is_300_ms_slower() {
    for (up, down) in [(310, 10), (10, 310)] {
        let mut pair = Pair::without_clock();
        for _ in 0..3 {
            let beat = pair.beat_from_anna();
            pair.pass(up);
            pair.reach_truck(&beat).unwrap();
            pair.at_truck();
            let beat = pair.beat_from_truck();
            pair.pass(down);
            pair.reach_anna(&beat).unwrap();
            let now = pair.now;
            take(&mut pair.anna, now);
        }
        for true_ms in [up, up + 50] {
            let sent = pair.send_one(UNORDERED, b"x");
            pair.pass(true_ms);
            pair.reach_truck(&sent).unwrap();
            let Some(delivery) = pair.at_truck().pop() else {
                continue; // age and error reached its time to live
            };
            let (age, truth) = (delivery.age.unwrap(), Duration::from_millis(true_ms));
            assert!(
                age.age.saturating_sub(age.error) <= truth && truth <= age.upper(),
                "{age:?}"
            );
            assert!(age.error <= Duration::from_millis(162), "{age:?}");
        }
    }
}

// [WIRE-91] [WIRE-94]
#[test]
fn beats_cure_what_is_known_of_a_far_clock_that_was_stepped() {
    let step = Duration::from_secs(10);
    for forward in [true, false] {
        let mut pair = Pair::new();
        pair.pass(20_000);
        pair.exchange_beats();
        pair.pass(50);
        (pair.now, pair.ahead) = if forward {
            (pair.now + step, pair.ahead - step)
        } else {
            (pair.now.before(step), pair.ahead + step)
        };
        let sent = pair.send_one(LATEST, b"x");
        pair.reach_truck(&sent).unwrap();
        assert_eq!(pair.at_truck(), []);
        let stats = pair.stats(LATEST);
        // From the future its age is unknown; from the past it is too old.
        let expected = if forward { (0, 1) } else { (1, 0) };
        assert_eq!((stats.expired, stats.refused), expected);
        for _ in 0..3 {
            pair.exchange_beats();
            pair.pass(50);
        }
        assert_eq!(pair.truck.counters().clock_stepped, 1);
        let sent = pair.send_one(LATEST, b"x");
        pair.reach_truck(&sent).unwrap();
        assert_eq!(pair.messages_at_truck(), [b"x"]);
    }
}

// [WIRE-100]
#[test]
fn an_echo_of_a_beat_that_was_not_sent_or_long_ago_is_no_sample() {
    let mut pair = Pair::new();
    pair.exchange_beats();
    let error = pair.anna.clock().error(pair.now);
    for sent_at_us in [0, pair.now.as_us() + 1, pair.now.as_us() - 1] {
        let echo = ClockEcho {
            sent_at_us,
            received_at_us: 5,
        };
        pair.anna.on_report(pair.now, 6, Some(echo), &[]);
    }
    assert_eq!(pair.anna.counters().unknown_echoes, 3);
    assert_eq!(pair.anna.clock().error(pair.now), error);
}
