//! Behaviours of a session, with real keys and two clocks that do not agree.

mod classes;
mod property;
mod receipts;
mod seal;
mod time;

use std::sync::LazyLock;
use std::time::Duration;

use super::*;
use crate::base::limits::BEAT_BYTES_MAX;
use crate::base::{Channel, Class, Flow, MonoTime, SessionId};
use crate::crypto::test_authority::{KeyType, NOW, SeededEntropy, TestAuthority};
use crate::crypto::{Fleet, Initiator, KeyPair, Responder, RunKey};
use crate::session::judge::BEATS;
use crate::wire::{ControllerBeat, Outcome, Parcel, SealedHeader};

const DRIVE: Channel = Channel::new(1).unwrap();
const LATEST: Flow = Flow::new(DRIVE, Class::Latest);
const UNORDERED: Flow = Flow::new(DRIVE, Class::Unordered);
const RELIABLE: Flow = Flow::new(DRIVE, Class::Reliable);
const STOP: Flow = Flow::new(DRIVE, Class::Stop);
const TTL: Duration = Duration::from_millis(400);
const SESSION: SessionId = SessionId(7);
/// How far the truck's clock is ahead of Anna's, unless it is stepped.
const AHEAD: Duration = Duration::from_secs(1_000);

struct People {
    fleet: Fleet,
    anna: KeyPair,
    truck: KeyPair,
}

static PEOPLE: LazyLock<People> = LazyLock::new(|| {
    let authority = TestAuthority::new("demo");
    People {
        fleet: authority.fleet(),
        anna: authority.credential("controller/anna", KeyType::Ed25519),
        truck: authority.credential("agent/truck-17", KeyType::Ed25519),
    }
});

/// The two ends of a session: Anna sends commands, the truck receives them.
struct Pair {
    anna: Session,
    truck: Session,
    /// Anna's clock.
    now: MonoTime,
    /// How far the truck's clock is ahead of it.
    ahead: Duration,
}

impl Pair {
    /// A session whose ends know each other's clock within a few milliseconds.
    fn new() -> Pair {
        Pair::with(true, &Dictionaries::new(), &Dictionaries::new())
    }

    fn without_clock() -> Pair {
        Pair::with(false, &Dictionaries::new(), &Dictionaries::new())
    }

    fn with(clock: bool, annas: &Dictionaries, trucks: &Dictionaries) -> Pair {
        let people = &*PEOPLE;
        let (start, called) = (
            MonoTime::from_us(1_000_000),
            "agent/truck-17".parse().unwrap(),
        );
        let step = |ms| start + Duration::from_millis(ms);
        let (mut initiator, step1) =
            Initiator::new(start, SESSION, &called, &mut SeededEntropy::new(1));
        let (mut responder, step2) = Responder::new(
            step(2) + AHEAD,
            SESSION,
            &called,
            &step1,
            &people.truck,
            &RunKey::new(&mut SeededEntropy::new(3)),
            &mut SeededEntropy::new(2),
        )
        .unwrap();
        let (step3, at_anna) = initiator
            .on_step2(step(4), &step2, &people.fleet, NOW, &people.anna)
            .unwrap();
        let at_truck = responder
            .on_step3(step(6) + AHEAD, &step3, &people.fleet, NOW)
            .unwrap();
        let session = |e: crate::crypto::Established, dictionaries: &Dictionaries| {
            Session::new(
                SESSION,
                e.peer.node,
                e.seal,
                e.open,
                clock.then_some(e.sample),
                dictionaries.clone(),
            )
        };
        Pair {
            anna: session(at_anna, annas),
            truck: session(at_truck, trucks),
            now: step(10),
            ahead: AHEAD,
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
    }

    fn truck_now(&self) -> MonoTime {
        self.now + self.ahead
    }

    /// Anna sends `message`; returns its number and envelopes.
    fn send(&mut self, flow: Flow, ttl: Duration, message: &[u8]) -> (u64, Vec<Outbound>) {
        let number = self.anna.send(self.now, flow, ttl, message).unwrap();
        let outbounds = std::iter::from_fn(|| self.anna.poll_transmit()).collect();
        (number, outbounds)
    }

    /// Anna sends a short message; returns its only envelope.
    fn send_one(&mut self, flow: Flow, message: &[u8]) -> Outbound {
        self.send(flow, TTL, message).1.remove(0)
    }

    fn reach_truck(&mut self, outbound: &Outbound) -> Result<(), Rejection> {
        let (header, ciphertext) = parts(outbound);
        self.truck.on_sealed(self.truck_now(), header, &ciphertext)
    }

    fn reach_anna(&mut self, outbound: &Outbound) -> Result<(), Rejection> {
        let (header, ciphertext) = parts(outbound);
        self.anna.on_sealed(self.now, header, &ciphertext)
    }

    /// What the truck delivers; beats are taken in.
    fn at_truck(&mut self) -> Vec<Delivery> {
        let now = self.truck_now();
        take(&mut self.truck, now)
    }

    /// The messages that the truck delivers.
    fn messages_at_truck(&mut self) -> Vec<Vec<u8>> {
        self.at_truck().into_iter().map(|d| d.bytes).collect()
    }

    /// As [`Pair::messages_at_truck`], and each is applied.
    fn applied_at_truck(&mut self) -> Vec<Vec<u8>> {
        let deliveries = self.at_truck();
        for delivery in &deliveries {
            self.truck
                .on_outcome(delivery.flow, delivery.number, Outcome::Applied);
        }
        deliveries.into_iter().map(|d| d.bytes).collect()
    }

    fn beat_from_anna(&mut self) -> Outbound {
        beat(&mut self.anna, self.now)
    }

    fn beat_from_truck(&mut self) -> Outbound {
        let now = self.truck_now();
        beat(&mut self.truck, now)
    }

    /// A beat of Anna's arrives and a beat of the truck's, with no time between.
    fn exchange_beats(&mut self) {
        let beat = self.beat_from_anna();
        self.reach_truck(&beat).unwrap();
        assert_eq!(self.at_truck(), []);
        self.report_to_anna();
    }

    /// A beat of the truck's arrives.
    fn report_to_anna(&mut self) {
        let beat = self.beat_from_truck();
        self.reach_anna(&beat).unwrap();
        let now = self.now;
        assert_eq!(take(&mut self.anna, now), []);
    }

    fn on_timeout(&mut self) {
        self.anna.on_timeout(self.now);
        self.truck.on_timeout(self.truck_now());
    }

    fn receipts(&mut self) -> Vec<(u64, Resolution)> {
        std::iter::from_fn(|| self.anna.poll_receipt())
            .map(|receipt| (receipt.number, receipt.outcome))
            .collect()
    }

    fn stats(&self, flow: Flow) -> FlowStats {
        let found = self.truck.flow_stats().find(|(f, _)| *f == flow);
        found.map_or(FlowStats::default(), |(_, stats)| stats)
    }
}

fn parts(outbound: &Outbound) -> (SealedHeader, Vec<u8>) {
    let Ok(Parcel::Sealed { header, ciphertext }) = Parcel::decode(&outbound.parcel) else {
        panic!("not a sealed parcel");
    };
    (header, ciphertext.to_vec())
}

fn take(session: &mut Session, now: MonoTime) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    while let Some(delivery) = session.poll_delivery() {
        if delivery.flow == BEATS {
            let beat = ControllerBeat::decode(&delivery.bytes).unwrap();
            session.on_report(now, delivery.sent_at_us, beat.echo, &beat.flows);
        } else {
            deliveries.push(delivery);
        }
    }
    deliveries
}

fn beat(session: &mut Session, now: MonoTime) -> Outbound {
    let (echo, flows) = session.report();
    let beat = ControllerBeat {
        echo,
        renewals: Vec::new(),
        flows,
    };
    let bytes = beat.encode();
    assert!(bytes.len() <= BEAT_BYTES_MAX);
    session
        .send(now, BEATS, Duration::from_secs(1), &bytes)
        .unwrap();
    let sent: Vec<_> = std::iter::from_fn(|| session.poll_transmit()).collect();
    let [beat] = sent.try_into().unwrap();
    beat
}
