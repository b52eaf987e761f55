//! Dictionaries for compression, of which not everybody has the same.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use longrein::dictionary::train;
use longrein_proto::base::{Channel, Class, FencingToken, Flow, NodeKind, SessionId};
use longrein_proto::crypto::Initiator;
use longrein_proto::role::{ControllerEvent, Order};
use longrein_proto::session::{Dictionaries, Dictionary, Session};
use longrein_proto::wire::{Body, Command, Parcel, Telemetry};
use longrein_tests::{StageSet, Station, Tamper, TestFleet, Vehicle, World, each_seed};
use rustls_pki_types::UnixTime;

/// What a vehicle might say of itself, in 250 bytes.
fn status(number: u32) -> Vec<u8> {
    let (a, b) = (number * 7_919 % 3_000, number * 104_729 % 100_000);
    format!(
        concat!(
            r#"{{"type":"status","at":{},"speed_mm_s":{},"position":{{"x_mm":{},"y_mm":{}}},"#,
            r#""battery":{{"volts":48.{},"charge_percent":{}}},"lights":{{"low":true,"high":false,"beacon":true}},"#,
            r#""modem":{{"network":"LTE","rsrp_dbm":-{}}},"mode":"manual","faults":[]}}"#
        ),
        number, a, b, b + a, a % 100, b % 100, 70 + a % 50
    )
    .into_bytes()
}

/// The dictionary that everybody may have, with a number, for the tunnel.
fn dictionaries(id: u16) -> Dictionaries {
    static TRAINED: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let samples: Vec<Vec<u8>> = (1_000..1_500).map(status).collect();
        train(&samples, 4_096, None).expect("enough samples")
    });
    let dictionary = Dictionary::new(&TRAINED, Some(id)).expect("just trained");
    let mut dictionaries = Dictionaries::new();
    let functions = ["tunnel".parse().expect("a name")];
    dictionaries
        .insert(dictionary, &functions)
        .expect("the first");
    dictionaries
}

fn give(world: &mut World, station: Station, id: u16) {
    world.with_controller(station, |role, _| role.set_dictionaries(dictionaries(id)));
}

fn give_agent(world: &mut World, station: Station, id: u16) {
    world.with_agent(station, |role, _| role.set_dictionaries(dictionaries(id)));
}

fn down_bytes(world: &World, paths: [usize; 2]) -> u64 {
    paths
        .iter()
        .map(|path| world.carried(*path).down_bytes)
        .sum()
}

fn up_bytes(world: &World, paths: [usize; 2]) -> u64 {
    paths.iter().map(|path| world.carried(*path).up_bytes).sum()
}

fn heard(world: &World, station: Station) -> Vec<Vec<u8>> {
    let opaque = |event: &ControllerEvent| match event {
        ControllerEvent::Telemetry {
            telemetry: Telemetry::Opaque(bytes),
            ..
        } => Some(bytes.clone()),
        _ => None,
    };
    let events = world.controller_events(station).iter();
    events.filter_map(|(_, event)| opaque(event)).collect()
}

/// [WIRE-126]
#[test]
fn telemetry_is_short_for_who_has_the_dictionary_and_whole_for_everybody() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let (bob, bobs_paths) = set.operator(&mut world, "bob");
        let (carol, carols_paths) = set.operator(&mut world, "carol");
        give_agent(&mut world, set.agent, 7);
        give(&mut world, set.alice, 7);
        // Carol's has another number.
        give(&mut world, carol, 8);
        let operators = [set.alice, bob, carol];
        for operator in operators {
            world.open(operator, set.agent);
        }
        world.run(Duration::from_secs(1));
        let paths = [set.desk_paths, bobs_paths, carols_paths];
        let before = paths.map(|paths| down_bytes(&world, paths));
        for number in 0..150 {
            let telemetry = Telemetry::Opaque(status(number));
            world.with_agent(set.agent, |role, now| {
                role.telemetry(now, Vehicle::TUNNEL, Class::Unordered, &telemetry);
            });
            world.run(Duration::from_millis(20));
        }
        world.run(Duration::from_millis(500));
        let bytes: Vec<u64> = paths
            .iter()
            .zip(before)
            .map(|(paths, before)| down_bytes(&world, *paths) - before)
            .collect();
        for operator in operators {
            let heard = heard(&world, operator);
            // The truck's links lose some.
            assert!(heard.len() > 140, "only {} of 150 came", heard.len());
            let sent: BTreeSet<Vec<u8>> = (0..150).map(status).collect();
            assert!(heard.iter().all(|bytes| sent.contains(bytes)));
            let seals = world.controller_role(operator).seal_counters();
            assert_eq!(seals.rejected, 0);
        }
        for others in &bytes[1..] {
            assert!(bytes[0] * 4 < others * 3, "{bytes:?}");
        }
    });
}

fn send_statuses(world: &mut World, set: &StageSet) -> u64 {
    let before = up_bytes(world, set.desk_paths);
    for number in 0..100 {
        let order = Order {
            class: Class::Unordered,
            ttl: Duration::from_millis(500),
            dead_man: false,
            resume: false,
            application_id: None,
            picture_age: None,
            body: Body::Opaque(Vehicle::secret(&status(number))),
        };
        world
            .command(set.alice, set.agent, Vehicle::TUNNEL, order)
            .expect("the lease is held");
        world.run(Duration::from_millis(20));
    }
    world.run(Duration::from_millis(600));
    up_bytes(world, set.desk_paths) - before
}

/// [WIRE-126]
#[test]
fn a_vehicle_that_comes_back_without_the_dictionary_gets_its_commands_as_they_are() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        give_agent(&mut world, set.agent, 7);
        give(&mut world, set.alice, 7);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        world.run(Duration::from_millis(500));
        let short = send_statuses(&mut world, &set);
        let applied = world.vehicle(set.agent).applied_numbers(Vehicle::TUNNEL);
        assert_eq!(applied.len(), 100);

        let from = world.controller_events(set.alice).len();
        world.kill(set.agent);
        world.restart_agent(set.agent);
        world.await_session(set.alice, from);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        world.run(Duration::from_millis(500));
        let whole = send_statuses(&mut world, &set);
        let applied = world.vehicle(set.agent).applied_numbers(Vehicle::TUNNEL);
        assert_eq!(applied.len(), 100);
        assert!(short * 4 < whole * 3, "{short} and {whole} bytes");
        assert_eq!(world.agent_role(set.agent).counters().0.garbled, 0);
    });
}

/// [WIRE-97] A controller that has papers, and compresses with what the vehicle never said that it has.
#[test]
fn a_frame_whose_dictionary_the_vehicle_lacks_is_refused_and_counted() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::hostile(&mut world, Tamper::Nothing);
        give_agent(&mut world, set.agent, 7);
        world.run(Duration::from_secs(1));
        let credential = world.stolen_credential(NodeKind::Controller, "mallory");
        let fleet = world.fleet().fleet();
        let truck = world.name_of(set.agent).clone();
        let mut chance = world.branch();
        let (relay, id) = (set.relays[0], SessionId(7));
        let step = |step, to, body: Vec<u8>| {
            let body: Arc<[u8]> = body.into();
            Parcel::Handshake {
                session: id,
                step,
                to,
                body,
            }
            .encode()
        };
        let mut initiator = world.with_hostile(relay, |role, now| {
            let (initiator, step1) = Initiator::new(now, id, &truck, &mut chance);
            role.inject(now, &truck, step(1, Some(truck.clone()), step1));
            initiator
        });
        world.run(Duration::from_millis(200));
        let at = UnixTime::since_unix_epoch(Duration::from_millis(TestFleet::UNIX_MS));
        let mut session = world.with_hostile(relay, |role, now| {
            let step2 = role.answers.first().expect("an answer").clone();
            let done = initiator.on_step2(now, &step2, &fleet, at, credential.as_ref());
            let (step3, made) = done.expect("the papers are genuine");
            role.inject(now, &truck, step(3, None, step3));
            let known = dictionaries(8);
            Session::new(
                id,
                made.peer.node,
                made.seal,
                made.open,
                Some(made.sample),
                known,
            )
        });
        session.name_channel(Vehicle::TUNNEL, &"tunnel".parse().expect("a name"));
        let own = session.dictionaries();
        session.on_dictionaries(&own);
        world.run(Duration::from_millis(200));
        let command = Command {
            token: FencingToken(1),
            dead_man: false,
            resume: false,
            application_id: None,
            picture_age: None,
            body: Body::Opaque(Vehicle::secret(&status(1))),
        };
        let flow = Flow::new(Channel::new(2).expect("a channel"), Class::Unordered);
        world.with_hostile(relay, |role, now| {
            session
                .send(now, flow, Duration::from_secs(1), &command.encode())
                .expect("it takes it");
            let sealed = session.poll_transmit().expect("just sent");
            role.inject(now, &truck, sealed.parcel);
        });
        assert_eq!(session.counters().compressed, 1);
        world.run(Duration::from_millis(200));
        assert_eq!(world.agent_role(set.agent).counters().0.garbled, 1);
        let applied = world.vehicle(set.agent).applied_numbers(Vehicle::TUNNEL);
        assert!(applied.is_empty());
    });
}
