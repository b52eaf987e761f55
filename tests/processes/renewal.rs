//! Certificates are renewed while their nodes are at work, those of agents also after their end, and a clock that is behind neither
//! keeps a node out nor lets one in.

use std::fs;
use std::path::Path;

use longrein_io::keys::Identity;
use longrein_io::known_time::TIME_FILE;
use rustix::process::Signal;

use super::complaint::expect;
use super::office::{Office, is_done};
use super::papers::{NODES, Papers, now_s, program};
use super::program::Program;
use super::until::until;

/// The first and the last second of the certificate in a folder.
fn dates_s(identity: &Path) -> (u64, u64) {
    let identity = Identity::load_undated(identity).unwrap();
    (
        identity.not_before().as_secs(),
        identity.not_after().as_secs(),
    )
}

fn agent(office: &Office, identity: &Path) -> Program {
    let (name, arguments) = program(&office.papers, "agent/truck-17", identity, &office.address);
    Program::start(name, arguments)
}

/// A verb of the operator at the desk.
fn desk(office: &Office, verb: &[&str]) -> Program {
    let identity = office.papers.of("controller/desk").display().to_string();
    let relay = format!("relay-a={}", office.address);
    let connection = ["--identity", &identity, "--relay", &relay];
    Program::start("longrein", verb.iter().copied().chain(connection))
}

/// Drives for half a second.
fn drive(office: &Office) {
    let script = "{\"at_ms\":0,\"dead_man\":true,\"resume\":true}\n\
                  {\"at_ms\":100,\"speed_mm_s\":500,\"dead_man\":true}\n\
                  {\"at_ms\":500,\"dead_man\":true}\n";
    let script = office.papers.file("drive.jsonl", script);
    is_done(&desk(office, &["drive", "truck-17", "--input", &script]).ended());
}

/// What the agent or its relay says when a session ended that nobody closed, or the agent was gone.
fn cut(office: &Office, agent: &Program) -> Option<String> {
    let (agent, relay) = (agent.said(), office.relay.said());
    let ended = |line: &&String| {
        line.contains("session is down") && !line.contains("closed by the controller")
    };
    let gone = |line: &&String| line.contains("node is gone node=agent/truck-17");
    let cut = agent.iter().find(ended);
    cut.or_else(|| relay.iter().find(gone)).cloned()
}

/// [WIRE-150]
#[test]
fn certificates_past_two_thirds_of_their_life_are_renewed_and_nothing_is_cut() {
    let made_s = now_s() - 25 * DAY_S;
    let mut office = Office::of(Papers::made(made_s, 30), "365d");
    let folders = NODES.map(|node| office.papers.of(node));
    let before = folders.each_ref().map(|folder| dates_s(folder));
    let mut agent = agent(&office, &folders[1]);
    agent.says("path is up");
    let mut watch = desk(&office, &["watch", "truck-17"]);
    watch.prints("drive");
    office.relay.says("certificate is renewed");
    agent.says("certificate is renewed");
    for (folder, (begin_s, end_s)) in folders.iter().zip(before) {
        let (_, renewed_end_s) = until("another certificate is there", || {
            Some(dates_s(folder)).filter(|dates| dates.0 > begin_s)
        });
        assert!(renewed_end_s >= end_s);
        Identity::load(folder).unwrap();
    }
    drive(&office);
    assert_eq!(cut(&office, &agent), None);
}

/// [WIRE-150]
#[test]
fn a_certificate_of_half_a_minute_is_renewed_when_two_thirds_of_it_are_over() {
    let mut office = Office::of(Papers::new(), "30s");
    let token = office.token("--role agent --name truck-17");
    let identity = office.path("truck-17");
    is_done(&office.enroll("longrein-agent", &identity, &[&token]));
    let (_, first_s) = dates_s(&identity);
    let mut agent = agent(&office, &identity);
    agent.says("path is up");
    agent.says("certificate is renewed");
    // Two thirds of it were over.
    let renewed_s = dates_s(&identity).1 - 30;
    assert!(renewed_s >= first_s - 10, "{first_s} {renewed_s}");
    // The authority's own node is as old.
    let authority = office.authority.as_mut().unwrap();
    authority.says("certificate is renewed");
}

/// [WIRE-144] [WIRE-150]
#[test]
fn an_agent_whose_certificate_is_over_renews_it_at_its_start_and_is_driven() {
    let mut office = Office::new();
    let now_s = now_s();
    let identity = office
        .papers
        .valid("agent/truck-17", now_s - 2 * DAY_S, now_s - DAY_S);
    drop(office.authority.take());
    let mut agent = agent(&office, &identity);
    agent.says("certificate is over: nobody can drive before it is renewed");
    agent.says("certificate is over, and cannot be renewed");
    // Meanwhile nobody reaches it.
    let here = |line: &String| line.contains("node is here node=agent/truck-17");
    assert!(!office.relay.said().iter().any(here));
    office.open();
    agent.says("certificate is renewed");
    agent.says("agent ready");
    office.relay.says("node is here node=agent/truck-17");
    drive(&office);
    assert!(dates_s(&identity).1 > now_s);
    assert_eq!(cut(&office, &agent), None);
}

/// [WIRE-144] [WIRE-147]
#[test]
fn an_agent_that_is_over_for_too_long_or_revoked_says_so_once_and_waits_for_a_new_token() {
    let mut office = Office::new();
    let now_s = now_s();
    let revoke = [
        "fleet",
        "revoke",
        "--dir",
        &office.folder(),
        "agent/truck-17",
    ];
    let token = office.token("--role agent --name truck-17");
    let over = office.papers.expired("agent/truck-17");
    let mut agent = agent(&office, &over);
    let said = agent.says("certificate is over, and cannot be renewed");
    assert!(
        said.contains("over for more than a year: run `longrein-agent enroll --replace`"),
        "{said}"
    );
    is_done(&office.enroll("longrein-agent", &over, &["--replace", &token]));
    agent.says("agent ready");
    let complaints = agent.said();
    let complaints = complaints
        .iter()
        .filter(|line| line.contains("cannot be renewed"));
    assert_eq!(complaints.count(), 1);
    drop(agent);

    is_done(&Program::start("longrein", revoke).ended());
    office.relay.says("list of revocations is stored");
    let revoked = office
        .papers
        .valid("agent/truck-17", now_s - 2 * DAY_S, now_s - DAY_S);
    until("the agent is refused as revoked", || {
        let mut agent = self::agent(&office, &revoked);
        let said = agent.says("certificate is over, and cannot be renewed");
        agent.signal(Signal::TERM);
        is_done(&agent.ended());
        said.contains("it is revoked").then_some(())
    });
}

/// [WIRE-149]
#[test]
fn programs_whose_clocks_are_years_behind_go_on_by_the_time_that_they_know() {
    let begin_s = now_s() + 9 * 365 * DAY_S;
    let papers = Papers::made(begin_s, 300);
    for node in NODES {
        let identity = papers.of(node);
        // By the clock alone it is too early.
        let (name, arguments) = program(&papers, node, &identity, "127.0.0.1:1");
        expect(name, &arguments, 4, &["is this machine's clock right?"]);
        know(&identity, begin_s + 200 * DAY_S);
    }
    know(
        &papers.folder().join("fleet/authority"),
        begin_s + 200 * DAY_S,
    );
    let mut office = Office::of(papers, "365d");
    let identity = office.papers.of("agent/truck-17");
    let mut agent = agent(&office, &identity);
    agent.says("path is up");
    drive(&office);

    // It is past two thirds of their lives by what they know: the authority gives certificates that begin by its own time.
    office.relay.says("certificate is renewed");
    agent.says("certificate is renewed");
    let identity_of = Identity::load(&identity).unwrap();
    assert!(identity_of.not_before().as_secs() > begin_s + 199 * DAY_S);
    assert!(identity_of.not_after().as_secs() > begin_s + 500 * DAY_S);
    drive(&office);
    drop(agent);

    // What ended before the time that is known is over, whatever the clock says.
    let over = office
        .papers
        .valid("controller/desk", begin_s, begin_s + 100 * DAY_S);
    let (name, arguments) = program(&office.papers, "controller/desk", &over, &office.address);
    // This machine does not know how late it is at the fleet, the relay does.
    know(&over, begin_s);
    expect(name, &arguments, 4, &["it is expired"]);
    know(&over, begin_s + 101 * DAY_S);
    expect(name, &arguments, 4, &["expired on", "its clock is behind"]);
}

/// Has a folder know that it is as late as that.
fn know(folder: &Path, at_s: u64) {
    fs::write(folder.join(TIME_FILE), format!("{at_s}\n")).unwrap();
}

const DAY_S: u64 = 86_400;
