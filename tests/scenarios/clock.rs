//! How old a command is, on clocks that differ.

use std::time::Duration;

use longrein_proto::base::{
    Channel, Class, Flow, MonoTime, NodeKind, NodeName, Refusal, SessionId,
};
use longrein_proto::crypto::{Established, Initiator, Responder, RunKey};
use longrein_proto::role::ControllerEvent;
use longrein_proto::session::{Dictionaries, Resolution, Session};
use longrein_tests::{
    Account, Chance, Clock, Link, StageSet, TestFleet, Vehicle, World, each_seed,
};
use rustls_pki_types::UnixTime;

/// Two ends of a session of which the called one knows nothing of the other's clock.
fn session_without_a_clock(seed: u64) -> (Session, Session) {
    let mut fleet = TestFleet::new(seed);
    let mut chance = Chance::new(seed);
    let name = |kind, name: &str| NodeName::new(kind, name.parse().expect("a valid name"));
    let alice = name(NodeKind::Controller, "alice");
    let truck = name(NodeKind::Agent, "truck-17");
    let at = UnixTime::since_unix_epoch(Duration::from_millis(TestFleet::UNIX_MS));
    let (now, id) = (MonoTime::from_us(1_000_000), SessionId(7));
    let (mut initiator, step1) = Initiator::new(now, id, &truck, &mut chance);
    let credential = fleet.credential(&truck);
    let run = RunKey::new(&mut chance);
    let credential = credential.as_ref();
    let (mut responder, step2) =
        Responder::new(now, id, &truck, &step1, credential, &run, &mut chance)
            .expect("a genuine step");
    let credential = fleet.credential(&alice);
    let trusted = fleet.fleet();
    let (step3, caller) = initiator
        .on_step2(now, &step2, &trusted, at, credential.as_ref())
        .expect("a genuine step");
    let called = responder
        .on_step3(now, &step3, &trusted, at)
        .expect("a genuine step");
    let session = |established: Established, sample: bool| {
        let Established {
            peer,
            seal,
            open,
            sample: first,
            ..
        } = established;
        let sample = sample.then_some(first);
        Session::new(id, peer.node, seal, open, sample, Dictionaries::default())
    };
    (session(caller, true), session(called, false))
}

/// Carries everything from one end to the other.
fn carry(now: MonoTime, from: &mut Session, to: &mut Session) {
    while let Some(out) = from.poll_transmit() {
        let parcel = longrein_proto::wire::Parcel::decode(&out.parcel).expect("just encoded");
        if let longrein_proto::wire::Parcel::Sealed { header, ciphertext } = parcel {
            to.on_sealed(now, header, &ciphertext).expect("genuine");
        }
    }
}

// [WIRE-93]
#[test]
fn no_command_is_delivered_before_the_first_sample_of_the_senders_clock() {
    each_seed(|seed| {
        let (mut caller, mut called) = session_without_a_clock(seed);
        let at = |ms: u64| MonoTime::from_us(1_000_000 + ms * 1_000);
        let flow = |class| Flow::new(Vehicle::DRIVE, class);
        let ttl = Duration::from_secs(5);
        for class in [Class::Latest, Class::Unordered, Class::Reliable] {
            caller
                .send(at(1), flow(class), ttl, b"go")
                .expect("it takes it");
        }
        carry(at(2), &mut caller, &mut called);
        assert_eq!(called.poll_delivery(), None);
        let (_, flows) = called.report();
        caller.on_report(at(3), 1_002_000, None, &flows);
        let receipt = caller.poll_receipt().expect("the vehicle has spoken");
        assert_eq!(receipt.outcome, Resolution::Refused(Refusal::NoClock));

        // A beat brings the clock, and then they pass.
        let beats = Flow::new(Channel::SESSION, Class::Latest);
        called
            .send(at(10), beats, ttl, b"beat")
            .expect("it takes it");
        carry(at(11), &mut called, &mut caller);
        let beat = caller.poll_delivery().expect("a beat");
        caller.on_report(at(11), beat.sent_at_us, None, &[]);
        caller
            .send(at(12), beats, ttl, b"beat")
            .expect("it takes it");
        let (echo, _) = caller.report();
        carry(at(13), &mut caller, &mut called);
        let beat = called.poll_delivery().expect("a beat");
        called.on_report(at(13), beat.sent_at_us, echo, &[]);
        caller
            .send(at(14), flow(Class::Latest), ttl, b"go")
            .expect("it takes it");
        carry(at(15), &mut caller, &mut called);
        assert!(called.poll_delivery().is_some());
    });
}

/// The check of every world compares each age with the truth; here it has something to find.
// [WIRE-89] [WIRE-90]
#[test]
fn ages_are_true_within_their_error_however_unequal_the_directions_are() {
    each_seed(|seed| {
        for (up_ms, down_ms) in [(320, 20), (20, 320)] {
            let mut world = World::new(seed);
            let set = StageSet::new(&mut world);
            for path in set.desk_paths {
                *world.link(path) = Link {
                    delay_up: Duration::from_millis(up_ms),
                    delay_down: Duration::from_millis(down_ms),
                    jitter: Duration::from_millis(10),
                    ..Link::good()
                };
            }
            world.open(set.alice, set.agent);
            world.take(set.alice, set.agent, Vehicle::DRIVE);
            for _ in 0..200 {
                let order = Duration::from_millis(800);
                let _ = world.drive_with_ttl(set.alice, set.agent, 0, order);
                let _ = world.drive(set.alice, set.agent, 0, true);
                world.run(Duration::from_millis(20));
            }
            let _ = world.drive_for(set.alice, set.agent, Duration::from_secs(1));
            assert_telemetry_ages(&mut world, &set);
        }
    });
}

/// The directions become unequal in the middle of a drive, when the clocks are well known already.
// [WIRE-89]
#[test]
fn a_direction_that_becomes_slower_shows_in_the_age_and_not_in_the_clock() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_secs(2));
        let before = world.vehicle(set.agent).applied.len();
        for path in set.desk_paths {
            world.link(path).delay_up += Duration::from_millis(300);
        }
        // Everything is older than 200 ms now, and known to be.
        world.drive_on(set.alice, set.agent, Duration::from_secs(2));
        let on_the_way = 3;
        assert!(world.vehicle(set.agent).applied.len() <= before + on_the_way);
        assert_telemetry_ages(&mut world, &set);
    });
}

/// [SAFE-41]
// [WIRE-89] [WIRE-92]
#[test]
fn clocks_that_drift_apart_as_fast_as_allowed_lose_no_command_and_age_truly() {
    each_seed(|seed| {
        for drift_ppm in [200, -200] {
            let mut world = World::new(seed);
            let relays = [world.relay("relay-a"), world.relay("relay-b")];
            let set = StageSet::around(&mut world, relays);
            let clock = Clock {
                offset_us: 1_000_000_000,
                drift_ppm: 90 + drift_ppm,
            };
            let bob = world.controller("bob", clock);
            set.join(&mut world, bob);
            world.open(bob, set.agent);
            world.take(bob, set.agent, Vehicle::DRIVE);
            let sent = world.drive_for(bob, set.agent, Duration::from_secs(60));
            world.run(Duration::from_millis(100));
            assert_eq!(
                world.account(set.agent, &sent),
                Account {
                    sent: sent.len(),
                    applied: sent.len(),
                    ..Account::default()
                }
            );
        }
    });
}

/// Telemetry that the vehicle sends has a true age at the controller too.
fn assert_telemetry_ages(world: &mut World, set: &StageSet) {
    let vehicle_clock = world.clock_of(set.agent);
    let mut sent = Vec::new();
    let from = world.controller_events(set.alice).len();
    for number in 0..20_u8 {
        let bytes = vec![number];
        let telemetry = longrein_proto::wire::Telemetry::Opaque(bytes);
        world.with_agent(set.agent, |role, now| {
            role.telemetry(now, Vehicle::TUNNEL, Class::Unordered, &telemetry);
        });
        sent.push(vehicle_clock.world_time(world.time_of(set.agent)));
        world.run(Duration::from_millis(30));
    }
    world.run(Duration::from_millis(400));
    let clock = world.clock_of(set.alice);
    let mut heard = 0;
    for (at, event) in world.controller_events(set.alice).iter().skip(from) {
        let ControllerEvent::Telemetry { telemetry, age, .. } = event else {
            continue;
        };
        let longrein_proto::wire::Telemetry::Opaque(bytes) = telemetry else {
            continue;
        };
        let truth = clock.world_time(*at).since(sent[usize::from(bytes[0])]);
        let age = age.expect("the clock is known");
        let off = truth.abs_diff(age.age);
        assert!(
            off <= age.error + Duration::from_micros(3),
            "truly {truth:?}, said to be {age:?}"
        );
        heard += 1;
    }
    assert!(heard > 10, "only {heard} of 20 came in time");
}
