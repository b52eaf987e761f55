//! Who may do what is decided at the vehicle.

use std::time::Duration;

use longrein_proto::base::{NodeName, Refusal, Right};
use longrein_proto::control::{Policy, Rule, Who};
use longrein_proto::role::{ControllerEvent, LeaseEndReason};
use longrein_proto::wire::{Removal, Request, Telemetry, VehicleState};
use longrein_tests::{Answer, Audit, StageSet, Station, Vehicle, World};

/// What each of these may do with the function `drive` and the vehicle.
fn policy(rules: &[(&str, &[Right])]) -> Policy {
    let rule = |(who, may): &(&str, &[Right])| Rule {
        who: vec![Who::Node(node(who))],
        may: may.iter().copied().collect(),
        functions: Some(vec!["drive".parse().expect("a valid name")]),
        priority: 0,
    };
    Policy::new(rules.iter().map(rule).collect())
}

fn node(name: &str) -> NodeName {
    format!("controller/{name}").parse().expect("a valid name")
}

fn set_policy(world: &mut World, agent: Station, policy: &Policy) {
    world.with_agent(agent, |role, now| role.set_policy(now, policy.clone()));
}

/// Telemetry of all functions that a controller heard.
fn heard(world: &World, controller: Station) -> usize {
    let events = world.controller_events(controller).iter();
    events
        .filter(|(_, event)| matches!(event, ControllerEvent::Telemetry { .. }))
        .count()
}

fn tell_state(world: &mut World, agent: Station) {
    let state = VehicleState {
        x_mm: 1,
        y_mm: 2,
        heading_mrad: 3,
        speed_mm_s: 4,
    };
    for channel in [Vehicle::DRIVE, Vehicle::TUNNEL] {
        world.with_agent(agent, |role, now| {
            let class = longrein_proto::base::Class::Latest;
            role.telemetry(now, channel, class, &Telemetry::Vehicle(state));
        });
    }
    world.run(Duration::from_millis(500));
}

/// [SAFE-80] [SAFE-81] [SAFE-82]
#[test]
fn each_hears_and_takes_what_the_policy_allows_and_no_more() {
    let mut world = World::new(1);
    let set = StageSet::new(&mut world);
    let (bob, _) = set.operator(&mut world, "bob");
    let (eve, _) = set.operator(&mut world, "eve");
    let rules: [(&str, &[Right]); 2] = [("alice", &[Right::Command]), ("bob", &[Right::Observe])];
    set_policy(&mut world, set.agent, &policy(&rules));
    for controller in [set.alice, bob, eve] {
        world.open(controller, set.agent);
    }
    world.take(set.alice, set.agent, Vehicle::DRIVE);
    world.run(Duration::from_secs(2));
    tell_state(&mut world, set.agent);
    for controller in [set.alice, bob] {
        assert_eq!(heard(&world, controller), 1, "of drive, not of tunnel");
    }
    assert_eq!(heard(&world, eve), 0);
    let holder = |controller| {
        let mut events = world.controller_events(controller).iter().rev();
        events.find_map(|(_, event)| match event {
            ControllerEvent::Status { status, .. } => Some(status.beat.functions[0].holder.clone()),
            _ => None,
        })
    };
    assert_eq!(holder(bob), Some(Some(node("alice"))));
    assert_eq!(holder(eve), Some(None), "who drives is not for everybody");

    let refused = Err(Refusal::NotAllowed);
    for controller in [bob, eve] {
        assert_eq!(
            world.ask_lease(controller, set.agent, Vehicle::DRIVE),
            refused
        );
    }
    assert_eq!(
        world.ask_lease(set.alice, set.agent, Vehicle::TUNNEL),
        refused
    );
    let audit = &world.vehicle(set.agent).audit;
    assert!(audit.contains(&Audit::NotAllowed(node("eve"), Right::Command)));
}

/// [SAFE-82]
#[test]
fn a_lease_ends_when_its_holder_may_command_no_longer() {
    let mut world = World::new(2);
    let set = StageSet::new(&mut world);
    world.open(set.alice, set.agent);
    let token = world.take(set.alice, set.agent, Vehicle::DRIVE);
    world.drive_for(set.alice, set.agent, Duration::from_secs(1));
    world.run(Duration::from_millis(5));
    let applied = world.vehicle(set.agent).applied.len();
    set_policy(
        &mut world,
        set.agent,
        &policy(&[("alice", &[Right::Observe])]),
    );
    world.drive_on(set.alice, set.agent, Duration::from_secs(1));
    assert_eq!(world.vehicle(set.agent).applied.len(), applied);
    let end = LeaseEndReason::Removed(Removal::NotAllowed);
    let end = Audit::LeaseEnded(Vehicle::DRIVE, node("alice"), token, end);
    assert!(world.vehicle(set.agent).audit.contains(&end));
    let told = world.controller_events(set.alice).iter();
    let described = told.filter(|(_, event)| matches!(event, ControllerEvent::Described { .. }));
    assert_eq!(described.count(), 1);
    assert_eq!(
        world.ask_lease(set.alice, set.agent, Vehicle::DRIVE),
        Err(Refusal::NotAllowed)
    );
}

/// [SAFE-83] [SAFE-84]
#[test]
fn a_stop_and_a_reset_need_the_right_for_them() {
    let mut world = World::new(3);
    let set = StageSet::new(&mut world);
    let (bob, _) = set.operator(&mut world, "bob");
    let rules: [(&str, &[Right]); 2] = [("alice", &[Right::Command]), ("bob", &[Right::Stop])];
    set_policy(&mut world, set.agent, &policy(&rules));
    world.open(set.alice, set.agent);
    world.open(bob, set.agent);
    let wrong = world.stop(set.alice, set.agent, None);
    world.run(Duration::from_secs(2));
    assert!(!world.agent_role(set.agent).is_stopped());
    assert_eq!(world.agent_role(set.agent).counters().2.not_allowed, 1);
    let answered = world.controller_events(set.alice).iter().any(|(_, event)| {
        matches!(event, ControllerEvent::Stopped { id, latched: false, .. } if *id == wrong)
    });
    assert!(answered, "it is told that nothing is stopped");

    world.stop(bob, set.agent, None);
    world.run(Duration::from_secs(2));
    assert!(world.agent_role(set.agent).is_stopped());
    for controller in [set.alice, bob] {
        assert_eq!(
            world.reset_stop(controller, set.agent, 0),
            Err(Refusal::NotAllowed)
        );
    }
    assert!(world.agent_role(set.agent).is_stopped());
}

/// [SAFE-39]
#[test]
fn a_reset_by_two_needs_two_nodes() {
    let mut world = World::new(4);
    let set = StageSet::new(&mut world);
    let (bob, _) = set.operator(&mut world, "bob");
    let by_two = Policy::open().with_reset_by_two(true);
    set_policy(&mut world, set.agent, &by_two);
    world.open(set.alice, set.agent);
    world.open(bob, set.agent);
    world.stop(set.alice, set.agent, None);
    world.run(Duration::from_secs(1));
    for _ in 0..2 {
        assert_eq!(
            world.reset_stop(set.alice, set.agent, 0),
            Err(Refusal::NeedsSecond)
        );
    }
    assert!(world.agent_role(set.agent).is_stopped());
    assert_eq!(world.reset_stop(bob, set.agent, 0), Ok(()));
    assert!(!world.agent_role(set.agent).is_stopped());
}

/// [SAFE-80]
#[test]
fn nobody_may_do_anything_without_a_rule() {
    let mut world = World::new(5);
    let set = StageSet::new(&mut world);
    set_policy(&mut world, set.agent, &Policy::default());
    world.open(set.alice, set.agent);
    let refused = Answer::Refused(Refusal::NotAllowed);
    let channel = Vehicle::DRIVE;
    for request in [
        Request::Take { channel },
        Request::Wait { channel },
        Request::Preempt {
            channel,
            reason: "because".parse().unwrap(),
        },
        Request::Revoke {
            channel,
            reason: "because".parse().unwrap(),
        },
        Request::ResetStop { generation: 0 },
    ] {
        let answer = world.ask(set.alice, set.agent, request.clone());
        assert_eq!(answer, refused, "{request:?}");
    }
    world.stop(set.alice, set.agent, None);
    tell_state(&mut world, set.agent);
    assert_eq!(heard(&world, set.alice), 0);
    assert!(!world.agent_role(set.agent).is_stopped());
}
