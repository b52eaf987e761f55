//! Paths say nothing: for their losses, or because they are dead.

use std::time::Duration;

use longrein_proto::base::ApplicationId;
use longrein_proto::session::Resolution;
use longrein_tests::{Link, StageSet, Vehicle, World, each_seed};

/// After which time of silence each path was to be dialled anew, with the number of its path.
fn redials_of(world: &World, since_us: u64) -> Vec<(usize, u64)> {
    let wanted = world.redials().iter().filter(|redial| redial.wanted);
    wanted
        .map(|redial| (redial.path, (redial.at.as_us() - since_us) / 1_000))
        .collect()
}

// [WIRE-130] [WIRE-131]
#[test]
fn a_dead_path_is_dialled_anew_by_agent_and_controller_after_three_seconds() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.run(Duration::from_secs(5));
        let dead = [set.truck_paths[0], set.desk_paths[1]];
        for path in dead {
            world.link(path).set_cut(true);
        }
        let since = world.now().as_us();
        world.run(Duration::from_secs(30));
        let mut redials = redials_of(&world, since);
        redials.sort_unstable();
        assert_eq!(redials.len(), 2, "{redials:?}");
        for (path, after_ms) in redials {
            assert!(dead.contains(&path));
            // Its last heartbeat came up to 450 ms before.
            assert!((2_500..3_300).contains(&after_ms), "{after_ms} ms");
        }
    });
}

// [WIRE-130] [WIRE-131]
#[test]
fn a_dead_path_among_heavy_losses_is_found_within_the_longest_haste() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        set.each_path(&mut world, |link| link.loss = 0.8);
        world.run(Duration::from_secs(30));
        world.link(set.truck_paths[0]).set_cut(true);
        let before = world.redials().len();
        world.run(Duration::from_secs(11));
        let mut found = world.redials().iter().skip(before);
        assert!(found.any(|redial| redial.wanted && redial.path == set.truck_paths[0]));
    });
}

// [WIRE-130] [WIRE-131]
#[test]
fn four_of_five_packets_lost_are_hardly_ever_taken_for_a_dead_path() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        set.each_path(&mut world, |link| link.loss = 0.8);
        world.run(Duration::from_secs(60));
        let redials = redials_of(&world, 0);
        assert!(redials.len() <= 2, "{redials:?}");
    });
}

#[test]
fn after_half_a_minute_in_the_dark_the_old_connection_delivers_at_once() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        set.each_path(&mut world, |link| link.queue = Link::access().queue);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        world.run(Duration::from_secs(2));
        for path in set.truck_paths {
            world.link(path).set_cut(true);
        }
        let into_the_dark = [1, 2, 3, 4].map(|number| ApplicationId([number; 8]));
        for id in into_the_dark {
            let sent = world.deliver(set.alice, set.agent, id, Duration::from_secs(5));
            sent.expect("nobody knows yet that it is dark");
            world.run(Duration::from_millis(100));
        }
        // Where in the heartbeats' rhythm a link comes back is chance.
        let more = Duration::from_millis(world.branch().below(200));
        world.run(Duration::from_secs(30) + more);
        let from = world.controller_events(set.alice).len();
        world.link(set.truck_paths[1]).set_cut(false);
        let back = world.now();
        world.await_session(set.alice, from);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        let id = ApplicationId([7; 8]);
        let sent = world.deliver(set.alice, set.agent, id, Duration::from_secs(5));
        sent.expect("the lease is held");
        world.run_until(Duration::from_secs(5), |world| world.receipt(id).is_some());
        let took = world.now().since(back);
        assert_eq!(world.receipt(id), Some(Resolution::Applied));
        assert!(took < Duration::from_millis(500), "{took:?}");
        let applied = world.vehicle(set.agent).applied.iter();
        let applied: Vec<_> = applied.map(|command| command.application_id).collect();
        assert_eq!(applied, [Some(id)]);
        for id in into_the_dark {
            let receipt = world.receipt(id);
            assert!(matches!(
                receipt,
                Some(Resolution::Unknown | Resolution::Expired)
            ));
        }
    });
}
