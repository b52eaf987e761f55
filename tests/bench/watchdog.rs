//! Question: how long after the last valid command is each stage entered, when all controllers are killed?

use std::process::{Command, Stdio};
use std::time::Duration;

use longrein::demo::AppliedLines;
use longrein::local_fleet::{LocalFleet, Plan};
use longrein::{Connection, Drive};
use longrein_proto::base::NodeKind;

#[derive(Debug, clap::Args)]
pub struct WatchdogArgs {
    /// Two rounds instead of ten
    #[arg(long)]
    quick: bool,
    /// One JSON object a line on stdout
    #[arg(long)]
    json: bool,
    /// The controller that is killed; started by the benchmark
    #[arg(long, hide = true, num_args = 3)]
    drive_until_killed: Option<Vec<String>>,
}

pub fn run(args: &WatchdogArgs) -> anyhow::Result<()> {
    if let Some(drive) = &args.drive_until_killed {
        let [identity, relay, address] = drive.as_slice() else {
            anyhow::bail!("three values are needed")
        };
        return drive_until_killed(identity, relay, address);
    }
    let rounds = if args.quick { 2 } else { 10 };
    eprintln!(
        "Question: how long after the last valid command is each stage entered, when all controllers are killed?\n\
         Method: a controller process drives at 50 Hz for about 1 s and is killed with SIGKILL; times are the agent's own \
         (CLOCK_BOOTTIME), from its applied log. Limits: Hold 200 ms, Ramp 500 ms, MinimalRisk 1,500 ms, each and one tick of \
         10 ms. {rounds} rounds.\n"
    );
    let mut worst = [0_u64; 3];
    let mut holds = true;
    for round in 1..=rounds {
        let delays = measure()?;
        for ((worst, delay), (_, limit_ms)) in worst.iter_mut().zip(delays).zip(STAGES) {
            *worst = (*worst).max(delay);
            holds &= (limit_ms * 1_000..=(limit_ms + TICK_MS) * 1_000).contains(&delay);
        }
        let [hold, ramp, minimal_risk] = delays;
        if args.json {
            println!(
                "{}",
                serde_json::json!({"round": round, "hold_us": hold, "ramp_us": ramp, "minimal_risk_us": minimal_risk})
            );
        } else {
            println!(
                "round {round}: Hold {hold} µs, Ramp {ramp} µs, MinimalRisk {minimal_risk} µs"
            );
        }
    }
    let [hold, ramp, minimal_risk] = worst;
    if args.json {
        println!(
            "{}",
            serde_json::json!({"max_hold_us": hold, "max_ramp_us": ramp, "max_minimal_risk_us": minimal_risk, "holds": holds})
        );
    } else {
        println!(
            "\nlatest: Hold {hold} µs, Ramp {ramp} µs, MinimalRisk {minimal_risk} µs: {}",
            if holds { "holds" } else { "does not hold" }
        );
    }
    Ok(())
}

/// Time from the last applied command to each stage.
fn measure() -> anyhow::Result<[u64; 3]> {
    let plan = Plan {
        links: Vec::new(),
        ..Plan::demo(Plan::sibling_programs()?)
    };
    let fleet = LocalFleet::start(plan)?;
    let identity = fleet.identity(NodeKind::Controller, "desk")?;
    let relay = fleet
        .relays()
        .first()
        .map(|relay| (relay.name.clone(), relay.address.to_string()));
    let (relay, address) = relay.unwrap_or_default();
    let mut controller = Command::new(std::env::current_exe()?)
        .args(["watchdog", "--drive-until-killed"])
        .arg(identity)
        .args([relay, address])
        .stdout(Stdio::null())
        .spawn()?;
    let driven = wait_for(&fleet, |lines| lines.commands.len() >= 50);
    controller.kill()?;
    controller.wait()?;
    anyhow::ensure!(driven, "the controller does not drive");
    let stopped = wait_for(&fleet, |lines| {
        lines
            .stages
            .last()
            .is_some_and(|stage| stage.stage == "MinimalRisk")
    });
    anyhow::ensure!(stopped, "the vehicle does not stop");
    let lines = AppliedLines::read(&fleet.applied_log())?;
    let last = lines
        .commands
        .last()
        .map_or(0, |command| command.applied_at_us);
    let mut delays = [0; 3];
    let entered = lines.stages.iter().rev().take(3).rev();
    for ((delay, (name, _)), stage) in delays.iter_mut().zip(STAGES).zip(entered) {
        anyhow::ensure!(stage.stage == name, "{} instead of {name}", stage.stage);
        *delay = stage.at_us.saturating_sub(last);
    }
    Ok(delays)
}

fn wait_for(fleet: &LocalFleet, mut holds: impl FnMut(&AppliedLines) -> bool) -> bool {
    for _ in 0..1_000 {
        if AppliedLines::read(&fleet.applied_log()).is_ok_and(|lines| holds(&lines)) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn drive_until_killed(identity: &str, relay: &str, address: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let settings = longrein::Settings::new(identity).relay(relay.parse()?, address);
        let connection = Connection::connect(settings).await?;
        let vehicle = connection.open(&"truck-17".parse()?).await?;
        let lease = vehicle.take(&"drive".parse()?).await?;
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        // It ends by itself if nobody kills it.
        for tick in 0..1_500 {
            ticks.tick().await;
            let drive = Drive {
                speed_mm_s: if tick == 0 { 0 } else { 1_000 },
                curvature_per_km: 0,
            };
            lease.drive(drive, true, tick == 0).await?;
        }
        anyhow::Ok(())
    })
}

/// The stages and their limits.
const STAGES: [(&str, u64); 3] = [("Hold", 200), ("Ramp", 500), ("MinimalRisk", 1_500)];
const TICK_MS: u64 = 10;
