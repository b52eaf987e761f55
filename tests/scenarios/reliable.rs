//! Commands that must arrive, once.

use std::collections::BTreeSet;
use std::time::Duration;

use longrein_proto::base::limits::RELIABLE_WINDOW;
use longrein_proto::base::{ApplicationId, Refusal};
use longrein_proto::role::ControllerEvent;
use longrein_proto::session::Resolution;
use longrein_tests::{Link, StageSet, Vehicle, World, each_seed};

const TTL: Duration = Duration::from_secs(10);

fn id(number: u16) -> ApplicationId {
    let [high, low] = number.to_be_bytes();
    ApplicationId([high, low, 0, 0, 0, 0, 0, 0])
}

/// Sends commands 50 ms apart, and lets something happen before each.
fn deliver(
    world: &mut World,
    set: &StageSet,
    numbers: std::ops::Range<u16>,
    mut meanwhile: impl FnMut(&mut World, u16),
) {
    for number in numbers {
        meanwhile(world, number);
        world
            .deliver(set.alice, set.agent, id(number), TTL)
            .expect("the lease is held");
        world.run(Duration::from_millis(50));
    }
}

/// Every command was applied once, in order, and its sender knows.
fn assert_all_applied(world: &World, set: &StageSet, numbers: std::ops::Range<u16>) {
    let applied: Vec<ApplicationId> = world
        .lives(set.agent)
        .flat_map(|life| &life.applied)
        .filter_map(|command| command.application_id)
        .collect();
    let sent: Vec<ApplicationId> = numbers.map(id).collect();
    assert_eq!(applied, sent);
    for id in sent {
        assert_eq!(world.receipt(id), Some(Resolution::Applied));
    }
}

/// Loss, duplicates and reordering on every path.
fn spoil(world: &mut World, set: &StageSet, loss: f64) {
    set.each_path(world, |link| {
        *link = Link {
            loss,
            duplicates: 0.1,
            jitter: Duration::from_millis(15),
            ..Link::good()
        }
    });
}

// [WIRE-84]
#[test]
fn every_command_is_applied_once_and_in_order_when_a_fifth_of_the_packets_is_lost() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        spoil(&mut world, &set, 0.2);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        deliver(&mut world, &set, 0..100, |_, _| {});
        world.run(Duration::from_secs(5));
        assert_all_applied(&world, &set, 0..100);
    });
}

/// With so much loss a lease may lapse. An operator who takes it again, and sends again under the same id what was not
/// applied, gets all of it applied once.
// [WIRE-118]
#[test]
fn every_command_is_applied_once_when_half_of_the_packets_are_lost() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        spoil(&mut world, &set, 0.5);
        world.open(set.alice, set.agent);
        for _ in 0..20 {
            let _ = world.ask_lease(set.alice, set.agent, Vehicle::TUNNEL);
            for number in 0..100 {
                if !is_applied(&world, id(number)) {
                    let _ = world.deliver(set.alice, set.agent, id(number), TTL);
                    world.run(Duration::from_millis(20));
                }
            }
            world.run(Duration::from_secs(2));
            if (0..100).all(|number| is_applied(&world, id(number))) {
                break;
            }
        }
        let all = world.lives(set.agent).flat_map(|life| &life.applied);
        assert_eq!(all.count(), 100);
    });
}

fn is_applied(world: &World, id: ApplicationId) -> bool {
    matches!(
        world.receipt(id),
        Some(Resolution::Applied | Resolution::Refused(Refusal::AlreadyApplied))
    )
}

// [WIRE-56]
#[test]
fn a_relays_death_loses_no_command() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        deliver(&mut world, &set, 0..60, |world, number| match number {
            20 => world.kill(set.relays[0]),
            30 => world.restart_relay(set.relays[0]),
            40 => world.kill(set.relays[1]),
            _ => {}
        });
        world.run(Duration::from_secs(3));
        assert_all_applied(&world, &set, 0..60);
    });
}

// [WIRE-56] [WIRE-111]
#[test]
fn the_restart_of_all_relays_at_once_loses_no_command() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        deliver(&mut world, &set, 0..40, |world, number| {
            if number == 20 {
                // The newest commands are on their way when it happens.
                for relay in set.relays {
                    world.kill(relay);
                    world.restart_relay(relay);
                }
            }
        });
        world.run(Duration::from_secs(3));
        assert_all_applied(&world, &set, 0..40);
    });
}

// [WIRE-118]
#[test]
fn a_command_is_applied_at_most_once_over_a_restart_of_the_agent() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        deliver(&mut world, &set, 0..10, |_, _| {});
        // Some of these are being stored, some are applied and their receipts are on their way.
        for number in 10..15 {
            world
                .deliver(set.alice, set.agent, id(number), TTL)
                .expect("the lease is held");
            let gap = 3 + world.branch().below(6);
            world.run(Duration::from_millis(gap));
        }
        // Less than the way takes since the newest was sent.
        world.run(Duration::from_millis(10));
        world.kill(set.agent);
        let from = world.controller_events(set.alice).len();
        world.restart_agent(set.agent);
        world.await_session(set.alice, from);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        let before: BTreeSet<ApplicationId> = world
            .lives(set.agent)
            .flat_map(|life| &life.applied)
            .filter_map(|command| command.application_id)
            .collect();
        let unknown: Vec<u16> = (0..15)
            .filter(|number| world.receipt(id(*number)) != Some(Resolution::Applied))
            .collect();
        assert!(!unknown.is_empty(), "the agent died too late");
        for number in 0..15 {
            world
                .deliver(set.alice, set.agent, id(number), TTL)
                .expect("the lease is held");
        }
        world.run(Duration::from_secs(2));
        for number in 0..15 {
            let told = world.receipt(id(number));
            if before.contains(&id(number)) {
                let refused = Resolution::Refused(Refusal::AlreadyApplied);
                assert_eq!(told, Some(refused), "{number}");
            } else {
                // Stored and not applied when the agent died, or not even stored.
                assert!(
                    matches!(
                        told,
                        Some(Resolution::Applied | Resolution::Refused(Refusal::AlreadyApplied))
                    ),
                    "{number} {told:?}"
                );
            }
        }
    });
}

// [WIRE-99]
#[test]
fn receipts_say_expired_or_unknown_only_when_that_is_so() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        // Too late on arrival: the vehicle says so.
        for path in set.truck_paths {
            world.link(path).delay_down = Duration::from_millis(250);
        }
        let short = Duration::from_millis(250);
        world
            .deliver(set.alice, set.agent, id(1), short)
            .expect("the lease is held");
        world.run(Duration::from_millis(1_200));
        for path in set.truck_paths {
            world.link(path).delay_down = Duration::from_millis(20);
        }
        assert_eq!(world.receipt(id(1)), Some(Resolution::Expired));
        world.run(Duration::from_millis(500));

        // Never arrives, and nobody can say so before the deadline and its grace are over.
        let _ = world.ask_lease(set.alice, set.agent, Vehicle::TUNNEL);
        set.each_path(&mut world, |link| link.set_cut(true));
        world
            .deliver(set.alice, set.agent, id(2), short)
            .expect("the lease is held");
        world.run(Duration::from_millis(1_200));
        assert_eq!(world.receipt(id(2)), None);
        world.run(Duration::from_millis(200));
        assert_eq!(world.receipt(id(2)), Some(Resolution::Unknown));
    });
}

#[test]
fn a_session_that_ends_leaves_no_command_without_a_receipt() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        set.each_path(&mut world, |link| link.set_cut(true));
        for number in 0..5 {
            world
                .deliver(set.alice, set.agent, id(number), TTL)
                .expect("the lease is held");
        }
        world.close(set.alice, set.agent);
        for number in 0..5 {
            assert_eq!(world.receipt(id(number)), Some(Resolution::Unknown));
        }
    });
}

/// A request that does not get through has an answer all the same.
#[test]
fn a_request_that_is_lost_is_answered_as_expired() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        let truck = world.name_of(set.agent).clone();
        // Commands up are lost, beats down keep the session alive.
        set.each_path(&mut world, |link| link.delay_up = Duration::from_secs(30));
        let asked = world.with_controller(set.alice, |role, now| {
            role.take(now, &truck, Vehicle::DRIVE)
        });
        let answer =
            world.await_event(set.alice, 0, Duration::from_secs(20), |event| match event {
                ControllerEvent::Refused { ask, why, .. } if Some(*ask) == asked => {
                    Some(why.clone())
                }
                _ => None,
            });
        assert_eq!(answer, Some(Refusal::Expired));
    });
}

/// [WIRE-118]
#[test]
fn a_command_that_the_device_refused_may_come_again_under_its_id_also_after_a_restart() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        world.set_device(set.agent, Vehicle::TUNNEL, false);
        world
            .deliver(set.alice, set.agent, id(1), TTL)
            .expect("the lease is held");
        world.run(Duration::from_secs(1));
        let refused = Resolution::Refused(Refusal::AdapterDown);
        assert_eq!(world.receipt(id(1)), Some(refused));

        world.kill(set.agent);
        let from = world.controller_events(set.alice).len();
        world.restart_agent(set.agent);
        world.await_session(set.alice, from);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        world
            .deliver(set.alice, set.agent, id(1), TTL)
            .expect("the lease is held");
        world.run(Duration::from_secs(1));
        assert_eq!(world.receipt(id(1)), Some(Resolution::Applied));
    });
}

// [WIRE-98]
#[test]
fn every_request_of_a_controller_that_asks_often_is_answered() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        let from = world.controller_events(set.alice).len();
        let truck = world.name_of(set.agent).clone();
        // More than a window of answers within the life of one.
        let asks = 3 * u32::try_from(RELIABLE_WINDOW).expect("small");
        for _ in 0..asks {
            world.with_controller(set.alice, |role, now| role.reset_stop(now, &truck, 0));
            world.run(Duration::from_millis(20));
        }
        world.run(Duration::from_secs(1));
        let events = world.controller_events(set.alice).iter().skip(from);
        let answers = events.filter(|(_, event)| {
            matches!(
                event,
                ControllerEvent::Done { .. } | ControllerEvent::Refused { .. }
            )
        });
        assert_eq!(answers.count(), usize::try_from(asks).expect("small"));
    });
}
