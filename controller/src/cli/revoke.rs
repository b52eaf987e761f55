//! `longrein fleet revoke`: nodes that are of the fleet no more.

use std::path::PathBuf;

use clap::Args;
use longrein_proto::base::{Name, NodeKind, NodeName};
use serde_json::json;

use super::failure::Failure;
use super::output;
use crate::Exit;
use crate::fleet::FleetFolder;

/// Revoke the certificates that nodes have so far: they lose their connections, sessions and leases
///
/// A serving authority tells every relay within a second, those every node; who is not there is told when it returns. A revoked
/// name can enrol again with a new token.
#[derive(Debug, Args)]
#[command(after_help = after_help!(
    "Example: longrein fleet revoke --dir harbour truck-17 controller/alice"
))]
pub struct RevokeArgs {
    /// The nodes: names, or KIND/NAME where several kinds of node have the name
    #[arg(value_name = "NODE", required = true)]
    pub nodes: Vec<String>,

    /// Folder of the fleet, as `longrein fleet init` made it
    #[arg(long = "dir", value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,

    /// Print one JSON object instead of lines
    #[arg(long)]
    pub json: bool,
}

/// Revokes and prints who is revoked.
///
/// # Errors
/// When a name is unknown or not unique, there is no authority, or the system refuses.
pub fn run(args: &RevokeArgs) -> Result<(), Failure> {
    let now_s = FleetFolder::now_s(&args.directory);
    let folder = FleetFolder::open(&args.directory)?;
    let nodes = args.nodes.iter().map(|text| find(&folder, text));
    let nodes = nodes.collect::<Result<Vec<NodeName>, Failure>>()?;
    let list = folder.revoke(&nodes, now_s)?;
    let names: Vec<String> = nodes.iter().map(NodeName::to_string).collect();
    if args.json {
        let object = json!({ "list": list.number, "revoked": names });
        output::print([object.to_string()])?;
    } else {
        output::print(names)?;
        eprintln!(
            "list {} is made; a serving authority passes it on now",
            list.number
        );
    }
    Ok(())
}

fn find(folder: &FleetFolder, text: &str) -> Result<NodeName, Failure> {
    let usage = |line: String| Failure::new(Exit::Usage, line);
    if text.contains('/') {
        return text
            .parse()
            .map_err(|error| usage(format!("{text}: {error}")));
    }
    let name: Name = text
        .parse()
        .map_err(|error| usage(format!("{text}: {error}")))?;
    let mut known = Vec::new();
    for kind in [
        NodeKind::Agent,
        NodeKind::Controller,
        NodeKind::Service,
        NodeKind::Relay,
    ] {
        let node = NodeName::new(kind, name.clone());
        if folder.knows(&node)? {
            known.push(node);
        }
    }
    match known.as_slice() {
        [node] => Ok(node.clone()),
        [] => Err(usage(format!(
            "this authority has made no node {name}: give KIND/NAME if another machine did"
        ))),
        [first, ..] => Err(usage(format!(
            "several nodes have the name {name}: give for example {first}"
        ))),
    }
}
