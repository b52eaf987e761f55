//! A relay acknowledges everything and forwards nothing.

use std::time::Duration;

use longrein_proto::base::ApplicationId;
use longrein_proto::session::Resolution;
use longrein_tests::{StageSet, Tamper, Vehicle, World, each_seed};

// [WIRE-56]
#[test]
fn a_reliable_command_that_a_relay_swallowed_arrives_through_one_that_comes_later() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::hostile(&mut world, Tamper::Swallow);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);

        // The agent's ways to the honest relay are gone for a moment, so that only the hostile one takes the command.
        for path in [set.truck_paths[2], set.truck_paths[3]] {
            world.link(path).set_cut(true);
        }
        let id = ApplicationId([1; 8]);
        let patience = Duration::from_secs(10);
        let sent = world.deliver(set.alice, set.agent, id, patience);
        let sent = sent.expect("the lease is held");
        world.run(Duration::from_millis(300));
        assert!(world.tampered(set.relays[0]) > 0);
        let applied = |world: &World| world.vehicle(set.agent).applied_numbers(Vehicle::TUNNEL);
        assert_eq!(applied(&world), [0_u64; 0]);

        for path in [set.truck_paths[2], set.truck_paths[3]] {
            world.link(path).set_cut(false);
        }
        world.run(Duration::from_secs(3));
        assert_eq!(applied(&world), [sent]);
        assert_eq!(world.receipt(id), Some(Resolution::Applied));
    });
}
