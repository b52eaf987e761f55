//! Relay A has valid papers and bad intentions.

use std::time::Duration;

use longrein_proto::base::{ApplicationId, NodeKind, Stage};
use longrein_proto::role::ControllerEvent;
use longrein_proto::session::Resolution;
use longrein_tests::{Account, PERIOD, StageSet, Tamper, Vehicle, World, each_seed};

const HARM: [Tamper; 10] = [
    Tamper::Corrupt,
    Tamper::Forge,
    Tamper::Replay,
    Tamper::Reorder,
    Tamper::Delay,
    Tamper::DelayTo(NodeKind::Agent),
    Tamper::DelayTo(NodeKind::Controller),
    Tamper::Swallow,
    Tamper::Drop,
    Tamper::Presence,
];

/// Drives for 10 s through hostile relay A and honest relay B, with a reliable command every 100 ms.
fn drive_beside(seed: u64, tamper: Tamper) -> World {
    let mut world = World::new(seed);
    let set = StageSet::hostile(&mut world, tamper);
    world.open(set.alice, set.agent);
    world.take(set.alice, set.agent, Vehicle::DRIVE);
    world.take(set.alice, set.agent, Vehicle::TUNNEL);
    let mut sent: Vec<u64> = world
        .drive(set.alice, set.agent, 0, true)
        .into_iter()
        .collect();
    world.run(PERIOD);
    for tick in 1..500_u16 {
        if tick % 5 == 0 {
            let [high, low] = tick.to_be_bytes();
            let id = ApplicationId([high, low, 0, 0, 0, 0, 0, 0]);
            world
                .deliver(set.alice, set.agent, id, Duration::from_secs(5))
                .expect("the lease is held");
        }
        sent.extend(world.drive(set.alice, set.agent, 1_000, false));
        world.run(PERIOD);
    }
    world.run(Duration::from_secs(8));

    if tamper != Tamper::Nothing {
        assert!(world.tampered(set.relays[0]) > 500, "{tamper:?}");
    }
    let account = world.account(set.agent, &sent);
    assert_eq!(account.sent, 500);
    assert_eq!(
        (account.lost, account.late),
        (0, 0),
        "{tamper:?} {account:?}"
    );
    // Relay B delivers each in time: only jitter on the way from it can overtake, and it is below a period.
    assert_eq!(account.superseded, 0, "{tamper:?} {account:?}");
    let receipts: Vec<Option<Resolution>> = world
        .ledger()
        .all()
        .filter(|(key, _)| key.channel == Vehicle::TUNNEL)
        .map(|(_, sent)| sent.receipt.as_ref().map(|(_, outcome)| outcome.clone()))
        .collect();
    assert_eq!(receipts.len(), 99);
    for receipt in receipts {
        assert_eq!(receipt, Some(Resolution::Applied), "{tamper:?}");
    }
    world
}

#[test]
fn nothing_is_lost_through_the_honest_relay_whatever_the_hostile_one_does() {
    each_seed(|seed| {
        for tamper in HARM {
            drive_beside(seed, tamper);
        }
    });
}

/// Each kind of harm shows in the counters of both ends: seals that do not open, numbers seen before, copies, and what came
/// behind something newer.
#[test]
fn every_harm_is_counted_at_both_ends() {
    each_seed(|seed| {
        let honest = Counts::of(&drive_beside(seed, Tamper::Nothing));
        for counts in &honest {
            assert_eq!(counts.forged, 0);
        }
        for tamper in HARM {
            let counts = Counts::of(&drive_beside(seed, tamper));
            let ends = [NodeKind::Agent, NodeKind::Controller];
            let counts = counts.into_iter().zip(honest).zip(RELIABLE);
            for (((now, honest), reliable), end) in counts.zip(ends) {
                let shows = match tamper {
                    Tamper::Corrupt => now.forged > 50,
                    // Each reliable envelope is forged on its way; of the others a leg passes those that are ahead of all
                    // before them, the first at least.
                    Tamper::Forge => now.forged > reliable,
                    Tamper::Replay => now.again > honest.again + 500,
                    // Of two that leave 100 ms apart, the time between beats, and are each held up to 200 ms, the first comes
                    // behind the second in one of eight cases; those that leave sooner after each other do more often.
                    // Half of that is far outside chance.
                    Tamper::Reorder => now.behind > honest.behind + honest.replayed / 16,
                    // Relay B was 5 s earlier with each: none of them is new.
                    Tamper::Delay => now.replayed > 100,
                    Tamper::DelayTo(kind) => kind != end || now.replayed > 100,
                    // Every second arrival of an honest run is relay A's copy: a session offers again only what has no
                    // receipt for a second, and here each has one.
                    Tamper::Swallow | Tamper::Drop => now.replayed == 0,
                    // It harms no envelope; what it says is told to the program.
                    Tamper::Presence => true,
                    _ => false,
                };
                assert!(shows, "{tamper:?}: {now:?} beside {honest:?}");
            }
        }
    });
}

/// Reliable envelopes to the agent: 99 commands and two requests; to the controller: the description and two answers.
const RELIABLE: [u64; 2] = [101, 3];

/// What one end counted.
#[derive(Clone, Copy, Debug)]
struct Counts {
    forged: u64,
    replayed: u64,
    again: u64,
    behind: u64,
}

impl Counts {
    /// Of the agent and of the controller.
    fn of(world: &World) -> [Counts; 2] {
        let agent = world.agent_role(world.station("truck-17"));
        let controller = world.controller_role(world.station("alice"));
        let (at_agent, _, _) = agent.counters();
        let at_controller = controller.seal_counters();
        let flows = agent.sessions().flat_map(|(.., flows)| flows);
        let superseded: u64 = flows.map(|(_, flow)| flow.superseded).sum();
        let (legs, other_legs) = (agent.leg_counters(), controller.leg_counters());
        [
            Counts {
                forged: at_agent.forged,
                replayed: at_agent.replayed,
                again: at_agent.replayed + legs.duplicates + legs.superseded,
                behind: legs.superseded + superseded,
            },
            Counts {
                forged: at_controller.forged,
                replayed: at_controller.replayed,
                again: at_controller.replayed + other_legs.duplicates + other_legs.superseded,
                behind: other_legs.superseded,
            },
        ]
    }
}

/// [SAFE-21]
#[test]
fn a_vehicle_with_only_a_hostile_relay_goes_safe_and_applies_nothing_wrong() {
    each_seed(|seed| {
        for tamper in HARM {
            let mut world = World::new(seed);
            let set = StageSet::hostile(&mut world, Tamper::Nothing);
            set.each_path_to(&mut world, 1, |link| link.set_cut(true));
            world.open(set.alice, set.agent);
            world.take(set.alice, set.agent, Vehicle::DRIVE);
            let sent = world.drive_for(set.alice, set.agent, Duration::from_secs(2));
            world.with_hostile(set.relays[0], |relay, _| relay.tamper = tamper);
            world.drive_on(set.alice, set.agent, Duration::from_secs(4));
            world.run(Duration::from_secs(6));

            assert!(world.account(set.agent, &sent).applied > 90);
            assert_eq!(world.vehicle(set.agent).stage(), Stage::MinimalRisk);
            let useless = matches!(
                tamper,
                Tamper::Corrupt
                    | Tamper::Forge
                    | Tamper::Delay
                    | Tamper::DelayTo(NodeKind::Agent)
                    | Tamper::Swallow
                    | Tamper::Drop
            );
            if useless {
                assert_eq!(
                    world.vehicle(set.agent).stages_entered(),
                    [Stage::Nominal, Stage::Hold, Stage::Ramp, Stage::MinimalRisk],
                    "{tamper:?}"
                );
            }
        }
    });
}

#[test]
fn forged_handshakes_do_not_keep_the_session_from_standing_through_the_honest_relay() {
    each_seed(|seed| {
        // Relay A is the faster one, the slower one, or both are alike.
        for slower_ms in [0, 15] {
            for slow in [0, 1] {
                let mut world = World::new(seed);
                let set = StageSet::hostile(&mut world, Tamper::Handshake);
                set.each_path_to(&mut world, slow, |link| {
                    link.delay_up += Duration::from_millis(slower_ms);
                    link.delay_down += Duration::from_millis(slower_ms);
                });
                world.call(set.alice, set.agent);
                let soon = world.await_event(set.alice, 0, Duration::from_secs(1), |event| {
                    matches!(event, ControllerEvent::SessionUp { .. }).then_some(())
                });
                assert!(soon.is_some(), "no session within a second");
                world.take(set.alice, set.agent, Vehicle::DRIVE);
                assert!(world.tampered(set.relays[0]) > 0);
                let sent = world.drive_for(set.alice, set.agent, Duration::from_secs(1));
                world.run(Duration::from_millis(200));
                assert_eq!(
                    world.account(set.agent, &sent),
                    Account {
                        sent: 50,
                        applied: 50,
                        ..Account::default()
                    }
                );
            }
        }
    });
}

#[test]
fn refused_routes_at_one_relay_do_not_keep_the_session_from_standing_through_the_other() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::hostile(&mut world, Tamper::Refuse);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
    });
}

/// A relay that hoards renewals keeps no lease alive for a controller that is gone.
/// [SAFE-3] [SAFE-9]
#[test]
fn renewals_that_a_relay_hoarded_do_not_keep_a_lease() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::hostile(&mut world, Tamper::Nothing);
        let (bob, _) = set.operator(&mut world, "bob");
        world.open(bob, set.agent);
        for path in [set.truck_paths[2], set.truck_paths[3]] {
            world.link(path).set_cut(true);
        }
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        world.with_hostile(set.relays[0], |relay, _| {
            relay.tamper = Tamper::Hoard(NodeKind::Agent)
        });
        // Its renewals of these two seconds are good for six.
        world.drive_on(set.alice, set.agent, Duration::from_secs(2));
        world.kill(set.alice);
        world.run(Duration::from_millis(100));
        world.take(bob, set.agent, Vehicle::DRIVE);
    });
}

/// Nor does it make a controller believe that a vehicle is there which has forgotten the session.
#[test]
fn beats_that_a_relay_hoarded_do_not_keep_a_controller_from_calling_again() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::hostile(&mut world, Tamper::Nothing);
        set.each_path_to(&mut world, 1, |link| link.set_cut(true));
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        world.with_hostile(set.relays[0], |relay, _| {
            relay.tamper = Tamper::Hoard(NodeKind::Controller)
        });
        world.drive_on(set.alice, set.agent, Duration::from_secs(10));
        world.kill(set.agent);
        world.run(Duration::from_secs(4));
        let from = world.controller_events(set.alice).len();
        world.restart_agent(set.agent);
        world.await_session(set.alice, from);
    });
}
