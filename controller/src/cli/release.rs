//! `longrein release`: gives a lease back.

use longrein_io::exit::Exit;
use longrein_proto::base::{FencingToken, Name, NodeName, Refusal};
use longrein_proto::role::VehicleStatus;
use serde_json::json;

use super::connection::ConnectionArgs;
use super::failure::Failure;
use super::{output, run};
use crate::{RequestError, Vehicle};

/// Give back the lease of a function that another program of yours holds
///
/// For a program that was left running elsewhere with the same identity: its lease ends at once, and another operator can
/// take it. A `longrein drive` takes it again only when its operator resumes; a `longrein tunnel` takes it again by itself.
/// A program that has ended needs no release: its lease lapses within half a second. The lease of another identity cannot be
/// given back.
#[derive(Debug, clap::Args)]
#[command(
    after_help = after_help!("Example: longrein release truck-17 --function drive --identity harbour/controller-alice \
                        --relay relay-a=192.0.2.1:4433")
)]
pub struct ReleaseArgs {
    /// The vehicle, by the name of its agent
    pub vehicle: Name,

    /// The function
    #[arg(long, value_name = "FUNCTION", default_value = "drive")]
    pub function: Name,

    /// Print one JSON object: whether a lease was given back
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Gives the lease back, if this identity holds it.
///
/// # Errors
/// When the vehicle is not reached, or another identity holds the lease.
pub fn run(args: &ReleaseArgs) -> Result<(), Failure> {
    run::brief(|| async {
        let connection = args.connection.connect().await?;
        let what = format!("opening a session with {}", args.vehicle);
        let vehicle = run::patiently(&what, connection.open(&args.vehicle)).await?;
        let me = connection.me().clone();
        let released = release(&vehicle, &args.function, &me).await?;
        run::farewell(connection).await;
        let (vehicle, function) = (args.vehicle.as_str(), args.function.as_str());
        let line = if args.json {
            json!({ "vehicle": vehicle, "function": function, "released": released }).to_string()
        } else if released {
            format!("{vehicle}: {function} is released")
        } else {
            format!("{vehicle}: nobody holds {function}")
        };
        output::print([line])?;
        Ok(())
    })
}

async fn release(vehicle: &Vehicle, function: &Name, me: &NodeName) -> Result<bool, Failure> {
    let status = vehicle.status().await?;
    let functions = vehicle.description().functions;
    let place = functions.iter().position(|known| known.name == *function);
    let Some(place) = place else {
        let known = functions.into_iter().map(|known| known.name).collect();
        let function = function.clone();
        return Err(RequestError::NoSuchFunction { function, known }.into());
    };
    match holding(&status, place) {
        None => Ok(false),
        Some((holder, _)) if holder != me => {
            let why = RequestError::Refused(Refusal::HeldBy(holder.clone()));
            Err(why.into())
        }
        Some((_, token)) => match vehicle.release_other(function, token).await {
            Ok(()) => Ok(true),
            Err(RequestError::Refused(_)) => Err(Failure::new(
                Exit::Refused,
                "the lease changed hands in between: try again",
            )),
            Err(why) => Err(why.into()),
        },
    }
}

/// Who holds a function, and under which token.
fn holding(status: &VehicleStatus, place: usize) -> Option<(&NodeName, FencingToken)> {
    let report = status.beat.functions.get(place)?;
    Some((report.holder.as_ref()?, report.token))
}
