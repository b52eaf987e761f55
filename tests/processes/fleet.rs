//! Fleets on this machine.

use std::path::{Path, PathBuf};

use longrein::NodeKind;
use longrein::local_fleet::{LocalFleet, Plan};

use super::applied_log::AppliedLog;
use super::child_log::ChildLog;
use super::until::until;

/// Two relays, an agent `truck-17` with two links and a simulated vehicle, and controllers `desk` and `alice`.
pub fn plan() -> Plan {
    let mut plan = Plan::demo(Plan::sibling_programs().unwrap());
    plan.controllers = vec!["desk".into(), "alice".into()];
    plan
}

/// The same with `child_vehicle.py` as vehicle, which writes down what it does. After a death it is started anew in 1.5 to 3 s,
/// when the watchdog has left Hold.
pub fn plan_with_child(log: &Path) -> Plan {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = root.join("processes/logged_vehicle.py");
    let vehicle = root.join("../agent/examples/child_vehicle.py");
    let functions = format!(
        "[[function]]\nname = \"drive\"\nkind = \"drive\"\n\
         adapter = {{ kind = \"process\", command = [\"python3\", {script:?}, {vehicle:?}, {log:?}], \
         restart_min_ms = 3000, restart_max_ms = 3000, unresponsive_ms = 30000 }}\n"
    );
    Plan {
        functions,
        ..plan()
    }
}

/// Starts it, and waits until the agent is at every relay over every link.
pub fn start(plan: Plan) -> LocalFleet {
    let fleet = LocalFleet::start(plan).unwrap_or_else(|error| panic!("{error}"));
    agent_is_everywhere(&fleet);
    fleet
}

/// Waits until the agent is at every relay over every link.
pub fn agent_is_everywhere(fleet: &LocalFleet) {
    for relay in fleet.relays() {
        for link in ["lte", "wifi"] {
            relay_says(
                fleet,
                &relay.name,
                &["agent/truck-17", "path carries", link],
            );
        }
    }
}

/// Waits until a controller is at every relay.
pub fn controller_is_everywhere(fleet: &LocalFleet, name: &str) {
    let controller = format!("controller/{name}");
    for relay in fleet.relays() {
        relay_says(fleet, &relay.name, &[&controller, "path carries"]);
    }
}

fn relay_says(fleet: &LocalFleet, relay: &str, parts: &[&str]) {
    until(&format!("{relay} says {parts:?}"), || {
        relay_log(fleet, relay)
            .lines()
            .any(|line| parts.iter().all(|part| line.contains(part)))
            .then_some(())
    });
}

/// What a relay said so far.
pub fn relay_log(fleet: &LocalFleet, relay: &str) -> String {
    let log = fleet.folder().join(format!("{relay}.log"));
    std::fs::read_to_string(log).unwrap_or_default()
}

/// Where a relay serves HTTP.
pub fn http_address(fleet: &LocalFleet, relay: &str) -> String {
    let log = relay_log(fleet, relay);
    let mut lines = log.lines().rev();
    let line = lines.find(|line| line.contains("http is served"));
    let (_, address) = line.unwrap().split_once("address=").unwrap();
    address.split_whitespace().next().unwrap().to_string()
}

/// Options of the command line for a controller of the fleet.
pub fn connection(fleet: &LocalFleet, controller: &str) -> Vec<String> {
    let identity = identity(fleet, controller);
    let mut options = vec!["--identity".to_string(), identity.display().to_string()];
    for relay in fleet.relays() {
        options.push("--relay".into());
        options.push(format!("{}={}", relay.name, relay.address));
    }
    options
}

/// The papers of a controller.
pub fn identity(fleet: &LocalFleet, controller: &str) -> PathBuf {
    fleet.identity(NodeKind::Controller, controller).unwrap()
}

/// What the agent applied.
pub fn applied(fleet: &LocalFleet) -> AppliedLog {
    AppliedLog::new(fleet.applied_log())
}

/// The folder of the agent's record.
pub fn record(fleet: &LocalFleet) -> PathBuf {
    fleet.folder().join("state/record")
}

/// How much is in it: it tells of every grant and command as they are.
pub fn recorded_bytes(fleet: &LocalFleet) -> u64 {
    let files = std::fs::read_dir(record(fleet)).into_iter().flatten();
    files
        .flatten()
        .filter_map(|file| Some(file.metadata().ok()?.len()))
        .sum()
}

/// A file for a child vehicle's log, in a folder that outlives the fleet.
pub fn child_log(folder: &longrein::local_fleet::Folder) -> ChildLog {
    ChildLog::new(folder.path().join("vehicle.jsonl"))
}
