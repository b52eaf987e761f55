//! Two legs over a seeded network: what arrives, how often, and in what order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Leg, Origin, Overflow};
use crate::base::limits::{OUTBOX_BYTES_MAX, OUTBOX_PARCELS_MAX, PARCEL_BYTES_MAX, TTL_MAX};
use crate::base::{Channel, Class, Flow, MonoTime, PathId, SessionId};
use crate::path::Health;
use crate::wire::{AckState, Chunk, Packet, Parcel, SealedHeader};

/// Two ends and the packets between them.
struct Net {
    now: MonoTime,
    ends: [Leg; 2],
    loss_percent: u64,
    cut: BTreeSet<PathId>,
    seed: u64,
    under_way: BTreeMap<(MonoTime, u64), (usize, PathId, Vec<u8>)>,
    sent: u64,
    arrived: [Vec<(Class, u64)>; 2],
}

impl Net {
    fn new(paths: u32, loss_percent: u64) -> Net {
        let now = MonoTime::from_us(1_000_000);
        let mut net = Net {
            now,
            ends: [Leg::new(now), Leg::new(now)],
            loss_percent,
            cut: BTreeSet::new(),
            seed: 42,
            under_way: BTreeMap::new(),
            sent: 0,
            arrived: [Vec::new(), Vec::new()],
        };
        for path in 0..paths {
            for end in 0..2 {
                net.ends[end].add_path(now, PathId(path));
            }
        }
        net.carry();
        net
    }

    fn send(
        &mut self,
        end: usize,
        class: Class,
        number: u64,
        ttl: Duration,
    ) -> Result<(), Overflow> {
        let parcel = envelope(class, number, 60);
        let origin = Origin {
            created: self.now,
            upstream: None,
        };
        let sent = self.ends[end].send(self.now, parcel, self.now + ttl, origin);
        self.carry();
        sent
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let arrival = self.under_way.keys().next().map(|(at, _)| *at);
            let next = self
                .ends
                .iter()
                .filter_map(Leg::next_timeout)
                .chain(arrival)
                .min();
            let Some(at) = next.filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            while let Some(entry) = self
                .under_way
                .first_entry()
                .filter(|entry| entry.key().0 <= self.now)
            {
                let (to, path, bytes) = entry.remove();
                let packet = Packet::decode(&bytes).unwrap();
                for arrival in self.ends[to].on_packet(self.now, path, packet) {
                    let Ok(Parcel::Sealed { header, .. }) = Parcel::decode(&arrival.parcel) else {
                        unreachable!()
                    };
                    self.arrived[to].push((header.flow.class, header.number));
                }
            }
            for leg in &mut self.ends {
                if leg.next_timeout().is_some_and(|at| at <= self.now) {
                    leg.on_timeout(self.now);
                }
            }
            self.carry();
        }
        self.now = end;
    }

    fn carry(&mut self) {
        for from in 0..2 {
            while let Some((path, bytes)) = self.ends[from].poll_transmit() {
                self.seed = self
                    .seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let lost = (self.seed >> 33) % 100 < self.loss_percent;
                if lost || self.cut.contains(&path) {
                    continue;
                }
                self.sent += 1;
                let at = self.now + Duration::from_millis(10);
                self.under_way
                    .insert((at, self.sent), (1 - from, path, bytes));
            }
        }
    }

    fn numbers(&self, end: usize, class: Class) -> Vec<u64> {
        self.arrived[end]
            .iter()
            .filter(|(c, _)| *c == class)
            .map(|(_, number)| *number)
            .collect()
    }
}

fn envelope(class: Class, number: u64, bytes: usize) -> Arc<[u8]> {
    let header = SealedHeader {
        key_phase: 0,
        session: SessionId(7),
        flow: Flow::new(Channel::SESSION, class),
        number,
        ttl_ms: 60_000,
    };
    Parcel::Sealed {
        header,
        ciphertext: vec![0; bytes].into(),
    }
    .encode()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

// [WIRE-40] [WIRE-42]
#[test]
fn every_tracked_parcel_arrives_exactly_once_at_any_loss() {
    for loss in [0, 20, 50, 80] {
        for class in [Class::Unordered, Class::Reliable, Class::Stop] {
            let mut net = Net::new(2, loss);
            for number in 1..=200 {
                net.send(0, class, number, Duration::from_secs(30)).unwrap();
                net.run(ms(20));
            }
            net.run(Duration::from_secs(20));
            let mut numbers = net.numbers(1, class);
            numbers.sort_unstable();
            assert_eq!(
                numbers,
                (1..=200).collect::<Vec<u64>>(),
                "{loss} % {class:?}"
            );
        }
    }
}

#[test]
fn without_loss_nothing_is_sent_twice_on_a_path_and_one_copy_goes_on_each() {
    let mut net = Net::new(2, 0);
    net.run(ms(500));
    let before: u64 = net.ends[0]
        .paths()
        .iter()
        .map(|path| path.sent_packets)
        .sum();
    for number in 1..=50 {
        net.send(0, Class::Reliable, number, Duration::from_secs(5))
            .unwrap();
        net.run(ms(40));
    }
    let after: u64 = net.ends[0]
        .paths()
        .iter()
        .map(|path| path.sent_packets)
        .sum();
    assert_eq!(
        net.ends[1].counters().duplicates,
        50,
        "one copy of each on the other path"
    );
    assert_eq!(after - before, 100);
}

// [WIRE-48]
#[test]
fn latest_never_goes_back_and_is_not_repeated() {
    let mut net = Net::new(2, 30);
    for number in 1..=500 {
        net.send(0, Class::Latest, number, ms(200)).unwrap();
        net.run(ms(7));
    }
    let numbers = net.numbers(1, Class::Latest);
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
    assert!((400..=500).contains(&numbers.len()), "{}", numbers.len());
}

#[test]
fn cutting_one_of_two_paths_loses_nothing_and_the_path_goes_down() {
    let mut net = Net::new(2, 0);
    for number in 1..=300 {
        if number == 100 {
            net.cut.insert(PathId(0));
        }
        net.send(0, Class::Latest, number, ms(200)).unwrap();
        net.run(ms(20));
    }
    assert_eq!(
        net.numbers(1, Class::Latest),
        (1..=300).collect::<Vec<u64>>()
    );
    let healths: Vec<Health> = net.ends[0].paths().iter().map(|path| path.health).collect();
    assert_eq!(healths, [Health::Down, Health::Live]);
}

// [WIRE-44]
#[test]
fn an_expired_parcel_does_not_block_those_behind_it() {
    let mut net = Net::new(1, 0);
    net.run(ms(100));
    net.cut.insert(PathId(0));
    net.send(0, Class::Unordered, 1, ms(300)).unwrap();
    net.run(ms(500));
    net.cut.clear();
    for number in 2..=300 {
        net.send(0, Class::Unordered, number, Duration::from_secs(5))
            .unwrap();
        net.run(ms(10));
    }
    net.run(Duration::from_secs(2));
    assert_eq!(
        net.numbers(1, Class::Unordered),
        (2..=300).collect::<Vec<u64>>()
    );
    assert_eq!(net.ends[0].counters().expired, 1);
}

// [WIRE-43]
#[test]
fn what_waited_for_a_path_goes_out_with_stops_first() {
    let mut net = Net::new(0, 0);
    for class in [
        Class::Reliable,
        Class::Unordered,
        Class::Latest,
        Class::Stop,
    ] {
        net.send(0, class, 1, Duration::from_secs(5)).unwrap();
    }
    for end in 0..2 {
        net.ends[end].add_path(net.now, PathId(0));
    }
    net.carry();
    net.run(ms(100));
    let order: Vec<Class> = net.arrived[1].iter().map(|(class, _)| *class).collect();
    assert_eq!(
        order,
        [
            Class::Stop,
            Class::Latest,
            Class::Unordered,
            Class::Reliable
        ]
    );
}

// [WIRE-46]
#[test]
fn a_forged_acknowledgement_of_what_was_never_sent_changes_nothing() {
    let mut net = Net::new(1, 0);
    net.cut.insert(PathId(0));
    net.send(0, Class::Reliable, 1, Duration::from_secs(5))
        .unwrap();
    let forged = |cumulative, bitmap: Vec<u8>| Packet {
        path_sequence: 0,
        tx_time_us: 0,
        report: None,
        ack: AckState { cumulative, bitmap },
        chunks: Vec::new(),
    };
    for packet in [
        forged(900, vec![]),
        forged(0, vec![0, 0, 1]),
        forged(u64::MAX, vec![]),
    ] {
        net.ends[0].on_packet(net.now, PathId(0), packet);
    }
    assert_eq!(net.ends[0].counters().absurd, 3);
    net.cut.clear();
    net.run(Duration::from_secs(1));
    assert_eq!(net.numbers(1, Class::Reliable), [1]);
}

#[test]
fn heartbeats_keep_idle_paths_live_and_measured() {
    let mut net = Net::new(2, 20);
    net.run(Duration::from_secs(60));
    for leg in &net.ends {
        for path in leg.paths() {
            assert_eq!(path.health, Health::Live);
            assert_eq!(path.quality.min_rtt, Some(ms(20)));
            assert!(path.sent_packets <= 400, "{}", path.sent_packets);
        }
    }
}

// [WIRE-49]
#[test]
fn a_flood_fills_the_queue_and_no_more_and_a_stop_still_finds_room() {
    let mut leg = Leg::new(MonoTime::ZERO);
    let origin = Origin {
        created: MonoTime::ZERO,
        upstream: None,
    };
    let deadline = MonoTime::ZERO + TTL_MAX;
    let (mut taken, mut bytes) = (0, 0);
    for number in 1..=5_000 {
        let parcel = envelope(Class::Reliable, number, 1_000);
        let size = parcel.len();
        if leg.send(MonoTime::ZERO, parcel, deadline, origin).is_ok() {
            taken += 1;
            bytes += size;
        }
    }
    assert!(taken < OUTBOX_PARCELS_MAX && bytes < OUTBOX_BYTES_MAX && taken > 500);
    let stop = leg.send(
        MonoTime::ZERO,
        envelope(Class::Stop, 1, 700),
        deadline,
        origin,
    );
    assert_eq!(stop, Ok(()));
    let too_large = envelope(Class::Reliable, 1, PARCEL_BYTES_MAX);
    assert_eq!(
        leg.send(MonoTime::ZERO, too_large, deadline, origin),
        Err(Overflow::TooLarge)
    );
}

#[test]
fn a_trail_says_how_long_a_parcel_waited_here_and_before() {
    let mut net = Net::new(0, 0);
    let created = net.now;
    let relayed = Origin {
        created,
        upstream: Some((12, 345)),
    };
    net.ends[0]
        .send(
            net.now,
            envelope(Class::Latest, 1, 60),
            created + ms(500),
            relayed,
        )
        .unwrap();
    net.now = created + ms(30);
    net.ends[0].add_path(net.now, PathId(0));
    let chunks: Vec<Chunk> = std::iter::from_fn(|| net.ends[0].poll_transmit())
        .flat_map(|(_, bytes)| Packet::decode(&bytes).unwrap().chunks)
        .collect();
    let trail = chunks.iter().find_map(|chunk| match chunk {
        Chunk::Untracked { trail, .. } => Some(*trail),
        Chunk::Hello { .. }
        | Chunk::Welcome { .. }
        | Chunk::Floor { .. }
        | Chunk::Tracked { .. } => None,
    });
    let trail = trail.unwrap();
    assert_eq!((trail.sender_10us, trail.relayed), (12, Some((345, 3_000))));
}
