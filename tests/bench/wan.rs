//! Question: how exact is the emulated wide-area network, in delay, loss, rate and bursts?

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use longrein_io::clock;
use longrein_io::entropy::SystemEntropy;
use longrein_proto::base::Entropy;
use longrein_tests::wan::{Interface, Loss, NodePlan, Profile, Queue, Wan};

use super::spread::Spread;

#[derive(Debug, clap::Args)]
pub struct WanArgs {
    /// A fifth of the packets
    #[arg(long)]
    quick: bool,
    /// One JSON object a line on stdout
    #[arg(long)]
    json: bool,
    /// Repeats the chance of another run
    #[arg(long)]
    seed: Option<u64>,
}

/// A network of two nodes, and what is measured over it.
struct Check {
    wan: Wan,
    json: bool,
    packets: u64,
    holds: bool,
}

/// Packets that are sent evenly.
#[derive(Clone, Copy)]
struct Flow {
    packets: u64,
    /// Sent together every `pause`.
    together: u64,
    pause: Duration,
    /// With the IP header.
    bytes: usize,
}

/// A packet that arrived.
#[derive(Clone, Copy)]
struct Arrival {
    number: u64,
    sent_us: u64,
    arrived_us: u64,
}

pub fn run(args: &WanArgs) -> anyhow::Result<()> {
    if let Some(missing) = Wan::missing() {
        anyhow::bail!("{missing}");
    }
    let seed = args.seed.unwrap_or_else(|| SystemEntropy::new().next_u64());
    let packets = if args.quick { 20_000 } else { 100_000 };
    eprintln!(
        "Question: how exact is the emulated wide-area network?\n\
         Method: two nodes; UDP from one to the other with number and time inside, both ends in this process, on \
         CLOCK_BOOTTIME; all but the raw loopback through the forwarder, the profile of one interface changes while it runs. \
         Loss and bursts have to be within 4 standard deviations, the rate within 2 %. Seed {seed}.\n"
    );
    let node = |name| NodePlan::new(name, vec![Interface::new("wan", Profile::CLEAR)]);
    let wan = Wan::start(seed, &[node(NEAR), node(FAR)])?;
    if !wan.is_realtime() {
        eprintln!("The forwarder is an ordinary thread (chrt failed): delays are less exact.\n");
    }
    let mut check = Check {
        wan,
        json: args.json,
        packets,
        holds: true,
    };
    check.delay()?;
    check.losses()?;
    check.rates()?;
    check.runs()?;
    check.spans()?;
    let (strays, holds) = (check.wan.strays(), check.holds && check.wan.strays() == 0);
    check.tell(
        &serde_json::json!({"seed": seed, "strays": strays, "holds": holds}),
        &format!(
            "\npackets that went nowhere: {strays}; all within bounds: {}",
            yes(holds)
        ),
    );
    Ok(())
}

impl Check {
    fn delay(&mut self) -> anyhow::Result<()> {
        let flow = Flow {
            packets: self.packets / 20,
            together: 1,
            pause: Duration::from_millis(2),
            bytes: 128,
        };
        let near = self.wan.node(NEAR);
        let (from, to) = (
            near.enter(|| UdpSocket::bind("127.0.0.1:0"))?,
            near.enter(|| UdpSocket::bind("127.0.0.1:0"))?,
        );
        let raw = delays(&flow.run(&from, &to)?);
        self.set(Profile::delayed(Duration::from_millis(10)))?;
        let leg = delays(&self.flow(flow)?);
        let late = self.wan.lateness();
        let own = Spread {
            count: usize::try_from(late.count())?,
            p50: late.at_us(500),
            p99: late.at_us(990),
            p999: late.at_us(999),
            max: late.max_us(),
        };
        if !self.json {
            println!("delay\n{}", Spread::head());
        }
        for (name, spread) in [
            ("raw loopback", raw),
            ("leg of 10 ms", leg),
            ("forwarder's own lateness", own),
        ] {
            let object = serde_json::json!({"what": name, "us": spread.json()});
            self.tell(&object, &spread.row(name));
        }
        Ok(())
    }

    fn losses(&mut self) -> anyhow::Result<()> {
        for share in [0.01, 0.2, 0.8] {
            let lossy = Profile::delayed(Duration::from_millis(10)).with_loss(Loss::random(share));
            self.set(lossy)?;
            let flow = self.many();
            let arrived = self.flow(flow)?.len() as f64;
            let sent = flow.packets as f64;
            let bound = 4.0 * (share * (1.0 - share) / sent).sqrt();
            self.verdict(
                "loss",
                "%",
                100.0 * share,
                100.0 * (1.0 - arrived / sent),
                100.0 * bound,
            );
        }
        Ok(())
    }

    fn rates(&mut self) -> anyhow::Result<()> {
        for kbit_s in [256_u32, 1_000, 10_000] {
            let queue = Queue::Time(Duration::from_millis(100));
            self.set(Profile::CLEAR.with_rate(u64::from(kbit_s) * 1_000, queue))?;
            // Twice what the wire carries, for 5 s or 1 s.
            let per_s = u64::from(kbit_s) * 1_000 * 2 / 8 / RATE_BYTES as u64;
            let flow = Flow {
                packets: per_s * self.packets / 20_000,
                together: 1,
                pause: Duration::from_secs(1) / u32::try_from(per_s)?,
                bytes: RATE_BYTES,
            };
            let arrivals = self.flow(flow)?;
            let measured = match (arrivals.first(), arrivals.last()) {
                (Some(first), Some(last)) if last.arrived_us > first.arrived_us => {
                    let bits = (arrivals.len() - 1) * RATE_BYTES * 8;
                    bits as f64 * 1_000.0 / (last.arrived_us - first.arrived_us) as f64
                }
                _ => 0.0,
            };
            let wanted = f64::from(kbit_s);
            self.verdict("rate", "kbit/s", wanted, measured, 0.02 * wanted);
        }
        Ok(())
    }

    fn runs(&mut self) -> anyhow::Result<()> {
        for (share, mean) in [(0.2, 5.0), (0.5, 20.0)] {
            self.set(Profile::CLEAR.with_loss(Loss::runs(share, mean)))?;
            let gaps = gaps(&self.flow(self.many())?);
            let lengths = gaps
                .iter()
                .map(|(before, after)| (after.number - before.number - 1) as f64);
            let (measured, runs) = (mean_of(lengths), gaps.len());
            // Lengths are geometric.
            let deviation = (mean * (mean - 1.0) / runs as f64).sqrt();
            self.verdict("mean run", "packets", mean, measured, 4.0 * deviation);
        }
        Ok(())
    }

    fn spans(&mut self) -> anyhow::Result<()> {
        for (share, mean_ms) in [(0.2, 20.0), (0.5, 50.0)] {
            let span = Duration::from_secs_f64(mean_ms / 1_000.0);
            self.set(Profile::CLEAR.with_loss(Loss::spans(share, span)))?;
            let flow = Flow {
                packets: self.packets,
                together: 1,
                pause: Duration::from_micros(200),
                bytes: 128,
            };
            let gaps = gaps(&self.flow(flow)?);
            // A gap between arrivals is a span and one pause, half of it at either end.
            let pause_ms = flow.pause.as_secs_f64() * 1_000.0;
            let lengths = gaps.iter().map(|(before, after)| {
                (after.sent_us - before.sent_us) as f64 / 1_000.0 - pause_ms
            });
            let (measured, spans) = (mean_of(lengths), gaps.len());
            // Lengths are exponential.
            let deviation = mean_ms / (spans as f64).sqrt();
            self.verdict("mean span", "ms", mean_ms, measured, 4.0 * deviation);
        }
        Ok(())
    }

    /// The profile of the way from the near node.
    fn set(&self, profile: Profile) -> anyhow::Result<()> {
        Ok(self.wan.change(NEAR, "wan", |up, _| *up = profile)?)
    }

    /// As many packets as are asked for, 10 a millisecond.
    fn many(&self) -> Flow {
        Flow {
            packets: self.packets,
            together: 10,
            pause: Duration::from_millis(1),
            bytes: 128,
        }
    }

    fn flow(&self, flow: Flow) -> anyhow::Result<Vec<Arrival>> {
        let open = |name| {
            let node = self.wan.node(name);
            let address: Ipv4Addr = node.address("wan");
            node.enter(|| UdpSocket::bind((address, 0)))
        };
        let (from, to) = (open(NEAR)?, open(FAR)?);
        flow.run(&from, &to)
    }

    fn verdict(&mut self, what: &str, unit: &str, wanted: f64, measured: f64, bound: f64) {
        let holds = (measured - wanted).abs() <= bound;
        self.holds &= holds;
        self.tell(
            &serde_json::json!({
                "what": what, "unit": unit, "wanted": wanted, "measured": measured, "bound": bound, "holds": holds,
            }),
            &format!(
                "{what:<10} wanted {wanted:>9.2} {unit:<8} measured {measured:>9.3} (± {bound:.3}): {}",
                yes(holds)
            ),
        );
    }

    fn tell(&self, object: &serde_json::Value, text: &str) {
        if self.json {
            println!("{object}");
        } else {
            println!("{text}");
        }
    }
}

impl Flow {
    /// Sends all, and returns what arrives until nothing more does.
    fn run(&self, from: &UdpSocket, to: &UdpSocket) -> anyhow::Result<Vec<Arrival>> {
        from.connect(to.local_addr()?)?;
        to.set_read_timeout(Some(SILENCE))?;
        std::thread::scope(|scope| {
            let receiver = scope.spawn(|| receive(to));
            let sent = self.send(from);
            let arrivals = receiver
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            sent.and(arrivals)
        })
    }

    fn send(&self, from: &UdpSocket) -> anyhow::Result<()> {
        let mut packet = vec![0; self.bytes - HEADER_BYTES];
        let began = Instant::now();
        let mut due = Duration::ZERO;
        for number in 0..self.packets {
            if number % self.together == 0 {
                sleep(due.saturating_sub(began.elapsed()));
                due += self.pause;
            }
            let (stamp, _) = packet.split_at_mut(16);
            let (first, second) = stamp.split_at_mut(8);
            first.copy_from_slice(&number.to_be_bytes());
            second.copy_from_slice(&clock::now().as_us().to_be_bytes());
            from.send(&packet)?;
        }
        Ok(())
    }
}

fn receive(to: &UdpSocket) -> anyhow::Result<Vec<Arrival>> {
    let mut arrivals = Vec::new();
    let mut packet = [0; 2_048];
    loop {
        let bytes = match to.recv(&mut packet) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(arrivals),
            Err(error) => return Err(error.into()),
        };
        let arrived_us = clock::now().as_us();
        let word = |at: usize| {
            let word = packet.get(at..at + 8).filter(|_| bytes >= at + 8);
            word.and_then(|word| word.try_into().ok())
                .map_or(0, u64::from_be_bytes)
        };
        arrivals.push(Arrival {
            number: word(0),
            sent_us: word(8),
            arrived_us,
        });
    }
}

fn delays(arrivals: &[Arrival]) -> Spread {
    let delay = |arrival: &Arrival| arrival.arrived_us.saturating_sub(arrival.sent_us);
    Spread::of(arrivals.iter().map(delay).collect())
}

/// Arrivals between which something was lost.
fn gaps(arrivals: &[Arrival]) -> Vec<(Arrival, Arrival)> {
    arrivals
        .iter()
        .zip(arrivals.iter().skip(1))
        .filter(|(before, after)| after.number > before.number + 1)
        .map(|(before, after)| (*before, *after))
        .collect()
}

fn mean_of(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

fn yes(holds: bool) -> &'static str {
    if holds { "yes" } else { "no" }
}

const NEAR: &str = "near";
const FAR: &str = "far";
/// IPv4 and UDP.
const HEADER_BYTES: usize = 28;
/// 1 ms of 10 Mbit/s.
const RATE_BYTES: usize = 1_250;
/// Nothing is under way longer.
const SILENCE: Duration = Duration::from_secs(1);
