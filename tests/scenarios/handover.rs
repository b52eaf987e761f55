//! One operator hands a vehicle over to another while it moves.

use std::time::Duration;

use longrein_proto::base::{FencingToken, MonoTime, OfferId, Refusal, Stage};
use longrein_proto::wire::{News, OfferEnd, Request};
use longrein_tests::{Answer, PERIOD, StageSet, Station, Vehicle, World, each_seed};

/// Alice drives, and Bob has a session.
fn scene(world: &mut World, loss: f64) -> (StageSet, Station) {
    let set = StageSet::new(world);
    let (bob, _) = set.operator(world, "bob");
    world.open(set.alice, set.agent);
    world.open(bob, set.agent);
    world.take(set.alice, set.agent, Vehicle::DRIVE);
    world.drive_for(set.alice, set.agent, Duration::from_millis(500));
    set.each_path(world, |link| link.loss = loss);
    (set, bob)
}

fn offer(world: &mut World, set: &StageSet, bob: Station) -> OfferId {
    let token = newest_token(world, set);
    let to = world.name_of(bob).clone();
    let channel = Vehicle::DRIVE;
    let request = Request::Offer { channel, token, to };
    match world.ask(set.alice, set.agent, request) {
        Answer::Offered(offer) => offer,
        other => unreachable!("{other:?}"),
    }
}

fn newest_token(world: &World, set: &StageSet) -> FencingToken {
    let grants = &world.vehicle(set.agent).grants;
    grants.last().expect("somebody drives").token
}

/// When the newest command took effect.
fn newest_applied(world: &World, set: &StageSet) -> MonoTime {
    let applied = &world.vehicle(set.agent).applied;
    applied.last().expect("somebody drives").at
}

fn accept(offer: OfferId) -> Request {
    let channel = Vehicle::DRIVE;
    Request::Accept { channel, offer }
}

/// Both send for a while, each at 50 Hz, as long as they have a lease.
fn both_drive(world: &mut World, set: &StageSet, bob: Station, span: Duration) {
    for _ in 0..span.as_millis() / PERIOD.as_millis() {
        for controller in [set.alice, bob] {
            // Whoever has no lease is told so, and sends nothing.
            world.drive(controller, set.agent, 1_000, false).ok();
        }
        world.run(PERIOD);
    }
}

/// The longest time without an applied command, from a moment on.
fn longest_gap(world: &World, agent: Station, from: MonoTime) -> Duration {
    let applied = &world.vehicle(agent).applied;
    let times: Vec<MonoTime> = applied.iter().map(|command| command.at).collect();
    let gaps = times.windows(2).filter(|pair| pair[0] >= from);
    gaps.map(|pair| pair[1].since(pair[0]))
        .max()
        .unwrap_or_default()
}

/// Six seconds of driving at this loss, and whether Bob takes over after the first; the longest gap, and the stages entered.
fn drive(seed: u64, loss: f64, hands_over: bool) -> (Duration, Vec<Stage>) {
    let mut world = World::new(seed);
    let (set, bob) = scene(&mut world, loss);
    let begin = newest_applied(&world, &set);
    let stages = world.vehicle(set.agent).stages_entered().len();
    both_drive(&mut world, &set, bob, Duration::from_secs(1));
    if hands_over {
        let to = world.name_of(bob).clone();
        let (truck, channel) = (world.name_of(set.agent).clone(), Vehicle::DRIVE);
        let token = newest_token(&world, &set);
        world.with_controller(set.alice, |role, now| {
            role.request(now, &truck, Request::Offer { channel, token, to })
        });
        let mut accepted = false;
        for _ in 0..200 {
            both_drive(&mut world, &set, bob, PERIOD);
            let rung = world
                .lease_news(bob)
                .into_iter()
                .find_map(|news| match news {
                    News::Ring { offer, .. } => Some(offer),
                    _ => None,
                });
            if let Some(offer) = rung.filter(|_| !accepted) {
                accepted = true;
                world.with_controller(bob, |role, now| role.request(now, &truck, accept(offer)));
            }
        }
        let life = world.vehicle(set.agent);
        assert_eq!(life.handovers.len(), 1, "it is Bob's");
        let holder = life.grants.last().map(|grant| &grant.holder);
        assert_eq!(holder, Some(world.name_of(bob)));
    } else {
        both_drive(&mut world, &set, bob, Duration::from_secs(4));
    }
    both_drive(&mut world, &set, bob, Duration::from_secs(1));
    let entered = world.vehicle(set.agent).stages_entered().split_off(stages);
    (longest_gap(&world, set.agent, begin), entered)
}

/// [SAFE-90] [SAFE-91]
#[test]
fn a_vehicle_is_handed_over_without_a_gap() {
    each_seed(|seed| {
        let (gap, stages) = drive(seed, 0.0, true);
        assert!(gap <= 2 * PERIOD, "{gap:?}");
        assert_eq!(stages, [], "the vehicle drives on");
    });
}

/// [SAFE-90] [SAFE-91]
#[test]
fn under_loss_a_handover_adds_no_more_than_a_period_to_the_longest_gap() {
    each_seed(|seed| {
        let (without, _) = drive(seed, 0.2, false);
        let (with, stages) = drive(seed, 0.2, true);
        assert!(with <= without + PERIOD, "{with:?} and {without:?}");
        assert_eq!(stages, [], "the vehicle drives on");
    });
}

/// [SAFE-90]
#[test]
fn before_the_handover_the_next_ones_commands_do_not_take_effect() {
    let mut world = World::new(1);
    let (set, bob) = scene(&mut world, 0.0);
    let offer = offer(&mut world, &set, bob);
    let Answer::Coming(coming) = world.ask(bob, set.agent, accept(offer)) else {
        panic!("it was offered")
    };
    both_drive(&mut world, &set, bob, Duration::from_millis(400));
    let life = world.vehicle(set.agent);
    assert!(life.applied.iter().all(|command| command.token < coming));
    both_drive(&mut world, &set, bob, Duration::from_secs(1));
    let life = world.vehicle(set.agent);
    let first = life.applied.iter().position(|c| c.token == coming).unwrap();
    assert!(life.applied[first..].iter().all(|c| c.token == coming));
    for controller in [set.alice, bob] {
        let how = world.lease_news(controller).pop();
        assert!(
            matches!(
                how,
                Some(News::Over {
                    how: OfferEnd::HandedOver,
                    ..
                })
            ),
            "{how:?}"
        );
    }
}

/// [SAFE-92]
#[test]
fn a_handover_that_is_not_taken_up_changes_nothing() {
    let mut world = World::new(2);
    let (set, bob) = scene(&mut world, 0.0);
    let offer = offer(&mut world, &set, bob);
    let answer = world.ask(bob, set.agent, accept(offer));
    assert!(matches!(answer, Answer::Coming(_)), "{answer:?}");
    world.drive_on(set.alice, set.agent, 5 * PERIOD);
    let begin = world.vehicle(set.agent).applied.last().unwrap().at;
    world.drive_on(set.alice, set.agent, Duration::from_secs(4));
    let life = world.vehicle(set.agent);
    assert_eq!((life.handovers.len(), life.grants.len()), (0, 1));
    let how = world.lease_news(set.alice).pop();
    assert!(
        matches!(
            how,
            Some(News::Over {
                how: OfferEnd::NotTakenUp,
                ..
            })
        ),
        "{how:?}"
    );
    assert!(longest_gap(&world, set.agent, begin) <= 2 * PERIOD);
    let bobs = world.drive(bob, set.agent, 1_000, false);
    assert!(bobs.is_err(), "Bob's lease came to nothing");
}

/// [SAFE-92]
#[test]
fn without_a_holder_there_is_nothing_to_hand_over() {
    let mut world = World::new(3);
    let (set, bob) = scene(&mut world, 0.0);
    let offer = offer(&mut world, &set, bob);
    let answer = world.ask(bob, set.agent, accept(offer));
    assert!(matches!(answer, Answer::Coming(_)), "{answer:?}");
    world.close(set.alice, set.agent);
    for _ in 0..100 {
        world.drive(bob, set.agent, 1_000, false).ok();
        world.run(PERIOD);
    }
    let life = world.vehicle(set.agent);
    assert_eq!((life.handovers.len(), life.grants.len()), (0, 1));
    assert_eq!(life.stage(), Stage::MinimalRisk, "nobody drives");
    let next = world.take(bob, set.agent, Vehicle::DRIVE);
    assert!(
        next > FencingToken(2),
        "above the token that came to nothing"
    );
}

/// [SAFE-93]
#[test]
fn an_offer_is_the_holders_and_can_be_declined_or_taken_back() {
    let mut world = World::new(4);
    let (set, bob) = scene(&mut world, 0.0);
    let (eve, _) = set.operator(&mut world, "eve");
    world.open(eve, set.agent);
    let channel = Vehicle::DRIVE;
    let token = world.vehicle(set.agent).grants[0].token;
    let alice = world.name_of(set.alice).clone();
    let offer_to = |to: &str| Request::Offer {
        channel,
        token,
        to: to.parse().unwrap(),
    };
    assert_eq!(
        world.ask(eve, set.agent, offer_to("controller/bob")),
        Answer::Refused(Refusal::HeldBy(alice))
    );
    assert_eq!(
        world.ask(set.alice, set.agent, offer_to("controller/nobody")),
        Answer::Refused(Refusal::Absent)
    );
    assert_eq!(
        world.ask(set.alice, set.agent, offer_to("controller/alice")),
        Answer::Refused(Refusal::NotAllowed)
    );

    let no_offer = Answer::Refused(Refusal::NoOffer);
    let first = offer(&mut world, &set, bob);
    assert_eq!(world.ask(eve, set.agent, accept(first)), no_offer);
    let busy = Request::Decline {
        channel,
        offer: first,
        busy: true,
    };
    assert_eq!(world.ask(eve, set.agent, busy.clone()), no_offer);
    // The drive stood still meanwhile, and the lease lives by its renewals.
    assert_eq!(world.ask(bob, set.agent, busy), Answer::Done);
    let second = offer(&mut world, &set, bob);
    let cancel = Request::Cancel {
        channel,
        offer: second,
    };
    assert_eq!(world.ask(eve, set.agent, cancel.clone()), no_offer);
    assert_eq!(world.ask(set.alice, set.agent, cancel), Answer::Done);
    assert_eq!(world.ask(bob, set.agent, accept(second)), no_offer);
    world.run(Duration::from_secs(1));
    let ends: Vec<OfferEnd> = world
        .lease_news(bob)
        .into_iter()
        .filter_map(|news| match news {
            News::Over { how, .. } => Some(how),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [OfferEnd::Busy, OfferEnd::Cancelled]);
}

/// [SAFE-91]
#[test]
fn a_handed_over_token_survives_a_restart() {
    let mut world = World::new(5);
    let (set, bob) = scene(&mut world, 0.0);
    let offer = offer(&mut world, &set, bob);
    let answer = world.ask(bob, set.agent, accept(offer));
    let Answer::Coming(coming) = answer else {
        panic!("{answer:?}")
    };
    both_drive(&mut world, &set, bob, Duration::from_secs(1));
    world.kill(set.agent);
    world.restart_agent(set.agent);
    let from = world.controller_events(bob).len();
    world.await_session(bob, from);
    assert!(world.take(bob, set.agent, Vehicle::DRIVE) > coming);
}
