//! A vehicle at the fleet's hub: how it stands is told there, and nothing that comes from there moves it.

use std::sync::Arc;
use std::time::Duration;

use longrein_proto::base::{Entropy, MonoTime, NodeKind, NodeName, Stage, StopId};
use longrein_proto::crypto::sign_statement;
use longrein_proto::hub::CallerEvent;
use longrein_proto::wire::hub::{Answer, Bytes, Change, HubRefusal, Owner, Request, Section};
use longrein_proto::wire::{Parcel, Statement};
use longrein_tests::{StageSet, Station, Tamper, Vehicle, World, each_seed};

/// A fleet whose relay A is its hub.
fn with_hub(world: &mut World) -> StageSet {
    let relays = [world.hub("relay-a"), world.relay("relay-b")];
    let set = StageSet::around(world, relays);
    world.open(set.alice, set.agent);
    set
}

fn truck() -> NodeName {
    "agent/truck-17".parse().expect("a name")
}

/// What the hub answers to an operator.
fn ask(world: &mut World, controller: Station, request: Request) -> Answer {
    let asked = world.with_controller(controller, |role, now| {
        role.with_hub(now, |hub| hub.ask(request))
            .expect("few requests are open")
    });
    let mut answer = None;
    world.run_until(Duration::from_secs(20), |world| {
        world.with_controller(controller, |role, now| {
            role.with_hub(now, |hub| {
                while let Some(event) = hub.poll_event() {
                    if let CallerEvent::Answered { ask, answer: found } = event
                        && ask == asked
                    {
                        answer = Some(found);
                    }
                }
            });
        });
        answer.is_some()
    });
    answer.expect("the hub answers")
}

/// The vehicle's reported items with their values.
fn reported(world: &mut World, controller: Station) -> Vec<(String, String)> {
    let request = Request::Document {
        owner: Owner::Node(truck()),
        section: Section::Reported,
    };
    let Answer::Document(document) = ask(world, controller, request) else {
        panic!("no document");
    };
    let items = document.items.into_iter();
    items
        .map(|item| {
            assert_eq!(item.by, truck());
            let value = String::from_utf8(item.value.0.to_vec()).expect("text");
            (item.key.to_string(), value)
        })
        .collect()
}

fn item(world: &mut World, controller: Station, key: &str) -> String {
    let items = reported(world, controller);
    let found = items.iter().find(|(name, _)| name == key);
    found
        .unwrap_or_else(|| panic!("no {key} in {items:?}"))
        .1
        .clone()
}

#[test]
fn the_hub_knows_who_holds_a_lease_how_the_ladder_stands_who_stopped_and_which_links_are_up() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = with_hub(&mut world);
        world.run(Duration::from_secs(1));
        let free = item(&mut world, set.alice, "function.drive");
        assert!(free.contains(r#""stage":"MinimalRisk""#), "{free}");
        assert!(free.contains(r#""holder":null,"fence":0"#), "{free}");

        let token = world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        let held = item(&mut world, set.alice, "function.drive");
        assert!(held.contains(r#""stage":"Nominal""#), "{held}");
        let holder = format!(r#""holder":"controller/alice","fence":{}"#, token.0);
        assert!(held.contains(&holder), "{held}");
        assert!(!held.contains(r#""since_ms":null"#), "{held}");
        let links = item(&mut world, set.alice, "links");
        let both = r#"["relay-a","relay-b"]"#;
        assert_eq!(links, format!(r#"{{"lte":{both},"wifi":{both}}}"#));

        world.stop(set.alice, set.agent, None);
        world.run(Duration::from_secs(1));
        let stop = item(&mut world, set.alice, "stop");
        let by = r#""latched":true,"generation":0,"by":"controller/alice","why":"operator""#;
        assert!(stop.contains(by), "{stop}");
        let ladder = item(&mut world, set.alice, "function.drive");
        assert!(ladder.contains(r#""stage":"MinimalRisk""#), "{ladder}");
        assert_eq!(world.reset_stop(set.alice, set.agent, 0), Ok(()));
        world.run(Duration::from_secs(1));
        let stop = item(&mut world, set.alice, "stop");
        assert!(stop.contains(r#""latched":false,"generation":1"#), "{stop}");
        world.stop_by_vehicle(set.agent);
        world.run(Duration::from_secs(1));
        let stop = item(&mut world, set.alice, "stop");
        assert!(
            stop.contains(r#""by":"agent/truck-17","why":"vehicle""#),
            "{stop}"
        );

        // What others say of it is no report.
        let request = Request::Set {
            owner: Owner::Node(truck()),
            section: Section::Reported,
            if_revision: None,
            changes: vec![Change {
                key: "stop".parse().unwrap(),
                if_revision: None,
                value: Some(Bytes::from(b"{}".as_slice())),
            }],
            lock: None,
            lease: None,
        };
        let answer = ask(&mut world, set.alice, request);
        assert_eq!(answer, Answer::Refused(HubRefusal::NotAllowed));
    });
}

#[test]
fn a_hub_that_comes_back_with_nothing_is_told_again() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = with_hub(&mut world);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        world.drive_for(set.alice, set.agent, Duration::from_secs(1));
        let before = reported(&mut world, set.alice);
        world.kill(set.relays[0]);
        let sent = world.drive_on(set.alice, set.agent, Duration::from_secs(3));
        assert!(!sent.is_empty());
        world.restart_hub(set.relays[0]);
        world.drive_on(set.alice, set.agent, Duration::from_secs(8));
        let after = reported(&mut world, set.alice);
        let keys = |items: &[(String, String)]| -> Vec<String> {
            items.iter().map(|(key, _)| key.clone()).collect()
        };
        assert_eq!(keys(&after), keys(&before));
        let drive = |items: &[(String, String)]| items[0].1.clone();
        assert_eq!(drive(&after), drive(&before), "nothing has changed since");
        assert_eq!(world.vehicle(set.agent).stage(), Stage::Nominal);
    });
}

#[test]
fn a_vehicle_that_stands_says_nothing_to_the_hub() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = with_hub(&mut world);
        world.run(Duration::from_secs(10));
        let asks = |world: &mut World| {
            world.with_relay(set.relays[0], |role, _| role.hub().unwrap().counters().asks)
        };
        let before = asks(&mut world);
        assert!(before > 0);
        world.run(Duration::from_secs(600));
        assert_eq!(asks(&mut world), before);
    });
}

/// What took effect, and when.
fn timeline(seed: u64, has_hub: bool) -> Vec<(MonoTime, u64)> {
    let mut world = World::new(seed);
    let first = if has_hub {
        world.hub("relay-a")
    } else {
        world.relay("relay-a")
    };
    let relays = [first, world.relay("relay-b")];
    let set = StageSet::around(&mut world, relays);
    // Chance would give each packet another delay as soon as there is one more.
    set.each_path(&mut world, |link| link.jitter = Duration::ZERO);
    world.open(set.alice, set.agent);
    world.take(set.alice, set.agent, Vehicle::DRIVE);
    let began = world.time_of(set.agent);
    world.drive_for(set.alice, set.agent, Duration::from_secs(2));
    set.each_path_to(&mut world, 0, |link| link.set_cut(true));
    world.drive_on(set.alice, set.agent, Duration::from_secs(6));
    set.each_path_to(&mut world, 0, |link| link.set_cut(false));
    world.drive_on(set.alice, set.agent, Duration::from_secs(6));
    world.run(Duration::from_millis(200));
    let applied = world.vehicle(set.agent).applied.iter();
    applied
        .map(|command| (MonoTime::ZERO + command.at.since(began), command.number))
        .collect()
}

/// [SAFE-138]
#[test]
fn commands_take_effect_at_the_same_times_with_a_hub_without_one_and_while_it_is_cut_off() {
    each_seed(|seed| {
        let (with, without) = (timeline(seed, true), timeline(seed, false));
        assert_eq!(with.len(), 700);
        assert_eq!(with, without);
    });
}

/// A genuine stop of an operator's, which goes no other way.
fn unsaid_stop(world: &mut World) -> Arc<[u8]> {
    let credential = world.stolen_credential(NodeKind::Controller, "alice");
    let author = "controller/alice".parse().expect("a name");
    let mut id = [0; 16];
    world.branch().fill(&mut id);
    let statement = Statement::Stop {
        id: StopId(id),
        generation: None,
    };
    let body = sign_statement(credential.as_ref(), &author, &truck(), statement).encode();
    Parcel::Signed {
        to: truck(),
        body: body.into(),
    }
    .encode()
}

/// [SAFE-138]
// [WIRE-196]
#[test]
fn a_hostile_hub_that_says_commands_and_stops_in_all_its_words_moves_nothing_and_stops_nothing() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::hostile(&mut world, Tamper::Hub);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        let sent = world.drive_for(set.alice, set.agent, Duration::from_secs(5));
        let stop = unsaid_stop(&mut world);
        world.with_hostile(set.relays[0], |relay, now| {
            relay.say_as_hub(now, &truck(), &stop);
        });
        let more = world.drive_on(set.alice, set.agent, Duration::from_secs(2));
        world.run(Duration::from_millis(150));

        let vehicle = world.vehicle(set.agent);
        assert!(vehicle.hub_events.len() > 100, "it says much");
        let all: Vec<u64> = sent.into_iter().chain(more).collect();
        let account = world.account(set.agent, &all);
        assert_eq!(
            (account.applied, account.lost),
            (all.len(), 0),
            "{account:?}"
        );
        assert_eq!(vehicle.stages_entered(), [Stage::Nominal]);
        assert!(vehicle.stops.is_empty() && vehicle.audit.is_empty());
        assert_eq!(vehicle.grants.len(), 1);

        // The driver has gone: what the hub says feeds no watchdog and holds no lease.
        world.kill(set.alice);
        for _ in 0..30 {
            let command = stop.clone();
            world.with_hostile(set.relays[0], |relay, now| {
                relay.say_as_hub(now, &truck(), &command);
            });
            world.run(Duration::from_millis(100));
        }
        let vehicle = world.vehicle(set.agent);
        assert_eq!(vehicle.stage(), Stage::MinimalRisk);
        assert!(!world.agent_role(set.agent).is_stopped());

        // The same bytes as what they are do stop it.
        world.with_hostile(set.relays[0], |relay, now| {
            relay.inject(now, &truck(), stop.clone());
        });
        world.run(Duration::from_millis(300));
        assert!(world.agent_role(set.agent).is_stopped());
    });
}
