//! Relays die and come back, one or all of them, also with what they have acknowledged.

use std::time::Duration;

use longrein_proto::base::ApplicationId;
use longrein_proto::session::Resolution;
use longrein_tests::{Account, StageSet, Tamper, Vehicle, World, each_seed};

#[test]
fn a_drive_loses_nothing_when_a_relay_dies_and_returns_and_then_the_other_dies() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::DRIVE);
        let mut sent = world.drive_for(set.alice, set.agent, Duration::from_secs(2));
        world.kill(set.relays[0]);
        sent.extend(world.drive_on(set.alice, set.agent, Duration::from_secs(4)));
        world.restart_relay(set.relays[0]);
        sent.extend(world.drive_on(set.alice, set.agent, Duration::from_secs(2)));
        world.kill(set.relays[1]);
        sent.extend(world.drive_on(set.alice, set.agent, Duration::from_secs(2)));
        world.run(Duration::from_millis(100));
        let all = Account {
            sent: 500,
            applied: 500,
            ..Account::default()
        };
        assert_eq!(world.account(set.agent, &sent), all);
    });
}

// [WIRE-56]
#[test]
fn what_a_relay_acknowledged_before_it_died_arrives_through_its_next_run() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::hostile(&mut world, Tamper::Nothing);
        set.each_path_to(&mut world, 1, |link| link.set_cut(true));
        world.open(set.alice, set.agent);
        world.take(set.alice, set.agent, Vehicle::TUNNEL);
        world.with_hostile(set.relays[0], |relay, _| relay.tamper = Tamper::Swallow);
        let id = ApplicationId([1; 8]);
        let sent = world.deliver(set.alice, set.agent, id, Duration::from_secs(9));
        sent.expect("the lease is held");
        world.run(Duration::from_millis(200));
        assert!(world.tampered(set.relays[0]) > 0);
        world.kill(set.relays[0]);
        world.run(Duration::from_millis(300));
        world.restart_relay(set.relays[0]);
        world.run(Duration::from_secs(4));
        // In the same session, though its lease may have lapsed.
        let told = world.receipt(id);
        assert!(
            matches!(told, Some(Resolution::Applied | Resolution::Refused(_))),
            "{told:?}"
        );
    });
}

#[test]
fn the_work_goes_on_after_all_relays_restart_again_and_again() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        let set = StageSet::new(&mut world);
        world.open(set.alice, set.agent);
        let span = Duration::from_secs(10);
        world.work_with(set.alice, set.agent, span, |world, tick| {
            if tick % 150 == 100 {
                for relay in set.relays {
                    world.kill(relay);
                }
            }
            if tick % 150 == 110 {
                for relay in set.relays {
                    world.restart_relay(relay);
                }
            }
        });
        let (applied, sent) = world.delivered();
        assert!(applied > sent / 2 && sent > 50, "{applied} of {sent}");
    });
}
