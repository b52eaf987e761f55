//! What the agent records of a drive, and what is left of it when the agent is killed.

use std::fs;
use std::path::PathBuf;

use longrein::NodeKind;
use longrein::local_fleet::LocalFleet;
use rustix::process::Signal;
use serde_json::Value;

use super::fleet;
use super::pilot::Pilot;
use super::program::{Ended, Program};
use super::rounds::rounds;
use super::until::until;

/// Runs `longrein record` on the agent's record, with the fleet's authority.
fn record(fleet: &LocalFleet, verb: &str, options: &[&str]) -> Ended {
    let identity = fleet.identity(NodeKind::Agent, "truck-17").unwrap();
    let (directory, authority) = (fleet::record(fleet), identity.join("authority.pem"));
    let mut arguments = vec!["record", verb, directory.to_str().unwrap()];
    arguments.extend(["--authority", authority.to_str().unwrap()]);
    arguments.extend(options);
    Program::start("longrein", arguments).ended()
}

fn objects(ended: &Ended) -> Vec<Value> {
    let lines = ended.stdout.iter();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_drive_is_recorded_verified_shown_and_exported() {
    let mut plan = fleet::plan();
    plan.functions = plan
        .functions
        .replace("speed_max_mm_s = 5000", "speed_max_mm_s = 1500");
    let mut fleet = fleet::start(plan);
    let mut driver = Pilot::start(&fleet, "desk");
    driver.drive(1_000);
    // Above what the vehicle may.
    driver.insist(1_900);
    until("a limited command is recorded", || {
        let shown = record(&fleet, "show", &["--json"]);
        shown
            .stdout
            .iter()
            .any(|line| line.contains(r#""kind":"limit""#))
            .then_some(())
    });
    assert_eq!(driver.end().code, Some(0));
    fleet.stop_agent().unwrap();

    let verified = record(&fleet, "verify", &["--json"]);
    assert_eq!(verified.code, Some(0), "{:?}", verified.stderr);
    let report = &objects(&verified)[0];
    assert_eq!(report["good"], true, "{report}");
    assert_eq!(report["node"], "agent/truck-17");
    assert_eq!(
        (&report["sealed"], &report["dropped"]),
        (&true.into(), &0.into())
    );

    let shown = record(&fleet, "show", &["--json"]);
    let entries = objects(&shown);
    assert_eq!(entries.len() as u64, report["entries"].as_u64().unwrap());
    let of = |kind: &str| -> Vec<&Value> {
        entries
            .iter()
            .filter(|entry| entry["kind"] == kind)
            .collect()
    };
    assert_eq!(of("start")[0]["node"], "agent/truck-17");
    let session = of("session_begun")[0];
    assert_eq!(session["peer"], "controller/desk");
    assert_eq!(session["certificate"].as_str().unwrap().len(), 64);
    assert_eq!(of("lease_granted")[0]["holder"], "controller/desk");
    assert_eq!(of("lease_ended").len(), 1);
    assert_eq!(of("limit")[0]["speed_mm_s"], 1_500);
    assert!(of("stage").iter().any(|entry| entry["stage"] == "Nominal"));
    assert!(of("device").iter().any(|entry| entry["state"] == "up"));
    assert!(
        of("telemetry")
            .iter()
            .any(|entry| entry["telemetry"]["speed_mm_s"] == 1_000)
    );
    // Every applied command is there, and nothing else.
    let applied: Vec<u64> = of("command")
        .iter()
        .filter(|entry| entry["verdict"] == "applied")
        .map(|entry| entry["number"].as_u64().unwrap())
        .collect();
    let log = fleet::applied(&fleet).read();
    let logged: Vec<u64> = log.commands.iter().map(|command| command.number).collect();
    assert_eq!(applied, logged);

    let out = fleet.folder().join("drive.mcap");
    let exported = record(&fleet, "export", &["--out", out.to_str().unwrap()]);
    assert_eq!(exported.code, Some(0), "{:?}", exported.stderr);
    let bytes = fs::read(out).unwrap();
    assert!(bytes.starts_with(MCAP) && bytes.ends_with(MCAP));
    assert_eq!(exported.stdout.len(), 1);
    assert!(exported.stdout[0].ends_with(&format!("{} entries", entries.len())));
}

#[test]
fn a_record_that_somebody_changed_fails_the_verification_and_says_where() {
    let mut fleet = fleet::start(fleet::plan());
    let mut driver = Pilot::start(&fleet, "desk");
    driver.drive(1_000);
    assert_eq!(driver.end().code, Some(0));
    fleet.stop_agent().unwrap();
    let file = fleet::record(&fleet).join("0000000001.record");
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&file, bytes).unwrap();

    let verified = record(&fleet, "verify", &[]);
    assert_eq!(verified.code, Some(1));
    let faults = verified
        .stdout
        .iter()
        .filter(|line| line.starts_with("FAULT     segment 1, entry "));
    assert_eq!(faults.count(), 1, "{:?}", verified.stdout);
    assert!(
        verified
            .stderr
            .last()
            .unwrap()
            .contains("not as it was written")
    );
    // A stranger's fleet did not write it.
    let stranger = fleet::start(fleet::plan());
    let identity = stranger.identity(NodeKind::Agent, "truck-17").unwrap();
    let authority = identity.join("authority.pem");
    let arguments = ["record", "verify", "--authority"].map(PathBuf::from);
    let arguments = arguments
        .into_iter()
        .chain([authority, fleet::record(&fleet)]);
    let verified = Program::start("longrein", arguments).ended();
    assert_eq!(verified.code, Some(1));
    assert!(
        verified
            .stdout
            .iter()
            .any(|line| line.contains("not to be believed"))
    );
}

/// The chain goes on over every kill: at the start, in the middle of a segment's first write, in a drive.
#[test]
fn the_record_of_an_agent_that_is_killed_at_any_moment_is_whole_up_to_the_cuts() {
    let (mut chance, rounds) = rounds();
    let mut fleet = fleet::start(fleet::plan());
    let mut driver = Pilot::start(&fleet, "desk");
    driver.drive(1_000);
    driver.insist(1_000);
    fleet.kill_agent();
    let config = fleet.folder().join("agent.toml");
    for round in 0..rounds {
        // Of what an agent writes that nobody drives, also nothing; every sixth time, in a drive.
        let more = match chance.below(6) {
            0 => 1_500 + chance.below(2_500),
            _ => chance.below(700),
        };
        let before = fleet::recorded_bytes(&fleet);
        let arguments = ["--config".as_ref(), config.as_os_str()];
        let agent = Program::start("longrein-agent", arguments);
        until(
            &format!("{more} more bytes are recorded in round {round}"),
            || (fleet::recorded_bytes(&fleet) >= before + more).then_some(()),
        );
        agent.signal(Signal::KILL);
        agent.ended();
    }
    let verified = record(&fleet, "verify", &["--json"]);
    assert_eq!(
        verified.code,
        Some(0),
        "{:?} {:?}",
        verified.stdout,
        verified.stderr
    );
    let report = &objects(&verified)[0];
    let (segments, cuts) = (&report["segments"], report["cuts"].as_array().unwrap());
    assert_eq!(segments.as_u64(), Some(cuts.len() as u64), "{report}");
    assert_eq!(report["first"], 1);
    let starts = record(&fleet, "show", &["--json"]);
    let starts = objects(&starts)
        .into_iter()
        .filter(|entry| entry["kind"] == "start");
    // A kill can come between a segment's header and its first entry.
    let starts = starts.count() as u64;
    assert!(starts > 0 && starts <= segments.as_u64().unwrap());
    driver.kill();
}

/// How an MCAP file begins and ends.
const MCAP: &[u8] = b"\x89MCAP0\r\n";
