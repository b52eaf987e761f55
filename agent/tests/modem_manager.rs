//! The signal of modems over a real D-Bus. The modems are python-dbusmock's, as there are none here; where it is not installed, the test
//! says so and passes.

#![cfg(feature = "modem-manager")]
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use longrein_agent::modem_manager::ask;
use longrein_agent::modems::ModemSignal;

/// Killed when it is dropped; what it says has somewhere to go until then.
struct Running {
    child: Child,
    _said: BufReader<ChildStdout>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Starts a program; it, and the first line that it says.
fn start(command: &mut Command) -> (Running, String) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    let running = Running { child, _said: said };
    (running, line.trim().to_string())
}

fn is_missing() -> bool {
    let python = Command::new("/usr/bin/python3")
        .args(["-c", "import dbusmock, gi"])
        .stderr(Stdio::null())
        .status();
    let bus = Command::new("dbus-daemon").arg("--version").output();
    !python.is_ok_and(|status| status.success()) || bus.is_err()
}

#[test]
fn modems_with_an_interface_are_heard_and_a_bus_without_a_modem_manager_is_an_error() {
    if is_missing() {
        eprintln!("SKIPPED: dbus-daemon and python3-dbusmock are not installed");
        return;
    }
    let mut bus = Command::new("dbus-daemon");
    bus.args(["--session", "--nofork", "--nopidfile", "--print-address=1"]);
    let (_bus, address) = start(&mut bus);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let asked = || runtime.block_on(ask(Some(&address)));
    let error = asked().unwrap_err();
    assert!(error.to_string().contains("ModemManager1"), "{error}");

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/modem_manager_peer.py");
    let mut manager = Command::new("/usr/bin/python3");
    manager
        .arg(script)
        .env("DBUS_SESSION_BUS_ADDRESS", &address);
    let (manager, line) = start(&mut manager);
    assert_eq!(line, "ready");
    let signal = |interface: &str, percent, is_recent| ModemSignal {
        interface: interface.to_string(),
        percent,
        is_recent,
    };
    let expected = [signal("wwan0", 43, true), signal("wwan1", 7, false)];
    assert_eq!(asked().unwrap(), expected);
    drop(manager);
    assert!(asked().is_err());
}
