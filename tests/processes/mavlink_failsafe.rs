//! The agent tells a MAVLink autopilot to be safe when the operator's commands end, and at a stop. pymavlink is the autopilot.

use std::io::Write;
use std::process::ChildStdin;

use longrein::local_fleet::{Folder, LocalFleet, Plan};
use longrein_io::clock;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::fleet::{self, connection};
use super::mavlink_peer::{self, address};
use super::program::Program;
use super::tunnel;
use super::until::until;

/// A fleet whose function `mavlink` has a watchdog, and a fail-safe: values of channels in Hold, a mode in MinimalRisk, another
/// one at a stop.
fn plan(send_to: &str) -> Plan {
    let functions = format!(
        "[[function]]\nname = \"mavlink\"\nkind = \"opaque\"\n\
         [function.adapter]\nkind = \"udp\"\nsend_to = \"{send_to}\"\n\
         [function.adapter.mavlink]\nvehicle = \"rover\"\n\
         on_hold = {{ channels = [1500, 0, 1500], manual = {{ x = 0, y = 0, z = 500, r = 0 }} }}\n\
         on_minimal_risk = {{ mode = \"hold\" }}\n\
         on_stop = {{ mode = 11 }}\n"
    );
    Plan {
        functions,
        ..fleet::plan()
    }
}

/// A tunnel and a ground station that drives through it.
struct Desk {
    tunnel: Program,
    ground: Program,
    hands: ChildStdin,
}

impl Desk {
    fn start(fleet: &LocalFleet, folder: &Folder) -> Desk {
        let (tunnel, front) = tunnel::start_with(fleet, "desk", &["--resume"]);
        let summary = folder.path().join("pilot.json");
        let mut ground = mavlink_peer::start(&["pilot", &front], &summary);
        let hands = ground.stdin();
        Desk {
            tunnel,
            ground,
            hands,
        }
    }

    /// Ends the tunnel without a word, and the ground station after it.
    fn kill(mut self) {
        self.tunnel.signal(Signal::KILL);
        assert_eq!(self.tunnel.ended().code, None);
        let _ = self.hands.flush();
        drop(self.hands);
        self.ground.ended();
    }
}

/// What the autopilot told of itself, from the first that it has not been asked for.
struct Told {
    autopilot: Program,
    heard: usize,
}

impl Told {
    fn facts(&self) -> Vec<Value> {
        let lines = self.autopilot.printed();
        let facts = lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok());
        facts.collect()
    }

    /// Waits for this fact, and gives those before it.
    fn hears(&mut self, fact: &Value) -> Vec<Value> {
        let (from, told) = until(&format!("the autopilot tells {fact}"), || {
            let facts = self.facts();
            let rest = facts.get(self.heard..)?;
            let place = rest.iter().position(|told| told == fact)?;
            Some((self.heard + place + 1, rest.get(..place)?.to_vec()))
        });
        self.heard = from;
        told
    }
}

fn is_mode(fact: &Value) -> bool {
    fact.get("mode").is_some()
}

/// SAFE-136
#[test]
fn an_autopilot_is_told_to_hold_when_its_controllers_are_killed_and_to_stop_at_a_stop() {
    let folder = Folder::new().unwrap();
    let summary = folder.path().join("rover.json");
    let mut autopilot = mavlink_peer::start(&["rover"], &summary);
    let behind = address(&autopilot.prints("listens on"));
    let _power = autopilot.stdin();
    let mut told = Told {
        autopilot,
        heard: 0,
    };
    let fleet = fleet::start(plan(&behind));
    let applied = fleet::applied(&fleet);
    // Nobody has driven it yet: it is in MinimalRisk, and nobody knows its system id. The first commands get lost.
    told.hears(&json!({"mode": [4, 255, 191]}));

    let desk = Desk::start(&fleet, &folder);
    told.hears(&json!({"mode": [15, 255, 190]}));
    told.hears(&json!({"sticks": [-300, 300, 500, 0, 255, 190]}));
    let killed_us = clock::now().as_us();
    desk.kill();
    told.hears(&json!({"channels": [1500, 65535, 1500, 255, 191]}));
    let meanwhile = told.hears(&json!({"mode": [4, 255, 191]}));
    assert!(!meanwhile.iter().any(is_mode), "{meanwhile:?}");
    assert_eq!(
        applied.read().stages_since(killed_us),
        ["Hold", "Ramp", "MinimalRisk"]
    );

    let _desk = Desk::start(&fleet, &folder);
    told.hears(&json!({"mode": [15, 255, 190]}));
    let stopped_us = clock::now().as_us();
    let mut arguments = vec!["stop".to_string(), "truck-17".to_string()];
    arguments.extend(connection(&fleet, "alice"));
    assert_eq!(Program::start("longrein", arguments).ended().code, Some(0));
    told.hears(&json!({"mode": [11, 255, 191]}));
    assert_eq!(applied.read().stages_since(stopped_us), ["MinimalRisk"]);
    let facts = told.facts();
    let given_back = json!({"channels": [0, 0, 0, 255, 191]});
    assert!(facts.contains(&given_back), "{facts:?}");
}
