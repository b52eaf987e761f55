//! Nodes and newcomers ask the fleet's authority, through relays that only carry it.

use std::time::Duration;

use longrein_proto::base::{Channel, Class, Flow, NodeKind, SessionId};
use longrein_proto::role::{ApplicantEvent, AuthorityEvent, RelayEvent};
use longrein_proto::wire::{EnrolRefusal, Enrolment, Notice, Parcel, RouteRefusal};
use longrein_tests::{
    Audit, Link, PERIOD, RawSession, StageSet, Station, Vehicle, World, each_seed,
};

const SECOND: Duration = Duration::from_secs(1);

/// Lets the authority answer whoever has asked, until the applicant has heard.
fn answer(world: &mut World, authority: Station, applicant: Station, answer: &Enrolment) -> bool {
    let mut answered = 0;
    world.run_until(Duration::from_secs(10), |world| {
        let news = world.authority_events(authority)[answered..].to_vec();
        for event in news {
            answered += 1;
            if let AuthorityEvent::Asked { session, .. } = event {
                world.with_authority(authority, |role, now| role.answer(now, session, answer));
            }
        }
        told(world, applicant).is_some()
    })
}

/// The authority's word to an applicant.
fn told(world: &World, applicant: Station) -> Option<ApplicantEvent> {
    let is_answer = |event: &&ApplicantEvent| match event {
        ApplicantEvent::Certified(_) | ApplicantEvent::Refused(_) => true,
        ApplicantEvent::RelayUp { .. } | ApplicantEvent::Presence { .. } => false,
    };
    let mut events = world.applicant_events(applicant).iter();
    events.find(is_answer).cloned()
}

// [WIRE-142]
#[test]
fn a_newcomer_gets_its_answer_when_four_of_five_packets_are_lost() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let relay = world.relay("relay-a");
        let authority = world.authority();
        let newcomer = world.applicant(NodeKind::Newcomer, "t1", "agent/truck-17");
        let link = Link {
            loss: 0.8,
            ..Link::good()
        };
        world.join(authority, relay, "cable", Link::good());
        world.join(newcomer, relay, "lte", link);
        let certified = Enrolment::Certified(b"certificate".to_vec());
        assert!(answer(&mut world, authority, newcomer, &certified));
        let expected = ApplicantEvent::Certified(b"certificate".to_vec());
        assert_eq!(told(&world, newcomer), Some(expected));
        let asked = world
            .authority_events(authority)
            .iter()
            .find_map(|event| match event {
                AuthorityEvent::Asked { peer, node, .. } => Some((peer.node.clone(), node.clone())),
                AuthorityEvent::RelayUp { .. } => None,
            });
        let names = ("newcomer/t1", "agent/truck-17");
        assert_eq!(
            asked,
            Some((names.0.parse().unwrap(), names.1.parse().unwrap()))
        );
    });
}

// [WIRE-142]
#[test]
fn a_refusal_says_why() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let relay = world.relay("relay-a");
        let authority = world.authority();
        let newcomer = world.applicant(NodeKind::Newcomer, "t1", "agent/truck-17");
        world.join(authority, relay, "cable", Link::good());
        world.join(newcomer, relay, "lte", Link::good());
        let refused = Enrolment::Refused(EnrolRefusal::TokenUsed);
        assert!(answer(&mut world, authority, newcomer, &refused));
        let expected = ApplicantEvent::Refused(EnrolRefusal::TokenUsed);
        assert_eq!(told(&world, newcomer), Some(expected));
    });
}

// [WIRE-142]
#[test]
fn an_agent_that_renews_its_certificate_keeps_its_seat_its_sessions_and_its_leases() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        let authority = world.authority();
        let name = world.name_of(set.agent).clone();
        let visit = world.applicant(name.kind, name.name.as_str(), &name.to_string());
        for relay in set.relays {
            world.join(authority, relay, "cable", Link::good());
            world.join(visit, relay, "lte", Link::good());
        }
        let seats_before = world.relay_events(set.relays[0]).len();
        let certified = Enrolment::Certified(b"certificate".to_vec());
        assert!(answer(&mut world, authority, visit, &certified));
        world.run(Duration::from_secs(12));
        let ended = |audit: &&Audit| matches!(audit, Audit::LeaseEnded(..));
        assert_eq!(world.vehicle(set.agent).audit.iter().find(ended), None);
        assert_eq!(world.agent_role(set.agent).sessions().count(), 1);
        for event in &world.relay_events(set.relays[0])[seats_before..] {
            let moved = match event {
                RelayEvent::Left { node } | RelayEvent::RunsTwice { node } => *node == name,
                RelayEvent::Joined { .. }
                | RelayEvent::PathJoined { .. }
                | RelayEvent::Revocations { .. }
                | RelayEvent::Hub(_)
                | RelayEvent::Close { .. } => false,
            };
            assert!(!moved, "{event:?}");
        }
    });
}

// [WIRE-142]
#[test]
fn a_newcomer_reaches_nobody_but_the_authority() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let newcomer = world.raw_node(NodeKind::Newcomer, "t1");
        let authority = world.authority();
        world.join(newcomer, set.relays[0], "lte", Link::good());
        world.join(authority, set.relays[0], "cable", Link::good());
        world.run(Duration::from_secs(1));
        let truck = world.name_of(set.agent).clone();
        let alice = world.name_of(set.alice).clone();
        let root = world.name_of(authority).clone();
        for (number, to) in (1..).zip([&truck, &alice, &root]) {
            let session = SessionId(number);
            let to = to.clone();
            let route = Parcel::Notice(Notice::Route { session, to }).encode();
            world.with_raw(newcomer, |node, now| node.send(now, route));
        }
        let query = Notice::Query {
            ask: 7,
            kind: NodeKind::Agent,
        };
        let query = Parcel::Notice(query).encode();
        world.with_raw(newcomer, |node, now| node.send(now, query));
        world.run(Duration::from_secs(1));
        let mut heard = world.with_raw(newcomer, |node, _| std::mem::take(&mut node.heard));
        heard.sort_by_key(|parcel| format!("{parcel:?}"));
        let refused = |number| {
            Parcel::Notice(Notice::RouteRefused {
                session: SessionId(number),
                why: RouteRefusal::NotAllowed,
            })
        };
        let routed = Parcel::Notice(Notice::Routed {
            session: SessionId(3),
            present: true,
        });
        assert_eq!(heard, [refused(1), refused(2), routed]);
    });
}

// [WIRE-117] [WIRE-165]
#[test]
fn a_node_that_asks_without_end_keeps_nobody_else_from_the_authority() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let relay = world.relay("relay-a");
        let authority = world.authority();
        world.join(authority, relay, "cable", Link::good());
        let mallory = world.raw_node(NodeKind::Controller, "mallory");
        world.join(mallory, relay, "cable", Link::good());
        world.run(SECOND);
        let open = |world: &mut World, id| {
            RawSession::open(world, (mallory, "mallory"), authority, SessionId(id))
        };
        let mut session = open(&mut world, 9).expect("the papers are genuine");
        let newcomer = world.applicant(NodeKind::Newcomer, "t1", "agent/truck-17");
        let root = world.name_of(authority).clone();
        let mut flood = |world: &mut World, tick: u32| {
            for word in 0..20_u8 {
                let ask = Enrolment::Certify {
                    node: "controller/mallory".parse().unwrap(),
                    request: vec![word; 200],
                };
                let requests = Flow::new(Channel::SESSION, Class::Unordered);
                session.send(world, requests, 5_000, ask.encode());
                let id = SessionId(1_000 + 20 * tick + u32::from(word));
                let route = Notice::Route {
                    session: id,
                    to: root.clone(),
                };
                let step = |step, to, body: Vec<u8>| Parcel::Handshake {
                    session: id,
                    step,
                    to,
                    body: body.into(),
                };
                for parcel in [
                    Parcel::Notice(route),
                    step(1, Some(root.clone()), vec![word; 32]),
                    step(3, None, vec![word; 600]),
                ] {
                    world.with_raw(mallory, |node, now| node.send(now, parcel.encode()));
                }
            }
            world.run(PERIOD);
        };
        for tick in 0..50 {
            flood(&mut world, tick);
        }
        world.join(newcomer, relay, "lte", Link::good());
        let asked_by = |world: &World, name: &str| {
            let name = name.parse().unwrap();
            let events = world.authority_events(authority).iter();
            let asked = events.filter_map(|event| match event {
                AuthorityEvent::Asked { session, peer, .. } if peer.node == name => Some(*session),
                _ => None,
            });
            asked.collect::<Vec<_>>()
        };
        for tick in 50..100 {
            flood(&mut world, tick);
            if let Some(session) = asked_by(&world, "newcomer/t1").first().copied() {
                let certified = Enrolment::Certified(b"certificate".to_vec());
                world.with_authority(authority, |role, now| role.answer(now, session, &certified));
            }
        }
        let expected = ApplicantEvent::Certified(b"certificate".to_vec());
        assert_eq!(told(&world, newcomer), Some(expected));
        let (counters, _) = world.with_authority(authority, |role, _| role.counters());
        assert!(counters.over_rate > 100, "{counters:?}");
        let asked = asked_by(&world, "controller/mallory").len();
        assert!((100..=128 + 20 * 3).contains(&asked), "{asked}");
        assert!(world.relay_role(relay).counters().over_handshake_rate > 100);
    });
}
