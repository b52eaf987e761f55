//! Mosquitto: its broker and its own clients.

use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::Context;

use super::arrivals::Arrivals;
use super::case::Event;
use super::contestant::{Contestant, Sender};
use super::kept::{Input, Kept, is_there};
use super::papers::Papers;
use super::site::Site;

/// A broker, and a pair of clients for each vehicle.
pub struct Mosquitto {
    _subscribers: Vec<Kept>,
    publishers: Vec<Kept>,
    inputs: Vec<Input>,
    broker: Kept,
    _papers: Papers,
}

pub fn missing() -> Option<String> {
    let all = [BROKER, "mosquitto_sub", "mosquitto_pub"];
    let absent = all.into_iter().find(|program| !is_there(program));
    absent.map(|program| format!("no {program}: apt-get install mosquitto mosquitto-clients"))
}

pub fn start(site: &Site<'_>, arrivals: &[Arc<Arrivals>]) -> anyhow::Result<Mosquitto> {
    let address = site.relay_address(0);
    let papers = Papers::new(address.into(), Vec::new())?;
    let config = papers.folder.path().join("mosquitto.conf");
    let text = format!(
        "user root\nlistener {PORT} {address}\ncertfile {}\nkeyfile {}\nallow_anonymous true\nmax_queued_messages 0\n\
         set_tcp_nodelay true\nlog_dest none\n",
        papers.certificate.display(),
        papers.key.display(),
    );
    std::fs::write(&config, text)?;
    let broker = move || {
        let mut command = Command::new(BROKER);
        command
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    };
    let broker = Kept::start(site.relay(0), broker, |_| {});
    super::wait_for_port(site.relay(0), (address, PORT).into())?;
    // The shortest that there is, where a connection has to be given up.
    let keep_alive = if site.case.event == Event::None {
        "60"
    } else {
        "5"
    };
    let (mut subscribers, mut publishers, mut inputs) = (Vec::new(), Vec::new(), Vec::new());
    for (pair, arrivals) in arrivals.iter().enumerate() {
        let certificate = papers.certificate.clone();
        let client = move |program: &str, role: &str| {
            let mut command = Command::new(program);
            command
                .args([
                    "-h",
                    &address.to_string(),
                    "-p",
                    &PORT.to_string(),
                    "-q",
                    "1",
                ])
                .args([
                    "-t",
                    &format!("pair/{pair}"),
                    "-i",
                    &format!("{role}-{pair}"),
                ])
                .args(["-k", keep_alive, "--cafile"])
                .arg(&certificate);
            command
        };
        let make = client.clone();
        subscribers.push(Kept::receiver(site.vehicle(pair), arrivals, move || {
            let mut command = make("mosquitto_sub", "vehicle");
            command.args(["-c", "-F", "%p"]).stdin(Stdio::null());
            command
        }));
        let (publisher, input) = Kept::sender(site.controller(pair), move || {
            let mut command = client("mosquitto_pub", "controller");
            command.args(["-l", "--nodelay"]).stdout(Stdio::null());
            command
        });
        publishers.push(publisher);
        inputs.push(input);
    }
    Ok(Mosquitto {
        _subscribers: subscribers,
        publishers,
        inputs,
        broker,
        _papers: papers,
    })
}

impl Contestant for Mosquitto {
    fn sender(&mut self, pair: usize) -> anyhow::Result<Box<dyn Sender>> {
        let input = self.inputs.get(pair).context("an input for each pair")?;
        Ok(Box::new(input.clone()))
    }

    fn kill_relay(&mut self) {
        self.broker.kill();
        // mosquitto_pub does not connect again when a TLS connection ends without a word.
        self.publishers.iter().for_each(Kept::kill);
    }
}

pub const CONFIGURATION: &str = "mosquitto, mosquitto_sub and mosquitto_pub; QoS 1, TLS, TCP_NODELAY, a session that outlives \
     connections, any number of queued messages; keep-alive 60 s, 5 s where something is cut; each is started again when it ends, the publishers also when the broker was killed";
const BROKER: &str = "mosquitto";
const PORT: u16 = 8_883;
