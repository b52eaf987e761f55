//! Question: how long from a controller's call until a command takes effect at the vehicle, through one relay on this
//! machine, compared with a raw UDP forwarder in the same run?

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use longrein::demo::{AppliedCommand, AppliedLines};
use longrein::local_fleet::{LocalFleet, Plan};
use longrein::{Body, Class, Connection, Order};
use longrein_io::{clock, runtime};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::raw::Raw;
use super::spread::Spread;

#[derive(Debug, clap::Args)]
pub struct LatencyArgs {
    /// Two runs of 2 s instead of five of 10 s
    #[arg(long)]
    quick: bool,
    /// One JSON object a line on stdout
    #[arg(long)]
    json: bool,
    /// Commands a second; the targets are for 100
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=500))]
    rate_hz: u64,
    /// Keeps the controller's connection up by a thread of its own instead of the caller's
    #[arg(long)]
    own_thread: bool,
}

/// One run.
struct Run {
    longrein: Spread,
    /// The parts of it: in the controller, on both legs with the relay, in the agent.
    parts: [Spread; 3],
    raw: Spread,
}

pub fn run(args: &LatencyArgs) -> anyhow::Result<()> {
    let (runs, span) = if args.quick {
        (2, Duration::from_secs(2))
    } else {
        (5, Duration::from_secs(10))
    };
    let keeper = if args.own_thread {
        "a thread of its own"
    } else {
        "the caller's thread"
    };
    eprintln!(
        "Question: how long from a controller's call until a command takes effect at the vehicle, through one relay?\n\
         Method: relay, agent and controller are processes on this machine, joined by loopback. {} commands of \
         {BYTES} bytes a second, class latest, sealed; from just before the library's call, whose connection is kept up by \
         {keeper}, to the agent's control thread, both on CLOCK_BOOTTIME. Beside it, alternating: a datagram of {BYTES} \
         bytes through a forwarder process that only receives and sends. {runs} runs of {} s; best {} of {runs} count.\n",
        args.rate_hz,
        span.as_secs(),
        best_of(runs),
    );
    let mut results = Vec::new();
    for number in 1..=runs {
        let result = runtime::run(|| measure(span, args))??;
        if args.json {
            let line = serde_json::json!({"run": number, "longrein": result.longrein.json(), "raw_udp": result.raw.json()});
            println!("{line}");
        } else {
            println!("run {number}\n{}", Spread::head());
            println!("{}", result.longrein.row("longrein, one relay"));
            for (part, name) in result.parts.iter().zip(PARTS) {
                println!("{}", part.row(name));
            }
            println!("{}", result.raw.row("raw UDP forwarder"));
        }
        results.push(result);
    }
    results.sort_by_key(|run| run.longrein.p99);
    results.truncate(best_of(runs));
    let ratio = |run: &Run| run.longrein.p50 as f64 / run.raw.p50.max(1) as f64;
    let worst_ratio = results.iter().map(ratio).fold(0.0, f64::max);
    let worst_p99 = results
        .iter()
        .map(|run| run.longrein.p99)
        .max()
        .unwrap_or_default();
    let longrein = Spread::median(&results.iter().map(|run| run.longrein).collect::<Vec<_>>());
    let raw = Spread::median(&results.iter().map(|run| run.raw).collect::<Vec<_>>());
    let holds = worst_ratio <= RATIO_MAX && worst_p99 < P99_MAX_US;
    if args.json {
        println!(
            "{}",
            serde_json::json!({
                "best_of": best_of(runs), "longrein": longrein.json(), "raw_udp": raw.json(),
                "worst_p50_ratio": worst_ratio, "worst_p99_us": worst_p99, "holds": holds,
            })
        );
    } else {
        println!("\nmedian of the best {}\n{}", best_of(runs), Spread::head());
        println!(
            "{}\n{}",
            longrein.row("longrein, one relay"),
            raw.row("raw UDP forwarder")
        );
        println!(
            "\nworst of these: p50 {worst_ratio:.2} times raw UDP (target {RATIO_MAX}), p99 {worst_p99} µs (target {P99_MAX_US}): {}",
            if holds { "holds" } else { "does not hold" }
        );
    }
    Ok(())
}

async fn measure(span: Duration, args: &LatencyArgs) -> anyhow::Result<Run> {
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
    let settings = longrein::demo::settings(&fleet)?;
    let connection = if args.own_thread {
        Connection::connect(settings).await?
    } else {
        Connection::connect_local(settings).await?
    };
    let vehicle = connection.open(&"truck-17".parse()?).await?;
    let lease = vehicle.take(&"probe".parse()?).await?;
    let raw_delays = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&raw_delays);
    let raw = Raw::start(move |delay_us| {
        noted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(delay_us)
    })?;

    let mut sent = BTreeMap::new();
    let mut ticks = interval(Duration::from_micros(1_000_000 / args.rate_hz / 2));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let count = usize::try_from(span.as_secs() * args.rate_hz)?;
    for _ in 0..WARM_UP + count {
        // The two alternate, half a period apart, so that neither wakes the other's threads.
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
        let number = lease.send(order).await?;
        sent.insert(number, began);
        ticks.tick().await;
        raw.send(BYTES)?;
    }
    sleep(Duration::from_millis(300)).await;
    drop(raw);
    lease.release().await?;
    connection.close().await;
    fleet.stop_agent()?;
    let applied = AppliedLines::read(&fleet.applied_log())?;
    let warm = |number: &u64| {
        sent.keys()
            .nth(WARM_UP)
            .is_some_and(|first| number >= first)
    };
    let measured: Vec<(u64, &AppliedCommand)> = applied
        .commands
        .iter()
        .filter(|command| warm(&command.number))
        .filter_map(|command| Some((*sent.get(&command.number)?, command)))
        .collect();
    let spread = |part: fn(u64, &AppliedCommand) -> Option<u64>| {
        Spread::of(
            measured
                .iter()
                .filter_map(|(began, command)| part(*began, command))
                .collect(),
        )
    };
    let parts = [
        spread(|began, command| Some(command.sent_there_us?.saturating_sub(began))),
        spread(|_, command| {
            Some(
                command
                    .received_at_us?
                    .saturating_sub(command.sent_there_us?),
            )
        }),
        spread(|_, command| {
            Some(
                command
                    .applied_at_us
                    .saturating_sub(command.received_at_us?),
            )
        }),
    ];
    let raw_delays = raw_delays.lock().unwrap_or_else(PoisonError::into_inner);
    let raw_delays = raw_delays.get(WARM_UP..).unwrap_or_default().to_vec();
    Ok(Run {
        longrein: spread(|began, command| Some(command.applied_at_us.saturating_sub(began))),
        parts,
        raw: Spread::of(raw_delays),
    })
}

/// Names of a run's parts.
const PARTS: [&str; 3] = [
    "  in the controller",
    "  both legs and the relay",
    "  in the agent",
];

/// Runs that count: all but the worst.
const fn best_of(runs: usize) -> usize {
    if runs > 1 { runs - 1 } else { runs }
}

const BYTES: usize = 100;
/// Commands before the measurement: caches, branch predictors, first estimates.
const WARM_UP: usize = 100;
const RATIO_MAX: f64 = 2.5;
const P99_MAX_US: u64 = 1_000;
