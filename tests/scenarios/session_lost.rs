//! A session is lost, and begins again.

use std::time::Duration;

use longrein_proto::base::{ApplicationId, NodeKind, Stage};
use longrein_proto::role::{ControllerEvent, SendCommandError, SessionLoss};
use longrein_tests::{Account, Clock, Link, PERIOD, StageSet, Station, Vehicle, World, each_seed};

/// How often a controller was told that its session stands, and that it is over.
fn ups_and_downs(world: &World, controller: Station) -> (usize, usize) {
    let events = world.controller_events(controller);
    let ups = events
        .iter()
        .filter(|(_, event)| matches!(event, ControllerEvent::SessionUp { .. }));
    let downs = events
        .iter()
        .filter(|(_, event)| matches!(event, ControllerEvent::SessionDown { .. }));
    (ups.count(), downs.count())
}

fn leases_lost(world: &World, controller: Station) -> usize {
    let events = world.controller_events(controller).iter();
    events
        .filter(|(_, event)| matches!(event, ControllerEvent::LeaseLost { .. }))
        .count()
}

/// Sessions are end to end: relays that restart at once cost a moment, and no session.
// [WIRE-111]
#[test]
fn a_session_outlives_the_restart_of_all_relays() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        for relay in set.relays {
            world.kill(relay);
        }
        world.drive_on(set.alice, set.agent, Duration::from_millis(100));
        for relay in set.relays {
            world.restart_relay(relay);
        }
        // Two hellos and a route later everything goes on by itself.
        world.drive_on(set.alice, set.agent, Duration::from_millis(200));
        let sent = world.drive_on(set.alice, set.agent, Duration::from_secs(2));
        world.run(Duration::from_millis(100));
        assert_eq!(
            world.account(set.agent, &sent),
            Account {
                sent: 100,
                applied: 100,
                ..Account::default()
            }
        );
        assert_eq!(ups_and_downs(&world, set.alice), (1, 0));
    });
}

/// [SAFE-3] [SAFE-25]
#[test]
fn after_a_cut_of_five_seconds_leases_are_taken_again_and_nothing_old_is_executed() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        let first = world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        set.each_path(&mut world, |link| link.set_cut(true));
        world.drive_on(set.alice, set.agent, Duration::from_secs(5));
        let before = world.vehicle(set.agent).applied.len();
        set.each_path(&mut world, |link| link.set_cut(false));
        // She has not noticed yet.
        world.drive_on(set.alice, set.agent, Duration::from_secs(2));
        assert_eq!(world.vehicle(set.agent).applied.len(), before);
        let (_, downs) = ups_and_downs(&world, set.alice);
        assert!(leases_lost(&world, set.alice) + downs > 0);
        assert_eq!(
            world.drive(set.alice, set.agent, 0, true),
            Err(SendCommandError::NoLease)
        );
        assert!(world.take(set.alice, set.agent, Vehicle::DRIVE) > first);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        assert!(world.vehicle(set.agent).applied.len() >= before + 40);
    });
}

/// [SAFE-8]
#[test]
fn after_a_cut_that_outlives_the_session_the_controller_is_told_down_and_up() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        set.each_path(&mut world, |link| link.set_cut(true));
        let id = ApplicationId([2; 8]);
        world
            .deliver(set.alice, set.agent, id, Duration::from_secs(60))
            .expect("the lease is held");
        world.run(Duration::from_secs(15));
        let from = world.controller_events(set.alice).len();
        set.each_path(&mut world, |link| link.set_cut(false));
        world.await_session(set.alice, from);
        assert_eq!(ups_and_downs(&world, set.alice), (2, 1));
        assert_eq!(world.agent_role(set.agent).sessions().count(), 1);
        // What was under way when the session ended is unknown, and stays undone.
        world.run(Duration::from_secs(2));
        assert_eq!(
            world.receipt(id),
            Some(longrein_proto::session::Resolution::Unknown)
        );
        assert_eq!(
            world.vehicle(set.agent).applied_numbers(Vehicle::TUNNEL),
            [0_u64; 0]
        );
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        let sent = world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        assert_eq!(sent.len(), 50);
    });
}

#[test]
fn after_a_restart_of_the_agent_the_controller_calls_again_by_itself() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        world.kill(set.agent);
        let from = world.controller_events(set.alice).len();
        world.restart_agent(set.agent);
        world.drive_on(set.alice, set.agent, Duration::from_secs(1));
        world.await_session(set.alice, from);
        assert_eq!(ups_and_downs(&world, set.alice), (2, 1));
        // Nothing of the old session counts in the new agent.
        assert_eq!(world.vehicle(set.agent).applied.len(), 0);
        assert!(world.agent_role(set.agent).counters().0.unknown_sessions > 0);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        assert!(world.vehicle(set.agent).applied.len() > 40);
    });
}

/// The relays say that another run has the agent's place, and that is enough to call it.
// [WIRE-119] [WIRE-168] [SAFE-25]
#[test]
fn after_a_crash_at_speed_a_new_lease_and_a_resume_move_the_vehicle_within_two_seconds() {
    each_seed(|seed| {
        let (mut world, set) = StageSet::driving(seed);
        let crashed = world.now();
        world.kill(set.agent);
        let from = world.controller_events(set.alice).len();
        world.drive_on(set.alice, set.agent, Duration::from_millis(300));
        world.restart_agent(set.agent);
        world.await_session(set.alice, from);
        let lost = world.controller_events(set.alice).iter().rev();
        let why = lost.clone().find_map(|(_, event)| match event {
            ControllerEvent::SessionDown { why, .. } => Some(*why),
            _ => None,
        });
        assert_eq!(why, Some(SessionLoss::AgentStartedAgain));
        // Neither the old lease nor a new one without a resume moves it.
        assert_eq!(
            world.drive(set.alice, set.agent, 1_000, false),
            Err(SendCommandError::NoLease)
        );
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_on(set.alice, set.agent, Duration::from_millis(100));
        assert_eq!(world.vehicle(set.agent).applied.len(), 0);
        world.drive_for(set.alice, set.agent, Duration::from_millis(200));
        assert_eq!(world.vehicle(set.agent).stage(), Stage::Nominal);
        assert!(world.vehicle(set.agent).applied.len() > 3);
        assert!(world.now().since(crashed) < Duration::from_secs(2));
    });
}

/// Relays lose the vehicle and find it again as its links come and go: its session and its leases stay.
// [WIRE-168]
#[test]
fn a_vehicle_whose_links_to_one_relay_come_and_go_keeps_its_session() {
    each_seed(|seed| {
        let (mut world, set) = StageSet::driving(seed);
        let mut sent = Vec::new();
        for _ in 0..5 {
            for path in &set.truck_paths[..2] {
                world.part(*path);
            }
            sent.extend(world.drive_on(set.alice, set.agent, Duration::from_millis(500)));
            for path in &set.truck_paths[..2] {
                world.connect(*path);
            }
            sent.extend(world.drive_on(set.alice, set.agent, Duration::from_millis(500)));
        }
        let events = world.controller_events(set.alice).iter();
        let gone = events
            .filter(|(_, event)| matches!(event, ControllerEvent::Presence { present: false, .. }));
        assert!(gone.count() >= 5);
        world.run(Duration::from_millis(200));
        assert_eq!(ups_and_downs(&world, set.alice), (1, 0));
        let account = world.account(set.agent, &sent);
        assert_eq!((account.sent, account.applied), (250, 250));
    });
}

/// A session that is lost again and again leaves nothing behind that would keep the next one from standing.
// [WIRE-113]
#[test]
fn a_hundred_lost_sessions_leave_room_for_the_next() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.call(set.alice, set.agent);
        for _ in 0..100 {
            let from = world.controller_events(set.alice).len();
            let up = world.await_event(set.alice, from, Duration::from_secs(5), |event| {
                matches!(event, ControllerEvent::SessionUp { .. }).then_some(())
            });
            assert!(up.is_some());
            world.kill(set.agent);
            world.run(Duration::from_millis(20));
            world.restart_agent(set.agent);
        }
        for relay in set.relays {
            assert_eq!(world.relay_role(relay).counters().refused_routes, 0);
        }
    });
}

/// The controller calls on and on while the vehicle is away, and each attempt has a number of its own.
// [WIRE-113]
#[test]
fn a_vehicle_that_is_away_for_long_is_reached_when_it_comes() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.kill(set.agent);
        world.call(set.alice, set.agent);
        world.run(Duration::from_secs(600));
        world.restart_agent(set.agent);
        world.await_session(set.alice, 0);
    });
}

/// Two links of the desk to one relay, and one of them goes: the leg goes on over the other.
#[test]
fn a_connection_that_is_made_anew_costs_nothing() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        let mut sent = world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        for path in set.truck_paths {
            world.connect(path);
            sent.extend(world.drive_on(set.alice, set.agent, Duration::from_millis(500)));
        }
        world.run(Duration::from_millis(100));
        assert_eq!(
            world.account(set.agent, &sent),
            Account {
                sent: 150,
                applied: 150,
                ..Account::default()
            }
        );
    });
}

/// [SAFE-26]
#[test]
fn a_controller_that_hangs_up_gives_everything_back_at_once() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let (bob, _) = set.operator(&mut world, "bob");
        world.open(set.alice, set.agent);
        world.open(bob, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        world.close(set.alice, set.agent);
        world.run(Duration::from_millis(100));
        assert_eq!(world.vehicle(set.agent).lease_ends.len(), 1);
        assert_eq!(world.agent_role(set.agent).sessions().count(), 1);
        world.take(bob, set.agent, Vehicle::DRIVE);
        // The vehicle is in Hold, but another drives now: the first word is a resume.
        let before = world.vehicle(set.agent).applied.len();
        world.drive_on(bob, set.agent, PERIOD);
        world.run(Duration::from_millis(100));
        assert_eq!(world.vehicle(set.agent).applied.len(), before);
        world.drive_for(bob, set.agent, Duration::from_millis(200));
        assert!(world.vehicle(set.agent).applied.len() > before);
    });
}

/// A vehicle that says goodbye is gone at once.
#[test]
fn an_agent_that_ends_tells_its_controllers() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.with_agent(set.agent, |role, now| role.end(now));
        world.run(Duration::from_millis(100));
        assert_eq!(ups_and_downs(&world, set.alice).1, 1);
    });
}

/// One controller cannot fill the agent with sessions.
#[test]
fn many_sessions_of_one_controller_do_not_push_out_anothers() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let (bob, _) = set.operator(&mut world, "bob");
        world.open(bob, set.agent);
        for _ in 0..40 {
            let mallory = world.controller("mallory", Clock::default());
            world.join(mallory, set.relays[0], "desk", Link::good());
            world.open(mallory, set.agent);
            world.kill(mallory);
            for path in world.paths_of(mallory) {
                world.connect(path);
            }
        }
        assert_eq!(ups_and_downs(&world, bob), (1, 0));
        let mine = world.name_of(bob).clone();
        let sessions = world.agent_role(set.agent).sessions();
        let (bobs, others): (Vec<_>, Vec<_>) = sessions.partition(|(_, peer, _)| **peer == mine);
        assert_eq!(bobs.len(), 1);
        assert!(others.len() <= 8, "{} sessions", others.len());
        assert!(
            others
                .iter()
                .all(|(_, peer, _)| peer.kind == NodeKind::Controller)
        );
    });
}
