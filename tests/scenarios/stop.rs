//! The emergency stop.

use std::sync::Arc;
use std::time::Duration;

use longrein_proto::base::{Entropy, Name, NodeKind, NodeName, Refusal, Right, Stage, StopId};
use longrein_proto::control::{Policy, Rule, Who};
use longrein_proto::crypto::sign_statement;
use longrein_proto::role::{Controller, ControllerEvent, StopCounters};
use longrein_proto::wire::{Parcel, Statement};
use longrein_tests::{
    Account, Clock, Link, PERIOD, StageSet, Station, Tamper, Vehicle, World, each_seed,
};

fn is_stopped(world: &World, set: &StageSet) -> bool {
    let drives = world.vehicle(set.agent).stage() != Stage::MinimalRisk;
    world.agent_role(set.agent).is_stopped() && !drives
}

fn counters(world: &World, set: &StageSet) -> StopCounters {
    world.agent_role(set.agent).counters().2
}

/// How often the vehicle was told to stop.
fn stops(world: &World, set: &StageSet) -> usize {
    let told = world.vehicle(set.agent).stops.iter();
    told.filter(|(_, stop)| *stop).count()
}

/// What a controller was told of a stop: whether it is latched and in which generation.
fn answer(world: &World, controller: Station, stop: StopId) -> Option<(bool, u32)> {
    let mut events = world.controller_events(controller).iter();
    events.find_map(|(_, event)| match event {
        ControllerEvent::Stopped {
            id,
            generation,
            latched,
            ..
        } if *id == stop => Some((*latched, *generation)),
        _ => None,
    })
}

/// A stop for the truck under some node's signature.
fn signed(
    world: &mut World,
    (kind, name): (NodeKind, &str),
    to: Station,
    generation: Option<u32>,
) -> Arc<[u8]> {
    let credential = world.stolen_credential(kind, name);
    let author = NodeName::new(kind, name.parse().expect("a valid name"));
    let mut id = [0; 16];
    world.branch().fill(&mut id);
    let id = StopId(id);
    let statement = Statement::Stop { id, generation };
    let to = world.name_of(to).clone();
    let signed = sign_statement(credential.as_ref(), &author, &to, statement);
    let body = signed.encode().into();
    Parcel::Signed { to, body }.encode()
}

/// [SAFE-30] [SAFE-33]
#[test]
fn a_stop_needs_no_session_and_no_lease_and_stops_a_vehicle_that_somebody_else_drives() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let (bob, _) = set.operator(&mut world, "bob");
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        assert_eq!(world.vehicle(set.agent).stage(), Stage::Nominal);

        let stop = world.stop(bob, set.agent, None);
        world.run(Duration::from_millis(200));
        assert!(is_stopped(&world, &set));
        assert_eq!(answer(&world, bob, stop), Some((true, 0)));
        let before = world.vehicle(set.agent).applied.len();
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        assert_eq!(world.vehicle(set.agent).applied.len(), before);
    });
}

/// [SAFE-30]
#[test]
fn a_sender_with_a_wrong_wall_clock_stops_the_vehicle() {
    const YEAR_2060_MS: u64 = 2_840_140_800_000;
    each_seed(|seed| {
        for unix_ms in [1, YEAR_2060_MS] {
            let mut world = World::new(seed);
            let set = StageSet::new(&mut world);
            let bob = world.controller_at("bob", Clock::default(), unix_ms);
            set.join(&mut world, bob);
            world.run(Duration::from_millis(200));
            world.stop(bob, set.agent, None);
            world.run(Duration::from_millis(200));
            assert!(is_stopped(&world, &set));
        }
    });
}

#[test]
fn a_stop_gets_through_one_relay_of_two_and_through_heavy_loss() {
    each_seed(|seed| {
        for dead in [0, 1] {
            let mut world = World::new(seed);
            let set = StageSet::new(&mut world);
            world.run(Duration::from_millis(200));
            set.each_path_to(&mut world, dead, |link| link.set_cut(true));
            set.each_path(&mut world, |link| link.loss = 0.5);
            let stop = world.stop(set.alice, set.agent, None);
            world.run(Duration::from_secs(2));
            assert!(is_stopped(&world, &set));
            assert_eq!(answer(&world, set.alice, stop), Some((true, 0)));
        }
    });
}

/// A relay that swallows stops does no harm beside an honest one.
#[test]
fn a_stop_gets_past_a_relay_that_swallows_it() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::hostile(&mut world, Tamper::Swallow);
        world.run(Duration::from_millis(200));
        world.stop(set.alice, set.agent, None);
        world.run(Duration::from_millis(200));
        assert!(is_stopped(&world, &set));
    });
}

/// A stop waits for the first way that there is.
#[test]
fn a_stop_that_is_said_before_any_relay_is_reached_goes_out_when_one_is() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        for path in set.desk_paths {
            world.link(path).set_cut(true);
        }
        world.stop(set.alice, set.agent, None);
        world.run(Duration::from_secs(1));
        assert!(!world.agent_role(set.agent).is_stopped());
        world.link(set.desk_paths[1]).set_cut(false);
        world.run(Duration::from_millis(300));
        assert!(is_stopped(&world, &set));
    });
}

#[test]
fn repeats_of_a_stop_are_answered_and_not_verified_again() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.run(Duration::from_millis(200));
        for path in set.desk_paths {
            world.link(path).cut_down = true;
        }
        let stop = world.stop(set.alice, set.agent, None);
        world.run(Duration::from_millis(900));
        assert!(is_stopped(&world, &set));
        for path in set.desk_paths {
            world.link(path).cut_down = false;
        }
        world.run(Duration::from_millis(500));
        assert_eq!(answer(&world, set.alice, stop), Some((true, 0)));
        let counters = counters(&world, &set);
        assert_eq!(counters.verified, 1);
        assert!(counters.repeated > 0);
        assert_eq!(stops(&world, &set), 1);
    });
}

/// [SAFE-31] [SAFE-32]
#[test]
fn a_stop_that_is_replayed_after_the_reset_does_not_stop_the_vehicle_again() {
    each_seed(|seed| {
        for generation in [None, Some(0)] {
            for restart in [false, true] {
                let mut world = World::new(seed);
                let set = StageSet::hostile(&mut world, Tamper::Nothing);
                world.open(set.alice, set.agent);
                world.stop(set.alice, set.agent, generation);
                world.run(Duration::from_millis(200));
                assert!(is_stopped(&world, &set));
                assert_eq!(world.reset_stop(set.alice, set.agent, 0), Ok(()));
                if restart {
                    world.kill(set.agent);
                    world.restart_agent(set.agent);
                    world.run(Duration::from_millis(300));
                }
                assert!(!world.agent_role(set.agent).is_stopped());

                let before = counters(&world, &set);
                world.with_hostile(set.relays[0], |relay, now| {
                    for (to, parcel) in relay.overheard.clone() {
                        relay.inject(now, &to, parcel);
                    }
                });
                world.run(Duration::from_millis(300));
                assert!(!world.agent_role(set.agent).is_stopped());
                let after = counters(&world, &set);
                assert!(after != before, "{after:?}");
                if restart && generation.is_some() {
                    assert!(after.old > 0);
                }
            }
        }
    });
}

/// [SAFE-30]
// [WIRE-35]
#[test]
fn a_stop_that_is_forged_or_from_a_node_that_may_not_say_it_is_counted_and_ignored() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::hostile(&mut world, Tamper::Nothing);
        let other = world.agent("truck-18", Clock::default());
        world.run(Duration::from_millis(300));
        let mut parcels = Vec::new();
        for author in [
            (NodeKind::Relay, "relay-a"),
            (NodeKind::Agent, "truck-18"),
            (NodeKind::Authority, "root"),
        ] {
            parcels.push(signed(&mut world, author, set.agent, None));
        }
        // A genuine one for another vehicle, with the address changed, and one with a changed bit.
        let anna = (NodeKind::Controller, "anna");
        let for_another = signed(&mut world, anna, other, None);
        let Ok(Parcel::Signed { body, .. }) = Parcel::decode(&for_another) else {
            unreachable!("just made")
        };
        let to = world.name_of(set.agent).clone();
        parcels.push(Parcel::Signed { to, body }.encode());
        let mut changed = signed(&mut world, anna, set.agent, None).to_vec();
        if let Some(last) = changed.last_mut() {
            *last ^= 1;
        }
        parcels.push(changed.into());

        let forged = parcels.len();
        let truck = world.name_of(set.agent).clone();
        world.with_hostile(set.relays[0], |relay, now| {
            for parcel in parcels {
                relay.inject(now, &truck, parcel);
            }
        });
        world.run(Duration::from_secs(1));
        assert!(!world.agent_role(set.agent).is_stopped());
        assert_eq!(counters(&world, &set).forged, forged as u64);
        assert_eq!(stops(&world, &set), 0);
    });
}

/// [SAFE-31]
#[test]
fn a_flood_of_distinct_stops_is_held_to_a_rate_and_does_not_delay_the_drive() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::hostile(&mut world, Tamper::Nothing);
        world.open(set.alice, set.agent);
        world.stop(set.alice, set.agent, Some(0));
        world.run(Duration::from_millis(200));
        assert_eq!(world.reset_stop(set.alice, set.agent, 0), Ok(()));
        world.take(set.alice, set.agent, Vehicle::DRIVE);

        // Genuine ones of a generation that is over, and forged ones: neither stops the vehicle, both cost work.
        let mallory = (NodeKind::Controller, "mallory");
        let truck = world.name_of(set.agent).clone();
        let mut sent: Vec<u64> = world
            .drive(set.alice, set.agent, 0, true)
            .into_iter()
            .collect();
        world.run(PERIOD);
        for _ in 0..100 {
            for _ in 0..5 {
                let old = signed(&mut world, mallory, set.agent, Some(0));
                let mut forged = old.to_vec();
                if let Some(last) = forged.last_mut() {
                    *last ^= 1;
                }
                world.with_hostile(set.relays[0], |relay, now| {
                    relay.inject(now, &truck, old);
                    relay.inject(now, &truck, forged.into());
                });
            }
            sent.extend(world.drive(set.alice, set.agent, 1_000, false));
            world.run(PERIOD);
        }
        world.run(Duration::from_millis(200));
        let account = world.account(set.agent, &sent);
        assert_eq!(
            account,
            Account {
                sent: 101,
                applied: 101,
                ..Account::default()
            }
        );
        let counters = counters(&world, &set);
        // Ten at once and five a second of one author; 200 signatures a second of one relay.
        assert!(counters.old <= 10 + 5 * 3, "{counters:?}");
        assert!(counters.forged <= 200 + 200 * 3, "{counters:?}");
        assert!(counters.too_often > 100, "{counters:?}");
        // An honest stop gets through all of it.
        world.stop(set.alice, set.agent, None);
        world.run(Duration::from_millis(200));
        assert!(is_stopped(&world, &set));
    });
}

/// [SAFE-34]
#[test]
fn a_latched_stop_is_latched_after_a_restart_of_the_agent() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.stop(set.alice, set.agent, None);
        world.run(Duration::from_millis(200));
        world.kill(set.agent);
        let from = world.controller_events(set.alice).len();
        world.restart_agent(set.agent);
        assert_eq!(stops(&world, &set), 1);
        world.await_session(set.alice, from);
        assert!(is_stopped(&world, &set));
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_millis(300));
        assert_eq!(world.vehicle(set.agent).applied.len(), 0);

        assert_eq!(world.reset_stop(set.alice, set.agent, 0), Ok(()));
        world.drive_for(set.alice, set.agent, Duration::from_millis(300));
        assert!(!world.vehicle(set.agent).applied.is_empty());
    });
}

/// The agent dies before the stop is on disk: the vehicle stands anyway, and the sender goes on until it is answered.
#[test]
fn a_stop_whose_write_was_cut_short_is_said_again_and_latches_then() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.run(Duration::from_millis(200));
        let stop = world.stop(set.alice, set.agent, None);
        let writing = world.run_until(Duration::from_secs(1), |world| world.is_writing(set.agent));
        assert!(writing);
        world.kill(set.agent);
        world.restart_agent(set.agent);
        assert_eq!(world.vehicle(set.agent).stage(), Stage::MinimalRisk);
        world.run(Duration::from_secs(1));
        assert!(is_stopped(&world, &set));
        assert_eq!(answer(&world, set.alice, stop), Some((true, 0)));
    });
}

/// [SAFE-35]
#[test]
fn only_a_reset_of_the_current_generation_clears_a_stop_and_motion_needs_a_resume() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        for generation in 0..3 {
            world.drive_for(set.alice, set.agent, Duration::from_millis(300));
            world.stop(set.alice, set.agent, Some(generation));
            world.run(Duration::from_millis(200));
            assert!(is_stopped(&world, &set));
            for wrong in [generation + 1, generation.wrapping_sub(1)] {
                assert_eq!(
                    world.reset_stop(set.alice, set.agent, wrong),
                    Err(Refusal::Stopped)
                );
            }
            assert!(is_stopped(&world, &set));
            let before = world.vehicle(set.agent).applied.len();
            assert_eq!(world.reset_stop(set.alice, set.agent, generation), Ok(()));
            world.drive_on(set.alice, set.agent, Duration::from_millis(200));
            assert_eq!(world.vehicle(set.agent).applied.len(), before);
        }
    });
}

/// [SAFE-33] [SAFE-35]
#[test]
fn a_stop_that_comes_while_a_reset_is_being_stored_is_not_cleared_by_it() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::hostile(&mut world, Tamper::Nothing);
        world.open(set.alice, set.agent);
        world.stop(set.alice, set.agent, None);
        world.run(Duration::from_millis(300));
        let truck = world.name_of(set.agent).clone();
        world.with_controller(set.alice, |role, now| role.reset_stop(now, &truck, 0));
        let writing = world.run_until(Duration::from_secs(1), |world| world.is_writing(set.agent));
        assert!(writing);
        // It arrives at this moment.
        let anna = (NodeKind::Controller, "anna");
        let stop = signed(&mut world, anna, set.agent, Some(1));
        for path in world.paths_of(set.relays[0]) {
            world.link(path).delay_down = Duration::from_millis(1);
            world.link(path).jitter = Duration::ZERO;
        }
        world.with_hostile(set.relays[0], |relay, now| relay.inject(now, &truck, stop));
        world.run(Duration::from_secs(1));
        assert!(world.agent_role(set.agent).is_stopped());
        let last = world.vehicle(set.agent).stops.last();
        assert_eq!(last.map(|(_, stop)| *stop), Some(true));
        // The vehicle obeys nobody until the next reset.
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_millis(300));
        assert_eq!(world.vehicle(set.agent).applied.len(), 0);
    });
}

/// [SAFE-33] A reliable command that was accepted before the stop and waits for the disk is not applied after it.
#[test]
fn a_stop_overtakes_a_reliable_command_that_is_being_stored() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::hostile(&mut world, Tamper::Nothing);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        let id = longrein_proto::base::ApplicationId([4; 8]);
        world
            .deliver(set.alice, set.agent, id, Duration::from_secs(5))
            .expect("the lease is held");
        let writing = world.run_until(Duration::from_secs(1), |world| world.is_writing(set.agent));
        assert!(writing);
        let anna = (NodeKind::Controller, "anna");
        let stop = signed(&mut world, anna, set.agent, None);
        for path in world.paths_of(set.relays[0]) {
            world.link(path).delay_down = Duration::from_millis(1);
            world.link(path).jitter = Duration::ZERO;
        }
        let truck = world.name_of(set.agent).clone();
        world.with_hostile(set.relays[0], |relay, now| relay.inject(now, &truck, stop));
        world.run(Duration::from_secs(1));
        assert_eq!(world.vehicle(set.agent).applied.len(), 0);
        let refused = longrein_proto::session::Resolution::Refused(Refusal::Stopped);
        assert_eq!(world.receipt(id), Some(refused));
        // It was not applied, so it may come again after the reset.
        assert_eq!(world.reset_stop(set.alice, set.agent, 0), Ok(()));
        world
            .deliver(set.alice, set.agent, id, Duration::from_secs(5))
            .expect("the lease is held");
        world.run(Duration::from_secs(1));
        assert_eq!(world.vehicle(set.agent).applied.len(), 1);
        assert_eq!(
            world.receipt(id),
            Some(longrein_proto::session::Resolution::Applied)
        );
    });
}

/// [WIRE-105]
#[test]
fn a_stop_finds_room_beside_a_flood_of_another_nodes_stops() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let relay = world.relay("relay-a");
        let truck = world.raw_node(NodeKind::Agent, "truck-18");
        let way = world.join(truck, relay, "lte", Link::good());
        let [mallory, bob] = ["mallory", "bob"].map(|name| {
            let node = world.raw_node(NodeKind::Controller, name);
            world.join(node, relay, "cable", Link::good());
            node
        });
        world.run(Duration::from_millis(300));
        // The vehicle hears nothing for a while, and stops for it wait.
        world.link(way).cut_down = true;
        for _ in 0..32 {
            let one = signed(&mut world, (NodeKind::Controller, "mallory"), truck, None);
            world.with_raw(mallory, |role, now| role.send(now, one));
        }
        world.run(Duration::from_millis(300));
        let stop = signed(&mut world, (NodeKind::Controller, "bob"), truck, None);
        world.with_raw(bob, |role, now| role.send(now, stop.clone()));
        world.run(Duration::from_millis(300));
        world.link(way).cut_down = false;
        world.run(Duration::from_millis(500));
        let stop = Parcel::decode(&stop).expect("just made");
        assert!(world.with_raw(truck, |role, _| role.heard.contains(&stop)));
        let heard = world.with_raw(truck, |role, _| role.heard.len());
        assert_eq!(heard, 8 + 1);
    });
}

/// [WIRE-122]
#[test]
fn a_relay_passes_a_stop_under_its_senders_own_certificate_only() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let mallory = world.raw_node(NodeKind::Controller, "mallory");
        world.join(mallory, set.relays[0], "cable", Link::good());
        world.run(Duration::from_secs(1));

        let in_bobs_name = signed(&mut world, (NodeKind::Controller, "bob"), set.agent, None);
        world.with_raw(mallory, |role, now| role.send(now, in_bobs_name));
        world.run(Duration::from_millis(500));
        assert!(!world.agent_role(set.agent).is_stopped());
        assert_eq!(
            world.relay_role(set.relays[0]).counters().malformed_parcels,
            1
        );

        let in_her_own = signed(
            &mut world,
            (NodeKind::Controller, "mallory"),
            set.agent,
            None,
        );
        world.with_raw(mallory, |role, now| role.send(now, in_her_own));
        world.run(Duration::from_millis(500));
        assert!(world.agent_role(set.agent).is_stopped());
    });
}

/// [SAFE-30]
#[test]
fn stops_for_many_vehicles_that_are_away_do_not_hold_up_the_stop_of_one_that_is_there() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let patience = Duration::from_secs(5);
        let stop = StopId([0xff; 16]);
        let truck = world.name_of(set.agent).clone();
        world.with_controller(set.alice, |role, now| {
            for number in 0..200_u8 {
                let away = format!("away-{number}").parse().expect("a valid name");
                let away = NodeName::new(NodeKind::Agent, away);
                role.stop(now, &away, StopId([number; 16]), None, patience);
            }
            role.stop(now, &truck, stop, None, patience);
        });
        world.run(Duration::from_secs(1));
        assert!(is_stopped(&world, &set));
        assert_eq!(answer(&world, set.alice, stop), Some((true, 0)));
    });
}

/// [SAFE-106]
#[test]
fn a_stop_of_a_group_stops_those_in_it_and_nobody_else() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let yard: Name = "yard".parse().expect("a valid name");
        for name in ["agent/truck-17", "agent/crane-1"] {
            let node = name.parse().expect("a valid name");
            world.fleet().put_into_group(&node, "yard");
        }
        let set = StageSet::new(&mut world);
        let others = ["crane-1", "crane-2"].map(|name| {
            let agent = world.agent(name, Clock::default());
            set.join(&mut world, agent);
            agent
        });
        world.run(Duration::from_secs(1));
        // Relays know who is in it by the certificates of their connections.
        let from = world.controller_events(set.alice).len();
        let group = yard.clone();
        world.with_controller(set.alice, |role, now| role.query_members(now, group));
        world.run(Duration::from_millis(200));
        let events = &world.controller_events(set.alice)[from..];
        let answers: Vec<Vec<String>> = events
            .iter()
            .filter_map(|(_, event)| match event {
                ControllerEvent::Nodes { names, .. } => {
                    Some(names.iter().map(ToString::to_string).collect())
                }
                _ => None,
            })
            .collect();
        assert_eq!(answers, [["agent/crane-1", "agent/truck-17"]; 2]);
        // A relay can claim it of others: they know better.
        let asked = [set.agent, others[0], others[1]];
        for (number, agent) in (1..).zip(asked) {
            let vehicle = world.name_of(agent).clone();
            let (id, group) = (StopId([number; 16]), yard.clone());
            world.with_controller(set.alice, |role, now| {
                role.stop_if_in_group(now, &vehicle, id, group, Duration::from_secs(2));
            });
        }
        world.run(Duration::from_secs(1));
        for (agent, stopped) in asked.into_iter().zip([true, true, false]) {
            assert_eq!(world.agent_role(agent).is_stopped(), stopped);
            let (_, _, stops) = world.agent_role(agent).counters();
            assert_eq!(stops.other_group, u64::from(!stopped));
        }
        let answers = world.controller_events(set.alice).iter();
        let answers = answers.filter_map(|(_, event)| match event {
            ControllerEvent::Stopped {
                vehicle, latched, ..
            } => Some((vehicle.to_string(), *latched)),
            _ => None,
        });
        let mut answers: Vec<(String, bool)> = answers.collect();
        answers.sort();
        let expected = [
            ("agent/crane-1", true),
            ("agent/crane-2", false),
            ("agent/truck-17", true),
        ];
        let expected = expected.map(|(name, latched)| (name.to_string(), latched));
        assert_eq!(answers, expected);
    });
}

/// [SAFE-106]
#[test]
fn a_stop_of_a_group_needs_no_session_and_counts_once_and_only_of_whom_the_policy_lets() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let truck: NodeName = "agent/truck-17".parse().expect("a valid name");
        world.fleet().put_into_group(&truck, "yard");
        let set = StageSet::new(&mut world);
        let (bob, _) = set.operator(&mut world, "bob");
        let rules = vec![Rule {
            who: vec![Who::Node("controller/bob".parse().expect("a valid name"))],
            may: [Right::Stop].into_iter().collect(),
            functions: None,
            priority: 0,
        }];
        world.with_agent(set.agent, |role, now| {
            role.set_policy(now, Policy::new(rules))
        });
        let stop = |world: &mut World, who| {
            world.with_controller(who, |role: &mut Controller, now| {
                let group = "yard".parse().expect("a valid name");
                role.stop_if_in_group(now, &truck, StopId([7; 16]), group, Duration::from_secs(2));
            });
            world.run(Duration::from_secs(1));
        };
        stop(&mut world, set.alice);
        assert!(!world.agent_role(set.agent).is_stopped());
        stop(&mut world, bob);
        assert!(world.agent_role(set.agent).is_stopped());
        let (_, _, stops) = world.agent_role(set.agent).counters();
        assert_eq!((stops.not_allowed, stops.other_group), (1, 0));
        assert_eq!(world.agent_role(set.agent).sessions().count(), 0);
        assert_eq!(world.vehicle(set.agent).stops.len(), 1);
    });
}
