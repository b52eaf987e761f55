//! Programs of the MAVLink world, from the virtual environment that `./dev test` makes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use longrein::local_fleet::Plan;
use serde::Deserialize;

use super::fleet;
use super::program::Program;

/// What a `mavlink_peer.py` sent and received.
#[derive(Debug, Deserialize)]
pub struct Summary {
    /// Messages as hexadecimal, in the order of sending.
    pub sent: Vec<String>,
    /// Messages as hexadecimal, in the order of arrival.
    pub received: Vec<String>,
    /// For each received message its type, the system that sent it, and its MAVLink number.
    pub types: Vec<(String, u8, u8)>,
}

impl Summary {
    /// Reads it.
    pub fn read(file: &Path) -> Summary {
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
    }

    /// How many messages of this type came from this system.
    pub fn count(&self, name: &str, system: u8) -> usize {
        let types = self.types.iter();
        types
            .filter(|(found, from, _)| found == name && *from == system)
            .count()
    }
}

/// Starts `mavlink_peer.py`.
pub fn start(arguments: &[&str], summary: &Path) -> Program {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("processes/mavlink_peer.py");
    let mut all: Vec<&OsStr> = vec!["-u".as_ref(), script.as_os_str()];
    all.extend(arguments.iter().map(|argument| OsStr::new(*argument)));
    all.push(summary.as_os_str());
    python(&format!("mavlink_peer.py {}", arguments[0]), &all)
}

/// Starts a Python program of the virtual environment.
pub fn python(name: &str, arguments: &[&OsStr]) -> Program {
    let mut command = Command::new(environment().join("bin/python"));
    command.args(arguments);
    Program::run(name, command)
}

/// The virtual environment.
pub fn environment() -> PathBuf {
    let made = std::env::var_os("LONGREIN_VENV").map_or_else(
        || Plan::sibling_programs().unwrap().join("../venv"),
        PathBuf::from,
    );
    assert!(
        made.join("bin/mavproxy.py").exists(),
        "no MAVLink programs in {}: run ./dev test",
        made.display()
    );
    made
}

/// A fleet whose agent passes the bytes of a function `mavlink` to this address.
pub fn plan(send_to: &str) -> Plan {
    let functions = format!(
        "[[function]]\nname = \"mavlink\"\nkind = \"opaque\"\nwatchdog = false\n\
         adapter = {{ kind = \"udp\", send_to = \"{send_to}\" }}\n"
    );
    Plan {
        functions,
        ..fleet::plan()
    }
}

/// The address at the end of a line.
pub fn address(line: &str) -> String {
    line.rsplit(' ').next().unwrap().to_string()
}
