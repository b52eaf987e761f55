//! Question: what do reliable messages and driving commands suffer on weak networks, beside what others would choose?

mod arrivals;
mod case;
mod cold_start;
mod contestant;
mod figures;
mod kept;
mod longrein_fleet;
mod measure;
mod mosquitto;
mod nats;
mod papers;
mod plot;
pub mod quinn_datagrams;
mod raw_udp;
mod report;
mod site;
mod zenoh;

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use longrein_io::entropy::SystemEntropy;
use longrein_proto::base::Entropy;
use longrein_tests::wan::{Node, Wan};

use self::case::Case;
use self::contestant::Peer;
use self::measure::{Pace, measure};
use self::report::Report;

#[derive(Debug, clap::Args)]
pub struct WeakArgs {
    /// Only the table of promises, with longrein and Mosquitto: under 8 minutes
    #[arg(long)]
    quick: bool,
    /// One JSON object a line on stdout
    #[arg(long)]
    json: bool,
    /// Only cases whose name has this in it
    #[arg(long)]
    case: Option<String>,
    /// Only these: longrein, mosquitto, nats, zenoh, quinn
    #[arg(long)]
    peer: Vec<String>,
    /// Draws the results into this file
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Writes the results into this document, between its marks
    #[arg(long)]
    report: Option<PathBuf>,
    /// Repeats the chance of another run
    #[arg(long)]
    seed: Option<u64>,
}

/// A peer's program; started by the benchmark.
#[derive(Debug, clap::Args)]
pub struct PeerArgs {
    role: String,
    address: SocketAddr,
    name: String,
    papers: Option<PathBuf>,
}

pub fn run(args: &WeakArgs) -> anyhow::Result<()> {
    if let Some(missing) = Wan::missing() {
        anyhow::bail!("{missing}");
    }
    let seed = args.seed.unwrap_or_else(|| SystemEntropy::new().next_u64());
    let pace = if args.quick { QUICK } else { WHOLE };
    let mut cases = case::promises();
    if !args.quick {
        cases.extend(case::grid());
    }
    let wanted = |name: &str| args.case.as_ref().is_none_or(|part| name.contains(part));
    cases.retain(|case| wanted(&case.name));
    let known = Peer::OTHERS.iter().chain([&Peer::Longrein]);
    let is_known = |slug: &String| known.clone().any(|peer| peer.slug() == slug);
    if let Some(wrong) = args.peer.iter().find(|slug| !is_known(slug)) {
        anyhow::bail!("no peer {wrong}: longrein, mosquitto, nats, zenoh or quinn");
    }
    let skipped = leave_out(&mut cases, &args.peer);
    let mut report = Report::new(args.json, seed, &pace, &cases, &skipped);
    for case in &cases {
        // Quick measures several rows at once; otherwise each has the machine for itself.
        let batches = if args.quick {
            case.together()
        } else {
            case.rows.iter().map(|row| vec![*row]).collect()
        };
        for rows in &batches {
            report.progress(case, rows);
            report.add(measure(case, rows, &pace, seed)?);
        }
    }
    if wanted(cold_start::NAME)
        && (args.peer.is_empty() || args.peer.iter().any(|peer| peer == "longrein"))
    {
        report.add_cold_start(&cold_start::measure(seed)?);
    }
    report.end();
    if let Some(file) = &args.svg {
        std::fs::write(file, plot::draw(report.figures()))?;
    }
    if let Some(file) = &args.report {
        report.write_into(file)?;
    }
    Ok(())
}

/// Takes out who is not wanted or not there; says who is not there.
fn leave_out(cases: &mut Vec<Case>, wanted: &[String]) -> Vec<String> {
    let mut skipped = Vec::new();
    for peer in Peer::OTHERS.into_iter().chain([Peer::Longrein]) {
        let is_used = cases
            .iter()
            .any(|case| case.rows.iter().any(|row| row.peer == peer));
        let is_wanted = wanted.is_empty() || wanted.iter().any(|slug| slug == peer.slug());
        let missing = if is_used && is_wanted {
            peer.missing()
        } else {
            None
        };
        if !is_wanted || missing.is_some() {
            cases
                .iter_mut()
                .for_each(|case| case.rows.retain(|row| row.peer != peer));
        }
        skipped.extend(missing.map(|why| format!("SKIPPED {}: {why}", peer.name())));
    }
    cases.retain(|case| !case.rows.is_empty());
    skipped
}

/// Runs a program of a peer that the benchmark brings itself.
pub fn run_peer(args: &PeerArgs) -> anyhow::Result<()> {
    let PeerArgs {
        role,
        address,
        name,
        papers,
    } = args;
    let papers = papers.clone().unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match role.as_str() {
        "nats-vehicle" => nats::vehicle(*address, name),
        "nats-controller" => nats::controller(*address, name),
        "quinn-relay" => runtime.block_on(quinn_datagrams::relay(*address, name, &papers)),
        "quinn-vehicle" => runtime.block_on(quinn_datagrams::vehicle(*address, name, &papers)),
        "quinn-controller" => {
            runtime.block_on(quinn_datagrams::controller(*address, name, &papers))
        }
        role => anyhow::bail!("no role {role}"),
    }
}

/// Waits until a server listens on a node.
fn wait_for_port(node: &Node, address: SocketAddr) -> anyhow::Result<()> {
    let began = Instant::now();
    node.enter(|| {
        while TcpStream::connect(address).is_err() {
            anyhow::ensure!(began.elapsed() < READY_MAX, "nobody listens at {address}");
            sleep(Duration::from_millis(10));
        }
        Ok(())
    })
}

/// Ten cases in less than 8 minutes.
const QUICK: Pace = Pace {
    pairs: 8,
    patience: Duration::from_secs(5),
    messages: 2_000,
    latest_span: Duration::from_secs(8),
    drain: Duration::from_secs(5),
};
/// Long enough for a p99.9 at 50 messages a second.
const WHOLE: Pace = Pace {
    pairs: 8,
    patience: Duration::from_secs(60),
    messages: 2_000,
    latest_span: Duration::from_secs(30),
    drain: Duration::from_secs(10),
};
/// For a server to listen.
const READY_MAX: Duration = Duration::from_secs(10);
