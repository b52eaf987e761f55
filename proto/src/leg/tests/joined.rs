//! Two legs, the links between them, and their clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::limits::PACKET_BYTES_MAX;
use crate::base::{Channel, Class, Flow, MonoTime, PathId, SessionId};
use crate::leg::{Arrival, Leg, Origin};
use crate::wire::{Packet, Parcel, SealedHeader};

/// The end that most tests send from, and the one that they send to.
pub const HERE: usize = 0;
/// See [`HERE`].
pub const THERE: usize = 1;

/// Two legs on one clock; path n uses link n.
pub struct Joined {
    pub legs: [Leg; 2],
    pub links: Vec<Link>,
    pub got: [Vec<Arrival>; 2],
    pub now: MonoTime,
    /// Packets that were sent from each end after the first on each path, with their time and path.
    pub sent: [Vec<(MonoTime, PathId, Packet)>; 2],
    flying: BTreeMap<(MonoTime, u64), (usize, PathId, Vec<u8>)>,
    flown: u64,
    random: u64,
}

/// What a link does to packets from each end.
#[derive(Clone, Copy)]
pub struct Link {
    pub loss_percent: u64,
    pub delay: Duration,
    pub cut: [bool; 2],
}

impl Joined {
    /// Over links that each lose `loss_percent` both ways and take 10 ms.
    pub fn new(seed: u64, loss_percent: &[u64]) -> Joined {
        let link = |&loss_percent| Link {
            loss_percent,
            delay: ms(10),
            cut: [false; 2],
        };
        let now = MonoTime::from_us(5_000_000_000);
        let mut joined = Joined {
            legs: [Leg::new(now), Leg::new(now)],
            links: loss_percent.iter().map(link).collect(),
            got: [vec![], vec![]],
            now,
            sent: [vec![], vec![]],
            flying: BTreeMap::new(),
            flown: 0,
            random: seed,
        };
        for number in 0..loss_percent.len() {
            for leg in &mut joined.legs {
                assert!(leg.add_path(now, PathId(u32::try_from(number).unwrap())));
            }
        }
        for end in [HERE, THERE] {
            joined.take(end);
            joined.sent[end].clear();
        }
        joined
    }

    /// Sends a sealed parcel from an end, to arrive within `ttl`.
    pub fn send(&mut self, end: usize, class: Class, number: u64, ttl: Duration) {
        let (now, parcel) = (self.now, sealed(class, number));
        self.legs[end]
            .send(now, parcel, now + ttl, Origin::here(now))
            .unwrap();
        self.take(end);
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        let mut idle_steps = 0;
        loop {
            let flight = self.flying.keys().next().map(|key| key.0);
            let timers = self.legs.iter().filter_map(Leg::next_timeout);
            let Some(next) = timers.chain(flight).min().filter(|next| *next <= end) else {
                break;
            };
            idle_steps = if next > self.now { 0 } else { idle_steps + 1 };
            assert!(idle_steps < 5_000, "a timer that is due stays due");
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
    }

    /// Numbers of the parcels of a class that an end got, in order of arrival.
    pub fn numbers(&self, end: usize, class: Class) -> Vec<u64> {
        let number = |arrival: &Arrival| match Parcel::decode(&arrival.parcel) {
            Ok(Parcel::Sealed { header, .. }) if header.flow.class == class => Some(header.number),
            _ => None,
        };
        self.got[end].iter().filter_map(number).collect()
    }

    /// Puts a packet that this end never sent before the other one.
    pub fn forge(&mut self, to: usize, packet: Packet) -> Vec<Arrival> {
        let arrivals = self.legs[to].on_packet(self.now, PathId(0), packet);
        self.take(to);
        arrivals
    }

    fn step(&mut self) {
        while let Some(entry) = self.flying.first_entry()
            && entry.key().0 <= self.now
        {
            let (to, path, bytes) = entry.remove();
            let packet = Packet::decode(&bytes).unwrap();
            let arrivals = self.legs[to].on_packet(self.now, path, packet);
            self.got[to].extend(arrivals);
            self.take(to);
        }
        for end in [HERE, THERE] {
            if self.legs[end]
                .next_timeout()
                .is_some_and(|due| due <= self.now)
            {
                self.legs[end].on_timeout(self.now);
                self.take(end);
            }
        }
    }

    /// Puts what an end sends onto the links.
    pub fn take(&mut self, end: usize) {
        while let Some((path, bytes)) = self.legs[end].poll_transmit() {
            assert!(bytes.len() <= PACKET_BYTES_MAX);
            let packet = Packet::decode(&bytes).unwrap();
            self.sent[end].push((self.now, path, packet));
            let link = self.links[path.0 as usize];
            if !link.cut[end] && self.percent() >= link.loss_percent {
                self.flown += 1;
                self.flying
                    .insert((self.now + link.delay, self.flown), (1 - end, path, bytes));
            }
        }
    }

    /// Knuth's MMIX generator.
    fn percent(&mut self) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % 100
    }
}

/// An envelope of session 1, channel 1.
pub fn sealed(class: Class, number: u64) -> Arc<[u8]> {
    sealed_of(SessionId(1), class, number, 60)
}

/// An envelope of channel 1.
pub fn sealed_of(session: SessionId, class: Class, number: u64, bytes: usize) -> Arc<[u8]> {
    let flow = Flow::new(Channel::new(1).unwrap(), class);
    Parcel::Sealed {
        header: SealedHeader {
            key_phase: 0,
            session,
            flow,
            number,
            ttl_ms: 1_000,
        },
        ciphertext: vec![0; bytes].into(),
    }
    .encode()
}

/// Milliseconds.
pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
