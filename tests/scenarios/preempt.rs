//! A lease is taken away, or waited for.

use std::time::Duration;

use longrein_proto::base::{Name, NodeName, Refusal, Right, Rights, Stage};
use longrein_proto::control::{Policy, Rule, Who};
use longrein_proto::role::ControllerEvent;
use longrein_proto::wire::{News, Removal, Request};
use longrein_tests::{Answer, PERIOD, StageSet, Station, Vehicle, World, each_seed};

/// Alice may command, the chief with priority, and only the chief may supervise.
fn ranked() -> Policy {
    let rule = |name: &str, may: &[Right], priority| Rule {
        who: vec![Who::Node(node(name))],
        may: may.iter().copied().collect::<Rights>(),
        functions: None::<Vec<Name>>,
        priority,
    };
    Policy::new(vec![
        rule("alice", &[Right::Command], 1),
        rule("bob", &[Right::Command], 1),
        rule("chief", &[Right::Command, Right::Supervise], 9),
    ])
}

fn node(name: &str) -> NodeName {
    format!("controller/{name}").parse().expect("a valid name")
}

fn scene(world: &mut World) -> (StageSet, Station) {
    let set = StageSet::new(world);
    let (chief, _) = set.operator(world, "chief");
    world.with_agent(set.agent, |role, now| role.set_policy(now, ranked()));
    world.open(set.alice, set.agent);
    world.open(chief, set.agent);
    (set, chief)
}

fn preempt() -> Request {
    Request::Preempt {
        channel: Vehicle::DRIVE,
        reason: "gate is closing".parse().expect("a reason"),
    }
}

fn revoke() -> Request {
    Request::Revoke {
        channel: Vehicle::DRIVE,
        reason: "shift is over".parse().expect("a reason"),
    }
}

/// [SAFE-94]
#[test]
fn a_higher_priority_takes_the_lease_at_once_and_a_lower_one_does_not() {
    let mut world = World::new(1);
    let (set, chief) = scene(&mut world);
    let first = world.take(set.alice, set.agent, Vehicle::DRIVE);
    world.drive_for(set.alice, set.agent, Duration::from_secs(1));
    let Answer::Granted(second) = world.ask(chief, set.agent, preempt()) else {
        panic!("the chief outranks Alice")
    };
    assert!(second > first);
    assert_ne!(world.vehicle(set.agent).stage(), Stage::Nominal);
    world.drive_for(chief, set.agent, Duration::from_secs(1));
    let lost = world.lease_news(set.alice).pop();
    let Some(News::Lost { token, how, .. }) = lost else {
        panic!("Alice is told")
    };
    assert_eq!(token, first);
    assert_eq!(
        how,
        Removal::Preempted {
            by: node("chief"),
            reason: "gate is closing".parse().unwrap()
        }
    );
    assert_eq!(
        world.ask(set.alice, set.agent, preempt()),
        Answer::Refused(Refusal::HeldBy(node("chief")))
    );
    assert!(world.drive(chief, set.agent, 1_000, false).is_ok());
}

/// The moment of the partition, of the preemption and of the return vary with the seed.
///
/// [SAFE-94] [SAFE-42]
#[test]
fn what_a_preempted_operator_sends_through_a_partition_is_refused() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let (set, chief) = scene(&mut world);
        let old = world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_millis(700));
        let mut chance = world.branch();
        // Alice's commands are on the way for long, on one path or on both, or all words to her are lost.
        let slow = Duration::from_millis(chance.below(400));
        for path in set.desk_paths {
            if chance.happens(0.7) {
                world.link(path).delay_up = slow;
            }
            if chance.happens(0.5) {
                world.link(path).cut_down = true;
            }
        }
        let ahead = Duration::from_millis(chance.below(300));
        world.drive_on(set.alice, set.agent, ahead);
        let truck = world.name_of(set.agent).clone();
        world.with_controller(chief, |role, now| role.request(now, &truck, preempt()));
        // She does not know, and drives on; what arrives arrives in any order.
        let (mut ticks, mut chiefs) = (0, 0);
        while ticks < 100 {
            ticks += 1;
            world
                .drive_with_ttl(set.alice, set.agent, 1_000, Duration::from_secs(5))
                .ok();
            let resume = chiefs == 0;
            let speed = if resume { 0 } else { 500 };
            if world.drive(chief, set.agent, speed, resume).is_ok() {
                chiefs += 1;
            }
            world.run(PERIOD);
        }
        let life = world.vehicle(set.agent);
        let grant = life.grants.last().unwrap();
        assert_eq!(grant.holder, node("chief"));
        let late = life
            .applied
            .iter()
            .filter(|command| command.at >= grant.at && command.token == old);
        assert_eq!(late.count(), 0);
        assert!(
            life.applied.iter().any(|c| c.token == grant.token),
            "the chief drives"
        );
    });
}

/// [SAFE-95]
#[test]
fn a_supervisor_ends_a_lease_and_its_holder_does_not_take_it_again_at_once() {
    let mut world = World::new(2);
    let (set, chief) = scene(&mut world);
    world.take(set.alice, set.agent, Vehicle::DRIVE);
    world.drive_for(set.alice, set.agent, Duration::from_secs(1));
    assert_eq!(
        world.ask(set.alice, set.agent, revoke()),
        Answer::Refused(Refusal::NotAllowed),
        "not everybody may"
    );
    assert_eq!(world.ask(chief, set.agent, revoke()), Answer::Done);
    assert_eq!(
        world.ask_lease(set.alice, set.agent, Vehicle::DRIVE),
        Err(Refusal::Revoked)
    );
    assert_eq!(
        world.ask(chief, set.agent, revoke()),
        Answer::Refused(Refusal::NotLeased)
    );
    world.run(Duration::from_secs(30));
    assert!(
        world
            .ask_lease(set.alice, set.agent, Vehicle::DRIVE)
            .is_ok()
    );
}

/// [SAFE-95]
#[test]
fn whose_lease_was_revoked_comes_to_it_neither_by_priority_nor_by_an_offer() {
    let mut world = World::new(5);
    let (set, chief) = scene(&mut world);
    let (boss, _) = set.operator(&mut world, "boss");
    let rule = |name: &str, may: &[Right], priority| Rule {
        who: vec![Who::Node(node(name))],
        may: may.iter().copied().collect(),
        functions: None,
        priority,
    };
    let policy = Policy::new(vec![
        rule("alice", &[Right::Command], 1),
        rule("chief", &[Right::Command], 9),
        rule("boss", &[Right::Supervise], 0),
    ]);
    world.with_agent(set.agent, |role, now| role.set_policy(now, policy));
    world.open(boss, set.agent);
    world.take(chief, set.agent, Vehicle::DRIVE);
    assert_eq!(world.ask(boss, set.agent, revoke()), Answer::Done);
    let token = world.take(set.alice, set.agent, Vehicle::DRIVE);
    let barred = Answer::Refused(Refusal::Revoked);
    assert_eq!(world.ask(chief, set.agent, preempt()), barred);
    let offer = Request::Offer {
        channel: Vehicle::DRIVE,
        token,
        to: node("chief"),
    };
    assert_eq!(world.ask(set.alice, set.agent, offer), barred);
    world.drive_for(set.alice, set.agent, Duration::from_secs(1));
    assert_eq!(
        world.vehicle(set.agent).stage(),
        Stage::Nominal,
        "Alice drives on"
    );
}

/// [SAFE-96]
#[test]
fn who_waits_gets_the_lease_in_turn() {
    let mut world = World::new(3);
    let (set, chief) = scene(&mut world);
    let (bob, _) = set.operator(&mut world, "bob");
    world.open(bob, set.agent);
    world.take(set.alice, set.agent, Vehicle::DRIVE);
    let truck = world.name_of(set.agent).clone();
    let channel = Vehicle::DRIVE;
    for controller in [bob, chief] {
        world.with_controller(controller, |role, now| {
            role.request(now, &truck, Request::Wait { channel })
        });
        world.run(Duration::from_millis(200));
    }
    let granted = |world: &World, controller| {
        let mut events = world.controller_events(controller).iter();
        events.any(|(_, event)| matches!(event, ControllerEvent::Granted { .. }))
    };
    world.run(Duration::from_secs(2));
    assert!(!granted(&world, bob) && !granted(&world, chief));
    world.with_controller(set.alice, |role, now| role.release(now, &truck, channel));
    world.run(Duration::from_secs(1));
    assert!(granted(&world, bob) && !granted(&world, chief));
    // Bob's program dies; the chief gets it when the lease has lapsed.
    world.kill(bob);
    world.run(Duration::from_secs(1));
    assert!(granted(&world, chief));
}

/// [SAFE-96]
#[test]
fn who_left_is_passed_over() {
    let mut world = World::new(4);
    let (set, chief) = scene(&mut world);
    let (bob, _) = set.operator(&mut world, "bob");
    world.open(bob, set.agent);
    world.take(set.alice, set.agent, Vehicle::DRIVE);
    let truck = world.name_of(set.agent).clone();
    let channel = Vehicle::DRIVE;
    for controller in [bob, chief] {
        world.with_controller(controller, |role, now| {
            role.request(now, &truck, Request::Wait { channel })
        });
        world.run(Duration::from_millis(200));
    }
    assert_eq!(
        world.ask(bob, set.agent, Request::Leave { channel }),
        Answer::Done
    );
    world.with_controller(set.alice, |role, now| role.release(now, &truck, channel));
    world.run(Duration::from_secs(1));
    let holder = &world.vehicle(set.agent).grants.last().unwrap().holder;
    assert_eq!(*holder, node("chief"));
}
