use crate::echo::{Echo, Node, any_port, caller, redial, relay, route, until};
use crate::fleet::Fleet;
use longrein_io::dial::Route;
use longrein_io::runtime;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use tokio::sync::oneshot;

/// A relay on a thread of its own, which ends without a word, as after SIGKILL.
struct Mortal {
    address: SocketAddr,
    kill: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Mortal {
    fn start(directory: std::path::PathBuf, address: SocketAddr) -> Mortal {
        let (kill, killed) = oneshot::channel::<()>();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            runtime::run(async || {
                let identity = longrein_io::keys::Identity::load(&directory).unwrap();
                let node = Node::start(Echo::answering());
                let listener = node.listen(&identity, address);
                tell.send(listener.address()).unwrap();
                killed.await.ok();
            })
            .unwrap();
        });
        Mortal {
            address: told.recv().unwrap(),
            kill,
            thread,
        }
    }

    fn kill(self) {
        self.kill.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

#[test]
fn a_relay_that_was_killed_and_started_again_is_reached_again() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let directory = fleet.directory("relay/east", 2100);
        let first = Mortal::start(directory.clone(), any_port());
        let address = first.address;
        let truck = caller(&fleet, "agent/truck-17", "east", address);
        truck.heard("agent/truck-17").await;

        first.kill();
        let second = Mortal::start(directory, address);

        // It says itself that it does not know the connection: nobody asks for a redial here.
        until("a new path", || truck.ups() == 2, || truck.outcomes()).await;
        assert!(
            truck.outcomes()[1].ends_with("connection lost: the far side was restarted"),
            "{:?}",
            truck.outcomes()
        );
        let before = truck.got("agent/truck-17");
        let echoes = || truck.got("agent/truck-17") > before;
        until("an echo of the second", echoes, || truck.events()).await;
        assert_eq!((truck.ups(), truck.downs()), (2, 1));
        second.kill();
    })
    .unwrap();
}

#[test]
fn routes_that_are_set_anew_leave_the_connections_of_those_that_stay() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let identity = fleet.identity("agent/truck-17");
        let (_east, east) = relay(&fleet, "east");
        let (_west, west) = relay(&fleet, "west");
        let [east, west] = [("east", east), ("west", west)]
            .map(|(name, listener)| route(name, listener.address()));
        let truck = Node::start(Echo::saying("truck"));
        let mut dialers = truck.dial(&identity, vec![east.clone()]);
        until("east", || truck.ups() == 1, || truck.events()).await;
        let first = truck.driver.paths()[0].id();

        let more_for_east = Route {
            budget_kbit_s: 500,
            ..east.clone()
        };
        let changed = dialers.set_routes(&identity, vec![west.clone(), more_for_east]);
        assert_eq!(changed.unwrap(), (1, 0));
        until("west", || truck.ups() == 2, || truck.events()).await;
        assert_eq!(truck.downs(), 0);
        assert!(truck.driver.path(first).is_some());

        let changed = dialers.set_routes(&identity, vec![west.clone()]);
        assert_eq!(changed.unwrap(), (0, 1));
        until("the end of east", || truck.downs() == 1, || truck.events()).await;
        assert!(truck.driver.path(first).is_none());
        // It is not dialled again, and the other is still in use: its echoes arrive.
        let before = truck.got("truck");
        until("an echo", || truck.got("truck") > before, || truck.events()).await;
        assert_eq!((truck.ups(), truck.downs()), (2, 1));

        // What was gone can come back.
        let changed = dialers.set_routes(&identity, vec![east, west]);
        assert_eq!(changed.unwrap(), (1, 0));
        until("east again", || truck.ups() == 3, || truck.events()).await;
    })
    .unwrap();
}

#[test]
fn a_path_that_shall_be_replaced_stays_until_the_new_one_is_up() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (relay, listener) = relay(&fleet, "east");
        let truck = caller(&fleet, "agent/truck-17", "east", listener.address());
        truck.heard("agent/truck-17").await;
        let old = truck.driver.paths()[0].id();

        redial(&truck, old, true);

        until(
            "the old path's end",
            || truck.downs() == 1,
            || truck.events(),
        )
        .await;
        assert_eq!(truck.ups(), 2);
        assert!(truck.driver.path(old).is_none());
        until("the relay's view", || relay.downs() == 1, || relay.events()).await;
    })
    .unwrap();
}

#[test]
fn a_path_that_was_hung_up_is_dialled_again() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (relay, listener) = relay(&fleet, "east");
        let truck = caller(&fleet, "agent/truck-17", "east", listener.address());
        until("a path", || relay.ups() == 1, || truck.events()).await;

        let there = relay.driver.paths()[0].id();
        relay.driver.hang_up(there);

        until("a new path", || relay.ups() == 2, || truck.outcomes()).await;
        assert!(
            truck.outcomes()[1].ends_with("connection lost: closed by the far side"),
            "{:?}",
            truck.outcomes()
        );
    })
    .unwrap();
}

#[test]
fn a_relay_that_is_not_there_is_said_to_be_unreachable() {
    runtime::run(async || {
        let fleet = Fleet::new();
        // A socket that nobody reads holds the port.
        let silent = UdpSocket::bind(any_port()).unwrap();
        let address = silent.local_addr().unwrap();
        let truck = caller(&fleet, "agent/truck-17", "east", address);

        until(
            "the outcome",
            || !truck.outcomes().is_empty(),
            || truck.events(),
        )
        .await;

        assert_eq!(
            truck.outcomes()[0],
            format!(
                "Some(Unreachable): relay east at {address} over link cable: no answer; \
                 does it run, and is its UDP port open?"
            )
        );
    })
    .unwrap();
}

#[test]
fn a_host_name_is_looked_up_and_one_that_does_not_exist_is_named() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (_relay, listener) = relay(&fleet, "east");
        let truck = Node::start(Echo::saying("hello"));
        let mut good = route("east", listener.address());
        good.address = format!("localhost:{}", listener.address().port());
        let mut bad = good.clone();
        bad.link = "other".parse().unwrap();
        bad.address = "relay.invalid:4433".to_string();
        truck.dial(&fleet.identity("agent/truck-17"), vec![good, bad]);

        until("an echo", || truck.got("hello") > 0, || truck.outcomes()).await;
        let named = || {
            let outcomes = truck.outcomes();
            outcomes
                .iter()
                .any(|told| told.contains("the name has no usable address"))
        };
        until("the lookup's end", named, || truck.outcomes()).await;
    })
    .unwrap();
}
