//! `longrein fleet`: the authority and its certificates, without any network.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Subcommand};
use longrein_proto::base::{Name, NodeKind, NodeName};
use serde_json::json;

use super::failure::Failure;
use super::output;
use crate::fleet::{FleetFolder, Order, Validity};

/// What to do with a fleet's folder.
#[derive(Debug, Subcommand)]
#[expect(
    missing_docs,
    reason = "a comment here would replace the help text that stands at the arguments of each verb"
)]
pub enum FleetVerb {
    /// Make a new authority and the nodes that are named
    ///
    /// Makes DIR/authority (keep it offline and back it up: who has it can be anyone in the fleet) and for each node
    /// DIR/KIND-NAME with authority.pem, node.pem and node.key, to be copied to that node. Nothing is overwritten.
    #[command(
        after_help = "Example: longrein fleet init harbour --name harbour --relay relay-a \
                            --relay relay-b --agent truck-17 --controller alice"
    )]
    Init(InitArgs),
    /// Issue further nodes from the authority in DIR
    #[command(after_help = "Example: longrein fleet add harbour --agent truck-18 --agent truck-19")]
    Add(AddArgs),
    Token(super::token::TokenArgs),
    Revoke(super::revoke::RevokeArgs),
}

/// Arguments of `fleet init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Folder of the fleet; made when it is not there
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,

    /// Name of the fleet; it stands in every certificate
    #[arg(long = "name", value_name = "FLEET")]
    pub fleet: Name,

    /// The nodes.
    #[command(flatten)]
    pub nodes: NodeArgs,
}

/// Arguments of `fleet add`.
#[derive(Debug, Args)]
#[command(group(
    ArgGroup::new("node")
        .args(["relays", "agents", "controllers", "services"])
        .required(true)
        .multiple(true)
))]
pub struct AddArgs {
    /// Folder of the fleet, as `fleet init` made it
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,

    /// The nodes.
    #[command(flatten)]
    pub nodes: NodeArgs,
}

/// The nodes that get certificates.
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// A relay; give one --relay for each
    #[arg(long = "relay", value_name = "NAME")]
    pub relays: Vec<Name>,

    /// A vehicle's agent; give one --agent for each
    #[arg(long = "agent", value_name = "NAME")]
    pub agents: Vec<Name>,

    /// An operator's controller; give one --controller for each
    #[arg(long = "controller", value_name = "NAME")]
    pub controllers: Vec<Name>,

    /// A business back end; give one --service for each
    #[arg(long = "service", value_name = "NAME")]
    pub services: Vec<Name>,

    /// A group that all nodes of this call belong to; give one --group for each
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<Name>,

    /// Days that certificates of relays, agents and services are valid
    #[arg(long, value_name = "DAYS", default_value_t = Validity::DAYS_MACHINE, value_parser = clap::value_parser!(u32).range(1..=i64::from(Validity::DAYS_MAX)))]
    pub days: u32,

    /// Days that certificates of controllers are valid
    #[arg(long, value_name = "DAYS", default_value_t = Validity::DAYS_CONTROLLER, value_parser = clap::value_parser!(u32).range(1..=i64::from(Validity::DAYS_MAX)))]
    pub controller_days: u32,

    /// Print one JSON object instead of lines
    #[arg(long)]
    pub json: bool,
}

impl NodeArgs {
    fn orders(&self) -> Vec<Order> {
        [
            (NodeKind::Relay, &self.relays, self.days),
            (NodeKind::Agent, &self.agents, self.days),
            (
                NodeKind::Controller,
                &self.controllers,
                self.controller_days,
            ),
            (NodeKind::Service, &self.services, self.days),
        ]
        .into_iter()
        .flat_map(|(kind, names, days)| {
            names.iter().map(move |name| Order {
                node: NodeName::new(kind, name.clone()),
                groups: self.groups.clone(),
                days,
            })
        })
        .collect()
    }
}

/// Makes the files and prints the nodes' folders.
///
/// # Errors
/// When something is there already, there is no authority, or the system refuses.
pub fn run(verb: FleetVerb) -> Result<(), Failure> {
    let (folder, nodes, directory) = match verb {
        FleetVerb::Init(init) => {
            let orders = init.nodes.orders();
            let now_s = FleetFolder::now_s(&init.directory);
            let folder = FleetFolder::create(&init.directory, init.fleet, &orders, now_s)?;
            (folder, init.nodes, init.directory)
        }
        FleetVerb::Revoke(args) => return super::revoke::run(&args),
        FleetVerb::Token(args) => return super::token::run(&args),
        FleetVerb::Add(add) => {
            let folder = FleetFolder::open(&add.directory)?;
            let now_s = FleetFolder::now_s(&add.directory);
            folder.add(&add.nodes.orders(), now_s)?;
            (folder, add.nodes, add.directory)
        }
    };
    Ok(report(&folder, &nodes, &directory)?)
}

fn report(folder: &FleetFolder, nodes: &NodeArgs, directory: &Path) -> std::io::Result<()> {
    let orders = nodes.orders();
    let path = |order: &Order| folder.node(&order.node).display().to_string();
    if nodes.json {
        let nodes: Vec<_> = orders
            .iter()
            .map(|order| {
                json!({
                    "node": order.node.to_string(),
                    "folder": path(order),
                    "days": order.days,
                })
            })
            .collect();
        let fleet = folder.authority().fleet().as_str();
        output::print([json!({ "fleet": fleet, "nodes": nodes }).to_string()])?;
    } else if orders.is_empty() {
        let directory = directory.display();
        eprintln!(
            "made {directory}/authority; add nodes with `longrein fleet add {directory} ...`"
        );
    } else {
        output::print(orders.iter().map(path))?;
        eprintln!("copy each folder to its node, and keep the authority's offline");
    }
    Ok(())
}
