//! `longrein demo`: a whole fleet on this machine.

use std::time::Duration;

use longrein_io::exit::Exit;
use tokio::time::sleep;

use super::claim_args::ClaimArgs;
use super::connection::{ConnectionArgs, RelayAddress};
use super::failure::Failure;
use super::run::{or_signal, steady};
use super::{drive, output};
use crate::demo::{self, DemoError};
use crate::local_fleet::{LocalFleet, LocalFleetError, LocalRelay, Plan};

/// Start a fleet on this machine, drive it through the loss of a relay and of a link, and count
///
/// Starts two relays and an agent with two links and a simulated vehicle, drives a figure of eight for 20 s with a command
/// every 20 ms, kills one relay after 7 s and cuts one link after 13 s, and reports what was sent, applied, superseded, lost
/// and late, the longest gap, and the delay by leg and by path. Exit code 0 only if no command was lost. Everything that it
/// started is gone at the end, also on Ctrl-C.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Drive by keyboard instead, as with `longrein drive`
    #[arg(long, conflicts_with = "json")]
    pub keys: bool,

    /// End with one JSON object on the last line of stdout
    #[arg(long)]
    pub json: bool,
}

/// Runs the demo.
///
/// # Errors
/// It could not be carried out, or its promise does not hold.
pub fn run(args: &DemoArgs) -> Result<(), Failure> {
    let plan = Plan::demo(Plan::sibling_programs()?);
    if args.keys {
        return by_hand(plan);
    }
    steady(|mut shutdown| async move {
        let drive = demo::run(plan, |line| eprintln!("{line}"));
        let report = match or_signal(&mut shutdown, drive).await? {
            Ok(report) => report,
            // Ctrl-C goes to the demo's programs too, and their end may be seen first.
            Err(error) => {
                or_signal(&mut shutdown, sleep(SIGNAL_MAX)).await?;
                return Err(error.into());
            }
        };
        eprint!("\n{}", report.text());
        if args.json {
            let line = serde_json::to_string(&report);
            output::print([line.map_err(|error| Failure::new(Exit::Failed, error))?])?;
        }
        if report.holds() {
            Ok(())
        } else {
            Err(Failure::new(
                Exit::Failed,
                "the promise does not hold: a command was lost, late or applied twice",
            ))
        }
    })
}

/// The same fleet, driven by the keyboard until the operator ends it.
fn by_hand(plan: Plan) -> Result<(), Failure> {
    let fleet = LocalFleet::start(plan)?;
    let settings = demo::settings(&fleet)?;
    drive::run(drive::DriveArgs {
        claim: ClaimArgs::default(),
        vehicle: demo::vehicle()?,
        function: demo::function()?,
        input: None,
        gamepad: None,
        speed_max_mm_s: 2_000,
        curvature_max_per_km: 200,
        ttl_ms: 200,
        json: false,
        connection: ConnectionArgs {
            identity: Some(settings.identity),
            relays: fleet.relays().iter().filter_map(relay).collect(),
            dictionaries: Vec::new(),
            config: None,
        },
    })
}

fn relay(relay: &LocalRelay) -> Option<RelayAddress> {
    Some(RelayAddress {
        name: relay.name.parse().ok()?,
        host: relay.address.ip().to_string(),
        port: relay.address.port(),
    })
}

/// How much later than its programs the demo may hear of a signal to all of them.
const SIGNAL_MAX: Duration = Duration::from_millis(50);

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Failure {
        Failure::new(Exit::Failed, error)
    }
}

impl From<LocalFleetError> for Failure {
    fn from(error: LocalFleetError) -> Failure {
        Failure::new(Exit::Failed, error)
    }
}
