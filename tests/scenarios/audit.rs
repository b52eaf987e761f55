//! What the agent's log can say afterwards: who stopped, who reset, whose lease ended and why.

use std::time::Duration;

use longrein_proto::role::{LeaseEndReason, SessionEndReason};
use longrein_proto::wire::Request;
use longrein_tests::{Answer, Audit, StageSet, Vehicle, World, each_seed};

#[test]
fn a_stop_and_its_reset_name_their_authors_and_generations() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let (bob, _) = set.operator(&mut world, "bob");
        world.open(set.alice, set.agent);
        for generation in 0..2 {
            world.stop(bob, set.agent, None);
            world.run(Duration::from_millis(300));
            let reset = world.reset_stop(set.alice, set.agent, generation);
            assert_eq!(reset, Ok(()));
        }
        let (alice, bob) = (world.name_of(set.alice), world.name_of(bob));
        assert_eq!(
            world.vehicle(set.agent).audit,
            [
                Audit::Stop(Some(bob.clone()), 0),
                Audit::Reset(alice.clone(), 1),
                Audit::Stop(Some(bob.clone()), 1),
                Audit::Reset(alice.clone(), 2),
            ]
        );
    });
}

#[test]
fn a_stop_that_was_latched_before_the_start_has_a_generation_and_no_author() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.stop(set.alice, set.agent, None);
        world.run(Duration::from_millis(300));
        world.kill(set.agent);
        world.restart_agent(set.agent);
        world.run(Duration::from_millis(10));
        assert_eq!(world.vehicle(set.agent).audit, [Audit::Stop(None, 0)]);
    });
}

#[test]
fn the_end_of_a_lease_names_its_holder_its_token_and_the_reason() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let (truck, alice) = (
            world.name_of(set.agent).clone(),
            world.name_of(set.alice).clone(),
        );
        let drive = Vehicle::DRIVE;
        world.open(set.alice, set.agent);

        let released = world.take(set.alice, set.agent, drive);
        world.with_controller(set.alice, |role, now| role.release(now, &truck, drive));
        world.run(Duration::from_millis(300));

        let lapsed = world.take(set.alice, set.agent, drive);
        set.each_path(&mut world, |link| link.set_cut(true));
        world.run(Duration::from_millis(700));
        set.each_path(&mut world, |link| link.set_cut(false));
        world.run(Duration::from_millis(300));

        let closed = world.take(set.alice, set.agent, drive);
        world.close(set.alice, set.agent);
        world.run(Duration::from_millis(300));

        let ended = |token, why| Audit::LeaseEnded(drive, alice.clone(), token, why);
        assert_eq!(
            world.vehicle(set.agent).audit,
            [
                ended(released, LeaseEndReason::Released),
                ended(lapsed, LeaseEndReason::Lapsed),
                ended(closed, LeaseEndReason::SessionEnded),
                Audit::SessionDown(alice.clone(), SessionEndReason::Closed),
            ]
        );
    });
}

#[test]
fn an_offer_its_acceptance_and_its_refusal_are_told_with_whom_they_are_told_to() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        let (bob, _) = set.operator(&mut world, "bob");
        let drive = Vehicle::DRIVE;
        world.open(set.alice, set.agent);
        world.open(bob, set.agent);
        let token = world.take(set.alice, set.agent, drive);
        let to = world.name_of(bob).clone();
        let mut offers = Vec::new();
        for busy in [true, false] {
            let offer = Request::Offer {
                channel: drive,
                token,
                to: to.clone(),
            };
            let Answer::Offered(offer) = world.ask(set.alice, set.agent, offer) else {
                panic!("it is alice's to offer")
            };
            let decline = Request::Decline {
                channel: drive,
                offer,
                busy,
            };
            assert_eq!(world.ask(bob, set.agent, decline), Answer::Done);
            offers.push(offer);
        }
        let told: Vec<(String, String)> = world
            .vehicle(set.agent)
            .news
            .iter()
            .map(|(to, news)| (to.name.to_string(), news.to_string()))
            .collect();
        let expected = [
            ("bob", "offered by controller/alice"),
            ("bob", "offer over: busy"),
            ("alice", "offer over: busy"),
            ("bob", "offered by controller/alice"),
            ("bob", "offer over: declined"),
            ("alice", "offer over: declined"),
        ];
        let expected = expected.map(|(to, what)| (to.to_string(), what.to_string()));
        assert_eq!(told, expected);
        let named = world.vehicle(set.agent).news.iter();
        let named: Vec<_> = named.filter_map(|(_, news)| news.offer()).collect();
        assert_eq!(named, [[offers[0]; 3], [offers[1]; 3]].concat());
    });
}
