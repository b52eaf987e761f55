//! Two agents with one identity, as after cloning a disk: a relay has one of them at a time.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod support;

use longrein_proto::base::NodeName;
use rustix::process::Signal;
use support::operator::Operator;
use support::relay::TestRelay;
use support::{AGENT, Fleet, Folder, Program, config, inside, text};

#[test]
fn a_second_agent_with_the_same_identity_takes_over_and_neither_fails() {
    let folder = Folder::new("agent-twice");
    let fleet = Fleet::new("yard");
    let relay = TestRelay::start(&fleet.issue(folder.path(), "relay/east"));
    let identity = fleet.issue(folder.path(), "agent/truck-17");
    let truck: NodeName = "agent/truck-17".parse().unwrap();
    let start = |name: &str| {
        let state = inside(&folder, name);
        let config = config(&identity, &state, relay.address());
        let file = folder.file(&format!("{name}.toml"), &config);
        Program::start(AGENT, &["--config", &text(&file)])
    };
    let mut first = start("first");
    relay.joined(&truck);
    let mut second = start("second");
    relay.joined(&truck);

    // The older one is told by its connection, and both stay up.
    let down = first.line("path is down");
    assert!(down.contains("closed by the far side"), "{down}");
    second.line("relay is reached");
    // It comes back under the same name and is refused.
    relay.runs_twice(&truck);

    let operator = Operator::start(
        &fleet.issue(folder.path(), "controller/desk"),
        relay.address(),
    );
    operator.open(&truck);
    for agent in [first, second] {
        agent.signal(Signal::TERM);
        let (status, said) = agent.ended();
        assert_eq!(status.code(), Some(0), "{said}");
    }
}
