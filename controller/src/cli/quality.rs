//! `longrein quality`: how good the ways to a vehicle are, and what is to blame.

use std::io::{self, IsTerminal};
use std::time::Duration;

use crossterm::terminal;
use longrein_io::shutdown::Shutdown;
use longrein_proto::base::Name;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::connection::ConnectionArgs;
use super::failure::Failure;
use super::output::Reader;
use super::quality_report::Report;
use super::{output, run};
use crate::Vehicle;

/// Show how good the ways to a vehicle are, where the time of commands goes, and what is to blame
///
/// Opens a session as an observer does, and commands nothing. Each path (a relay over a link of this machine) has a line. Where the
/// time of commands goes is known for those that were sent over the same session.
#[derive(Debug, clap::Args)]
#[command(
    after_help = after_help!("Example: longrein quality truck-17 --watch --identity harbour/controller-alice \
                        --relay relay-a=192.0.2.1:4433")
)]
pub struct QualityArgs {
    /// The vehicle, by the name of its agent
    pub vehicle: Name,

    /// Go on, once a second: in place on a terminal, else a line each time
    #[arg(long)]
    pub watch: bool,

    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Prints it once, or until a signal comes or nobody reads it.
///
/// # Errors
/// When the vehicle is not reached at first.
pub fn run(args: QualityArgs) -> Result<(), Failure> {
    run::steady(|mut shutdown| async move {
        let connecting = args.connection.connect();
        let connection = run::or_signal(&mut shutdown, connecting).await??;
        let shown = show(&connection, &args, &mut shutdown).await;
        run::farewell(connection).await;
        shown
    })
}

async fn show(
    connection: &crate::Connection,
    args: &QualityArgs,
    shutdown: &mut Shutdown,
) -> Result<(), Failure> {
    let what = format!("opening a session with {}", args.vehicle);
    let opening = run::patiently(&what, connection.open(&args.vehicle));
    let vehicle = run::or_signal(shutdown, opening).await??;
    if !args.watch {
        let settling = settled(&vehicle);
        let report = run::or_signal(shutdown, settling).await??;
        output::print(match args.json {
            true => vec![report.json().to_string()],
            false => report.lines(),
        })?;
        return Ok(());
    }
    let mut view = View::new(args.json);
    let mut second = interval(EVERY);
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = second.tick() => {
                let report = Report::new(args.vehicle.clone(), vehicle.quality().await?);
                if view.show(&report)? == Reader::Gone {
                    return Ok(());
                }
            }
            _ = shutdown.wait() => return Ok(()),
        }
    }
}

/// What is known once the ways were measured, or after [`SETTLED_MAX`] what is known by then.
async fn settled(vehicle: &Vehicle) -> Result<Report, Failure> {
    let mut waited = Duration::ZERO;
    loop {
        let report = Report::new(vehicle.name().clone(), vehicle.quality().await?);
        if report.is_settled() || waited >= SETTLED_MAX {
            return Ok(report);
        }
        sleep(LOOK_EVERY).await;
        waited += LOOK_EVERY;
    }
}

/// Shows one report after the other.
struct View {
    json: bool,
    live: bool,
    /// Lines of the last report, on a terminal.
    shown: usize,
}

impl View {
    fn new(json: bool) -> View {
        View {
            json,
            live: !json && io::stdout().is_terminal(),
            shown: 0,
        }
    }

    fn show(&mut self, report: &Report) -> io::Result<Reader> {
        if self.json {
            return output::print([report.json().to_string()]);
        }
        if !self.live {
            return output::print([report.line()]);
        }
        // A terminal that does not tell its size has the usual one.
        let (columns, rows) = terminal::size().unwrap_or((80, 24));
        let mut lines = report.lines();
        lines.truncate(usize::from(rows).saturating_sub(1));
        for line in &mut lines {
            *line = line.chars().take(columns.into()).collect();
        }
        let back = match self.shown {
            0 => String::new(),
            shown => format!("\x1b[{shown}A\r\x1b[J"),
        };
        if let Some(first) = lines.first_mut() {
            first.insert_str(0, &back);
        }
        self.shown = lines.len();
        output::print(lines)
    }
}

const EVERY: Duration = Duration::from_secs(1);
/// Between looks at whether the ways are measured.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A clock sample and a round trip of a slow network, a few times over.
const SETTLED_MAX: Duration = Duration::from_secs(3);
