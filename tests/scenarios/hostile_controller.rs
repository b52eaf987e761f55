//! A controller with valid papers and bad intentions, beside one that drives.

use std::collections::BTreeSet;
use std::time::Duration;

use longrein_proto::base::{
    ApplicationId, Channel, Class, FencingToken, Flow, NodeKind, Right, SessionId, StopId,
};
use longrein_proto::control::{Policy, Rule, Who};
use longrein_proto::crypto::sign_statement;
use longrein_proto::session::Resolution;
use longrein_proto::wire::{
    Body, Command, ControllerBeat, Drive, Notice, Parcel, Renewal, Request, SealedHeader,
    SessionMessage, Statement,
};
use longrein_tests::{
    Account, Audit, Link, PERIOD, RawSession, StageSet, Station, Vehicle, World, each_seed,
};

/// What it does, in every period of the drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attack {
    /// Commands without a lease, under the driver's token and under later ones.
    Commands,
    /// Beats that renew the driver's lease in its own session.
    Renewals,
    /// Takes, releases of the driver's token, and resets of a stop.
    Requests,
    /// Envelopes with the driver's session and numbers, and rubbish inside.
    Numbers,
    /// The longest messages that there are, of every class, to live for a minute.
    Queues,
    /// One session after the other.
    Sessions,
    /// Routes, queries and ends of routes.
    Notices,
    /// Emergency stops.
    Stops,
}

const ATTACKS: [Attack; 7] = [
    Attack::Commands,
    Attack::Renewals,
    Attack::Requests,
    Attack::Numbers,
    Attack::Queues,
    Attack::Sessions,
    Attack::Notices,
];

/// Mallory may see what is driven, and nothing else.
fn restrictive() -> Policy {
    let rule = |who, may: &[Right]| Rule {
        who: vec![who],
        may: may.iter().copied().collect(),
        functions: None,
        priority: 0,
    };
    let alice = "controller/alice".parse().expect("a valid name");
    Policy::new(vec![
        rule(Who::Anybody, &[Right::Observe]),
        rule(
            Who::Node(alice),
            &[Right::Command, Right::Stop, Right::Reset],
        ),
    ])
}

/// What became of the driver's commands.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    driven: Account,
    receipts: Vec<Option<Resolution>>,
    tokens: Vec<FencingToken>,
}

/// Four seconds of driving, with a reliable command in every tenth period; also what the agent refused the other one.
fn drive(seed: u64, attack: Option<Attack>, policy: &Policy) -> (Outcome, Refused) {
    let mut world = World::new(seed);
    let set = StageSet::new(&mut world);
    world.with_agent(set.agent, |role, now| role.set_policy(now, policy.clone()));
    // Somebody of that name is there in any case, so that both worlds are alike.
    let mallory = world.raw_node(NodeKind::Controller, "mallory");
    world.join(mallory, set.relays[0], "cable", Link::good());
    world.run(Duration::from_millis(300));
    world.open(set.alice, set.agent);
    for channel in [Vehicle::DRIVE, Vehicle::TUNNEL] {
        world.take(set.alice, set.agent, channel);
    }
    let driver = driver(&world, set.agent);
    let mut session = RawSession::open(&mut world, (mallory, "mallory"), set.agent, SessionId(9))
        .expect("the papers are genuine");
    let mut sent = Vec::new();
    for tick in 0..200_u16 {
        if let Some(attack) = attack {
            let scene = (mallory, set.agent, driver);
            act(&mut world, scene, &mut session, attack, tick);
        }
        if tick % 10 == 5 {
            let [high, low] = tick.to_be_bytes();
            let id = ApplicationId([2, high, low, 0, 0, 0, 0, 0]);
            world
                .deliver(set.alice, set.agent, id, Duration::from_secs(5))
                .expect("the lease is held");
        }
        let speed = if tick == 0 { 0 } else { 1_000 };
        sent.extend(world.drive(set.alice, set.agent, speed, tick == 0));
        world.run(PERIOD);
    }
    world.run(Duration::from_secs(6));
    let refused = Refused::at(&world, set.agent);
    let outcome = Outcome {
        driven: world.account(set.agent, &sent),
        receipts: world
            .ledger()
            .all()
            .filter(|(key, _)| key.class == Class::Reliable)
            .map(|(_, sent)| sent.receipt.as_ref().map(|(_, outcome)| outcome.clone()))
            .collect(),
        tokens: world
            .vehicle(set.agent)
            .grants
            .iter()
            .map(|grant| grant.token)
            .collect(),
    };
    (outcome, refused)
}

/// What an agent refused a controller that may only observe.
#[derive(Debug, Default)]
struct Refused {
    commands: u64,
    stops: u64,
    rights: BTreeSet<&'static str>,
}

impl Refused {
    fn at(world: &World, agent: Station) -> Refused {
        let (counters, _, stops) = world.agent_role(agent).counters();
        let mallory = "controller/mallory".parse().expect("a valid name");
        let right = |entry: &Audit| match entry {
            Audit::NotAllowed(who, right) if *who == mallory => Some(right.as_str()),
            _ => None,
        };
        Refused {
            commands: counters.refused,
            stops: stops.not_allowed,
            rights: world
                .vehicle(agent)
                .audit
                .iter()
                .filter_map(right)
                .collect(),
        }
    }
}

/// The session that drives.
fn driver(world: &World, agent: Station) -> SessionId {
    let mut sessions = world.agent_role(agent).sessions();
    sessions.next().expect("it stands").0
}

/// A command of somebody who has no lease.
fn reversing(token: FencingToken, resume: bool) -> Command {
    Command {
        token,
        dead_man: true,
        resume,
        application_id: None,
        picture_age: None,
        body: Body::Drive(Drive {
            speed_mm_s: -9_000,
            curvature_per_km: 0,
        }),
    }
}

/// One period of an attack: 30 words, 1,500 a second.
fn act(
    world: &mut World,
    (mallory, agent, driver): (Station, Station, SessionId),
    session: &mut RawSession,
    attack: Attack,
    tick: u16,
) {
    let requests = Flow::new(Channel::SESSION, Class::Reliable);
    let beats = Flow::new(Channel::SESSION, Class::Latest);
    let truck = world.name_of(agent).clone();
    for word in 0..30_u32 {
        let token = FencingToken(1 + u64::from(word % 4));
        let ask = u32::from(tick) * 30 + word;
        match attack {
            Attack::Commands => {
                let command = reversing(token, word % 2 == 0);
                let flow = Flow::new(Vehicle::DRIVE, Class::Latest);
                session.send(world, flow, 200, command.encode());
            }
            Attack::Renewals => {
                let renewals = [Vehicle::DRIVE, Vehicle::TUNNEL]
                    .map(|channel| Renewal { channel, token })
                    .to_vec();
                let beat = ControllerBeat {
                    echo: None,
                    renewals,
                    flows: Vec::new(),
                };
                session.send(world, beats, 1_000, beat.encode());
            }
            Attack::Requests => {
                let channel = Vehicle::DRIVE;
                let request = match word % 3 {
                    0 => Request::Take { channel },
                    1 => Request::Release { channel, token },
                    _ => Request::ResetStop { generation: 0 },
                };
                let message = SessionMessage::Request { ask, request };
                session.send(world, requests, 5_000, message.encode());
            }
            Attack::Numbers => {
                let header = SealedHeader {
                    key_phase: 0,
                    session: driver,
                    flow: Flow::new(Vehicle::DRIVE, Class::Latest),
                    number: u64::from(tick) + u64::from(word) + 1,
                    ttl_ms: 200,
                };
                let ciphertext = vec![7; 40].into();
                let parcel = Parcel::Sealed { header, ciphertext }.encode();
                world.with_raw(mallory, |node, now| node.send(now, parcel));
            }
            Attack::Queues => {
                let class = Class::ALL[word as usize % 4];
                let flow = Flow::new(Vehicle::TUNNEL, class);
                session.send(world, flow, 60_000, vec![7; 900]);
            }
            Attack::Sessions => {
                let id = SessionId(1_000 + ask);
                let route = Notice::Route {
                    session: id,
                    to: truck.clone(),
                };
                let handshake = Parcel::Handshake {
                    session: id,
                    step: 1,
                    to: Some(truck.clone()),
                    body: vec![7; 32].into(),
                };
                world.with_raw(mallory, |node, now| {
                    node.send(now, Parcel::Notice(route).encode());
                    node.send(now, handshake.encode());
                });
            }
            Attack::Stops => {
                let credential = world.stolen_credential(NodeKind::Controller, "mallory");
                let author = world.name_of(mallory).clone();
                let stop = Statement::Stop {
                    id: StopId(u128::from(ask).to_be_bytes()),
                    generation: None,
                };
                let signed = sign_statement(credential.as_ref(), &author, &truck, stop);
                let (to, body) = (truck.clone(), signed.encode().into());
                let parcel = Parcel::Signed { to, body }.encode();
                world.with_raw(mallory, |node, now| node.send(now, parcel));
            }
            Attack::Notices => {
                let notice = match word % 4 {
                    0 => Notice::Route {
                        session: driver,
                        to: truck.clone(),
                    },
                    1 => Notice::Unroute { session: driver },
                    2 => Notice::Query {
                        ask,
                        kind: NodeKind::Agent,
                    },
                    _ => Notice::Leased {
                        sessions: vec![SessionId(9)],
                    },
                };
                let parcel = Parcel::Notice(notice).encode();
                world.with_raw(mallory, |node, now| node.send(now, parcel));
            }
        }
    }
}

// [WIRE-112] [WIRE-115] [WIRE-135] [WIRE-136]
#[test]
fn a_hostile_controller_costs_the_driver_no_command_and_no_receipt() {
    each_seed(|seed| {
        let open = Policy::open();
        let (alone, _) = drive(seed, None, &open);
        assert_eq!(
            (alone.driven.sent, alone.driven.lost, alone.driven.late),
            (200, 0, 0)
        );
        for attack in ATTACKS {
            let (attacked, _) = drive(seed, Some(attack), &open);
            assert_eq!(attacked, alone, "{attack:?}");
        }
    });
}

// [SAFE-80] [SAFE-82] [SAFE-83] [SAFE-84]
#[test]
fn a_hostile_controller_that_may_only_observe_is_refused_and_seen_for_what_it_is() {
    each_seed(|seed| {
        let policy = restrictive();
        let (alone, nothing) = drive(seed, None, &policy);
        assert_eq!((nothing.stops, nothing.rights.len()), (0, 0));
        for attack in [Attack::Commands, Attack::Requests, Attack::Stops] {
            let (attacked, refused) = drive(seed, Some(attack), &policy);
            assert_eq!(attacked, alone, "{attack:?}");
            let rights: Vec<&str> = refused.rights.iter().copied().collect();
            if attack == Attack::Commands {
                assert!(refused.commands > nothing.commands + 100, "{refused:?}");
            } else if attack == Attack::Requests {
                assert_eq!(rights, ["command", "reset"]);
            } else {
                assert!(refused.stops >= 10, "{refused:?}");
                assert_eq!(rights, ["stop"]);
            }
        }
    });
}

/// Sessions that stand, of one name through many programs: some give way, those with a lease do not.
#[test]
fn sessions_without_end_give_way_to_each_other_and_not_the_drivers() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let mallory = world.raw_node(NodeKind::Controller, "mallory");
        world.join(mallory, set.relays[0], "cable", Link::good());
        world.run(Duration::from_millis(300));
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        let mut sent = Vec::new();
        for number in 0..40 {
            let id = SessionId(500 + number);
            let opened = RawSession::open(&mut world, (mallory, "mallory"), set.agent, id);
            assert!(opened.is_some(), "{number}");
            sent.extend(world.drive(set.alice, set.agent, 0, true));
            world.run(PERIOD);
        }
        world.run(Duration::from_millis(300));
        assert!(world.agent_role(set.agent).sessions().count() <= 9);
        assert_eq!(world.vehicle(set.agent).lease_ends.len(), 0);
        let account = world.account(set.agent, &sent);
        assert_eq!((account.sent, account.lost, account.late), (40, 0, 0));
    });
}
