//! `longrein vehicles`: which vehicles are there.

use serde_json::json;

use super::connection::ConnectionArgs;
use super::failure::Failure;
use super::{output, run};
use crate::VehicleInfo;

/// List the vehicles that are connected to any of the relays
#[derive(Debug, clap::Args)]
#[command(
    after_help = after_help!("Example: longrein vehicles --identity harbour/controller-alice --relay relay-a=192.0.2.1:4433")
)]
pub struct VehiclesArgs {
    /// Print one JSON object a line: name of the vehicle and the relays that see it
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Prints the vehicles.
///
/// # Errors
/// When no relay is reached, or none answers.
pub fn run(args: &VehiclesArgs) -> Result<(), Failure> {
    run::brief(|| async {
        let connection = args.connection.connect().await?;
        let vehicles = connection.vehicles().await?;
        run::farewell(connection).await;
        let line = match args.json {
            true => json_line,
            false => line,
        };
        output::print(vehicles.iter().map(line))?;
        if vehicles.is_empty() {
            eprintln!("no vehicle is connected");
        }
        Ok(())
    })
}

fn line(vehicle: &VehicleInfo) -> String {
    let relays: Vec<&str> = vehicle.relays.iter().map(|relay| relay.as_str()).collect();
    format!("{}\t{}", vehicle.name, relays.join(" "))
}

fn json_line(vehicle: &VehicleInfo) -> String {
    let relays: Vec<&str> = vehicle.relays.iter().map(|relay| relay.as_str()).collect();
    json!({ "vehicle": vehicle.name.as_str(), "relays": relays }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vehicle_is_listed_with_its_relays() {
        let vehicle = VehicleInfo {
            name: "truck-17".parse().unwrap(),
            relays: vec!["a".parse().unwrap(), "b".parse().unwrap()],
        };
        assert_eq!(line(&vehicle), "truck-17\ta b");
        assert_eq!(
            json_line(&vehicle),
            r#"{"relays":["a","b"],"vehicle":"truck-17"}"#
        );
    }
}
