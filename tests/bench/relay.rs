//! Question: what does a relay pay for a forwarded datagram, beside a plain quinn forwarder, and for an idle connection?

use std::ffi::OsStr;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use longrein::fleet::{FleetFolder, Order};
use longrein::local_fleet::{Folder, Plan, Program};
use longrein_io::dial::{Route, dial};
use longrein_io::drive::Driver;
use longrein_io::keys::Identity;
use longrein_io::runtime;
use longrein_io::socket::Bind;
use longrein_proto::base::{Channel, Class, Flow, NodeKind, NodeName, SessionId};
use longrein_proto::wire::{Notice, Parcel, SealedHeader};
use longrein_tests::RawNode;
use longrein_tests::wan::resident_kib;
use tokio::time::{Instant, sleep, sleep_until};

use super::process::{processor_us, raise_file_limit};
use super::weak::quinn_datagrams::{self, Client};

#[derive(Debug, clap::Args)]
pub struct RelayArgs {
    /// One run of 4 s and 200 connections instead of three of 10 s and 2,000
    #[arg(long)]
    quick: bool,
    /// One JSON object a line on stdout
    #[arg(long)]
    json: bool,
}

/// What a forwarder did in one run.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// Datagrams that arrived at the far side a second.
    forwarded_per_s: f64,
    delivered_pct: f64,
    /// Of the forwarder's processor time, for each of them.
    cpu_us: f64,
}

/// Many nodes on this thread, and the relay that they are connected to.
struct Nodes {
    from: Vec<Driver<RawNode>>,
    to: Vec<Driver<RawNode>>,
    relay: Program,
    _folder: Folder,
}

pub fn run(args: &RelayArgs) -> anyhow::Result<()> {
    let (runs, span, idle) = if args.quick {
        (1, Duration::from_secs(4), 200)
    } else {
        (3, Duration::from_secs(10), 2_000)
    };
    eprintln!(
        "Question: what does a relay pay for a forwarded datagram, beside a plain quinn forwarder, and for an idle connection?\n\
         Method: {PAIRS} pairs of nodes, all in this process, joined with the relay's process by loopback; {RATE_HZ} datagrams a \
         second in all, {PER_TICK} every ms, of {BYTES} bytes of sealed body with longrein and as large on the wire with quinn \
         (default settings). Processor time is the relay's alone (proc(5), stat), with acknowledgements and heartbeats, \
         divided by what arrived. Runs of {} s, {runs} of each, alternating; medians. Memory: resident set with {idle} idle \
         connections less that without, divided by their number; 125 connect a second, longrein's heartbeats run. Targets: {RATIO_MAX} times \
         quinn's time, {KIB_MAX} KiB.\n",
        span.as_secs(),
    );
    raise_file_limit();
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for number in 1..=runs {
        for (name, costs) in [("longrein", &mut ours), ("quinn", &mut plain)] {
            let cost = runtime::run(async || match name {
                "longrein" => forward(span).await,
                _ => forward_plain(span).await,
            })??;
            let Cost {
                forwarded_per_s,
                delivered_pct,
                cpu_us,
            } = cost;
            if args.json {
                let line = serde_json::json!({
                    "run": number, "peer": name, "forwarded_per_s": forwarded_per_s, "delivered_pct": delivered_pct,
                    "cpu_us_per_datagram": cpu_us,
                });
                println!("{line}");
            } else {
                println!(
                    "run {number}: {name:<9} {cpu_us:>6.2} µs a datagram, {forwarded_per_s:>6.0} a second, {delivered_pct:.2} % arrived"
                );
            }
            costs.push(cost.cpu_us);
        }
    }
    let (ours_kib, plain_kib) = (
        runtime::run(async || idle_kib(idle).await)??,
        runtime::run(async || idle_plain_kib(idle).await)??,
    );
    let (ours_us, plain_us) = (median(ours), median(plain));
    let ratio = ours_us / plain_us.max(0.01);
    let holds = ratio <= RATIO_MAX && ours_kib <= KIB_MAX;
    if args.json {
        let line = serde_json::json!({
            "longrein_us": ours_us, "quinn_us": plain_us, "ratio": ratio, "connections": idle,
            "longrein_kib_per_connection": ours_kib, "quinn_kib_per_connection": plain_kib, "holds": holds,
        });
        println!("{line}");
    } else {
        println!(
            "\nprocessor time a datagram: longrein {ours_us:.2} µs, quinn {plain_us:.2} µs: {ratio:.2} times (target {RATIO_MAX})\n\
             memory an idle connection, {idle} of them: longrein {ours_kib:.1} KiB (target {KIB_MAX}), quinn {plain_kib:.1} KiB\n\
             {}",
            if holds { "holds" } else { "does not hold" }
        );
    }
    Ok(())
}

async fn forward(span: Duration) -> anyhow::Result<Cost> {
    let nodes = Nodes::start(PAIRS, PAIRS).await?;
    for (number, from) in (0..).zip(&nodes.from) {
        let session = SessionId(number);
        let to = name(NodeKind::Agent, number)?;
        let route = Parcel::Notice(Notice::Route { session, to }).encode();
        from.with(|node, now| node.send(now, route));
    }
    sleep(SETTLE).await;
    let ciphertext: Arc<[u8]> = vec![7; BYTES].into();
    let count = || {
        let heard = |node: &mut RawNode, _| std::mem::take(&mut node.heard).len() as u64;
        nodes.to.iter().map(|to| to.with(heard)).sum::<u64>()
    };
    count();
    let send = |pair: u32, number: u64| {
        let header = SealedHeader {
            key_phase: 0,
            session: SessionId(pair),
            flow: Flow {
                channel: Channel::SESSION,
                class: Class::Latest,
            },
            number,
            ttl_ms: 200,
        };
        let ciphertext = Arc::clone(&ciphertext);
        let parcel = Parcel::Sealed { header, ciphertext }.encode();
        if let Some(from) = nodes.from.get(pair as usize) {
            from.with(|node, now| node.send(now, parcel));
        }
    };
    let cost = load(span, nodes.relay.id(), send, count).await?;
    Ok(cost)
}

async fn forward_plain(span: Duration) -> anyhow::Result<Cost> {
    let names = ["controller", "vehicle"].into_iter();
    let names = names.flat_map(|role| (0..PAIRS).map(move |pair| format!("{role}-{pair}")));
    let (relay, clients) = plain(names).await?;
    sleep(SETTLE).await;
    let count = || clients.iter().map(Client::take_received).sum::<u64>();
    count();
    let send = |pair: u32, _| {
        if let Some(client) = clients.get(pair as usize) {
            client.send(vec![7; PLAIN_BYTES]);
        }
    };
    load(span, relay.id(), send, count).await
}

/// Sends at the rate, one pair after the other, and says what the relay paid.
async fn load(
    span: Duration,
    relay: u32,
    send: impl Fn(u32, u64),
    count: impl Fn() -> u64,
) -> anyhow::Result<Cost> {
    let before_us = processor_us(relay)?;
    let began = Instant::now();
    let ticks = u32::try_from(span.as_millis())?;
    let pairs = u32::try_from(PAIRS)?;
    for tick in 0..ticks {
        sleep_until(began + Duration::from_millis(tick.into())).await;
        for place in 0..PER_TICK {
            let sent = tick * PER_TICK + place;
            send(sent % pairs, u64::from(sent / pairs) + 1);
        }
    }
    let took = began.elapsed();
    sleep(DRAIN).await;
    let arrived = count() as f64;
    let spent_us = processor_us(relay)? - before_us;
    Ok(Cost {
        forwarded_per_s: arrived / took.as_secs_f64(),
        delivered_pct: 100.0 * arrived / f64::from(ticks * PER_TICK),
        cpu_us: spent_us as f64 / arrived.max(1.0),
    })
}

async fn idle_kib(count: usize) -> anyhow::Result<f64> {
    let empty = Nodes::start(0, 0).await?;
    let before = resident_kib(empty.relay.id())? as f64;
    let nodes = Nodes::start(count, 0).await?;
    sleep(SETTLE).await;
    let after = resident_kib(nodes.relay.id())? as f64;
    Ok((after - before) / count as f64)
}

async fn idle_plain_kib(count: usize) -> anyhow::Result<f64> {
    let (relay, _) = plain(std::iter::empty()).await?;
    let before = resident_kib(relay.id())? as f64;
    // They send nothing, so the name does not matter.
    let names = std::iter::repeat_n(String::from("vehicle-0"), count);
    let (relay, clients) = plain(names).await?;
    sleep(SETTLE).await;
    let after = resident_kib(relay.id())? as f64;
    drop(clients);
    Ok((after - before) / count as f64)
}

impl Nodes {
    /// Starts a relay, and connects so many controllers and agents to it.
    async fn start(controllers: usize, agents: usize) -> anyhow::Result<Nodes> {
        let folder = Folder::new()?;
        let all = |kind, count: usize| {
            (0..u32::try_from(count).unwrap_or(u32::MAX)).map(move |number| name(kind, number))
        };
        let froms: Vec<_> = all(NodeKind::Controller, controllers).collect::<Result<_, _>>()?;
        let tos: Vec<_> = all(NodeKind::Agent, agents).collect::<Result<_, _>>()?;
        let relay = NodeName::new(NodeKind::Relay, RELAY.parse()?);
        let names = froms.iter().chain(&tos).chain([&relay]);
        let orders: Vec<Order> = names.cloned().map(Order::new).collect();
        let now_s = std::time::UNIX_EPOCH.elapsed()?.as_secs();
        let papers = folder.path().join("fleet");
        let papers = FleetFolder::create(&papers, "bench".parse()?, &orders, now_s)?;
        let address = free_address()?;
        let config = folder.path().join("relay.toml");
        let text = format!(
            "[identity]\ndirectory = {:?}\n[[listen]]\nname = \"main\"\naddress = \"{address}\"\n\
             [connections]\nper_source = 8192\nhalf_open_per_source = 1024\n[log]\nlevel = \"warn\"\n",
            papers.node(&relay)
        );
        std::fs::write(&config, text)?;
        let program = Plan::sibling_programs()?.join("longrein-relay");
        let arguments = [OsStr::new("--config"), config.as_os_str()];
        let relay = Program::start(&program, &arguments, &folder.path().join("relay.log"))?;
        sleep(SETTLE).await;
        let mut nodes = Nodes {
            from: Vec::new(),
            to: Vec::new(),
            relay,
            _folder: folder,
        };
        for name in &froms {
            let node = connect(&papers.node(name), address, nodes.from.len()).await?;
            nodes.from.push(node);
        }
        for name in &tos {
            let node = connect(&papers.node(name), address, nodes.to.len()).await?;
            nodes.to.push(node);
        }
        for node in nodes.from.iter().chain(&nodes.to) {
            let until = Instant::now() + CONNECT_MAX;
            while node.paths().is_empty() {
                let log = nodes.relay.log();
                anyhow::ensure!(Instant::now() < until, "a node does not connect: {log}");
                sleep(LOOK).await;
            }
        }
        Ok(nodes)
    }
}

/// Begins to connect a node; every tenth is waited for a moment, so that not all shake hands at once.
async fn connect(
    identity: &Path,
    relay: SocketAddr,
    number: usize,
) -> anyhow::Result<Driver<RawNode>> {
    let identity = Identity::load(identity)?;
    let driver = Driver::start(RawNode::new(number as u64 + 1), |_, ()| {})?;
    let route = Route {
        budget_kbit_s: 1_000,
        link: "cable".parse()?,
        bind: Bind::Any,
        relay: RELAY.parse()?,
        address: relay.to_string(),
    };
    dial(&driver, &identity, vec![route], |_, _| {})?;
    if number % 10 == 9 {
        sleep(PAUSE).await;
    }
    Ok(driver)
}

/// A plain forwarder and clients of these names.
async fn plain(names: impl Iterator<Item = String>) -> anyhow::Result<(Program, Vec<Client>)> {
    let address = free_address()?;
    let papers = quinn_datagrams::papers(address.ip(), PAIRS)?;
    let (folder, address_text) = (papers.folder.path(), address.to_string());
    let arguments = [
        "weak-peer",
        "quinn-relay",
        &address_text,
        quinn_datagrams::DEFAULTS,
    ];
    let mut arguments: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
    arguments.push(folder.as_os_str());
    let relay = Program::start(
        &std::env::current_exe()?,
        &arguments,
        &folder.join("relay.log"),
    )?;
    sleep(SETTLE).await;
    let mut clients = Vec::new();
    for name in names {
        let client = Client::connect(address, &name, folder).await;
        clients.push(client.context("the plain forwarder does not answer")?);
    }
    Ok((relay, clients))
}

fn name(kind: NodeKind, number: u32) -> anyhow::Result<NodeName> {
    Ok(NodeName::new(kind, format!("node-{number}").parse()?))
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

const RELAY: &str = "east";
const PAIRS: usize = 50;
const RATE_HZ: u32 = PER_TICK * 1_000;
const PER_TICK: u32 = 20;
/// Body of 100 bytes, sealed.
const BYTES: usize = 126;
/// The same with the leg's headers: what is one QUIC datagram with longrein.
const PLAIN_BYTES: usize = 163;
const RATIO_MAX: f64 = 1.5;
const KIB_MAX: f64 = 48.0;
const SETTLE: Duration = Duration::from_secs(2);
const DRAIN: Duration = Duration::from_millis(300);
const CONNECT_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);
/// After ten of them: 125 handshakes a second, which one core can do beside the nodes' own. More pile up, are tried again, and
/// leave a heap that says nothing about idle connections (500 a second: 76 KiB instead of 40).
const PAUSE: Duration = Duration::from_millis(80);
