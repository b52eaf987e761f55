//! `longrein-agent doctor` says what is wrong and what to do, beside an agent that runs and that notices nothing.

use std::fs::{self, Permissions};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use super::complaint::expect;
use super::office::{Office, is_done};
use super::papers::{Papers, now_s, program};
use super::program::Program;

/// What was found, and the exit code.
struct Found {
    code: Option<i32>,
    findings: Vec<Value>,
}

impl Found {
    /// The finding of a check, when it has this level and says all of this.
    fn says(&self, check: &str, level: &str, parts: &[&str]) {
        let finding = self.findings.iter().find(|found| found["check"] == check);
        let finding = finding.unwrap_or_else(|| panic!("no {check} in {:?}", self.findings));
        assert_eq!(finding["level"], level, "{finding}");
        let text = finding.to_string();
        for part in parts {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
        let is_advised = finding["advice"].is_string();
        assert_eq!(is_advised, level != "ok", "{finding}");
    }
}

/// The agent of these papers with its identity in a folder, and its relay at an address; more goes into its file.
fn arguments(papers: &Papers, identity: &Path, relay: &str, more: &str) -> Vec<String> {
    let (_, mut arguments) = program(papers, "agent/truck-17", identity, relay);
    let file = arguments.last().unwrap();
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, format!("{text}{more}")).unwrap();
    arguments.extend(["doctor", "--json"].map(String::from));
    arguments
}

fn examine(arguments: &[String]) -> Found {
    let ended = Program::start("longrein-agent", arguments).ended();
    assert!(!ended.stderr.concat().contains("panicked"), "{ended:?}");
    let findings = ended.stdout.iter();
    Found {
        code: ended.code,
        findings: findings
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    }
}

#[test]
fn where_all_is_well_nothing_fails_and_an_agent_that_runs_notices_nothing() {
    let mut office = Office::new();
    let identity = office.papers.of("agent/truck-17");
    let wanted = arguments(&office.papers, &identity, &office.address, "");
    let before = examine(&wanted);
    assert_eq!(before.code, Some(0), "{:?}", before.findings);
    before.says("state folder", "ok", &["the agent makes it"]);

    let config = &wanted[..2];
    let mut agent = Program::start("longrein-agent", config);
    agent.says("path is up");
    office.relay.says("node is here node=agent/truck-17");
    for _ in 0..3 {
        let found = examine(&wanted);
        assert_eq!(found.code, Some(0), "{:?}", found.findings);
        found.says("configuration", "ok", &["1 functions, 1 relays, 1 routes"]);
        found.says("identity folder", "ok", &[]);
        found.says(
            "certificate",
            "ok",
            &["agent/truck-17 of fleet yard", "364 days"],
        );
        let running = format!("in use by process {}", agent.id());
        found.says("state folder", "ok", &[&running]);
        found.says("kernel", "ok", &["Linux"]);
        found.says("link default", "ok", &["routing table"]);
        let parts = ["relay/relay-a", "handshake in", "10 of 10 packets"];
        found.says("route default to relay-a", "ok", &parts);
        found.says("relay relay-a", "ok", &["over 1 of 1 links"]);
        found.says("relays", "warn", &["run a second relay"]);
    }
    let gone = |line: &String| line.contains("path is down") || line.contains("session is down");
    assert_eq!(agent.said().iter().find(|line| gone(line)), None);
    let noticed = |line: &&String| {
        line.contains("node is gone")
            || line.contains("runs twice")
            || line.contains("path is down")
    };
    assert_eq!(office.relay.said().iter().find(noticed), None);

    let people: Vec<String> = wanted[..wanted.len() - 1].to_vec();
    let ended = Program::start("longrein-agent", people).ended();
    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout[0].starts_with("ok    configuration: is good"));
}

#[test]
fn what_is_wrong_with_the_papers_is_found() {
    let office = Office::new();
    let papers = &office.papers;
    let examine = |identity: &Path| examine(&arguments(papers, identity, &office.address, ""));

    let found = examine(&papers.expired("agent/truck-17"));
    assert_eq!(found.code, Some(1));
    let parts = ["expired on 2020-01-02", "enroll --replace"];
    found.says("certificate", "fail", &parts);

    let due = papers.valid("agent/truck-17", now_s() - 80 * DAY_S, now_s() + 10 * DAY_S);
    let found = examine(&due);
    assert_eq!(found.code, Some(0), "{:?}", found.findings);
    found.says("certificate", "warn", &["its renewal is due since"]);
    found.says("route default to relay-a", "ok", &[]);

    let found = examine(&papers.without_key("agent/truck-17"));
    assert_eq!(found.code, Some(1));
    found.says("identity", "fail", &["node.key"]);
    found.says("route default to relay-a", "warn", &["without an identity"]);

    let open = papers.valid("agent/truck-17", now_s() - DAY_S, now_s() + 300 * DAY_S);
    let mode = |file: &Path, mode| fs::set_permissions(file, Permissions::from_mode(mode));
    mode(&open.join("node.key"), 0o644).unwrap();
    let found = examine(&open);
    assert_eq!(found.code, Some(1));
    found.says("identity", "fail", &["can be read by others", "chmod 600"]);
    mode(&open.join("node.key"), 0o600).unwrap();
    mode(&open, 0o777).unwrap();
    let found = examine(&open);
    assert_eq!(found.code, Some(1));
    found.says(
        "identity folder",
        "fail",
        &["others may replace the key", "chmod 700"],
    );

    let found = examine(&papers.of("controller/desk"));
    assert_eq!(found.code, Some(1));
    found.says("identity", "fail", &["an agent is needed here"]);

    let strangers = Papers::new();
    let found = examine(&strangers.of("agent/truck-17"));
    assert_eq!(found.code, Some(1));
    found.says(
        "route default to relay-a",
        "fail",
        &["another authority", "of another fleet"],
    );
    found.says("relays", "fail", &["nobody can drive"]);
}

#[test]
fn what_is_wrong_with_links_relays_and_folders_is_found() {
    let office = Office::new();
    let papers = &office.papers;
    let identity = papers.of("agent/truck-17");
    let examine = |relay: &str, more: &str| examine(&arguments(papers, &identity, relay, more));

    let unused = UdpSocket::bind("127.0.0.1:0").unwrap();
    let closed = unused.local_addr().unwrap().to_string();
    drop(unused);
    let found = examine(&closed, "");
    assert_eq!(found.code, Some(1));
    let parts = ["nothing listens at", "start the relay there"];
    found.says("route default to relay-a", "fail", &parts);
    found.says("relay relay-a", "fail", &["over 0 of 1 links"]);

    // It takes packets, and is no relay.
    let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
    let found = examine(&deaf.local_addr().unwrap().to_string(), "");
    assert_eq!(found.code, Some(1));
    found.says(
        "route default to relay-a",
        "fail",
        &["no answer", "firewall"],
    );

    let links = "[[link]]\nname = \"lte\"\ninterface = \"modem9\"\n[[link]]\nname = \"cable\"\ninterface = \"lo\"\n\
                 [[link]]\nname = \"dish\"\naddress = \"192.0.2.7\"\n";
    let found = examine(&office.address, links);
    assert_eq!(found.code, Some(1));
    found.says("link lte", "fail", &["no interface modem9", "plug it in"]);
    found.says("link cable", "ok", &["interface lo is up"]);
    found.says("link dish", "fail", &["no address 192.0.2.7"]);
    found.says("route lte to relay-a", "fail", &["no interface"]);
    found.says("route cable to relay-a", "ok", &["handshake in"]);
    found.says("relay relay-a", "warn", &["over 1 of 3 links"]);

    let arguments = arguments(papers, &identity, &office.address, "");
    let file = &arguments[1];
    let renamed = fs::read_to_string(file)
        .unwrap()
        .replace("relay-a", "relay-b");
    fs::write(file, renamed).unwrap();
    let found = super::doctor::examine(&arguments);
    assert_eq!(found.code, Some(1));
    let parts = ["it names another node", "correct `name` or `address`"];
    found.says("route default to relay-b", "fail", &parts);

    let state = papers.folder().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, Permissions::from_mode(0o777)).unwrap();
    let found = examine(&office.address, "");
    assert_eq!(found.code, Some(1));
    found.says(
        "state folder",
        "fail",
        &["others may change the fencing tokens"],
    );
}

#[test]
fn a_revoked_agent_is_found_as_one() {
    let mut office = Office::new();
    let identity = office.papers.of("agent/truck-17");
    let wanted = arguments(&office.papers, &identity, &office.address, "");
    let mut agent = Program::start("longrein-agent", &wanted[..2]);
    agent.says("list of revocations is stored");
    let folder = office.folder();
    let revoke = ["fleet", "revoke", "--dir", &folder, "truck-17"];
    is_done(&Program::start("longrein", revoke).ended());
    office.relay.says("node is gone node=agent/truck-17");
    drop(agent);
    let found = examine(&wanted);
    assert_eq!(found.code, Some(1));
    let parts = [
        "refuses this node's certificate: it is revoked",
        "enroll --replace",
    ];
    found.says("route default to relay-a", "fail", &parts);
    found.says("relays", "fail", &["nobody can drive"]);
}

#[test]
fn without_a_right_configuration_nothing_is_examined() {
    let papers = Papers::new();
    let identity = papers.of("agent/truck-17");
    let wrong = arguments(&papers, &identity, "127.0.0.1:1", "adress = 7\n");
    expect("longrein-agent", &wrong, 2, &["unknown key `adress`"]);
}

const DAY_S: u64 = 86_400;
