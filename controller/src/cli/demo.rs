//! `longrein demo`: a whole fleet on this machine.

use longrein_io::exit::Exit;
use longrein_io::shutdown::Shutdown;

use super::output;
use crate::demo;
use crate::local_fleet::Plan;

/// Start a fleet on this machine, drive it through the loss of a relay and of a link, and count
///
/// Starts two relays and an agent with two links and a simulated vehicle, drives a figure of eight for 20 s with a command
/// every 20 ms, kills one relay after 7 s and cuts one link after 13 s, and reports what was sent, applied, superseded, lost
/// and late, the longest gap, and the delay by leg and by path. Exit code 0 only if no command was lost. Everything that it
/// started is gone at the end, also on Ctrl-C.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Drive by keyboard instead, as with `longrein drive`
    #[arg(long)]
    pub keys: bool,

    /// End with one JSON object on the last line of stdout
    #[arg(long)]
    pub json: bool,
}

/// Runs the demo.
///
/// # Errors
/// It could not be carried out.
pub fn run(args: &DemoArgs) -> anyhow::Result<Exit> {
    let plan = Plan::demo(Plan::sibling_programs()?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(async {
        let mut shutdown = Shutdown::new()?;
        let progress = |line: &str| eprintln!("{line}");
        tokio::select! {
            report = demo::run(plan, progress) => Ok::<_, anyhow::Error>(Some(report?)),
            _ = shutdown.wait() => Ok(None),
        }
    })?;
    let Some(report) = report else {
        eprintln!("interrupted: everything that was started is ended");
        return Ok(Exit::Failed);
    };
    eprint!("\n{}", report.text());
    if args.json {
        output::print([serde_json::to_string(&report)?])?;
    }
    Ok(if report.holds() {
        Exit::Done
    } else {
        Exit::Failed
    })
}
