//! `longrein watch`: telemetry of a vehicle.

use longrein_io::exit::Exit;
use longrein_io::shutdown::Shutdown;
use longrein_proto::base::Name;

use super::connection::ConnectionArgs;
use super::failure::Failure;
use super::output::Reader;
use super::{output, report, run};
use crate::{Events, RequestError, Vehicle, VehicleEvent};

/// Show telemetry and state of a vehicle without commanding it
///
/// Goes on until it is ended by Ctrl-C, also when the vehicle is lost meanwhile.
#[derive(Debug, clap::Args)]
#[command(
    after_help = after_help!("Example: longrein watch truck-17 --json --identity harbour/controller-alice \
                        --relay relay-a=192.0.2.1:4433")
)]
pub struct WatchArgs {
    /// The vehicle, by the name of its agent
    pub vehicle: Name,

    /// Only telemetry and receipts of this function; of all of them when it is not given
    #[arg(long, value_name = "FUNCTION")]
    pub function: Option<Name>,

    /// Print one JSON object a line for each event
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Prints events until a signal comes or nobody reads them.
///
/// # Errors
/// When the vehicle is not reached at first.
pub fn run(args: WatchArgs) -> Result<(), Failure> {
    run::steady(|mut shutdown| async move {
        let connecting = args.connection.connect();
        let connection = run::or_signal(&mut shutdown, connecting).await??;
        let watching = watch(&connection, &args, &mut shutdown).await;
        run::farewell(connection).await;
        watching
    })
}

async fn watch(
    connection: &crate::Connection,
    args: &WatchArgs,
    shutdown: &mut Shutdown,
) -> Result<(), Failure> {
    let what = format!("opening a session with {}", args.vehicle);
    let opening = run::patiently(&what, connection.open(&args.vehicle));
    let vehicle = run::or_signal(shutdown, opening).await??;
    check_function(&vehicle, args.function.as_ref())?;
    let mut events = vehicle.watch().await?;
    let mut printer = Printer::new(args);
    loop {
        tokio::select! {
            event = events.next() => {
                let event = event.ok_or_else(|| Failure::new(Exit::Failed, "the connection has ended"))?;
                if printer.print(&vehicle, &event)? == Reader::Gone {
                    return Ok(());
                }
            }
            _ = shutdown.wait() => {
                say_missed(&events);
                return Ok(());
            }
        }
    }
}

fn check_function(vehicle: &Vehicle, function: Option<&Name>) -> Result<(), Failure> {
    let known = report::functions(vehicle);
    match function {
        Some(function) if !known.contains(function) => {
            let function = function.clone();
            Err(RequestError::NoSuchFunction { function, known }.into())
        }
        Some(_) | None => Ok(()),
    }
}

fn say_missed(events: &Events) {
    if events.missed() > 0 {
        let missed = events.missed();
        eprintln!("{missed} events were not printed: the reader of stdout was too slow");
    }
}

/// Prints what is wanted of the events.
struct Printer {
    function: Option<Name>,
    json: bool,
    status: String,
}

impl Printer {
    fn new(args: &WatchArgs) -> Printer {
        Printer {
            function: args.function.clone(),
            json: args.json,
            status: String::new(),
        }
    }

    fn print(&mut self, vehicle: &Vehicle, event: &VehicleEvent) -> Result<Reader, Failure> {
        if !self.wants(event) {
            return Ok(Reader::There);
        }
        let line = match (self.json, event) {
            (true, _) => Some(report::json(vehicle, event).to_string()),
            (false, VehicleEvent::Status(status)) => {
                let line = report::status_line(&report::functions(vehicle), status);
                (line != self.status).then(|| {
                    self.status.clone_from(&line);
                    line
                })
            }
            (false, _) => report::line(event),
        };
        Ok(output::print(line)?)
    }

    fn wants(&self, event: &VehicleEvent) -> bool {
        match event {
            VehicleEvent::Telemetry { function, .. }
            | VehicleEvent::Receipt { function, .. }
            | VehicleEvent::News { function, .. }
            | VehicleEvent::LeaseLost { function, .. } => {
                self.function.as_ref().is_none_or(|only| only == function)
            }
            VehicleEvent::Up { .. }
            | VehicleEvent::Down { .. }
            | VehicleEvent::Presence { .. }
            | VehicleEvent::Draining { .. }
            | VehicleEvent::Described { .. }
            | VehicleEvent::Status(_) => true,
        }
    }
}
