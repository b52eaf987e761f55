//! The real program: its configuration errors, its readiness and its end.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod support;

use std::net::UdpSocket;
use std::path::Path;

use rustix::process::Signal;
use support::Folder;
use support::fleet::Fleet;
use support::program::{Program, field, run};

const RELAY: &str = env!("CARGO_BIN_EXE_longrein-relay");

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Exit code and the one line on stderr of a relay with this configuration.
fn refused(folder: &Folder, config: &str) -> (Option<i32>, String) {
    let file = folder.file("relay.toml", config);
    let (code, stdout, stderr) = run(RELAY, &["--config", &text(&file)]);
    assert_eq!(stdout, "");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let line = stderr.trim_end().replace(&text(folder.path()), "DIR");
    (code, line)
}

#[test]
fn an_unknown_key_names_file_line_key_and_what_is_allowed() {
    let folder = Folder::new("relay-unknown-key");
    assert_eq!(
        refused(&folder, "[log]\nlevle = \"info\"\n"),
        (
            Some(2),
            "longrein-relay: DIR/relay.toml:2: unknown key `levle`; allowed here: `level`"
                .to_string()
        )
    );
}

#[test]
fn a_missing_file_and_a_missing_identity_are_named() {
    let folder = Folder::new("relay-missing");
    let missing = text(&folder.path().join("no.toml"));
    let (code, _, stderr) = run(RELAY, &["--config", &missing]);
    assert_eq!(code, Some(2));
    assert!(
        stderr.starts_with(&format!(
            "longrein-relay: cannot read the configuration {missing}: No such file"
        )),
        "{stderr}"
    );
    let config = format!("[identity]\ndirectory = \"{}\"\n", text(folder.path()));
    let (code, line) = refused(&folder, &config);
    assert_eq!(code, Some(2));
    assert!(
        line.starts_with("longrein-relay: identity: cannot read DIR/authority.pem: No such file"),
        "{line}"
    );
}

#[test]
fn an_identity_that_is_expired_or_of_another_kind_is_refused() {
    let folder = Folder::new("relay-identity");
    let fleet = Fleet::new("yard");
    let expired = fleet.issue_for_years(folder.path(), "relay/old", 2020, 2021);
    let config = format!("[identity]\ndirectory = \"{}\"\n", text(&expired));
    let (code, line) = refused(&folder, &config);
    assert_eq!(code, Some(4));
    assert!(
        line.contains("node.pem expired on 2021-01-01 00:00 UTC"),
        "{line}"
    );
    assert!(
        line.contains("renew it with the fleet's authority"),
        "{line}"
    );

    let agent = fleet.issue(folder.path(), "agent/truck-17");
    let config = format!("[identity]\ndirectory = \"{}\"\n", text(&agent));
    assert_eq!(
        refused(&folder, &config),
        (
            Some(2),
            "longrein-relay: identity: this identity is agent/truck-17, but a relay is needed here"
                .to_string()
        )
    );
}

#[test]
fn a_port_in_use_is_named_and_the_relay_ends() {
    let folder = Folder::new("relay-port");
    let identity = Fleet::new("yard").issue(folder.path(), "relay/east");
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let arguments = [
        "--identity",
        &text(&identity),
        "--listen",
        &address.to_string(),
    ];
    let (code, _, stderr) = run(RELAY, &arguments);
    assert_eq!(code, Some(1));
    let expected = format!(
        "longrein-relay: [[listen]] listen-1: UDP port {} is in use on 127.0.0.1: stop the other program or choose another port",
        address.port()
    );
    assert_eq!(stderr.trim_end(), expected);
}

#[test]
fn wrong_flags_are_a_usage_error() {
    for arguments in [
        &["--listen", "4433"][..],
        &["--frobnicate"],
        &["--log-level", "loud"],
    ] {
        let (code, _, stderr) = run(RELAY, arguments);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.starts_with("error: "), "{stderr}");
    }
}

#[test]
fn the_printed_configuration_is_a_configuration_and_the_check_looks_at_the_identity() {
    let folder = Folder::new("relay-print");
    let (code, printed, _) = run(RELAY, &["--print-config", "--log-level", "debug"]);
    assert_eq!(code, Some(0));
    assert!(printed.contains("level = \"debug\""), "{printed}");
    let file = folder.file("printed.toml", &printed);
    let (code, again, _) = run(RELAY, &["--config", &text(&file), "--print-config"]);
    assert_eq!((code, again), (Some(0), printed));

    let identity = Fleet::new("yard").issue(folder.path(), "relay/east");
    let good = ["--check-config", "--identity", &text(&identity)];
    let (code, stdout, stderr) = run(RELAY, &good);
    assert_eq!((code, stdout.as_str()), (Some(0), ""));
    assert_eq!(stderr, "longrein-relay: the configuration is good\n");
    let nowhere = text(&folder.path().join("nowhere"));
    let (code, _, _) = run(RELAY, &["--check-config", "--identity", &nowhere]);
    assert_eq!(code, Some(2));
}

#[test]
fn a_relay_says_that_it_is_ready_and_ends_well_on_sigterm() {
    let folder = Folder::new("relay-ready");
    let identity = Fleet::new("yard").issue(folder.path(), "relay/east");
    let mut relay = Program::start(
        RELAY,
        &["--identity", &text(&identity), "--listen", "127.0.0.1:0"],
    );
    let ready = relay.line("relay ready");
    assert_eq!(field(&ready, "relay"), "east");
    assert_eq!(field(&ready, "fleet"), "yard");
    assert!(
        field(&ready, "address").starts_with("127.0.0.1:"),
        "{ready}"
    );
    relay.signal(Signal::TERM);
    let (status, said) = relay.ended();
    assert_eq!(status.code(), Some(0), "{said}");
    for line in [
        "relay drains",
        "relay counters",
        "listener counters",
        "relay ended",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
}
