//! zenoh over QUIC: its router and clients by its Python package, which is the Rust library inside.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::Context;

use super::arrivals::Arrivals;
use super::contestant::{Contestant, Sender};
use super::kept::{Input, Kept};
use super::papers::Papers;
use super::site::Site;

/// A router, and a pair of clients for each vehicle.
pub struct Zenoh {
    _clients: Vec<Kept>,
    inputs: Vec<Input>,
    router: Kept,
    _papers: Papers,
}

pub fn missing() -> Option<String> {
    let there = Command::new(python())
        .args(["-c", "import zenoh"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    (!there).then(|| "no Python package eclipse-zenoh: ./dev bench weak installs it".into())
}

pub fn start(site: &Site<'_>, arrivals: &[Arc<Arrivals>]) -> anyhow::Result<Zenoh> {
    let address = site.relay_address(0);
    let papers = Papers::new(address.into(), Vec::new())?;
    let (certificate, key) = (papers.certificate.clone(), papers.key.clone());
    let program = move |role: &str, key_expression: &str| {
        let mut command = Command::new(python());
        command
            .args(["-u", "-c", PROGRAM, role])
            .arg(format!("quic/{address}:{PORT}"))
            .args([&certificate, &key])
            .arg(key_expression);
        command
    };
    let make = program.clone();
    let router = move || {
        let mut command = make("router", "");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    let router = Kept::start(site.relay(0), router, |_| {});
    let (mut clients, mut inputs) = (Vec::new(), Vec::new());
    for (pair, arrivals) in arrivals.iter().enumerate() {
        let name = format!("pair/{pair}");
        let (make, topic) = (program.clone(), name.clone());
        clients.push(Kept::receiver(site.vehicle(pair), arrivals, move || {
            let mut command = make("vehicle", &topic);
            command.stdin(Stdio::null());
            command
        }));
        let make = program.clone();
        let (sender, input) = Kept::sender(site.controller(pair), move || {
            let mut command = make("controller", &name);
            command.stdout(Stdio::null());
            command
        });
        clients.push(sender);
        inputs.push(input);
    }
    Ok(Zenoh {
        _clients: clients,
        inputs,
        router,
        _papers: papers,
    })
}

impl Contestant for Zenoh {
    fn sender(&mut self, pair: usize) -> anyhow::Result<Box<dyn Sender>> {
        let input = self.inputs.get(pair).context("an input for each pair")?;
        Ok(Box::new(input.clone()))
    }

    fn kill_relay(&mut self) {
        self.router.kill();
    }
}

fn python() -> PathBuf {
    let venv = std::env::var_os("LONGREIN_BENCH_VENV").map(PathBuf::from);
    venv.map_or("python3".into(), |venv| venv.join("bin/python"))
}

pub const CONFIGURATION: &str = "eclipse-zenoh 1.10.2 (PyPI); QUIC streams, reliable, blocking, express, real-time priority; a router \
     and clients as Python processes, which add some tenths of a millisecond";
const PORT: u16 = 7_447;
/// One program for all three roles.
const PROGRAM: &str = include_str!("zenoh_peer.py");
