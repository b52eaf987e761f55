//! `longrein fleet` as an operator runs it.

// clippy's switches for tests do not cover the functions that tests share.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use longrein::fleet::{Authority, FleetFolder};

/// A folder of its own for each test, empty at the beginning.
fn empty_folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn longrein(folder: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_longrein"))
        .args(line.split(' '))
        .current_dir(folder)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn mode(path: PathBuf) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

const INIT: &str = "fleet init harbour --name harbour --relay relay-a --relay relay-b \
                    --agent truck-17 --controller alice";

#[test]
fn init_makes_an_authority_and_a_folder_for_each_node_that_only_the_owner_can_read() {
    let here = empty_folder("init");
    let printed = stdout(&longrein(&here, INIT));
    let nodes = [
        "harbour/relay-relay-a",
        "harbour/relay-relay-b",
        "harbour/agent-truck-17",
        "harbour/controller-alice",
    ];
    assert_eq!(printed.lines().collect::<Vec<_>>(), nodes);

    let authority = fs::read_to_string(here.join("harbour/authority/authority.pem")).unwrap();
    assert_eq!(mode(here.join("harbour/authority")), 0o700);
    assert_eq!(mode(here.join("harbour/authority/authority.key")), 0o600);
    for node in nodes {
        let node = here.join(node);
        assert_eq!(mode(node.clone()), 0o700);
        for file in ["authority.pem", "node.pem", "node.key"] {
            assert_eq!(mode(node.join(file)), 0o600, "{file}");
        }
        assert_eq!(
            fs::read_to_string(node.join("authority.pem")).unwrap(),
            authority
        );
    }
}

#[test]
fn add_issues_from_the_same_authority_and_says_so_as_json() {
    let here = empty_folder("add");
    stdout(&longrein(&here, INIT));
    let added = stdout(&longrein(
        &here,
        "fleet add harbour --agent truck-18 --controller bob --days 7 --json",
    ));
    let added: serde_json::Value = serde_json::from_str(&added).unwrap();
    assert_eq!(
        added,
        serde_json::json!({ "fleet": "harbour", "nodes": [
            { "node": "agent/truck-18", "folder": "harbour/agent-truck-18", "days": 7 },
            { "node": "controller/bob", "folder": "harbour/controller-bob", "days": 30 },
        ]})
    );
    let read = |path: &str| fs::read_to_string(here.join(path)).unwrap();
    assert_eq!(
        read("harbour/agent-truck-18/authority.pem"),
        read("harbour/authority/authority.pem")
    );
}

#[test]
fn nothing_is_overwritten_and_a_refused_call_makes_nothing() {
    let here = empty_folder("overwrite");
    stdout(&longrein(&here, INIT));
    let before = fs::read(here.join("harbour/authority/authority.key")).unwrap();

    let again = stderr(&longrein(&here, INIT), 1);
    assert!(
        again.contains("harbour/authority is there already"),
        "{again}"
    );
    let add = "fleet add harbour --agent new --agent truck-17";
    let same = stderr(&longrein(&here, add), 1);
    assert!(same.contains("agent-truck-17 is there already"), "{same}");
    let twice = stderr(
        &longrein(&here, "fleet add harbour --agent new --agent new"),
        2,
    );
    assert!(twice.contains("agent/new is named twice"), "{twice}");

    assert!(!here.join("harbour/agent-new").exists());
    let after = fs::read(here.join("harbour/authority/authority.key")).unwrap();
    assert_eq!(before, after);
}

#[test]
fn wrong_use_says_what_to_do() {
    let here = empty_folder("wrong");
    let none = stderr(&longrein(&here, "fleet add nowhere --agent a"), 1);
    assert_eq!(
        none,
        "longrein: nowhere has no authority: `longrein fleet init` makes one\n"
    );
    let nothing = stderr(&longrein(&here, "fleet add nowhere"), 2);
    assert!(nothing.contains("--agent"), "{nothing}");
    let name = stderr(&longrein(&here, "fleet init x --name Harbour"), 2);
    assert!(name.contains("a name has 1 to 48 characters"), "{name}");
    let days = stderr(&longrein(&here, "fleet init x --name x --days 4000"), 2);
    assert!(days.contains("3650"), "{days}");
}

#[test]
fn an_authority_with_another_key_or_certificate_is_refused() {
    let here = empty_folder("damage");
    let fleet = |name: &str| {
        FleetFolder::create(&here.join(name), name.parse().unwrap(), &[], 1_800_000_000).unwrap()
    };
    fleet("one");
    fleet("two");
    let authority = here.join("one/authority");
    assert_eq!(Authority::load(&authority).unwrap().fleet().as_str(), "one");

    fs::copy(
        here.join("two/authority/authority.key"),
        authority.join("authority.key"),
    )
    .unwrap();
    let refused = |folder: &Path| Authority::load(folder).unwrap_err().to_string();
    assert!(refused(&authority).contains("of another key"));
    fs::write(authority.join("authority.pem"), "nonsense").unwrap();
    assert!(refused(&authority).contains("not a certificate in PEM"));
    fs::write(authority.join("authority.key"), "nonsense").unwrap();
    assert!(refused(&authority).contains("not a private key in PEM"));
}
