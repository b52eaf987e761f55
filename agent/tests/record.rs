//! [SAFE-5] [SAFE-12] The fencing token only grows, also when the agent is killed in the middle of a write, and when a place of
//! its file is damaged after that.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm
)]

mod support;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use longrein_agent::state::{RECORD_FILE, State};
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
    let (state, damaged) = (inside(&folder, "state"), inside(&folder, "damaged"));
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
        for place in 0..PLACES {
            let _ = fs::remove_dir_all(&damaged);
            fs::create_dir(&damaged).unwrap();
            fs::copy(state.join(RECORD_FILE), damaged.join(RECORD_FILE)).unwrap();
            damage(&damaged, place);
            if let Ok((record, _)) = State::open(&damaged).unwrap().load() {
                let found = token(&record);
                assert!(found >= said, "round {round}: {found} after {said}");
            }
        }
        last = found;
    }
}

/// Changes a byte of one place of the record's file.
fn damage(state: &Path, place: usize) {
    let file = state.join(RECORD_FILE);
    let mut bytes = fs::read(&file).unwrap();
    let at = place * bytes.len() / PLACES + 40;
    *bytes.get_mut(at).unwrap() ^= 1;
    fs::write(file, bytes).unwrap();
}

/// Two of the newest record, two of the one before it.
const PLACES: usize = 4;

#[test]
fn each_run_of_a_killed_agent_grants_a_larger_token_whatever_place_is_damaged() {
    let folder = Folder::new("agent-tokens");
    let fleet = Fleet::new("yard");
    let relay = TestRelay::start(&fleet.issue(folder.path(), "relay/east"));
    let identity = fleet.issue(folder.path(), "agent/truck-17");
    let state = inside(&folder, "state");
    let config = config(&identity, &state, relay.address());
    let file = text(&folder.file("agent.toml", &config));
    let truck: NodeName = "agent/truck-17".parse().unwrap();
    let desk = fleet.issue(folder.path(), "controller/desk");
    let mut tokens = Vec::new();
    for run in 0..=PLACES {
        let agent = Program::start(AGENT, &["--config", &file]);
        relay.joined(&truck);
        let operator = Operator::start(&desk, relay.address());
        operator.open(&truck);
        tokens.push(operator.take(&truck));
        agent.signal(Signal::KILL);
        agent.ended();
        damage(&state, run % PLACES);
    }
    assert!(
        tokens.is_sorted_by(|before, after| before < after),
        "{tokens:?}"
    );
}
