//! Benchmarks: each states its question, prints its method, and measures a raw control in the same run.

mod latency;
mod raw;
mod spread;
mod wan;
mod watchdog;

use clap::{Parser, Subcommand};

/// Benchmarks of longrein, with real programs on this machine. Build in release mode: ./dev bench does.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// How long from a controller's call to the vehicle, through one relay, beside a raw UDP forwarder
    Latency(latency::LatencyArgs),
    /// How soon each stage is entered after all controllers are killed
    Watchdog(watchdog::WatchdogArgs),
    /// How exact the emulated wide-area network of the tests is; needs root
    Wan(wan::WanArgs),
    /// The forwarder that the latency benchmark compares with; started by it
    #[command(hide = true)]
    RawForwarder,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().what {
        What::Latency(args) => latency::run(&args),
        What::Watchdog(args) => watchdog::run(&args),
        What::Wan(args) => wan::run(&args),
        What::RawForwarder => raw::forward(),
    }
}
