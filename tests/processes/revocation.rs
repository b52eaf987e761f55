//! A node is revoked while it is at work, through real programs.

use super::complaint::expect;
use super::office::{Office, is_done, relay};
use super::papers::program;
use super::program::Program;

#[test]
fn a_revoked_controller_loses_its_session_and_is_refused_also_after_restarts() {
    let mut office = Office::new();
    let agent_of = |office: &Office| {
        let papers = &office.papers;
        let keys = papers.of("agent/truck-17");
        let (name, arguments) = program(papers, "agent/truck-17", &keys, &office.address);
        Program::start(name, arguments)
    };
    let mut agent = agent_of(&office);
    agent.says("path is up");
    let desk = office.papers.of("controller/desk").display().to_string();
    let address = format!("relay-a={}", office.address);
    let connection = ["--identity", &desk, "--relay", &address];
    let mut watch = Program::start(
        "longrein",
        ["watch", "truck-17"].into_iter().chain(connection),
    );
    agent.says("session is up");
    watch.prints("");

    let folder = office.folder();
    let revoked = Program::start("longrein", ["fleet", "revoke", "--dir", &folder, "desk"]).ended();
    is_done(&revoked);
    assert_eq!(revoked.stdout, ["controller/desk"]);
    agent.says("revoked by the authority");
    agent.says("list of revocations is stored");
    office.relay.says("node is gone node=controller/desk");
    office.relay.says("list of revocations is stored");
    drop(watch);

    let arguments = ["vehicles"].into_iter().chain(connection).map(String::from);
    let arguments: Vec<String> = arguments.collect();
    expect("longrein", &arguments, 3, &["it is revoked"]);

    // Without the authority, and killed, the relay and the agent still know.
    drop(office.authority.take());
    let Office {
        papers,
        relay: first,
        address,
        ..
    } = office;
    drop(first);
    let mut second = relay(&papers, &address);
    second.says("list of revocations is known number=");
    second.says("relay ready");
    expect("longrein", &arguments, 3, &["it is revoked"]);
    drop(agent);
    let keys = papers.of("agent/truck-17");
    let (name, arguments) = program(&papers, "agent/truck-17", &keys, &address);
    let mut agent = Program::start(name, arguments);
    agent.says("list of revocations is known number=");
}
