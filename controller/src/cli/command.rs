//! `longrein command`: sends commands that only the device understands, and says what became of each.

mod errand;
mod payload;
mod source;

use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::NonEmptyStringValueParser;
use longrein_io::shutdown::Shutdown;
use longrein_proto::base::{Class, Name};

use self::errand::Errand;
use self::payload::Form;
use self::source::Source;
use super::claim_args::ClaimArgs;
use super::connection::ConnectionArgs;
use super::failure::Failure;
use super::holder::Holder;
use super::run;
use super::tunnel::check_kind;
use crate::Connection;

/// Send commands to a function of a vehicle, and say what became of each
///
/// Takes the lease of the function, sends the payload of the command line, of a file, or of each line of stdin, waits for what
/// the vehicle says of it, and gives the lease back. The agent hands payloads to the device as they are: it cannot read them, and
/// so cannot limit what they command. A line's time to live begins when it is read: one that finds no lease in that time is
/// expired, not sent later.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("source").required(true).args(["payload", "file", "lines"]),
    after_help = after_help!("Example: longrein command truck-17 lamps --device lamp-7 on --identity harbour/controller-alice \
                        --relay relay-a=192.0.2.1:4433")
)]
pub struct CommandArgs {
    /// The vehicle, by the name of its agent
    pub vehicle: Name,

    /// The function of the vehicle
    pub function: Name,

    /// What the command carries
    pub payload: Option<String>,

    /// Send what is in this file, as one command
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Send each line of stdin as a command
    #[arg(long)]
    pub lines: bool,

    /// Lines a second at most; without it as many as the vehicle answers
    #[arg(long, value_name = "HZ", conflicts_with_all = ["payload", "file"], value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub rate_hz: Option<u16>,

    /// The payload, or each line, is bytes in hexadecimal digits
    #[arg(long, conflicts_with = "file")]
    pub hex: bool,

    /// For a function that stands for many devices: sends `{"device":"NAME","payload":"TEXT"}`, or with `payload_hex` what is no
    /// text. A line that is such an object already, with a device of its own, goes as it is
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub device: Option<String>,

    /// What is promised for each command
    #[arg(long, value_enum, default_value_t = CommandClass::Reliable)]
    pub class: CommandClass,

    /// Time to live of each command in milliseconds: a later one is dropped, never executed
    #[arg(long, value_name = "MS", default_value_t = 2_000, value_parser = clap::value_parser!(u16).range(1..=60_000))]
    pub ttl_ms: u16,

    /// Mark each command as an explicit resume, for a function with a watchdog. The agent honours that with neutral input only,
    /// and of bytes that it cannot read only an empty payload is neutral
    #[arg(long)]
    pub resume: bool,

    /// Print one JSON object a line for each command: its number, its device, its bytes, what became of it and why; and one at
    /// the end that sums up
    #[arg(long)]
    pub json: bool,

    /// How to come to the lease.
    #[command(flatten)]
    pub claim: ClaimArgs,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// The classes that a command can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CommandClass {
    /// Exactly once and in order, until the time to live is over; each has a receipt
    Reliable,
    /// At most once, on arrival; the vehicle only counts what became of them
    Unordered,
}

impl From<CommandClass> for Class {
    fn from(class: CommandClass) -> Class {
        match class {
            CommandClass::Reliable => Class::Reliable,
            CommandClass::Unordered => Class::Unordered,
        }
    }
}

/// Sends the commands, and waits for what becomes of them.
///
/// # Errors
/// When a payload cannot be read, the vehicle is not reached, the lease is another's, or a command was not applied.
pub fn run(args: CommandArgs) -> Result<(), Failure> {
    run::steady(|mut shutdown| async move {
        let source = source(&args)?;
        let connecting = args.connection.connect();
        let connection = run::or_signal(&mut shutdown, connecting).await??;
        let done = match begin(&connection, args, source, &mut shutdown).await {
            Ok(errand) => errand.run(&mut shutdown).await,
            Err(failure) => Err(failure),
        };
        run::farewell(connection).await;
        done
    })
}

/// What is to be sent; a file and a payload are read at once, so that what is wrong in them is said before anything is sent.
fn source(args: &CommandArgs) -> Result<Source, Failure> {
    let form = Form {
        hex: args.hex,
        device: args.device.clone(),
    };
    match (&args.payload, &args.file) {
        (Some(text), _) => Source::text(&form, text),
        (None, Some(file)) => Source::file(&form, file),
        (None, None) => Ok(Source::lines(form, args.rate_hz)),
    }
}

/// An errand whose lease is held.
async fn begin(
    connection: &Connection,
    args: CommandArgs,
    source: Source,
    shutdown: &mut Shutdown,
) -> Result<Errand, Failure> {
    let what = format!("opening a session with {}", args.vehicle);
    let opening = run::patiently(&what, connection.open(&args.vehicle));
    let vehicle = run::or_signal(shutdown, opening).await??;
    check_kind(&vehicle, &args.function)?;
    let mut events = vehicle.watch().await?;
    let claiming = args.claim.clone().claim(&args.function, &mut events);
    let claim = run::or_signal(shutdown, claiming).await??;
    let taking = Holder::take(&vehicle, &args.function, claim);
    let holder = run::or_signal(shutdown, taking).await??;
    Ok(Errand::new(args, source, vehicle, holder, events))
}
