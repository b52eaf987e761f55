//! `longrein enroll`: this machine becomes an operator's or a back end's.

use std::path::PathBuf;

use clap::Args;
use longrein_io::enrol::{EnrolArguments, EnrolError};
use longrein_proto::base::NodeKind;
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
    /// Folder that the identity goes to; made when it is not there
    #[arg(long, value_name = "DIR")]
    pub identity: PathBuf,

    /// Token, relays and the rest.
    #[command(flatten)]
    pub arguments: EnrolArguments,

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
    let enrolment = args.arguments.enrolment(&args.identity).map_err(failed)?;
    let kind = match enrolment.token.kind {
        NodeKind::Service => NodeKind::Service,
        NodeKind::Controller
        | NodeKind::Agent
        | NodeKind::Relay
        | NodeKind::Authority
        | NodeKind::Newcomer => NodeKind::Controller,
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
