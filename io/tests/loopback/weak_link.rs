use crate::echo::{Echo, Node};
use crate::echo::{caller, redial, relay, route, until};
use crate::fleet::Fleet;
use crate::forwarder::Forwarder;
use longrein_io::runtime;

const TRUCK: &str = "agent/truck-17";

#[test]
fn a_path_comes_up_when_four_of_five_packets_get_lost_both_ways() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (_relay, listener) = relay(&fleet, "east");
        let way = Forwarder::start(listener.address()).await;
        way.lose(80);
        let truck = caller(&fleet, TRUCK, "east", way.address());
        until("an echo", || truck.got(TRUCK) > 0, || truck.outcomes()).await;
    })
    .unwrap();
}

#[test]
fn another_port_of_a_network_translator_interrupts_nothing() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (relay, listener) = relay(&fleet, "east");
        let way = Forwarder::start(listener.address()).await;
        let truck = caller(&fleet, TRUCK, "east", way.address());
        until("an echo", || truck.got(TRUCK) > 0, || truck.outcomes()).await;

        for _ in 0..3 {
            way.rebind().await;
            let before = truck.got(TRUCK);
            let moved = || relay.driver.paths()[0].remote() == way.behind();
            let echoes = || moved() && truck.got(TRUCK) > before + 5;
            until("an echo by the new port", echoes, || truck.outcomes()).await;
        }

        assert_eq!((truck.ups(), truck.downs()), (1, 0));
        assert_eq!((relay.ups(), relay.downs()), (1, 0));
        // Its place at the relay is given back, wherever it is by now.
        truck.driver.close().await;
        until("the end", || relay.downs() == 1, || relay.events()).await;
        let again = caller(&fleet, TRUCK, "east", way.address());
        until("an echo", || again.got(TRUCK) > 0, || again.outcomes()).await;
    })
    .unwrap();
}

#[test]
fn a_silent_path_that_works_again_is_kept() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (_relay, listener) = relay(&fleet, "east");
        let way = Forwarder::start(listener.address()).await;
        let truck = caller(&fleet, TRUCK, "east", way.address());
        until("an echo", || truck.got(TRUCK) > 0, || truck.outcomes()).await;
        let path = truck.driver.paths()[0].id();

        way.lose(100);
        redial(&truck, path, true);
        let tried = || {
            truck
                .outcomes()
                .iter()
                .any(|told| told.contains("no answer"))
        };
        until("a round without answer", tried, || truck.outcomes()).await;
        redial(&truck, path, false);
        way.lose(0);

        let before = truck.got(TRUCK);
        until(
            "echoes",
            || truck.got(TRUCK) > before + 5,
            || truck.outcomes(),
        )
        .await;
        assert_eq!((truck.ups(), truck.downs()), (1, 0));
        assert!(truck.driver.path(path).is_some());
        // It is watched as before.
        redial(&truck, path, true);
        until("a new path", || truck.downs() == 1, || truck.outcomes()).await;
        assert_eq!(truck.ups(), 2);
    })
    .unwrap();
}

#[test]
fn a_path_of_a_link_that_comes_up_ends_the_pause_of_the_others() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (_east, east) = relay(&fleet, "east");
        let (_west, west) = relay(&fleet, "west");
        let (to_east, to_west) = (
            Forwarder::start(east.address()).await,
            Forwarder::start(west.address()).await,
        );
        to_east.lose(100);
        to_west.lose(100);
        let truck = Node::start(Echo::saying(TRUCK));
        truck.dial(
            &fleet.identity(TRUCK),
            vec![
                route("east", to_east.address()),
                route("west", to_west.address()),
            ],
        );
        let silent = || truck.outcomes().len() >= 4;
        until("rounds without answer", silent, || truck.outcomes()).await;

        to_east.lose(0);
        to_west.lose(0);
        until("both paths", || truck.ups() == 2, || truck.outcomes()).await;
    })
    .unwrap();
}
