//! What a controller records of its own drive.

use longrein::NodeKind;
use serde_json::Value;

use super::fleet;
use super::pilot::Pilot;
use super::program::Program;
use super::until::until;

#[test]
fn a_controller_records_what_it_was_told_and_sent() {
    let mut fleet = fleet::start(fleet::plan());
    let directory = fleet.folder().join("desk-record");
    let config = fleet.folder().join("desk.toml");
    let section = format!("[record]\ndirectory = {directory:?}\n");
    std::fs::write(&config, section).unwrap();
    let options = ["--config", config.to_str().unwrap()];
    let mut driver = Pilot::start_with(&fleet, "desk", &options);
    driver.drive(1_000);
    // The vehicle has a limit, which is below this.
    driver.insist(2_000);
    driver.hears("the vehicle moves faster", |event| {
        event["speed_mm_s"].as_i64() == Some(2_000)
    });
    assert_eq!(driver.end().code, Some(0));

    let identity = fleet.identity(NodeKind::Controller, "desk").unwrap();
    let authority = identity.join("authority.pem");
    let run = |verb: &str, options: &[&str]| {
        let mut arguments = vec!["record", verb, directory.to_str().unwrap()];
        arguments.extend(["--authority", authority.to_str().unwrap(), "--json"]);
        arguments.extend(options);
        let ended = Program::start("longrein", arguments).ended();
        assert_eq!(ended.code, Some(0), "{:?}", ended.stderr);
        let lines = ended.stdout.iter();
        let objects = lines.map(|line| serde_json::from_str(line).unwrap());
        objects.collect::<Vec<Value>>()
    };
    let report = &run("verify", &[])[0];
    assert_eq!(report["good"], true, "{report}");
    assert_eq!(report["node"], "controller/desk");
    assert_eq!(report["sealed"], true);

    let entries = run("show", &[]);
    let of = |kind: &str| -> Vec<&Value> {
        entries
            .iter()
            .filter(|entry| entry["kind"] == kind)
            .collect()
    };
    assert_eq!(of("start")[0]["node"], "controller/desk");
    assert_eq!(of("session_begun")[0]["peer"], "agent/truck-17");
    let granted = of("lease_granted")[0];
    assert_eq!(granted["function"], "truck-17/drive");
    let commands = of("command");
    let all = |field: &str, value: Value| commands.iter().all(|c| c[field] == value);
    assert!(commands.len() > 20, "{}", commands.len());
    assert!(all("verdict", "sent".into()) && all("function", "truck-17/drive".into()));
    let speeds = commands
        .iter()
        .map(|command| &command["command"]["speed_mm_s"]);
    assert!(
        speeds.clone().any(|speed| *speed == 1_000) && speeds.clone().any(|speed| *speed == 2_000)
    );
    assert!(!of("telemetry").is_empty());

    // What is removed in the middle is found.
    until("the agent ends", || fleet.stop_agent().ok());
    let segment = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|file| file.extension().is_some_and(|name| name == "record"))
        .unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let arguments = ["record", "verify", directory.to_str().unwrap()];
    assert_eq!(Program::start("longrein", arguments).ended().code, Some(1));
}
