//! `longrein reset`: the end of an emergency stop.

use longrein_proto::base::Name;
use serde_json::json;

use super::connection::ConnectionArgs;
use super::failure::Failure;
use super::{output, run};

/// Clear the emergency stop of a vehicle
///
/// The vehicle does not move by itself afterwards: motion needs a lease, a dead-man and an explicit resume. Clears only the
/// stop that is latched when the vehicle is asked; one that comes later stays.
#[derive(Debug, clap::Args)]
#[command(
    after_help = after_help!("Example: longrein reset truck-17 --identity harbour/controller-alice \
                        --relay relay-a=192.0.2.1:4433")
)]
pub struct ResetArgs {
    /// The vehicle, by the name of its agent
    pub vehicle: Name,

    /// Print one JSON object: the vehicle's new stop generation
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Clears the stop that is latched now.
///
/// # Errors
/// When the vehicle is not reached, or another stop comes in between.
pub fn run(args: &ResetArgs) -> Result<(), Failure> {
    run::brief(|| async {
        let connection = args.connection.connect().await?;
        let what = format!("opening a session with {}", args.vehicle);
        let vehicle = run::patiently(&what, connection.open(&args.vehicle)).await?;
        let was_stopped = vehicle.status().await?.beat.stopped;
        let generation = vehicle.reset_stop().await?;
        run::farewell(connection).await;
        let line = if args.json {
            let vehicle = args.vehicle.as_str();
            json!({ "vehicle": vehicle, "was_stopped": was_stopped, "generation": generation })
                .to_string()
        } else if was_stopped {
            format!("{}: stop cleared (generation {generation})", args.vehicle)
        } else {
            format!("{}: was not stopped", args.vehicle)
        };
        output::print([line])?;
        Ok(())
    })
}
