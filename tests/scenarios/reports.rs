//! What devices say, told to whoever observes: in order, each once, and no later than a network makes it.

use std::time::Duration;

use longrein_proto::base::{Class, Flow};
use longrein_proto::role::ControllerEvent;
use longrein_proto::wire::Telemetry;
use longrein_tests::{StageSet, Station, Vehicle, World, each_seed};

/// A report of two envelopes that begins with its number.
fn report(number: u32) -> Telemetry {
    let text = format!("{number} ");
    let mut bytes = text.into_bytes();
    // Nothing that compresses.
    let mut state = number.wrapping_add(1);
    bytes.resize_with(1_500, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    Telemetry::Opaque(bytes)
}

fn heard(world: &World, station: Station) -> Vec<u32> {
    let events = world.controller_events(station).iter();
    let reports = events.filter_map(|(_, event)| match event {
        ControllerEvent::Telemetry {
            telemetry: Telemetry::Opaque(bytes),
            ..
        } => Some(bytes),
        _ => None,
    });
    let number = |bytes: &Vec<u8>| {
        let text = bytes.split(|byte| *byte == b' ').next()?;
        std::str::from_utf8(text).ok()?.parse().ok()
    };
    reports
        .map(|bytes| number(bytes).expect("a number"))
        .collect()
}

/// How long it takes to tell all reports at 20 a second, as far as the session has room, until they are heard.
fn takes_at(seed: u64, loss: f64) -> Duration {
    let mut world = World::new(seed);
    let set = StageSet::new(&mut world);
    set.each_path(&mut world, |link| link.loss = loss);
    world.open(set.alice, set.agent);
    world.run(Duration::from_secs(1));
    let flow = Flow::new(Vehicle::TUNNEL, Class::Reliable);
    let (mut told, mut took) = (0, Duration::ZERO);
    while heard(&world, set.alice).len() < REPORTS as usize && took < TTL {
        if told < REPORTS {
            world.with_agent(set.agent, |role, now| {
                if role.has_room(flow, ENVELOPES) {
                    role.report(now, flow, TTL, &report(told));
                    told += 1;
                }
            });
        }
        world.run(Duration::from_millis(50));
        took += Duration::from_millis(50);
    }
    let expected: Vec<u32> = (0..REPORTS).collect();
    assert_eq!(
        heard(&world, set.alice),
        expected,
        "each once, and in order"
    );
    took
}

/// [WIRE-98]
#[test]
fn reports_come_as_they_are_told_and_do_not_wait_for_the_end_of_those_before() {
    each_seed(|seed| {
        for loss in [0.0, 0.2] {
            let took = takes_at(seed, loss);
            assert!(took < TTL / 4, "{took:?} at a loss of {loss}");
        }
    });
}

const REPORTS: u32 = 200;
/// Of a report, and one more.
const ENVELOPES: u64 = 3;
const TTL: Duration = Duration::from_secs(60);
