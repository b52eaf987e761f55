//! `longrein tunnel` to a function `mavlink`.

use longrein::local_fleet::LocalFleet;

use super::fleet::connection;
use super::mavlink_peer::address;
use super::program::Program;

/// A tunnel that is ready, and its local address.
pub fn start(fleet: &LocalFleet, controller: &str) -> (Program, String) {
    start_with(fleet, controller, &[])
}

/// The same with further options.
pub fn start_with(fleet: &LocalFleet, controller: &str, options: &[&str]) -> (Program, String) {
    // A longer time to live than a busy machine may ever pause.
    let mut arguments: Vec<String> =
        "tunnel truck-17 --listen 127.0.0.1:0 --function mavlink --ttl-ms 5000"
            .split(' ')
            .map(String::from)
            .collect();
    arguments.extend(options.iter().map(|option| (*option).to_string()));
    arguments.extend(connection(fleet, controller));
    let mut tunnel = Program::start("longrein", arguments);
    let front = address(&tunnel.says("tunnel ready on"));
    (tunnel, front)
}
