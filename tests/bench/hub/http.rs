//! A back end that sends over HTTP as fast as it shall, beside a pair that drives; the relay has one core.

use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use longrein::local_fleet::Plan;
use longrein_io::clock;
use longrein_proto::base::NodeKind;
use longrein_proto::wire::hub::Request;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::fleet::{Hub, names};
use super::pair::Pair;
use super::verdict::Verdict;
use crate::process::processor_us;
use crate::spread::Spread;

/// What one run showed.
#[derive(Clone, Copy, Debug)]
pub struct HttpFigures {
    sends_per_s: f64,
    failed: u64,
    sent: u64,
    heard: u64,
    answer: Spread,
    delay: Spread,
    control: Spread,
    beside: Spread,
    relay_cpu_pct: f64,
}

pub async fn measure(span: Duration) -> anyhow::Result<HttpFigures> {
    let targets = names(NodeKind::Controller, TARGETS)?;
    let all: Vec<_> = targets.iter().cloned().chain(Pair::names()?).collect();
    let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let keys = longrein::local_fleet::Folder::new()?;
    let private = keys.path().join("api.key");
    relay_says(
        &[
            OsStr::new("token"),
            OsStr::new("--new-key"),
            private.as_os_str(),
        ],
        None,
    )?;
    let section = format!(
        "[http]\nlisten = \"{listen}\"\napi = true\nrequests_per_s = 10000\nrequests_burst = 10000\n\
         [[http.token_key]]\nname = \"bench\"\nfile = {:?}\nprivate = {private:?}\n",
        keys.path().join("api.key.pub"),
    );
    let hub = Hub::start_on_one_core(&all, &section).await?;
    let words = [
        "token",
        "--name",
        "shop",
        "--scope",
        "hub.read hub.send",
        "--ttl",
        "1h",
    ]
    .map(OsStr::new);
    let token = relay_says(&words, Some(&hub.config))?;
    let nodes = hub.connect_all(&targets).await?;
    for node in &nodes {
        node.ask(Request::Rooms {
            after: None,
            count: 1,
        })
        .await?;
    }
    let pair = Pair::start(hub.door.clone()).await?;
    sleep(span).await;
    let control = pair.spread();
    for node in &nodes {
        node.driver.with(|member, _| member.clear());
    }

    let before_us = processor_us(hub.relay.id())?;
    let began = Instant::now();
    let per_connection = u32::try_from(span.as_millis())? * RATE_HZ / 1_000 / CONNECTIONS;
    let senders: Vec<JoinHandle<anyhow::Result<Sender>>> = (0..CONNECTIONS)
        .map(|number| {
            let token = token.clone();
            tokio::task::spawn_local(async move {
                let mut sender = Sender::connect(listen, token).await?;
                for turn in 0..per_connection {
                    let place = turn * CONNECTIONS + number;
                    sleep_until(began + Duration::from_secs(1) / RATE_HZ * place).await;
                    sender.send(place as usize % TARGETS).await?;
                }
                Ok(sender)
            })
        })
        .collect();
    let (mut answers, mut failed) = (Vec::new(), 0);
    for sender in senders {
        let mut sender = sender.await??;
        answers.append(&mut sender.answers_us);
        failed += sender.failed;
    }
    let took = began.elapsed();
    let spent_us = processor_us(hub.relay.id())? - before_us;
    let beside = pair.spread();
    sleep(DRAIN).await;
    let (mut delays, mut heard) = (Vec::new(), 0);
    for node in &nodes {
        node.driver.with(|member, _| {
            delays.append(&mut member.delays_us);
            heard += member.heard;
        });
    }
    let sent = u64::from(per_connection * CONNECTIONS);
    Ok(HttpFigures {
        sends_per_s: sent as f64 / took.as_secs_f64(),
        failed,
        sent,
        heard,
        answer: Spread::of(answers),
        delay: Spread::of(delays),
        control,
        beside,
        relay_cpu_pct: 100.0 * spent_us as f64 / took.as_micros() as f64,
    })
}

/// One connection of the back end.
struct Sender {
    stream: BufReader<TcpStream>,
    token: String,
    answers_us: Vec<u64>,
    failed: u64,
}

impl Sender {
    async fn connect(to: SocketAddr, token: String) -> anyhow::Result<Sender> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Sender {
            stream: BufReader::new(stream),
            token: token.trim().to_string(),
            answers_us: Vec::new(),
            failed: 0,
        })
    }

    async fn send(&mut self, target: usize) -> anyhow::Result<()> {
        let began = clock::now().as_us();
        // The time in front, in base64 of 24 bytes.
        let payload = Base64Time(began);
        let body = format!(
            "{{\"to\":{{\"nodes\":[\"controller/node-{target}\"]}},\"flow\":\"shift\",\"ttl_ms\":10000,\"payload_base64\":\"{payload}\"}}"
        );
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.token,
            body.len()
        );
        self.stream.write_all((head + &body).as_bytes()).await?;
        let (mut status, mut length, mut line) = (None, 0, String::new());
        loop {
            line.clear();
            anyhow::ensure!(
                self.stream.read_line(&mut line).await? > 0,
                "the relay hung up"
            );
            let text = line.trim_end().to_ascii_lowercase();
            if status.is_none() {
                status = text
                    .split(' ')
                    .nth(1)
                    .and_then(|code| code.parse::<u16>().ok());
            } else if let Some(value) = text.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            } else if text.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        self.answers_us
            .push(clock::now().as_us().saturating_sub(began));
        if !status.is_some_and(|status| (200..300).contains(&status)) {
            if self.failed == 0 {
                eprintln!(
                    "answered with {status:?}: {}",
                    String::from_utf8_lossy(&body)
                );
            }
            self.failed += 1;
        }
        Ok(())
    }
}

/// Microseconds as eight bytes, with 16 more behind them, in base64 (RFC 4648).
struct Base64Time(u64);

impl std::fmt::Display for Base64Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes: Vec<u8> = self.0.to_be_bytes().into_iter().chain([7; 16]).collect();
        for three in bytes.chunks_exact(3) {
            let bits = three
                .iter()
                .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
            for shift in [18, 12, 6, 0] {
                let place = (bits >> shift & 63) as usize;
                f.write_str(ALPHABET.get(place..=place).unwrap_or_default())?;
            }
        }
        Ok(())
    }
}

/// Runs the relay's program for what it prints.
fn relay_says(arguments: &[&OsStr], config: Option<&PathBuf>) -> anyhow::Result<String> {
    let mut command = Command::new(Plan::sibling_programs()?.join("longrein-relay"));
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    let output = command.args(arguments).output()?;
    anyhow::ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).context("a token is text")
}

impl HttpFigures {
    fn holds(&self) -> bool {
        self.failed == 0 && self.heard == self.sent && self.sends_per_s >= RATE_MIN
    }

    pub fn verdict(&self) -> Verdict {
        let json = serde_json::json!({
            "sends_per_s": self.sends_per_s, "failed": self.failed, "sent": self.sent, "heard": self.heard,
            "answer": self.answer.json(), "delay": self.delay.json(), "control": self.control.json(),
            "beside": self.beside.json(), "relay_cpu_pct": self.relay_cpu_pct,
        });
        let ms = |us: u64| us as f64 / 1e3;
        let text = format!(
            "{:.0} sends/s, {} failed, {} of {} arrived; answered after p50 {:.1}, p99 {:.1} ms, at the node after p50 {:.1}, p99 {:.1} ms; the \
             pair's p99 {:.2} ms beside {:.2} ms before; relay {:.0} % of its core",
            self.sends_per_s,
            self.failed,
            self.heard,
            self.sent,
            ms(self.answer.p50),
            ms(self.answer.p99),
            ms(self.delay.p50),
            ms(self.delay.p99),
            ms(self.beside.p99),
            ms(self.control.p99),
            self.relay_cpu_pct,
        );
        Verdict::new(json, text, self.holds())
    }
}

const TARGETS: usize = 20;
const CONNECTIONS: u32 = 16;
const RATE_HZ: u32 = 2_000;
/// What counts as 2,000 a second: the last requests are answered after the last is due.
const RATE_MIN: f64 = 1_980.0;
const DRAIN: Duration = Duration::from_secs(1);
const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
