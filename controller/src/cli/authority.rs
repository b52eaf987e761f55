//! `longrein authority`: the authority as a program that nodes reach through relays.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use longrein_io::log::{self, Level};
use longrein_io::sections::RelaySection;

use super::connection::RelayAddress;
use super::failure::Failure;
use super::span::Span;
use crate::authority_server::{AuthoritySettings, serve};
use crate::fleet::Lives;

/// What to do with an authority.
#[derive(Debug, Subcommand)]
#[expect(
    missing_docs,
    reason = "a comment here would replace the help text that stands at the arguments of each verb"
)]
pub enum AuthorityVerb {
    Serve(ServeArgs),
}

/// Certify whoever shows a token, and pass revocations on, until SIGTERM or SIGINT
///
/// Connects to the relays as every node does; who asks speaks with it through them, sealed from end to end. No relay ever has its
/// key. It need not run all the time: without it nobody enrols, and revocations wait.
#[derive(Debug, Args)]
#[command(after_help = after_help!(
    "Example: longrein authority serve --dir harbour --relay east=192.0.2.1:4433 --relay west=192.0.2.2:4433"
))]
pub struct ServeArgs {
    /// Folder of the fleet, as `longrein fleet init` made it
    #[arg(long = "dir", value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,

    /// A relay to be reached through; give one --relay for each
    #[arg(long = "relay", value_name = "NAME=HOST:PORT", required = true)]
    pub relays: Vec<RelayAddress>,

    /// How long certificates of agents, services and relays are valid: 90s, 15m, 12h or 365d
    #[arg(long, value_name = "SPAN", default_value = "365d")]
    pub machine_life: Span,

    /// How long certificates of controllers are valid
    #[arg(long, value_name = "SPAN", default_value = "12h")]
    pub operator_life: Span,

    /// How much to log: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: Level,
}

/// Serves.
///
/// # Errors
/// Why it cannot.
pub fn run(verb: AuthorityVerb) -> Result<(), Failure> {
    let AuthorityVerb::Serve(args) = verb;
    log::start(args.log_level);
    let section = |relay: &RelayAddress| RelaySection {
        name: relay.name.clone(),
        address: format!("{}:{}", relay.host, relay.port),
    };
    serve(&AuthoritySettings {
        folder: args.directory,
        relays: args.relays.iter().map(section).collect(),
        lives: Lives {
            machine_s: args.machine_life.seconds(),
            operator_s: args.operator_life.seconds(),
        },
    })
    .map_err(|error| Failure::new(error.exit(), error))
}
