//! `longrein enroll`: this machine becomes an operator's or a back end's.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use longrein_io::enrol::{EnrolError, Enrolment, EnrolmentToken};
use longrein_proto::base::{Name, NodeKind};
use serde_json::json;

use super::failure::Failure;
use super::output;

/// Make this machine a controller or service of a fleet, with a token of its authority
///
/// Makes a key that never leaves this machine, and has the authority certify it. Who is interrupted may do it again with the
/// same token.
#[derive(Debug, Args)]
#[command(after_help = after_help!(
    "Example: longrein enroll --identity keys --relay 192.0.2.1 - < token"
))]
pub struct EnrollArgs {
    /// The token of `longrein fleet token`; - reads it from standard input, where no other user of this machine sees it
    #[arg(value_name = "TOKEN")]
    pub token: String,

    /// Folder that the identity goes to; made when it is not there
    #[arg(long, value_name = "DIR")]
    pub identity: PathBuf,

    /// A relay of the fleet; give one --relay for each, any one is enough
    #[arg(long = "relay", value_name = "HOST[:PORT]", required = true)]
    pub relays: Vec<String>,

    /// The name, when the token is for many
    #[arg(long, value_name = "NAME")]
    pub name: Option<Name>,

    /// Replace an identity that is there already
    #[arg(long)]
    pub replace: bool,

    /// Seconds to wait for the authority
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub patience_s: u64,

    /// Print one JSON object instead of a line
    #[arg(long)]
    pub json: bool,
}

/// Enrols and prints who this machine is now.
///
/// # Errors
/// What is in the way.
pub fn run(args: EnrollArgs) -> Result<(), Failure> {
    let failed = |error: EnrolError| Failure::new(error.exit(), error);
    let token = EnrolmentToken::of_argument(args.token).map_err(failed)?;
    let kind = match token.kind {
        NodeKind::Service => NodeKind::Service,
        NodeKind::Controller
        | NodeKind::Agent
        | NodeKind::Relay
        | NodeKind::Authority
        | NodeKind::Newcomer => NodeKind::Controller,
    };
    let enrolment = Enrolment {
        token,
        name: args.name,
        relays: args.relays,
        directory: args.identity,
        replace: args.replace,
        patience: Duration::from_secs(args.patience_s),
    };
    let node = enrolment.enrol(kind).map_err(failed)?;
    let directory = enrolment.directory.display().to_string();
    if args.json {
        let object = json!({ "node": node.to_string(), "identity": directory });
        output::print([object.to_string()])?;
    } else {
        eprintln!("this machine is {node}; its identity is in {directory}");
    }
    Ok(())
}
