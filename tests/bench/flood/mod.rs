//! Question: what does a flood of strangers at the relay cost a vehicle that is being driven through it?

mod strangers;

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::Context;
use longrein::demo::AppliedLines;
use longrein::local_fleet::{LocalFleet, Plan};
use longrein::{Body, Class, Connection, Lease, Order};
use longrein_io::{clock, runtime};
use tokio::time::{MissedTickBehavior, interval, sleep};

use self::strangers::Strangers;
use super::spread::Spread;

#[derive(Debug, clap::Args)]
pub struct FloodArgs {
    /// Two runs of 4 s instead of five of 10 s
    #[arg(long)]
    quick: bool,
    /// One JSON object a line on stdout
    #[arg(long)]
    json: bool,
}

/// Where the strangers aim.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Aim {
    IdlePort,
    Relay,
}

pub fn run(args: &FloodArgs) -> anyhow::Result<()> {
    let (runs, turns) = if args.quick { (2, 2) } else { (5, 5) };
    let best = if runs > 2 { runs - 1 } else { runs };
    eprintln!(
        "Question: what does a flood of strangers at the relay cost a vehicle that is being driven through it?\n\
         Method: relay, agent and controller are processes on this machine, joined by loopback; {RATE_HZ} commands of {BYTES} \
         bytes a second, class latest, from the library's call to the agent's control thread. Strangers, in this process: \
         {}, all at the relay's port or, as control, at a port that nobody reads, {turns} times {} s each, in turns. {runs} runs; \
         best {best} count. Target: p99 below {RATIO_MAX} times that of its control.\n",
        strangers::LOAD,
        TURN.as_secs(),
    );
    let spreads = runtime::run(|| measure(runs, turns))??;
    let mut ratios = Vec::new();
    for (number, (control, flooded)) in (1..).zip(&spreads) {
        let ratio = flooded.p99 as f64 / control.p99.max(1) as f64;
        ratios.push(ratio);
        if args.json {
            let line = serde_json::json!({
                "run": number, "control": control.json(), "flood": flooded.json(), "p99_ratio": ratio,
            });
            println!("{line}");
        } else {
            println!("run {number}: p99 {ratio:.2} times\n{}", Spread::head());
            println!("{}", control.row("strangers at an idle port"));
            println!("{}", flooded.row("strangers at the relay"));
        }
    }
    ratios.sort_by(f64::total_cmp);
    ratios.truncate(best);
    let worst = ratios.last().copied().unwrap_or(f64::NAN);
    let sent = runs * turns * 2 * usize::try_from(TURN.as_secs() * RATE_HZ)?;
    let applied: usize = spreads
        .iter()
        .map(|(one, other)| one.count + other.count)
        .sum();
    let holds = worst < RATIO_MAX;
    if args.json {
        let line = serde_json::json!({
            "best_of": best, "worst_p99_ratio": worst, "sent": sent, "applied": applied, "holds": holds,
        });
        println!("{line}");
    } else {
        println!(
            "\nworst of the best {best}: p99 {worst:.2} times its control (target {RATIO_MAX}); {applied} of {sent} commands applied: {}",
            if holds { "holds" } else { "does not hold" }
        );
    }
    Ok(())
}

/// For each run the control and the flood, in turns of alternating order: whatever else the machine does meets both.
async fn measure(runs: usize, turns: usize) -> anyhow::Result<Vec<(Spread, Spread)>> {
    let device = UdpSocket::bind("127.0.0.1:0")?;
    let functions = format!(
        "[[function]]\nname = \"probe\"\nkind = \"opaque\"\nwatchdog = false\nadapter = {{ kind = \"udp\", send_to = \"{}\" }}\n",
        device.local_addr()?
    );
    let plan = Plan {
        relays: vec!["relay-a".into()],
        links: Vec::new(),
        functions,
        ..Plan::demo(Plan::sibling_programs()?)
    };
    let mut fleet = LocalFleet::start(plan)?;
    let relay = fleet.relays().first().context("one relay")?.address;
    // Bound and never read: what comes is dropped when its buffer is full.
    let idle = UdpSocket::bind("127.0.0.1:0")?;
    let connection = Connection::connect_local(longrein::demo::settings(&fleet)?).await?;
    let vehicle = connection.open(&"truck-17".parse()?).await?;
    let lease = vehicle.take(&"probe".parse()?).await?;
    let strangers = Strangers::new().await?;

    let mut sent = BTreeMap::new();
    drive(&lease, Duration::from_secs(1), |_, _| {}).await?;
    let mut aims = [(Aim::IdlePort, idle.local_addr()?), (Aim::Relay, relay)];
    for run in 0..runs {
        for _ in 0..turns {
            for (aim, address) in aims {
                flood(&lease, &strangers, address, |number, began| {
                    sent.insert(number, (run, aim, began));
                })
                .await?;
            }
            aims.reverse();
        }
    }
    sleep(Duration::from_millis(300)).await;
    lease.release().await?;
    connection.close().await;
    fleet.stop_agent()?;

    let mut delays: BTreeMap<(usize, Aim), Vec<u64>> = BTreeMap::new();
    for command in AppliedLines::read(&fleet.applied_log())?.commands {
        if let Some((run, aim, began)) = sent.get(&command.number) {
            let delay = command.applied_at_us.saturating_sub(*began);
            delays.entry((*run, *aim)).or_default().push(delay);
        }
    }
    let mut spread = |run, aim| Spread::of(delays.remove(&(run, aim)).unwrap_or_default());
    Ok((0..runs)
        .map(|run| (spread(run, Aim::IdlePort), spread(run, Aim::Relay)))
        .collect())
}

/// Drives while strangers come, from a second after they began.
async fn flood(
    lease: &Lease,
    strangers: &Strangers,
    at: SocketAddr,
    note: impl FnMut(u64, u64),
) -> anyhow::Result<()> {
    let poured = strangers.pour(at);
    drive(lease, Duration::from_secs(1), |_, _| {}).await?;
    drive(lease, TURN, note).await?;
    poured.stop();
    sleep(Duration::from_millis(500)).await;
    Ok(())
}

async fn drive(
    lease: &Lease,
    span: Duration,
    mut note: impl FnMut(u64, u64),
) -> anyhow::Result<()> {
    let mut ticks = interval(Duration::from_micros(1_000_000 / RATE_HZ));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..span.as_secs() * RATE_HZ {
        ticks.tick().await;
        let began = clock::now().as_us();
        let order = Order {
            class: Class::Latest,
            ttl: Duration::from_millis(200),
            dead_man: true,
            resume: false,
            application_id: None,
            picture_age: None,
            body: Body::Opaque(vec![7; BYTES]),
        };
        note(lease.send(order).await?, began);
    }
    Ok(())
}

/// How long the strangers go on at one place.
const TURN: Duration = Duration::from_secs(2);
const BYTES: usize = 100;
const RATE_HZ: u64 = 100;
const RATIO_MAX: f64 = 2.0;
