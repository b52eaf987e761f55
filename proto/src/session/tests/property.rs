//! Exactly once, in order and in time, whatever the network does.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::seal::noise;
use super::*;
use crate::base::limits::RECEIPT_GRACE;

/// One thing that happens to a session.
#[derive(Clone, Debug)]
enum Event {
    /// Anna sends a message of so many bytes.
    Send {
        ttl_ms: u64,
        bytes: usize,
    },
    /// One of the copies under way arrives, and stays under way as well if it is a duplicate.
    Arrive {
        which: usize,
        duplicate: bool,
    },
    Lose {
        which: usize,
    },
    /// Anna offers what is unresolved again.
    Offer,
    BeatFromAnna {
        arrives: bool,
    },
    BeatFromTruck {
        arrives: bool,
    },
    Pass {
        ms: u64,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let bytes = prop_oneof![4 => 0_usize..50, 1 => 1_001_usize..3_000];
    prop_oneof![
        4 => (20_u64..5_000, bytes).prop_map(|(ttl_ms, bytes)| Event::Send { ttl_ms, bytes }),
        8 => (any::<usize>(), any::<bool>())
            .prop_map(|(which, duplicate)| Event::Arrive { which, duplicate }),
        3 => any::<usize>().prop_map(|which| Event::Lose { which }),
        1 => Just(Event::Offer),
        2 => any::<bool>().prop_map(|arrives| Event::BeatFromAnna { arrives }),
        2 => any::<bool>().prop_map(|arrives| Event::BeatFromTruck { arrives }),
        3 => (0_u64..400).prop_map(|ms| Event::Pass { ms }),
    ]
}

/// What a session promises, kept beside it.
struct World {
    pair: Pair,
    flow: Flow,
    under_way: Vec<Outbound>,
    /// Deadline and message of each number.
    sent: BTreeMap<u64, (MonoTime, Vec<u8>)>,
    applied: Vec<u64>,
    receipts: BTreeMap<u64, Resolution>,
}

impl World {
    fn new(flow: Flow) -> World {
        World {
            pair: Pair::new(),
            flow,
            under_way: Vec::new(),
            sent: BTreeMap::new(),
            applied: Vec::new(),
            receipts: BTreeMap::new(),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Send { ttl_ms, bytes } => {
                let ttl = Duration::from_millis(ttl_ms);
                let message = noise(bytes);
                match self.pair.anna.send(self.pair.now, self.flow, ttl, &message) {
                    Ok(number) => {
                        self.sent.insert(number, (self.pair.now + ttl, message));
                    }
                    Err(error) => assert_eq!(error, SendError::WindowFull),
                }
                self.under_way
                    .extend(std::iter::from_fn(|| self.pair.anna.poll_transmit()));
            }
            Event::Arrive { which, duplicate } => {
                if let Some(at) = which.checked_rem(self.under_way.len()) {
                    let outbound = if duplicate {
                        self.under_way[at].clone()
                    } else {
                        self.under_way.swap_remove(at)
                    };
                    self.arrive(&outbound);
                }
            }
            Event::Lose { which } => {
                if let Some(at) = which.checked_rem(self.under_way.len()) {
                    self.under_way.swap_remove(at);
                }
            }
            Event::Offer => self.under_way.extend(self.pair.anna.unresolved().cloned()),
            Event::BeatFromAnna { arrives } => {
                let beat = self.pair.beat_from_anna();
                if arrives {
                    self.arrive(&beat);
                }
            }
            Event::BeatFromTruck { arrives } => {
                let beat = self.pair.beat_from_truck();
                if arrives {
                    self.pair.reach_anna(&beat).unwrap();
                    let now = self.pair.now;
                    take(&mut self.pair.anna, now);
                }
            }
            Event::Pass { ms } => self.pair.pass(ms),
        }
        self.pair.on_timeout();
        self.observe();
    }

    fn arrive(&mut self, outbound: &Outbound) {
        match self.pair.reach_truck(outbound) {
            Ok(()) | Err(Rejection::Replayed) => {}
            Err(other) => panic!("{other:?}"),
        }
    }

    // [WIRE-84] [WIRE-92] [WIRE-98]
    fn observe(&mut self) {
        for delivery in self.pair.at_truck() {
            let (deadline, message) = &self.sent[&delivery.number];
            assert!(self.pair.now < *deadline, "late: {delivery:?}");
            assert!(delivery.deadline <= *deadline + AHEAD, "{delivery:?}");
            assert_eq!(&delivery.bytes, message);
            assert!(
                self.applied.last() < Some(&delivery.number),
                "twice or out of order"
            );
            self.applied.push(delivery.number);
            self.pair
                .truck
                .on_outcome(delivery.flow, delivery.number, Outcome::Applied);
        }
        for (number, outcome) in self.pair.receipts() {
            match outcome {
                Resolution::Applied => assert!(self.applied.contains(&number)),
                Resolution::Expired => assert!(!self.applied.contains(&number)),
                Resolution::Unknown => assert!(self.pair.now >= self.sent[&number].0),
                Resolution::Refused(why) => panic!("{why}"),
            }
            assert_eq!(self.receipts.insert(number, outcome), None, "two receipts");
        }
    }

    /// The network works again, until every message has its receipt.
    fn recover(&mut self) {
        let start = self.pair.now;
        for _ in 0..100 {
            for event in [
                Event::BeatFromAnna { arrives: true },
                Event::Offer,
                Event::Pass { ms: 5 },
            ] {
                self.happen(event);
            }
            for outbound in std::mem::take(&mut self.under_way) {
                self.arrive(&outbound);
            }
            self.observe();
            self.happen(Event::BeatFromTruck { arrives: true });
            self.happen(Event::Pass { ms: 100 });
        }
        let grace = RECEIPT_GRACE + Duration::from_millis(200);
        for (number, (deadline, _)) in &self.sent {
            let receipt = self.receipts.get(number);
            if *deadline > start + grace {
                assert_eq!(receipt, Some(&Resolution::Applied), "{number}");
            }
            assert!(receipt.is_some(), "no receipt for {number}");
        }
        assert_eq!(self.pair.anna.next_timeout(), None);
        assert_eq!(self.pair.truck.next_timeout(), None);
        assert_eq!(self.pair.anna.unresolved().count(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    // [WIRE-84] [WIRE-86] [WIRE-99]
    #[test]
    fn reliable_messages_are_applied_once_in_order_and_in_time(
        stop in any::<bool>(),
        events in prop::collection::vec(event(), 1..150),
    ) {
        let mut world = World::new(if stop { STOP } else { RELIABLE });
        for event in events {
            world.happen(event);
        }
        world.recover();
    }

    // [WIRE-82] [WIRE-83]
    #[test]
    fn latest_and_unordered_messages_are_delivered_at_most_once_and_in_time(
        latest in any::<bool>(),
        sends in prop::collection::vec((0_u64..60, prop::collection::vec(any::<usize>(), 0..4)), 1..60),
    ) {
        let flow = if latest { LATEST } else { UNORDERED };
        let (mut pair, mut under_way, mut seen) = (Pair::new(), Vec::new(), Vec::new());
        for (ms, arrivals) in sends {
            under_way.push(pair.send_one(flow, b"x"));
            pair.pass(ms);
            for which in arrivals {
                let outbound = &under_way[which % under_way.len()];
                let deadline = outbound.deadline;
                let fresh = pair.reach_truck(outbound).is_ok();
                for delivery in pair.at_truck() {
                    prop_assert!(fresh && pair.now < deadline);
                    prop_assert!(!seen.contains(&delivery.number));
                    prop_assert!(!latest || seen.last() < Some(&delivery.number));
                    seen.push(delivery.number);
                }
            }
        }
        let stats = pair.stats(flow);
        prop_assert_eq!(stats.delivered + stats.expired + stats.superseded, stats.received);
    }
}
