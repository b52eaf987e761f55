//! Two operators want one vehicle.

use std::time::Duration;

use longrein_proto::base::{ApplicationId, Refusal};
use longrein_proto::role::ControllerEvent;
use longrein_proto::session::Resolution;
use longrein_tests::{StageSet, Station, Vehicle, World, each_seed};

const LONG: Duration = Duration::from_secs(20);

/// Delays everything that a station's paths carry up.
fn delay_up(world: &mut World, paths: [usize; 2], by: Duration) {
    for path in paths {
        world.link(path).delay_up = by;
    }
}

/// Commands that were sent under the newest lease of a station and live long: they arrive when the lease is another's.
fn send_late_commands(world: &mut World, by: Station, agent: Station) {
    for _ in 0..5 {
        world
            .drive_with_ttl(by, agent, 1_000, LONG)
            .expect("the lease is held");
        world.run(Duration::from_millis(20));
    }
    world
        .deliver(by, agent, ApplicationId([7; 8]), LONG)
        .expect("the lease is held");
}

/// [SAFE-1] [SAFE-3] [SAFE-42]
#[test]
fn the_second_controller_is_refused_until_the_first_lapses_and_then_fences_it_off() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let (bob, _) = set.operator(&mut world, "bob");
        world.open(set.alice, set.agent);
        world.open(bob, set.agent);
        let first = world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        let alice = world.name_of(set.alice).clone();
        assert_eq!(
            world.ask_lease(bob, set.agent, Vehicle::DRIVE),
            Err(Refusal::HeldBy(alice))
        );

        delay_up(&mut world, set.desk_paths, Duration::from_secs(3));
        send_late_commands(&mut world, set.alice, set.agent);
        world.run(Duration::from_millis(700));
        let second = world.take(bob, set.agent, Vehicle::DRIVE);
        assert!(second > first);
        world.take(bob, set.agent, Vehicle::TUNNEL);
        let before = world.agent_role(set.agent).counters().0.refused;
        world.drive_for(bob, set.agent, Duration::from_secs(5));

        // Four of the five: one of `latest` may be overtaken by the next on its way.
        let refused = world.agent_role(set.agent).counters().0.refused - before;
        assert!(refused >= 5, "only {refused} were refused");
        assert_eq!(world.receipt(ApplicationId([7; 8])), held_by(&world, bob));
    });
}

/// [SAFE-4] [SAFE-42]
#[test]
fn commands_of_a_controllers_own_older_lease_are_refused_by_token() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        let first = world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        // All that goes by relay A is slow from now on, and relay B is gone until the lease has lapsed.
        world.link(set.desk_paths[0]).delay_up = Duration::from_secs(3);
        world.link(set.desk_paths[1]).set_cut(true);
        send_late_commands(&mut world, set.alice, set.agent);
        world.run(Duration::from_millis(700));
        // The leases are asked for before relay B hears of the late commands too.
        let vehicle = world.name_of(set.agent).clone();
        let from = world.controller_events(set.alice).len();
        world.link(set.desk_paths[1]).set_cut(false);
        for channel in [Vehicle::TUNNEL, Vehicle::DRIVE] {
            world.with_controller(set.alice, |role, now| role.take(now, &vehicle, channel));
        }
        world.link(set.desk_paths[1]).set_cut(true);
        world.run(Duration::from_millis(60));
        world.link(set.desk_paths[1]).set_cut(false);
        let granted = world.await_event(
            set.alice,
            from,
            Duration::from_secs(1),
            |event| match event {
                ControllerEvent::Granted { channel, token, .. } if *channel == Vehicle::DRIVE => {
                    Some(*token)
                }
                _ => None,
            },
        );
        assert!(granted > Some(first));
        world.drive_for(set.alice, set.agent, Duration::from_secs(5));
        assert_eq!(
            world.receipt(ApplicationId([7; 8])),
            Some(Resolution::Refused(Refusal::OldToken))
        );
    });
}

/// [SAFE-1] [SAFE-4]
#[test]
fn two_programs_of_one_operator_do_not_take_from_each_other_unawares() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let (other, _) = set.operator(&mut world, "alice");
        world.open(set.alice, set.agent);
        world.open(other, set.agent);
        let first = world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        let alice = world.name_of(set.alice).clone();
        assert_eq!(
            world.ask_lease(other, set.agent, Vehicle::DRIVE),
            Err(Refusal::HeldBy(alice))
        );

        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        delay_up(&mut world, set.desk_paths, Duration::from_secs(3));
        send_late_commands(&mut world, set.alice, set.agent);
        world.run(Duration::from_millis(700));
        let second = world.take(other, set.agent, Vehicle::DRIVE);
        assert!(second > first);
        world.take(other, set.agent, Vehicle::TUNNEL);
        world.drive_for(other, set.agent, Duration::from_secs(5));
        assert_eq!(
            world.receipt(ApplicationId([7; 8])),
            Some(Resolution::Refused(Refusal::OldToken))
        );
    });
}

/// [SAFE-3] A lease that was given up is free at once, and its old commands are worth nothing.
#[test]
fn a_released_lease_is_free_at_once() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let (bob, _) = set.operator(&mut world, "bob");
        world.open(set.alice, set.agent);
        world.open(bob, set.agent);
        let first = world.take(set.alice, set.agent, Vehicle::DRIVE);
        let truck = world.name_of(set.agent).clone();
        world.with_controller(set.alice, |role, now| {
            role.release(now, &truck, Vehicle::DRIVE)
        });
        world.run(Duration::from_millis(100));
        assert!(world.take(bob, set.agent, Vehicle::DRIVE) > first);
    });
}

/// [SAFE-2] [SAFE-5]
#[test]
fn tokens_grow_over_a_restart_of_the_agent_also_when_it_dies_during_the_write() {
    each_seed(|seed| {
        for during_write in [false, true] {
            let mut world = World::new(seed);
            let set = StageSet::new(&mut world);
            let (bob, _) = set.operator(&mut world, "bob");
            world.open(set.alice, set.agent);
            world.open(bob, set.agent);
            let first = world.take(set.alice, set.agent, Vehicle::DRIVE);
            world.drive_for(set.alice, set.agent, Duration::from_secs(1));
            if during_write {
                let truck = world.name_of(set.agent).clone();
                world.with_controller(set.alice, |role, now| {
                    role.take(now, &truck, Vehicle::DRIVE)
                });
                let writing =
                    world.run_until(Duration::from_secs(1), |world| world.is_writing(set.agent));
                assert!(writing);
            }
            world.kill(set.agent);
            world.run(Duration::from_millis(200));
            world.restart_agent(set.agent);
            let from = world.controller_events(bob).len();
            world.await_session(bob, from);
            assert!(world.take(bob, set.agent, Vehicle::DRIVE) > first);
            world.drive_for(bob, set.agent, Duration::from_millis(500));
        }
    });
}

fn held_by(world: &World, holder: Station) -> Option<Resolution> {
    let holder = world.name_of(holder).clone();
    Some(Resolution::Refused(Refusal::HeldBy(holder)))
}
