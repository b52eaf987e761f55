//! Question: what does an agent cost the small device that it is on, while nobody drives?

use std::time::{Duration, Instant};

use longrein::local_fleet::{LocalFleet, Plan};

#[derive(Debug, clap::Args)]
pub struct IdleArgs {
    /// Spans of 3 s instead of 12 s
    #[arg(long)]
    quick: bool,
    /// One JSON object a line on stdout
    #[arg(long)]
    json: bool,
}

pub fn run(args: &IdleArgs) -> anyhow::Result<()> {
    let span = Duration::from_secs(if args.quick { 3 } else { 12 });
    eprintln!(
        "Question: what does an agent cost the small device that it is on, while nobody drives?\n\
         Method: two relays and an agent with two links as programs on this machine, a vehicle that is simulated, four paths up for 5 s \
         before. In each of {SPANS} spans of {} s the processor time of all the agent's threads is read from the scheduler, in ns, and that \
         of a thread beside it which does nothing but wake up every 10 ms, as the watchdog has to. Resident memory is read after each.\n",
        span.as_secs()
    );
    let plan = Plan::demo(Plan::sibling_programs()?);
    let file = plan.programs.join("longrein-agent");
    let file_bytes = std::fs::metadata(file)?.len();
    let mut fleet = LocalFleet::start(plan)?;
    let agent = fleet.agent().expect("it was started").id();
    std::thread::sleep(Duration::from_secs(5));
    let mut spans = Vec::new();
    for number in 0..SPANS {
        let one = measure(agent, span)?;
        if args.json {
            let object = serde_json::json!({
                "span": number, "agent_percent": one.agent_percent, "waking_percent": one.waking_percent,
                "resident_kib": one.resident_kib, "file_bytes": file_bytes,
            });
            println!("{object}");
        } else {
            println!(
                "span {number}: agent {:.2} % of a core, waking up alone {:.2} %; resident {} KiB",
                one.agent_percent, one.waking_percent, one.resident_kib
            );
        }
        spans.push(one);
    }
    let kept = spans.iter().filter(|span| span.keeps()).count();
    eprintln!(
        "\nthe program's file: {file_bytes} bytes (promised: at most {FILE_BYTES_MAX})\n\
         spans with less than {PERCENT_MAX} % of a core and at most {RESIDENT_KIB_MAX} KiB: {kept} of {SPANS} (promised: all but one)"
    );
    anyhow::ensure!(
        kept + 1 >= SPANS && file_bytes <= FILE_BYTES_MAX,
        "the promise is not kept"
    );
    Ok(())
}

struct Span {
    agent_percent: f64,
    waking_percent: f64,
    resident_kib: u64,
}

impl Span {
    fn keeps(&self) -> bool {
        self.agent_percent < PERCENT_MAX && self.resident_kib <= RESIDENT_KIB_MAX
    }
}

fn measure(agent: u32, span: Duration) -> anyhow::Result<Span> {
    let before = on_processor(&format!("/proc/{agent}/task"))?;
    let waking = std::thread::spawn(move || {
        let began = Instant::now();
        while began.elapsed() < span {
            std::thread::sleep(TICK);
        }
        nanoseconds("/proc/thread-self/schedstat")
    });
    let waking = waking.join().expect("it only sleeps")?;
    let after = on_processor(&format!("/proc/{agent}/task"))?;
    let percent = |time: Duration| 100.0 * time.as_secs_f64() / span.as_secs_f64();
    Ok(Span {
        agent_percent: percent(after - before),
        waking_percent: percent(waking),
        resident_kib: longrein_tests::wan::resident_kib(agent)?,
    })
}

/// What all threads of a process have had of processors.
fn on_processor(tasks: &str) -> anyhow::Result<Duration> {
    let mut all = Duration::ZERO;
    for task in std::fs::read_dir(tasks)? {
        all += nanoseconds(&format!("{}/schedstat", task?.path().display()))?;
    }
    Ok(all)
}

fn nanoseconds(file: &str) -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string(file)?;
    let first = text.split_whitespace().next().unwrap_or_default();
    Ok(Duration::from_nanos(first.parse()?))
}

/// Best 4 of 5 count.
const SPANS: usize = 5;
/// The watchdog's tick.
const TICK: Duration = Duration::from_millis(10);
/// Of one core.
const PERCENT_MAX: f64 = 1.0;
/// 12 MB.
const RESIDENT_KIB_MAX: u64 = 12_000_000 / 1_024;
/// 6 MB.
const FILE_BYTES_MAX: u64 = 6_000_000;
