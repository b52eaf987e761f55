//! The real program: its configuration errors, its readiness and its end.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod support;

use rustix::process::Signal;
use support::{AGENT, Fleet, Folder, Program, config, field, inside, nobody, run, text};

/// Exit code and the one line on stderr of an agent with this configuration.
fn refused(folder: &Folder, config: &str) -> (Option<i32>, String) {
    let file = folder.file("agent.toml", config);
    let (code, stdout, stderr) = run(AGENT, &["--config", &text(&file)]);
    assert_eq!(stdout, "");
    let line = stderr.lines().last().unwrap();
    let own = |line: &str| line.starts_with("longrein-agent: ");
    assert_eq!(
        stderr.lines().filter(|line| own(line)).count(),
        1,
        "{stderr}"
    );
    (code, line.replace(&text(folder.path()), "DIR"))
}

fn good(folder: &Folder) -> String {
    let identity = Fleet::new("yard").issue(folder.path(), "agent/truck-17");
    config(&identity, &inside(folder, "state"), nobody())
}

#[test]
fn unknown_keys_and_wrong_sections_are_usage_errors_that_say_what_is_allowed() {
    let folder = Folder::new("agent-usage");
    let good = good(&folder);
    for (from, to, expected) in [
        (
            "name = \"drive\"",
            "nmae = \"drive\"",
            "DIR/agent.toml:4: unknown key `nmae`; allowed here: `name`, `kind`, `lease_ttl_ms`, `watchdog`, `limits`, `adapter`",
        ),
        (
            "kind = \"sim\"",
            "kind = \"process\", command = []",
            "[[function]] drive: adapter \"process\": command must be a program and its arguments",
        ),
        (
            "relay = [{",
            "relay = [] # ",
            "no [[relay]]: name 1 to 8 relays in the --config file, see agent.example.toml",
        ),
    ] {
        let (code, line) = refused(&folder, &good.replace(from, to));
        assert_eq!(
            (code, line),
            (Some(2), format!("longrein-agent: {expected}"))
        );
    }
}

#[test]
fn an_identity_that_is_missing_or_of_another_kind_is_refused() {
    let folder = Folder::new("agent-identity");
    let fleet = Fleet::new("yard");
    let state = inside(&folder, "state");
    let nowhere = config(&inside(&folder, "nowhere"), &state, nobody());
    let (code, line) = refused(&folder, &nowhere);
    assert_eq!(code, Some(2));
    assert!(
        line.starts_with(
            "longrein-agent: identity: cannot read DIR/nowhere/authority.pem: No such file"
        ),
        "{line}"
    );
    let relay = fleet.issue(folder.path(), "relay/east");
    let (code, line) = refused(&folder, &config(&relay, &state, nobody()));
    assert_eq!(code, Some(2));
    assert!(
        line.ends_with("this identity is relay/east, but a agent is needed here")
            || line.ends_with("this identity is relay/east, but an agent is needed here"),
        "{line}"
    );
    assert!(
        !state.exists(),
        "nothing is made for an agent that cannot run"
    );
}

/// [WIRE-150]
#[test]
fn an_agent_whose_certificate_is_over_does_nothing_but_ask_for_another_and_hears_signals() {
    let folder = Folder::new("agent-over");
    let fleet = Fleet::new("yard");
    let state = inside(&folder, "state");
    let over = fleet.issue_for_years(folder.path(), "agent/old", 2020, 2021);
    let over = config(&over, &state, nobody());
    let file = folder.file("agent.toml", &over);
    let (code, _, stderr) = run(AGENT, &["--config", &text(&file), "--check-config"]);
    assert_eq!(code, Some(4));
    assert!(
        stderr.contains("expired on 2021-01-01 00:00 UTC"),
        "{stderr}"
    );

    let mut agent = Program::start(AGENT, &["--config", &text(&file)]);
    agent.line("certificate is over: nobody can drive before it is renewed");
    assert!(!state.exists(), "nothing is made while it cannot run");
    // Another configuration counts at once, and the end too.
    folder.file("agent.toml", &good(&folder));
    agent.signal(Signal::HUP);
    agent.line("agent ready");
    drop(agent);
    folder.file("agent.toml", &over);
    let mut agent = Program::start(AGENT, &["--config", &text(&file)]);
    agent.line("certificate is over: nobody can drive before it is renewed");
    agent.signal(Signal::TERM);
    let (status, said) = agent.ended();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("agent ends signal=\"SIGTERM\""), "{said}");
}

#[test]
fn a_damaged_record_keeps_the_agent_from_starting_and_stays_as_it_is() {
    let folder = Folder::new("agent-damaged");
    let good = good(&folder);
    let state = inside(&folder, "state");
    std::fs::create_dir(&state).unwrap();
    let record = state.join("agent.record");
    std::fs::write(&record, "rubbish").unwrap();
    let (code, line) = refused(&folder, &good);
    assert_eq!(code, Some(1));
    assert_eq!(
        line,
        "longrein-agent: DIR/state/agent.record: the record is damaged: restore it from a backup, or remove it once no controller from before can still be driving"
    );
    assert_eq!(std::fs::read(&record).unwrap(), b"rubbish");
}

#[test]
fn the_printed_configuration_is_a_configuration_and_the_check_looks_at_the_identity() {
    let folder = Folder::new("agent-print");
    let file = text(&folder.file("agent.toml", &good(&folder)));
    let (code, printed, _) = run(AGENT, &["--config", &file, "--print-config"]);
    assert_eq!(code, Some(0));
    let again = text(&folder.file("printed.toml", &printed));
    let (_, second, _) = run(AGENT, &["--config", &again, "--print-config"]);
    assert_eq!(second, printed);
    let (code, stdout, stderr) = run(AGENT, &["--config", &again, "--check-config"]);
    assert_eq!((code, stdout.as_str()), (Some(0), ""));
    assert_eq!(stderr, "longrein-agent: the configuration is good\n");
    let nowhere = text(&inside(&folder, "nowhere"));
    let (code, _, _) = run(
        AGENT,
        &["--config", &file, "--check-config", "--identity", &nowhere],
    );
    assert_eq!(code, Some(2));
    assert!(!inside(&folder, "state").exists());
}

#[test]
fn an_agent_says_what_it_is_and_ends_well_on_sigterm_though_no_relay_answers() {
    let folder = Folder::new("agent-ready");
    let file = folder.file("agent.toml", &good(&folder));
    let mut agent = Program::start(AGENT, &["--config", &text(&file)]);
    let ready = agent.line("agent ready");
    let fields = ["vehicle", "fleet", "functions", "links", "relays"];
    assert_eq!(
        fields.map(|name| field(&ready, name)),
        ["truck-17", "yard", "drive", "default", "east"]
    );
    agent.line("device is up");
    agent.line("relay is not reached");
    agent.signal(Signal::TERM);
    let (status, said) = agent.ended();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("agent ends signal=\"SIGTERM\""), "{said}");
    assert!(said.contains("agent ended"), "{said}");
}

#[test]
fn two_agents_do_not_share_a_state_directory() {
    let folder = Folder::new("agent-shared-state");
    let file = text(&folder.file("agent.toml", &good(&folder)));
    let mut first = Program::start(AGENT, &["--config", &file]);
    first.line("agent ready");
    let (code, _, stderr) = run(AGENT, &["--config", &file]);
    assert_eq!(code, Some(1));
    let expected = format!(
        "longrein-agent: state_directory {} is in use by another longrein-agent: give each its own\n",
        text(&inside(&folder, "state"))
    );
    assert_eq!(stderr, expected);

    // A killed agent leaves no lock behind.
    first.signal(Signal::KILL);
    first.ended();
    let mut third = Program::start(AGENT, &["--config", &file]);
    third.line("agent ready");
}
