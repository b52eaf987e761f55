//! `longrein drive`: an operator drives a vehicle.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use longrein_io::exit::Exit;
use longrein_io::shutdown::Shutdown;
use longrein_proto::base::Name;
use longrein_proto::wire::FunctionKind;
use tokio::time::{MissedTickBehavior, interval};

use super::claim_args::ClaimArgs;
use super::connection::ConnectionArgs;
use super::failure::Failure;
use super::holder::Holder;
use super::ride::{Ride, Step};
use super::run;
use crate::input::{Input, InputError, Reach};
use crate::{Connection, RemoteError, RequestError, Vehicle};

/// Drive a vehicle by keyboard, gamepad or recorded input
///
/// Takes the lease of the function, sends a command every 20 ms, and shows stage, lease, speed, delay by leg (held here, on
/// the way to the relay, held there, on the way to the vehicle, held there) and each path's loss and round trip. Input is the
/// keyboard unless --gamepad or --input is given. When the lease lapses, a resume takes it again; when somebody else takes it,
/// the drive ends.
///
/// Keyboard: first hold the space bar (the dead-man) and press R once to enable motion; then, with the space bar held, drive
/// with the arrow keys or WASD. After the vehicle has stopped by itself R enables motion again. Esc is the emergency stop; Q
/// ends. A terminal that does not tell when a key is released gets pulse
/// mode: each key press moves the vehicle for 300 ms, at 500 mm/s at most, and there is no dead-man.
///
/// Gamepad: hold the right shoulder button (the dead-man), left stick drives, right stick steers, Start resumes, B is the
/// emergency stop, Select ends.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help!("Example: longrein drive truck-17 --speed-max-mm-s 1500 \
                        --identity harbour/controller-alice --relay relay-a=192.0.2.1:4433"))]
pub struct DriveArgs {
    /// The vehicle, by the name of its agent
    pub vehicle: Name,

    /// The function that takes the drive commands
    #[arg(long, value_name = "FUNCTION", default_value = "drive")]
    pub function: Name,

    /// Play input from a file, or from stdin with -: JSON lines such as {"at_ms":100,"speed_mm_s":500,"curvature_per_km":0,"dead_man":true}; "resume":true asks for motion after a stand, with speed 0, and "stop":true is the emergency stop; the last line ends the drive
    #[arg(long, value_name = "FILE", conflicts_with = "gamepad")]
    pub input: Option<PathBuf>,

    /// Drive by gamepad; without DEVICE the first one found, otherwise for example /dev/input/event5
    #[arg(long, value_name = "DEVICE", num_args = 0..=1)]
    pub gamepad: Option<Option<PathBuf>>,

    /// Speed at full deflection, in mm/s; in pulse mode at most 500
    #[arg(long, value_name = "MM_PER_S", default_value_t = 2_000, value_parser = clap::value_parser!(i16).range(1..))]
    pub speed_max_mm_s: i16,

    /// Curvature at full deflection, in 1/km (200 is a radius of 5 m)
    #[arg(long, value_name = "PER_KM", default_value_t = 200, value_parser = clap::value_parser!(i16).range(1..))]
    pub curvature_max_per_km: i16,

    /// Time to live of each command in milliseconds: an older one is dropped, never executed
    #[arg(long, value_name = "MS", default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=60_000))]
    pub ttl_ms: u16,

    /// Print one JSON object a line for each event and a summary at the end, and no live line
    #[arg(long)]
    pub json: bool,

    /// How to come to the lease.
    #[command(flatten)]
    pub claim: ClaimArgs,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Drives until the operator or a signal ends it; then the vehicle is told to stand and the lease is given back.
///
/// # Errors
/// When the input fails, the vehicle is not reached, or the lease is another's.
pub fn run(args: DriveArgs) -> Result<(), Failure> {
    run::steady(|mut shutdown| async move {
        // A file or gamepad that is wrong is found before anybody is disturbed.
        let input = args.open_early()?;
        let connecting = args.connection.connect();
        let connection = run::or_signal(&mut shutdown, connecting).await??;
        let driven = drive(&connection, &args, input, &mut shutdown).await;
        run::farewell(connection).await;
        driven
    })
}

impl DriveArgs {
    fn reach(&self) -> Reach {
        Reach {
            speed_max_mm_s: self.speed_max_mm_s,
            curvature_max_per_km: self.curvature_max_per_km,
        }
    }

    /// The input, unless it is the keyboard, which takes over the terminal.
    fn open_early(&self) -> Result<Option<Input>, Failure> {
        Ok(match (&self.input, &self.gamepad) {
            (Some(script), _) => Some(Input::script(script, self.reach())?),
            (None, Some(device)) => Some(Input::gamepad(device.as_deref(), self.reach())?),
            (None, None) if !io::stdin().is_terminal() || !io::stderr().is_terminal() => {
                return Err(InputError::NoTerminal.into());
            }
            (None, None) => None,
        })
    }
}

async fn drive(
    connection: &Connection,
    args: &DriveArgs,
    input: Option<Input>,
    shutdown: &mut Shutdown,
) -> Result<(), Failure> {
    let what = format!("opening a session with {}", args.vehicle);
    let opening = run::patiently(&what, connection.open(&args.vehicle));
    let vehicle = run::or_signal(shutdown, opening).await??;
    check_kind(&vehicle, &args.function)?;
    let mut events = vehicle.watch().await?;
    let claiming = args.claim.clone().claim(&args.function, &mut events);
    let claim = run::or_signal(shutdown, claiming).await??;
    let taking = Holder::take(&vehicle, &args.function, claim);
    let holder = run::or_signal(shutdown, taking).await??;
    let mut input = match input {
        Some(input) => input,
        None => Input::keyboard(args.reach())?,
    };
    let mut ride = Ride::new(vehicle, holder, args);
    ride.say(&input.notice());
    let mut ticks = interval(Input::PERIOD);
    // Commands that are late are of no use, and a burst of them would be refused.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let ended = loop {
        let step = tokio::select! {
            _ = shutdown.wait() => break ride.end(Ok(()), &mut events, END_AFTER_SIGNAL).await,
            _ = ticks.tick() => ride.on_tick(&mut input).await,
            event = events.next() => match event {
                Some(event) => ride.on_event(event),
                None => Err(RemoteError::Ended.into()),
            },
            news = ride.news() => ride.on_news(news),
        };
        match step {
            Ok(Step::On) => {}
            Ok(Step::Quit) => break ride.end(Ok(()), &mut events, END_AFTER_QUIT).await,
            Err(failure) => break ride.end(Err(failure), &mut events, END_AFTER_SIGNAL).await,
        }
    };
    // The terminal is as it was before anything else is said.
    drop(input);
    ended
}

fn check_kind(vehicle: &Vehicle, function: &Name) -> Result<(), Failure> {
    let functions = vehicle.description().functions;
    let known = functions.iter().find(|known| known.name == *function);
    match known.map(|known| known.kind) {
        Some(FunctionKind::Drive) => Ok(()),
        Some(FunctionKind::Opaque) => {
            let line = format!("function {function} takes bytes: use `longrein tunnel`");
            Err(Failure::new(Exit::Usage, line))
        }
        None => {
            let known = functions.into_iter().map(|known| known.name).collect();
            let function = function.clone();
            Err(RequestError::NoSuchFunction { function, known }.into())
        }
    }
}

/// For the release, of the 500 ms in which the drive ends after a signal.
const END_AFTER_SIGNAL: Duration = Duration::from_millis(150);
/// For the release and for the answer to a stop, when nothing hurries.
const END_AFTER_QUIT: Duration = Duration::from_secs(2);
