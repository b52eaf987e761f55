//! Question: what does a link that comes and goes cost whoever drives, while another link stands?

use longrein::local_fleet::Plan;
use longrein_io::entropy::SystemEntropy;
use longrein_proto::base::Entropy;
use longrein_tests::Chance;
use longrein_tests::wan::{FlappedDrive, Flaps, Wan, WanFleet};

use super::spread::Spread;

#[derive(Debug, clap::Args)]
pub struct FlapArgs {
    /// Two runs of 15 s instead of five of 60 s
    #[arg(long)]
    quick: bool,
    /// One JSON object a line on stdout
    #[arg(long)]
    json: bool,
    /// Repeats the flaps of another run
    #[arg(long)]
    seed: Option<u64>,
}

pub fn run(args: &FlapArgs) -> anyhow::Result<()> {
    if let Some(missing) = Wan::missing() {
        anyhow::bail!("{missing}");
    }
    let seed = args.seed.unwrap_or_else(|| SystemEntropy::new().next_u64());
    let (runs, commands) = if args.quick { (2, 750) } else { (5, 3_000) };
    eprintln!(
        "Question: what does a link that comes and goes cost whoever drives, while another link stands?\n\
         Method: two relays, an agent with two links of 15 ms and a controller as programs in an emulated network; drive commands at \
         50 Hz; one link is set down, loses its address, is renumbered or is deleted and made anew, in any order, away for 10 ms and \
         there for 20 ms in the mean, after every tenth flap for 1.5 s. A gap is from one command that takes effect to the next. Beside \
         each run stands one without flaps. Seed {seed}.\n"
    );
    let mut kept = 0;
    for run in 0..runs {
        let seed = seed.wrapping_add(run);
        let calm = drive(seed, commands, 0)?;
        let flapped = drive(seed, commands, u64::MAX)?;
        kept += u64::from(keeps(&flapped));
        for (name, driven) in [("calm", &calm), ("flapping", &flapped)] {
            tell(args.json, run, seed, name, driven);
        }
    }
    let bound_ms = GAP_US_MAX / 1_000;
    eprintln!(
        "\nruns with no command lost and no gap above {bound_ms} ms: {kept} of {runs} (promised: all but one)"
    );
    anyhow::ensure!(kept + 1 >= runs, "the promise is not kept");
    Ok(())
}

fn drive(seed: u64, commands: usize, flaps: u64) -> anyhow::Result<FlappedDrive> {
    let mut plan = Plan::demo(Plan::sibling_programs()?);
    plan.controllers = vec!["desk".into()];
    let fleet = WanFleet::start_with_links(
        Wan::start(seed, &FlappedDrive::nodes())?,
        plan,
        FlappedDrive::LINKS,
    )?;
    let flaps = Flaps {
        interface: "wwan0".into(),
        chance: Chance::new(seed),
        count_max: flaps,
        long_stays: 0.1,
    };
    FlappedDrive::run(fleet, flaps, PATHS, move |sent, _| sent < commands)
}

fn keeps(driven: &FlappedDrive) -> bool {
    driven.lost() == 0 && driven.gaps_us().into_iter().all(|gap| gap <= GAP_US_MAX)
}

fn tell(json: bool, run: u64, seed: u64, name: &str, driven: &FlappedDrive) {
    let (gaps, delays) = (Spread::of(driven.gaps_us()), Spread::of(driven.delays_us()));
    let over_modem = driven
        .applied
        .iter()
        .filter(|command| command.link.as_deref() == Some("modem-wwan0"))
        .count();
    let FlappedDrive {
        sent,
        flaps,
        files,
        resident_kib,
        ..
    } = driven;
    let lost = driven.lost();
    if json {
        let object = serde_json::json!({
            "run": run, "seed": seed, "what": name, "sent": sent, "lost": lost, "flaps": flaps, "first_over_modem": over_modem,
            "gap": gaps.json(), "delay": delays.json(), "files": files, "resident_kib": resident_kib,
        });
        println!("{object}");
        return;
    }
    let slowest = driven.applied.iter().max_by_key(|command| {
        command
            .sent_there_us
            .map(|sent| command.applied_at_us - sent)
    });
    let leg = |us: Option<u64>| us.map_or("-".to_string(), |us| us.to_string());
    let slowest = slowest.map_or(String::new(), |command| {
        format!(
            "the slowest: controller {}, uplink {}, relay {}, downlink {} µs",
            leg(command.controller_us),
            leg(command.uplink_us),
            leg(command.relay_us),
            leg(command.downlink_us)
        )
    });
    println!(
        "run {run}, {name}: {sent} commands, {lost} lost, {flaps} flaps; {over_modem} came first over the link that flaps; files \
         {} -> {}, resident {} -> {} KiB; {slowest}\n{}\n{}\n{}",
        files.0,
        files.1,
        resident_kib.0,
        resident_kib.1,
        Spread::head(),
        gaps.row("gap"),
        delays.row("delay"),
    );
}

/// Two links to two relays.
const PATHS: usize = 4;
/// One period and 10 ms.
const GAP_US_MAX: u64 = 30_000;
