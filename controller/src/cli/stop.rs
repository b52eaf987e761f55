//! `longrein stop`: emergency stop.

use std::time::{Duration, Instant};

use longrein_io::exit::Exit;
use longrein_proto::base::Name;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::connection::ConnectionArgs;
use super::failure::Failure;
use super::{output, run};
use crate::{Connection, StopError, Stopped};

/// Stop vehicles now and keep them stopped
///
/// Needs no lease, and stops what somebody else drives; the vehicle's policy says who may. The stop is repeated over all relays
/// until the vehicle confirms it. The vehicle stays stopped until `longrein reset`. The exit code is 0 only if every vehicle has
/// confirmed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = after_help!("Example: longrein stop truck-17 --identity harbour/controller-alice \
                        --relay relay-a=192.0.2.1:4433")
)]
pub struct StopArgs {
    /// The vehicles, by the names of their agents
    #[arg(
        required_unless_present_any = ["all", "group"],
        conflicts_with_all = ["all", "group"],
        value_name = "VEHICLE"
    )]
    pub vehicles: Vec<Name>,

    /// Stop every vehicle of the fleet that any relay sees
    #[arg(long, conflicts_with = "group")]
    pub all: bool,

    /// Stop every vehicle of this group that any relay sees; who is in it, the vehicles' certificates say
    #[arg(long, value_name = "NAME")]
    pub group: Option<Name>,

    /// How long to repeat the stop without a confirmation, in milliseconds; then the exit code is 5
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub timeout_ms: u32,

    /// Print one JSON object a line for each vehicle: whether it is stopped, its stop generation and the time until it
    /// confirmed
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Stops the vehicles and says what each of them answered.
///
/// # Errors
/// When no relay is reached, and when any vehicle does not confirm.
pub fn run(args: &StopArgs) -> Result<(), Failure> {
    run::brief(|| async {
        let patience = Duration::from_millis(args.timeout_ms.into());
        let began = Instant::now();
        let connecting = args.connection.connect_within(patience);
        let connection = match connecting.await {
            Ok(connection) => connection,
            Err(failure) => return Err(not_sent(args, failure)?),
        };
        let left = patience.saturating_sub(began.elapsed()).max(PATIENCE_MIN);
        let vehicles = match args.all || args.group.is_some() {
            true => seen(&connection, args.group.as_ref()).await?,
            false => args.vehicles.clone(),
        };
        let failed = stop_all(&connection, vehicles, args, left).await?;
        run::farewell(connection).await;
        failed.map_or(Ok(()), Err)
    })
}

/// The vehicles, of a group or any, that any relay sees.
async fn seen(connection: &Connection, group: Option<&Name>) -> Result<Vec<Name>, Failure> {
    let known = match group {
        Some(group) => connection.members(group).await,
        None => connection.vehicles().await,
    };
    let known = known.map_err(|why| {
        let line = format!("the stop was not sent, every vehicle may still be moving: {why}");
        Failure::new(why.exit(), line)
    })?;
    if let Some(group) = group.filter(|_| known.is_empty()) {
        let line = format!("the stop was not sent: no relay sees a vehicle of group {group}");
        return Err(Failure::new(Exit::Unreachable, line));
    }
    Ok(known.into_iter().map(|info| info.name).collect())
}

/// No vehicle was told: that must not read like a mere hitch of the network.
fn not_sent(args: &StopArgs, failure: Failure) -> Result<Failure, Failure> {
    if failure.exit() == Exit::Usage {
        return Ok(failure);
    }
    if args.json {
        let vehicles = args.vehicles.iter();
        output::print(vehicles.map(|vehicle| unknown_json(vehicle).to_string()))?;
    }
    Ok(still_moving(&args.vehicles, &failure))
}

fn still_moving(vehicles: &[Name], failure: &Failure) -> Failure {
    let names: Vec<&str> = match vehicles {
        [] => vec!["every vehicle"],
        some => some.iter().map(Name::as_str).collect(),
    };
    let line = format!(
        "the stop was not sent, {} may still be moving: {failure}",
        names.join(", ")
    );
    Failure::new(failure.exit(), line)
}

/// Whether a vehicle is stopped that did not answer.
fn unknown_json(vehicle: &Name) -> Value {
    json!({ "vehicle": vehicle.as_str(), "stopped": null })
}

/// The gravest failure, if any vehicle is not known to be stopped.
async fn stop_all(
    connection: &Connection,
    vehicles: Vec<Name>,
    args: &StopArgs,
    patience: Duration,
) -> Result<Option<Failure>, Failure> {
    let began = Instant::now();
    let mut stops = JoinSet::new();
    for vehicle in vehicles {
        let (connection, group) = (connection.clone(), args.group.clone());
        stops.spawn(async move {
            let answer = match group {
                Some(group) => {
                    connection
                        .stop_if_in_group(&vehicle, &group, patience)
                        .await
                }
                None => connection.stop(&vehicle, patience).await,
            };
            let unknown = answer.is_err() && is_unknown(&connection, &vehicle).await;
            (vehicle, answer, unknown)
        });
    }
    let mut failures = Vec::new();
    while let Some(stop) = stops.join_next().await {
        let (vehicle, answer, unknown) = stop.map_err(|error| Failure::new(Exit::Failed, error))?;
        let line = match args.json {
            true => json_line(&vehicle, &answer, began.elapsed()),
            false => line(&vehicle, &answer, began.elapsed()),
        };
        output::print(line)?;
        failures.extend(failure(&vehicle, answer, unknown));
    }
    failures.sort_by_key(Failure::exit);
    Ok(failures.pop())
}

/// Whether relays answer and none of them knows the vehicle.
async fn is_unknown(connection: &Connection, vehicle: &Name) -> bool {
    let known = connection.vehicles().await;
    known.is_ok_and(|known| known.iter().all(|info| info.name != *vehicle))
}

fn failure(vehicle: &Name, answer: Result<Stopped, StopError>, unknown: bool) -> Option<Failure> {
    match answer {
        Ok(stopped) if stopped.latched => None,
        Ok(_) => {
            let line = format!(
                "vehicle {vehicle} answered, and is not stopped: you may not stop it, or a reset came in between"
            );
            Some(Failure::new(Exit::Failed, line))
        }
        Err(why) if unknown => {
            let line = format!("{why}; no relay knows a vehicle of that name: check the spelling");
            Some(Failure::new(why.exit(), line))
        }
        Err(why) => Some(why.into()),
    }
}

/// Nothing for a vehicle that is not stopped: that is said on stderr.
fn line(vehicle: &Name, answer: &Result<Stopped, StopError>, after: Duration) -> Option<String> {
    let stopped = answer.as_ref().ok().filter(|stopped| stopped.latched)?;
    let generation = stopped.generation;
    let after_ms = after.as_millis();
    Some(format!(
        "{vehicle} is stopped (generation {generation}, after {after_ms} ms)"
    ))
}

fn json_line(
    vehicle: &Name,
    answer: &Result<Stopped, StopError>,
    after: Duration,
) -> Option<String> {
    let object = match answer {
        Ok(stopped) => json!({
            "vehicle": vehicle.as_str(),
            "stopped": stopped.latched,
            "generation": stopped.generation,
            "after_ms": u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
        }),
        Err(_) => unknown_json(vehicle),
    };
    Some(object.to_string())
}

/// What a stop gets at least after a slow connection.
const PATIENCE_MIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_latched_stop_is_a_success() {
        let truck: Name = "truck-17".parse().unwrap();
        let answer = |latched| {
            Ok(Stopped {
                generation: 3,
                latched,
            })
        };
        assert!(failure(&truck, answer(true), false).is_none());
        assert_eq!(
            failure(&truck, answer(false), false).unwrap().exit(),
            Exit::Failed
        );
        let unanswered = StopError::Unanswered {
            vehicle: truck.clone(),
        };
        let unanswered = failure(&truck, Err(unanswered), true).unwrap();
        assert!(unanswered.to_string().ends_with("check the spelling"));
        assert_eq!(unanswered.exit(), Exit::Unreachable);
        assert!(unanswered.to_string().contains("may still be moving"));
    }

    #[test]
    fn a_stop_that_reaches_no_relay_names_the_vehicles_that_may_still_be_moving() {
        let vehicles = ["truck-17", "crane-2"].map(|name| name.parse().unwrap());
        let failure = Failure::new(Exit::Unreachable, "no relay answered in time");
        let failure = still_moving(&vehicles, &failure);
        assert_eq!(
            failure.to_string(),
            "the stop was not sent, truck-17, crane-2 may still be moving: no relay answered in time"
        );
        assert_eq!(failure.exit(), Exit::Unreachable);
    }
}
