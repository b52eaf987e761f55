//! What the agent's log can say afterwards: who stopped, who reset, whose lease ended and why.

use std::time::Duration;

use longrein_proto::role::{LeaseEndReason, SessionEndReason};
use longrein_tests::{Audit, StageSet, Vehicle, World, each_seed};

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
