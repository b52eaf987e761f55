//! [SAFE-5] The fencing token only grows, also when the agent is killed in the middle of a write.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm
)]

mod support;

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use longrein_agent::state::State;
use longrein_agent::store::Store;
use longrein_proto::base::{ApplicationId, FencingToken, Name, NodeName};
use longrein_proto::role::AgentRecord;
use rustix::process::Signal;
use support::operator::Operator;
use support::relay::TestRelay;
use support::{AGENT, Fleet, Folder, Program, config, inside, text};

const STATE: &str = "LONGREIN_TEST_STATE";

fn drive() -> Name {
    "drive".parse().unwrap()
}

fn token(record: &AgentRecord) -> u64 {
    record.tokens.get(&drive()).map_or(0, |token| token.0)
}

/// No test by itself, where nobody names a folder: the process that the next test starts and kills. It grants as fast as the
/// disk allows, and says each token that is on disk.
#[test]
fn grant_until_killed() {
    let Some(folder) = env::var_os(STATE).map(PathBuf::from) else {
        return;
    };
    let state = State::open(&folder).unwrap();
    let (mut record, slots) = state.load().unwrap();
    let store = Store::start(slots, |token| {
        println!("on disk: {token}");
        std::io::stdout().flush().unwrap();
    })
    .unwrap();
    // As large as records get, so that a kill finds a write under way.
    let ids = (0..1_024_u64).map(|n| ApplicationId(n.to_be_bytes()));
    record.applied = ids.collect();
    loop {
        let next = token(&record) + 1;
        record.tokens.insert(drive(), FencingToken(next));
        store.put(next, record.encode());
    }
}

#[test]
fn a_record_that_was_on_disk_is_there_after_any_kill() {
    let folder = Folder::new("agent-kills");
    let state = inside(&folder, "state");
    let mut last = 0;
    for round in 0..40 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "grant_until_killed", "--nocapture"])
            .env(STATE, &state)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Some tokens, then a kill at whatever the child is doing.
        let mut said = last;
        for line in lines.by_ref().map_while(Result::ok) {
            if let Some((_, number)) = line.split_once("on disk: ") {
                said = number.parse().unwrap();
                if said >= last + round % 7 {
                    break;
                }
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            if let Some((_, number)) = line.split_once("on disk: ") {
                said = number.parse().unwrap_or(said);
            }
        }
        let found = token(&State::open(&state).unwrap().load().unwrap().0);
        assert!(said > last, "round {round}: nothing was granted");
        assert!(
            found >= said,
            "round {round}: {found} after {said} was on disk"
        );
        last = found;
    }
}

#[test]
fn each_run_of_a_killed_agent_grants_a_larger_token() {
    let folder = Folder::new("agent-tokens");
    let fleet = Fleet::new("yard");
    let relay = TestRelay::start(&fleet.issue(folder.path(), "relay/east"));
    let identity = fleet.issue(folder.path(), "agent/truck-17");
    let config = config(&identity, &inside(&folder, "state"), relay.address());
    let file = text(&folder.file("agent.toml", &config));
    let truck: NodeName = "agent/truck-17".parse().unwrap();
    let desk = fleet.issue(folder.path(), "controller/desk");
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let agent = Program::start(AGENT, &["--config", &file]);
        relay.joined(&truck);
        let operator = Operator::start(&desk, relay.address());
        operator.open(&truck);
        tokens.push(operator.take(&truck));
        agent.signal(Signal::KILL);
        agent.ended();
    }
    assert!(
        tokens.is_sorted_by(|before, after| before < after),
        "{tokens:?}"
    );
}
