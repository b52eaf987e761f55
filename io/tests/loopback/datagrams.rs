use crate::echo::{Echo, Event, Node, any_port, caller, relay, relay_at, route, until};
use crate::fleet::Fleet;
use longrein_io::runtime;
use longrein_io::socket::Bind;
use std::fs::read_to_string;
use std::net::{SocketAddr, UdpSocket};

#[test]
fn datagrams_go_both_ways_and_each_end_knows_the_other() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (relay, listener) = relay(&fleet, "east");
        let truck = caller(&fleet, "agent/truck-17", "east", listener.address());

        until(
            "the echo",
            || truck.got("agent/truck-17") > 3,
            || truck.events(),
        )
        .await;

        let ups = |node: &Node| -> Vec<(String, String)> {
            let mut ups = Vec::new();
            for event in node.events() {
                if let Event::Up(_, link, peer) = event {
                    ups.push((link.to_string(), peer));
                }
            }
            ups
        };
        let pair = |a: &str, b: &str| vec![(a.to_string(), b.to_string())];
        assert_eq!(ups(&truck), pair("cable", "relay/east"));
        assert_eq!(ups(&relay), pair("door", "agent/truck-17"));
        assert_eq!(listener.counts().accepted, 1);
        let path = &truck.driver.paths()[0];
        assert!(path.counts().sent >= path.counts().received);
        assert_eq!(path.remote(), listener.address());
    })
    .unwrap();
}

#[test]
fn all_that_reaches_the_port_is_counted_and_garbage_is_not_taken_for_a_paths() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (relay, listener) = relay(&fleet, "east");
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        stranger.connect(listener.address()).unwrap();
        for first in [0x00, 0x40, 0xc0, 0xff] {
            for length in [1, 30, 100, 100, 100, 1_200] {
                stranger.send(&vec![first; length]).unwrap();
            }
        }
        until(
            "all of it",
            || listener.counts().datagrams == 24,
            || format!("{:?}", listener.counts()),
        )
        .await;
        assert_eq!(listener.counts().offered, 0);
        assert_eq!(listener.counts().unclaimed, 24);
        assert_eq!(relay.driver.counts().datagrams, 0);

        let truck = caller(&fleet, "agent/truck-17", "east", listener.address());
        until(
            "the echo",
            || truck.got("agent/truck-17") > 3,
            || truck.events(),
        )
        .await;
        let of_paths = relay.driver.counts().datagrams;
        assert!(of_paths > 3);
        assert!(listener.counts().datagrams >= 24 + of_paths);
        assert_eq!(listener.counts().unclaimed, 24, "a node's are none of them");
        truck.driver.close().await;
        until(
            "the end",
            || relay.driver.paths().is_empty(),
            || relay.events(),
        )
        .await;
        assert!(
            relay.driver.counts().datagrams >= of_paths,
            "it is kept for ended paths"
        );
    })
    .unwrap();
}

#[test]
fn a_connection_on_which_much_comes_gets_a_socket_of_its_own_at_every_kind_of_address() {
    runtime::run(async || {
        let fleet = Fleet::new();
        for (bound, called) in [
            ("127.0.0.1:0", "127.0.0.1"),
            ("0.0.0.0:0", "127.0.0.1"),
            ("[::]:0", "::1"),
            ("[::]:0", "127.0.0.1"),
        ] {
            let (_relay, listener) = relay_at(&fleet, "east", bound.parse().unwrap());
            let port = listener.address().port();
            let called = SocketAddr::new(called.parse().unwrap(), port);
            let truck = caller(&fleet, "agent/truck-17", "east", called);
            let what = format!("a socket beside {bound} for what comes to {called}");
            until(
                &what,
                || connected_at(port) == 1,
                || (truck.events(), connected_at(port)),
            )
            .await;
            let so_far = truck.got("agent/truck-17");
            until(
                "more of the echo",
                || truck.got("agent/truck-17") > so_far + 10,
                || truck.events(),
            )
            .await;
            assert_eq!(truck.driver.paths().len(), 1, "the same path goes on");
            assert_eq!(listener.counts().accepted, 1);
        }
    })
    .unwrap();
}

#[test]
fn sockets_of_busy_connections_are_few_and_given_back() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (_relay, listener) = relay(&fleet, "east");
        let port = listener.address().port();
        let trucks: Vec<Node> = (0..=LANES_MAX)
            .map(|number| {
                let name = format!("agent/truck-{number}");
                caller(&fleet, &name, "east", listener.address())
            })
            .collect();
        let heard = |truck: &Node| {
            truck
                .driver
                .paths()
                .first()
                .map_or(0, |path| path.counts().received)
        };
        until(
            "a socket for all but one",
            || connected_at(port) == LANES_MAX && trucks.iter().all(|truck| heard(truck) > 50),
            || connected_at(port),
        )
        .await;
        assert_eq!(connected_at(port), LANES_MAX, "and no more");

        // One ends and the others fall silent, but for the keep-alive of QUIC.
        trucks[0].driver.close().await;
        for truck in &trucks[1..] {
            truck.driver.with(|echo, _| echo.says = None);
        }
        until("none", || connected_at(port) == 0, || connected_at(port)).await;

        let so_far = heard(&trucks[1]);
        let path = trucks[1].driver.paths()[0].id();
        trucks[1]
            .driver
            .with(|echo, _| echo.send(path, b"again".to_vec()));
        until(
            "an answer over the relay's own socket",
            || heard(&trucks[1]) > so_far,
            || heard(&trucks[1]),
        )
        .await;
    })
    .unwrap();
}

/// UDP sockets at a port of this machine that hear one peer only, as proc(5) tells.
fn connected_at(port: u16) -> usize {
    let local = format!(":{port:04X}");
    let tables = ["/proc/net/udp", "/proc/net/udp6"].map(|path| read_to_string(path).unwrap());
    let rows = tables.iter().flat_map(|table| table.lines());
    rows.filter(|row| {
        let mut columns = row.split_whitespace().skip(1);
        let is_local = columns.next().is_some_and(|own| own.ends_with(&local));
        let is_connected = columns.nth(1) == Some("01");
        is_local && is_connected
    })
    .count()
}

/// As `io/src/lane.rs` has it.
const LANES_MAX: usize = 64;

#[test]
fn each_link_has_its_own_path_to_each_relay() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (_east, east) = relay(&fleet, "east");
        let (_west, west) = relay(&fleet, "west");
        let truck = Node::start(Echo::saying("here"));
        let mut routes = Vec::new();
        for (link, bind) in [
            ("by-interface", Bind::Interface("lo".to_string())),
            ("by-address", Bind::Address([127, 0, 0, 2].into())),
        ] {
            for (name, listener) in [("east", &east), ("west", &west)] {
                let mut route = route(name, listener.address());
                route.link = link.parse().unwrap();
                route.bind = bind.clone();
                routes.push(route);
            }
        }
        truck.dial(&fleet.identity("agent/truck-17"), routes);

        let heard = || {
            let paths = truck.driver.paths();
            paths.len() == 4 && paths.iter().all(|path| path.counts().received > 0)
        };
        until("an answer on four paths", heard, || truck.events()).await;
    })
    .unwrap();
}

#[test]
fn what_does_not_fit_is_dropped_and_counted() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (_relay, listener) = relay(&fleet, "east");
        let truck = caller(&fleet, "agent/truck-17", "east", listener.address());
        until("a path", || truck.ups() == 1, || truck.events()).await;
        let path = truck.driver.paths()[0].clone();
        let before = path.counts();

        truck.driver.with(|role, _| {
            role.send(path.id(), vec![0; 4_000]);
            for _ in 0..1_000 {
                role.send(path.id(), vec![0; 1_100]);
            }
        });

        let after = path.counts();
        let sent = after.sent - before.sent;
        assert_eq!(after.dropped_oversize - before.dropped_oversize, 1);
        assert!(
            (80..1_000).contains(&sent),
            "the fuse lets 100 kB go at once: {sent}"
        );
        assert_eq!(after.dropped_full - before.dropped_full, 1_000 - sent);
    })
    .unwrap();
}

#[test]
fn the_longest_packet_of_the_protocol_fits_a_datagram() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (relay, listener) = relay(&fleet, "east");
        let words = "x".repeat(longrein_proto::base::limits::PACKET_BYTES_MAX);
        let truck = Node::start(Echo::saying(&words));
        let identity = fleet.identity("agent/truck-17");
        truck.dial(&identity, vec![route("east", listener.address())]);

        until("the echo", || truck.got(&words) > 0, || relay.ups()).await;
    })
    .unwrap();
}

#[test]
fn packets_for_a_path_that_is_gone_are_counted() {
    runtime::run(async || {
        let node = Node::start(Echo::answering());
        node.driver
            .with(|role, _| role.send(longrein_proto::base::PathId(7), vec![0]));
        assert_eq!(node.driver.counts().dropped_no_path, 1);
    })
    .unwrap();
}

#[test]
fn a_port_in_use_is_said_plainly() {
    runtime::run(async || {
        let fleet = Fleet::new();
        let (_relay, listener) = relay(&fleet, "east");
        let second = Node::start(Echo::answering());
        let settings = longrein_io::listen::ListenSettings {
            name: "door".parse().unwrap(),
            address: listener.address(),
            interface: None,
            limits: Default::default(),
        };
        let identity = fleet.identity("relay/west");
        let error = longrein_io::listen::listen(&second.driver, &identity, settings).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "UDP port {} is in use on 127.0.0.1: stop the other program or choose another port",
                listener.address().port()
            )
        );
        assert_ne!(listener.address(), any_port());
    })
    .unwrap();
}
