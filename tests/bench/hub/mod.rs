//! Question: how fast and how sure is the hub, and what does it cost whoever drives beside it?

mod access;
mod crowd;
mod fleet;
mod http;
mod member;
mod pair;
mod poor_member;
mod room;
mod start_up;
mod throng;
mod verdict;

use std::time::Duration;

use anyhow::Context;
use longrein_io::runtime;
use longrein_proto::base::{Class, NodeKind};

use self::fleet::{Hub, names};
use self::poor_member::Way;
use self::room::{Load, RoomFigures, Targets, broadcast};
use self::verdict::Verdict;
use crate::process::raise_file_limit;

#[derive(Debug, clap::Args)]
pub struct HubArgs {
    /// One short run of each case instead of five
    #[arg(long)]
    quick: bool,
    /// One JSON object a line on stdout
    #[arg(long)]
    json: bool,
    /// Only cases whose names have this in them
    #[arg(long)]
    only: Option<String>,
    /// Chance of the losses
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub fn run(args: &HubArgs) -> anyhow::Result<()> {
    eprintln!(
        "Question: how fast and how sure is the hub, and what does it cost whoever drives beside it?\n\
         Method: one relay's process with `[hub]` (SQLite, sync full, in a temporary folder) and nodes in this process, joined by loopback: real \
         QUIC connections, one each. Delays are from the call in the sender to the call in the reader, by one clock. Processor time is the \
         relay's alone (proc(5), stat). room-*: one member of each room publishes in turn, 200 bytes. crowd: vehicles that say nothing but \
         heartbeats, at the relay of a pair that drives at {} Hz or, as control, at another relay of this machine; both with a churn. poor-*: one \
         of 50 reaches the relay over a forwarder that loses 80 % both ways. http: POST /v1/messages over kept connections, the relay on \
         one core. start: SIGKILL, then the time until a node has an answer.\n",
        1_000 / pair::PERIOD.as_millis(),
    );
    raise_file_limit();
    let mut failed = Vec::new();
    for case in cases(args) {
        if args
            .only
            .as_deref()
            .is_some_and(|only| !case.name.contains(only))
        {
            continue;
        }
        let (runs, needed) = if args.quick { (1, 1) } else { (RUNS, RUNS - 1) };
        let mut held = 0;
        for run in 1..=runs {
            let verdict = (case.run)(run)?;
            held += usize::from(verdict.holds());
            verdict.print(case.name, run, args.json);
        }
        if held < needed {
            failed.push(case.name);
        }
        if args.json {
            let line = serde_json::json!({ "case": case.name, "runs": runs, "held": held, "holds": held >= needed });
            println!("{line}");
        }
    }
    anyhow::ensure!(failed.is_empty(), "missed: {}", failed.join(", "));
    Ok(())
}

/// A case by its name, and what does one run of it.
struct Case<'a> {
    name: &'static str,
    run: Box<dyn Fn(usize) -> anyhow::Result<Verdict> + 'a>,
}

impl<'a> Case<'a> {
    fn new<F: Future<Output = anyhow::Result<Verdict>>>(
        name: &'static str,
        run: impl Fn(usize) -> F + 'a,
    ) -> Case<'a> {
        let run = Box::new(move |number| runtime::run(|| run(number))?);
        Case { name, run }
    }
}

fn cases(args: &HubArgs) -> Vec<Case<'_>> {
    let span = Duration::from_secs(if args.quick { 5 } else { 10 });
    let load = move |rooms, members, messages_per_s, class| Load {
        rooms,
        members,
        messages_per_s,
        class,
        span,
    };
    let rooms = |name, load: Load| {
        let targets = Targets::of(&load);
        Case::new(name, move |_| async move {
            Ok(run_rooms(load).await?.verdict(targets))
        })
    };
    let poor = |name, way| {
        Case::new(name, move |run| async move {
            let seed = args.seed + run as u64;
            Ok(poor_member::measure(way, span, seed).await?.verdict())
        })
    };
    let (vehicles, churned) = if args.quick {
        (1_000, 200)
    } else {
        (5_000, 1_000)
    };
    let messages = if args.quick { 100_000 } else { 1_000_000 };
    vec![
        rooms("room-10", load(1, 10, 100, Class::Reliable)),
        rooms("room-100", load(1, 100, 100, Class::Reliable)),
        rooms("room-1000", load(1, 1_000, 10, Class::Reliable)),
        rooms("room-1000-20000", load(1, 1_000, 20, Class::Reliable)),
        rooms("room-1000-unordered", load(1, 1_000, 20, Class::Unordered)),
        rooms("rooms-10000", load(10_000, 3, 1_000, Class::Reliable)),
        Case::new("flat", move |_| async move {
            let mut all = Vec::new();
            for members in [10, 100, 1_000] {
                let rooms = NODES_MAX / members;
                let messages_per_s = u32::try_from(rooms)? * 10;
                all.push(run_rooms(load(rooms, members, messages_per_s, Class::Reliable)).await?);
            }
            Ok(room::flatness(&all))
        }),
        poor("poor-room", Way::Room),
        poor("poor-batch", Way::Batch),
        Case::new("crowd", move |_| async move {
            Ok(crowd::measure(vehicles, churned, span).await?.verdict())
        }),
        Case::new("http", move |_| async move {
            Ok(http::measure(span).await?.verdict())
        }),
        Case::new("start", move |_| async move {
            Ok(start_up::measure(messages).await?.verdict())
        }),
    ]
}

async fn run_rooms(load: Load) -> anyhow::Result<RoomFigures> {
    let nodes = load.rooms.saturating_mul(load.members).min(NODES_MAX);
    let nodes = names(NodeKind::Controller, nodes)?;
    let hub = Hub::start(&nodes, "").await?;
    let nodes = hub.connect_all(&nodes).await?;
    let figures = broadcast(&hub, &nodes, load).await;
    figures.with_context(|| hub.relay.log())
}

const RUNS: usize = 5;
/// Nodes of one case of rooms; each is in as many rooms as it takes.
const NODES_MAX: usize = 1_000;
