//! Drives a vehicle straight ahead for five seconds:
//!
//! ```sh
//! cargo run -p longrein --example drive -- harbour/controller-alice truck-17 east=192.0.2.1:4433
//! ```

use std::env::args;
use std::time::Duration;

use longrein::{Connection, Drive, Settings, Telemetry, VehicleEvent};
use tokio::time::{Instant, interval};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = args().skip(1);
    let usage = "usage: drive IDENTITY VEHICLE RELAY=HOST:PORT ...";
    let mut settings = Settings::new(arguments.next().ok_or(usage)?);
    let vehicle = arguments.next().ok_or(usage)?.parse()?;
    for relay in arguments {
        let (name, address) = relay.split_once('=').ok_or(usage)?;
        settings = settings.relay(name.parse()?, address);
    }

    let connection = Connection::connect(settings).await?;
    for vehicle in connection.vehicles().await? {
        println!("{} is at {:?}", vehicle.name, vehicle.relays);
    }
    let truck = connection.open(&vehicle).await?;
    let mut events = truck.watch().await?;
    let lease = truck.take(&"drive".parse()?).await?;

    // A vehicle stands at first: it wants an explicit resume, with neutral input, before it moves.
    let ahead = Drive {
        speed_mm_s: 1_000,
        curvature_per_km: 0,
    };
    let began = Instant::now();
    let mut ticks = interval(Duration::from_millis(20));
    while began.elapsed() < Duration::from_secs(5) {
        tokio::select! {
            _ = ticks.tick() => {
                let resume = began.elapsed() < Duration::from_millis(500);
                let drive = if resume { Drive::NEUTRAL } else { ahead };
                lease.drive(drive, true, resume).await?;
            }
            Some(event) = events.next() => {
                if let VehicleEvent::Telemetry { telemetry: Telemetry::Vehicle(state), .. } = event {
                    println!("{} mm, {} mm/s", state.x_mm, state.speed_mm_s);
                }
            }
            loss = lease.lost() => return Err(loss.to_string().into()),
        }
    }

    lease.drive(Drive::NEUTRAL, false, false).await?;
    lease.release().await?;
    connection.close().await;
    Ok(())
}
