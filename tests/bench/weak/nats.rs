//! NATS: its server, and clients that speak its protocol and nothing else.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::Context;

use super::arrivals::Arrivals;
use super::contestant::{Contestant, Sender};
use super::kept::{Input, Kept, is_there};
use super::site::Site;

/// A server, and a pair of clients for each vehicle.
pub struct Nats {
    _clients: Vec<Kept>,
    inputs: Vec<Input>,
    server: Kept,
}

pub fn missing() -> Option<String> {
    (!is_there(SERVER)).then(|| "no nats-server: apt-get install nats-server".into())
}

pub fn start(site: &Site<'_>, arrivals: &[Arc<Arrivals>]) -> anyhow::Result<Nats> {
    let address = SocketAddr::new(site.relay_address(0).into(), PORT);
    let server = Kept::start(
        site.relay(0),
        move || {
            let mut command = Command::new(SERVER);
            command
                .args(["-a", &address.ip().to_string(), "-p", &PORT.to_string()])
                .stdin(Stdio::null())
                .stdout(Stdio::null());
            command
        },
        |_| {},
    );
    super::wait_for_port(site.relay(0), address)?;
    let this = std::env::current_exe()?;
    let (mut clients, mut inputs) = (Vec::new(), Vec::new());
    for (pair, arrivals) in arrivals.iter().enumerate() {
        let this = this.clone();
        let client = move |role: &str| {
            let mut command = Command::new(&this);
            command.args([
                "weak-peer",
                role,
                &address.to_string(),
                &format!("pair.{pair}"),
            ]);
            command
        };
        let make = client.clone();
        clients.push(Kept::receiver(site.vehicle(pair), arrivals, move || {
            let mut command = make("nats-vehicle");
            command.stdin(Stdio::null());
            command
        }));
        let (sender, input) = Kept::sender(site.controller(pair), move || {
            let mut command = client("nats-controller");
            command.stdout(Stdio::null());
            command
        });
        clients.push(sender);
        inputs.push(input);
    }
    Ok(Nats {
        _clients: clients,
        inputs,
        server,
    })
}

impl Contestant for Nats {
    fn sender(&mut self, pair: usize) -> anyhow::Result<Box<dyn Sender>> {
        let input = self.inputs.get(pair).context("an input for each pair")?;
        Ok(Box::new(input.clone()))
    }

    fn kill_relay(&mut self) {
        self.server.kill();
    }
}

/// The vehicle's program: prints each message of a subject on a line.
pub fn vehicle(server: SocketAddr, subject: &str) -> anyhow::Result<()> {
    let mut stream = connect(server)?;
    write!(stream, "SUB {subject} 1\r\n")?;
    let mut pongs = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut out = std::io::stdout().lock();
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        if line.starts_with("PING") {
            pongs.write_all(b"PONG\r\n")?;
        } else if let Some(message) = line.strip_prefix("MSG ") {
            let bytes = message.split_whitespace().last().unwrap_or_default();
            let mut body = vec![0; bytes.parse::<usize>()? + END.len()];
            reader.read_exact(&mut body)?;
            body.truncate(body.len() - END.len());
            body.push(b'\n');
            out.write_all(&body)?;
            out.flush()?;
        }
        line.clear();
    }
    Ok(())
}

/// The controller's program: publishes each line.
pub fn controller(server: SocketAddr, subject: &str) -> anyhow::Result<()> {
    let mut stream = connect(server)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let mut pongs = stream.try_clone()?;
    std::thread::spawn(move || {
        let mut line = String::new();
        while answers.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            if line.starts_with("PING") && pongs.write_all(b"PONG\r\n").is_err() {
                break;
            }
            line.clear();
        }
        // The server is gone: whoever keeps this program starts it again.
        std::process::exit(1);
    });
    for line in std::io::stdin().lines() {
        let line = line?;
        write!(stream, "PUB {subject} {}\r\n{line}\r\n", line.len())?;
    }
    Ok(())
}

fn connect(server: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n")?;
    Ok(stream)
}

pub const CONFIGURATION: &str = "nats-server with its defaults; core NATS over TCP without TLS, TCP_NODELAY; the clients are the \
     benchmark's own and connect again when they lose the server";
const SERVER: &str = "nats-server";
const PORT: u16 = 4_222;
const END: &str = "\r\n";
