//! The real program with nodes: who is let in, who is not, and what they hear at the end.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod support;

use std::net::SocketAddr;
use std::path::Path;

use longrein_proto::role::ControllerEvent;
use rustix::process::Signal;
use support::Folder;
use support::fleet::Fleet;
use support::operator::Operator;
use support::program::{Program, field};

const RELAY: &str = env!("CARGO_BIN_EXE_longrein-relay");

fn start(identity: &Path) -> (Program, SocketAddr) {
    let identity = identity.display().to_string();
    let arguments = ["--identity", &identity, "--listen", "127.0.0.1:0"];
    let mut relay = Program::start(RELAY, &arguments);
    let address = field(&relay.line("relay ready"), "address")
        .parse()
        .unwrap();
    (relay, address)
}

#[test]
fn a_draining_relay_tells_its_nodes_before_it_ends() {
    let folder = Folder::new("relay-drain");
    let fleet = Fleet::new("yard");
    let (mut relay, address) = start(&fleet.issue(folder.path(), "relay/east"));
    let desk = fleet.issue(folder.path(), "controller/desk");
    let operator = Operator::start(&desk, address);
    operator.expect("relay is reached", |event| {
        matches!(event, ControllerEvent::RelayUp { .. }).then_some(())
    });
    let here = relay.line("node is here");
    assert_eq!(field(&here, "node"), "controller/desk");
    relay.signal(Signal::TERM);
    let relay_name = operator.expect("relay ends soon", |event| match event {
        ControllerEvent::Draining { relay } => Some(relay.to_string()),
        _ => None,
    });
    assert_eq!(relay_name, "relay/east");
    let (status, said) = relay.ended();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("relay ended"), "{said}");
}

#[test]
fn a_node_of_another_authority_is_refused_with_a_counted_reason_and_others_still_come() {
    let folder = Folder::new("relay-stranger");
    let (fleet, impostor) = (Fleet::new("yard"), Fleet::new("yard"));
    let (mut relay, address) = start(&fleet.issue(folder.path(), "relay/east"));
    // It names this fleet and believes this relay, but another authority made it.
    let stranger = impostor.issue(folder.path(), "controller/stranger");
    Fleet::also_trust(&stranger, &fleet);
    let refused = Operator::start(&stranger, address);
    let line = relay.line("connection is refused");
    assert!(line.contains("from another authority"), "{line}");

    let desk = fleet.issue(folder.path(), "controller/desk");
    let operator = Operator::start(&desk, address);
    operator.expect("relay is reached", |event| {
        matches!(event, ControllerEvent::RelayUp { .. }).then_some(())
    });
    drop((refused, operator));
    relay.signal(Signal::TERM);
    let (status, said) = relay.ended();
    assert_eq!(status.code(), Some(0), "{said}");
    let counted = said.lines().find(|line| line.contains("handshakes failed"));
    let counted = counted.unwrap_or_else(|| panic!("{said}"));
    assert!(counted.contains("from another authority"), "{counted}");
    assert_ne!(field(counted, "count"), "0");
}
