//! What the tests of the agent share: a fleet on disk, a relay, an operator, and the agent's configuration.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

pub mod local_client;
pub mod relay;

#[path = "../../../relay/tests/support/mod.rs"]
mod common;

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use common::fleet::Fleet;
pub use common::program::{Program, field, run};
pub use common::{Folder, fleet, operator, program};
use serde_json::Value;

/// The agent's program.
pub const AGENT: &str = env!("CARGO_BIN_EXE_longrein-agent");

/// A configuration with a simulated vehicle as function `drive`, and one relay `east`.
pub fn config(identity: &Path, state: &Path, relay: impl Display) -> String {
    format!(
        "state_directory = {state:?}\n\
         identity = {{ directory = {identity:?} }}\n\
         relay = [{{ name = \"east\", address = \"{relay}\" }}]\n\
         function = [{{ name = \"drive\", adapter = {{ kind = \"sim\" }} }}]\n\
         allow = [{{ who = [\"anybody\"], may = [\"command\", \"stop\", \"reset\"] }}]\n"
    )
}

/// Calls `look` until it gives something; fails when the fact does not come in a minute.
pub fn until<T>(fact: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {fact}");
        std::thread::yield_now();
    }
}

/// The complete lines of an applied log.
pub fn applied(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// An address that nobody listens on.
pub fn nobody() -> SocketAddr {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap()
}

/// A path as text.
pub fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A file's path as an owned value.
pub fn inside(folder: &Folder, name: &str) -> PathBuf {
    folder.path().join(name)
}
