//! Question: how fast and how sure is the hub, and what does it cost whoever drives beside it?

mod fleet;
mod member;
mod room;

use std::time::Duration;

use anyhow::Context;
use longrein_io::runtime;
use longrein_proto::base::Class;

use self::fleet::Hub;
use self::room::{Load, RoomFigures, broadcast};

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
}

pub fn run(args: &HubArgs) -> anyhow::Result<()> {
    eprintln!(
        "Question: how fast and how sure is the hub, and what does it cost whoever drives beside it?\n\
         Method: one relay's process with `[hub]` (SQLite, sync full, in a temporary folder) and nodes in this process, joined by loopback: real \
         QUIC connections, one each. Delays are from the call in the sender to the call in the reader, by one clock. Processor time is the \
         relay's alone (proc(5), stat).\n"
    );
    raise_file_limit();
    let wanted = |case: &str| args.only.as_deref().is_none_or(|only| case.contains(only));
    let span = Duration::from_secs(if args.quick { 5 } else { 10 });
    let tell = |case: &str, figures: &RoomFigures| {
        if args.json {
            println!("{}", figures.json(case));
        } else {
            println!("{}", figures.row(case));
        }
    };
    for (case, load) in room_cases(span) {
        if !wanted(case) {
            continue;
        }
        let runs = if args.quick { 1 } else { 5 };
        for _ in 0..runs {
            let figures = runtime::run(async || {
                let nodes = load.rooms.saturating_mul(load.members).min(NODES_MAX);
                let hub = Hub::start(nodes, "").await?;
                let nodes = hub.connect_all(nodes).await?;
                let figures = broadcast(&hub, &nodes, load).await;
                anyhow::Ok(figures.with_context(|| hub.relay.log())?)
            })??;
            tell(case, &figures);
        }
    }
    Ok(())
}

fn room_cases(span: Duration) -> Vec<(&'static str, Load)> {
    let load = |rooms, members, messages_per_s, class| Load {
        rooms,
        members,
        messages_per_s,
        class,
        span,
    };
    vec![
        ("room-10", load(1, 10, 100, Class::Reliable)),
        ("room-100", load(1, 100, 100, Class::Reliable)),
        ("room-1000", load(1, 1_000, 10, Class::Reliable)),
        ("room-1000-20000", load(1, 1_000, 20, Class::Reliable)),
        ("room-1000-unordered", load(1, 1_000, 20, Class::Unordered)),
        ("rooms-10000", load(10_000, 3, 1_000, Class::Reliable)),
    ]
}

/// Processor time of a process, user and system, in µs (proc(5): fields 14 and 15, in ticks of 10 ms).
fn processor_us(process: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("a process has a name")?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: Result<Vec<u64>, _> = ticks.map(str::parse).collect();
    Ok(ticks?.iter().sum::<u64>() * 10_000)
}

/// Each node has a socket and a timer.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if setrlimit(Resource::Nofile, limit).is_err() {
        eprintln!("The limit of open files stays as it is.");
    }
}

/// Nodes of one case; each is in as many rooms as it takes.
const NODES_MAX: usize = 1_000;
