//! The vehicle's own policy, and its change while the agent runs.

use longrein::Exit;
use rustix::process::Signal;

use super::fleet;
use super::pilot::Pilot;
use super::program::Program;
use super::until::until;

/// SAFE-80, SAFE-82, SAFE-83
#[test]
fn a_policy_lets_in_whom_it_names_and_is_read_again_on_sighup() {
    let mut plan = fleet::plan();
    plan.allow = allow("desk");
    let mut fleet = fleet::start(plan);
    let run = |verb: &[&str], fleet: &longrein::local_fleet::LocalFleet| {
        let mut arguments: Vec<String> = verb.iter().map(|word| (*word).to_string()).collect();
        arguments.extend(fleet::connection(fleet, "alice"));
        Program::start("longrein", &arguments).ended()
    };
    let refused = Some(Exit::Refused.code().into());
    let mut desk = Pilot::start(&fleet, "desk");
    desk.drive(500);
    let alice = Pilot::start(&fleet, "alice").end();
    assert_eq!(alice.code, refused);
    assert_eq!(
        alice.stderr.last().unwrap(),
        "longrein: the vehicle refuses: not allowed"
    );
    let stop = run(&["stop", "truck-17"], &fleet);
    assert_eq!(stop.code, Some(Exit::Failed.code().into()), "{stop:?}");
    let list = run(&["lease", "list", "truck-17", "--json"], &fleet);
    let line: serde_json::Value = serde_json::from_str(&list.stdout[0]).unwrap();
    assert_eq!(line["may"], serde_json::json!([]));
    assert_eq!(line["holder"], serde_json::Value::Null);

    // A file that is wrong changes nothing; the next one is Alice's.
    let config = fleet.folder().join("agent.toml");
    let right = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, right.replace("controller/desk", "desk")).unwrap();
    fleet.agent().unwrap().signal(Signal::HUP).unwrap();
    agent_says(
        &fleet,
        "configuration is wrong, and everything stays as it is",
    );
    std::fs::write(
        &config,
        right.replace("controller/desk", "controller/alice"),
    )
    .unwrap();
    fleet.agent().unwrap().signal(Signal::HUP).unwrap();
    agent_says(&fleet, "configuration is reloaded");
    let desk = desk.ended();
    assert_eq!(desk.code, refused);
    assert_eq!(
        desk.stderr.last().unwrap(),
        "longrein: the lease is lost: not allowed any more"
    );
    let mut alice = Pilot::start(&fleet, "alice");
    alice.drive(500);
    assert_eq!(alice.end().code, Some(0));
    let stop = run(&["stop", "--all"], &fleet);
    assert_eq!(stop.code, Some(0), "{stop:?}");
}

fn allow(name: &str) -> String {
    format!("[[allow]]\nwho = [\"controller/{name}\"]\nmay = [\"command\", \"stop\", \"reset\"]\n")
}

fn agent_says(fleet: &longrein::local_fleet::LocalFleet, part: &str) {
    until(part, || {
        let log = fleet.folder().join("truck-17.log");
        let log = std::fs::read_to_string(log).unwrap_or_default();
        log.contains(part).then_some(())
    });
}
