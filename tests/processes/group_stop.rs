//! An emergency stop for a group of vehicles, through real programs.

use std::path::Path;

use longrein::Exit;
use serde_json::Value;

use super::office::{Office, is_done};
use super::program::Program;

// SAFE-106
#[test]
fn a_stop_of_a_group_stops_its_vehicles_and_a_group_without_any_is_a_failure() {
    let office = Office::new();
    let yard = office.path("crane-1");
    let token = office.token("--role agent --name crane-1 --group yard");
    is_done(&office.enroll("longrein-agent", &yard, &[&token]));
    let agent = |name: &str, identity: &Path| {
        let state = office.path(&format!("{name}-state"));
        let text = format!(
            "state_directory = {state:?}\nidentity = {{ directory = {identity:?} }}\n\
             relay = [{{ name = \"relay-a\", address = \"{}\" }}]\n\
             function = [{{ name = \"drive\", adapter = {{ kind = \"sim\" }} }}]\n\
             allow = [{{ who = [\"anybody\"], may = [\"stop\"] }}]\n",
            office.address
        );
        let config = office.papers.file(&format!("{name}.toml"), &text);
        let mut agent = Program::start("longrein-agent", ["--config", &config]);
        agent.says("relay is reached");
        agent
    };
    let truck = office.papers.of("agent/truck-17");
    let mut agents = [agent("crane-1", &yard), agent("truck-17", &truck)];
    let desk = office.papers.of("controller/desk").display().to_string();
    let address = format!("relay-a={}", office.address);
    let stop = |which: &[&str]| {
        let connection = ["--json", "--identity", &desk, "--relay", &address];
        let words = ["stop"].iter().chain(which).copied().chain(connection);
        Program::start("longrein", words).ended()
    };
    let nobody = stop(&["--group", "harbour"]);
    assert_eq!(nobody.code, Some(Exit::Unreachable.code().into()));
    let complaint = nobody.stderr.last().unwrap();
    assert!(
        complaint.ends_with("no relay sees a vehicle of group harbour"),
        "{complaint}"
    );
    let stopped = |lines: &[String]| -> Vec<(String, bool)> {
        let lines = lines.iter();
        let answers = lines.map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let vehicle = line["vehicle"].as_str().unwrap().to_string();
            (vehicle, line["stopped"] == true)
        });
        let mut answers: Vec<_> = answers.collect();
        answers.sort();
        answers
    };
    let done = stop(&["--group", "yard"]);
    is_done(&done);
    assert_eq!(stopped(&done.stdout), [("crane-1".to_string(), true)]);
    agents[0].says("emergency stop is latched");
    let all = stop(&["--all"]);
    is_done(&all);
    assert_eq!(
        stopped(&all.stdout),
        [
            ("crane-1".to_string(), true),
            ("truck-17".to_string(), true)
        ]
    );
}
