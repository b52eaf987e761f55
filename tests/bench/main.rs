//! Benchmarks: each states its question, prints its method, and measures a raw control in the same run.

mod compress;
mod flap;
mod flood;
mod hub;
mod idle;
mod latency;
mod process;
mod raw;
mod redundancy;
mod relay;
mod spread;
mod wan;
mod watchdog;
mod weak;

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
    /// How soon and how surely messages arrive over a bad network, and for how many bytes, on virtual time
    Redundancy(redundancy::RedundancyArgs),
    /// What compression saves of telemetry and MAVLink frames, and what time it takes
    Compress(compress::CompressArgs),
    /// How soon each stage is entered after all controllers are killed
    Watchdog(watchdog::WatchdogArgs),
    /// What a flood of strangers at the relay costs a vehicle that is being driven through it
    Flood(flood::FloodArgs),
    /// What a link that comes and goes costs whoever drives over another one too; needs root
    Flap(flap::FlapArgs),
    /// What an agent costs its device while nobody drives: processor, memory, storage
    Idle(idle::IdleArgs),
    /// How exact the emulated wide-area network of the tests is; needs root
    Wan(wan::WanArgs),
    /// What a relay pays for a forwarded datagram and an idle connection, beside a plain quinn forwarder
    Relay(relay::RelayArgs),
    /// How fast and how sure rooms, presence and the HTTP API are, and what they cost whoever drives
    Hub(hub::HubArgs),
    /// Delivery and delay on weak networks, beside Mosquitto, NATS, zenoh and quinn; needs root
    Weak(weak::WeakArgs),
    /// A peer's program; started by the benchmark of weak networks
    #[command(hide = true)]
    WeakPeer(weak::PeerArgs),
    /// The forwarder that the latency benchmark compares with; started by it
    #[command(hide = true)]
    RawForwarder,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().what {
        What::Latency(args) => latency::run(&args),
        What::Compress(args) => compress::run(&args),
        What::Redundancy(args) => {
            redundancy::run(&args);
            Ok(())
        }
        What::Watchdog(args) => watchdog::run(&args),
        What::Flood(args) => flood::run(&args),
        What::Flap(args) => flap::run(&args),
        What::Idle(args) => idle::run(&args),
        What::Wan(args) => wan::run(&args),
        What::Relay(args) => relay::run(&args),
        What::Hub(args) => hub::run(&args),
        What::Weak(args) => weak::run(&args),
        What::WeakPeer(args) => weak::run_peer(&args),
        What::RawForwarder => raw::forward(),
    }
}
