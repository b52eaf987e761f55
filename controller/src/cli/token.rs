//! `longrein fleet token`: tokens that make machines nodes of the fleet.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use longrein_proto::base::{Name, NodeKind, NodeName};
use serde_json::json;
use zeroize::Zeroizing;

use super::failure::Failure;
use super::output;
use super::span::Span;
use crate::Exit;
use crate::fleet::{FleetFolder, TokenOrder};

/// Make a token with which a machine enrols: it pins the authority, works once and for a while
///
/// Whoever has the token can use it: pass it on like a password. The authority must serve for it to work:
/// `longrein authority serve`.
#[derive(Debug, Args)]
#[command(after_help = after_help!(
    "Examples:\n  longrein fleet token --role agent --name truck-17 --ttl 1h\n  \
     longrein fleet token --role agent --name-prefix dev- --count 500 --csv > tokens.csv   # dev-1 to dev-500, a token for each\n  \
     longrein fleet token --role agent --name-prefix dev- --uses 500 --group yard          # one token for all of them"
))]
pub struct TokenArgs {
    /// Folder of the fleet, as `longrein fleet init` made it
    #[arg(long = "dir", value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,

    /// What the machine will be
    #[arg(long, value_name = "ROLE")]
    pub role: TokenRole,

    /// Its name
    #[arg(long, value_name = "NAME", required_unless_present = "name_prefix", conflicts_with_all = ["name_prefix", "count", "uses"])]
    pub name: Option<Name>,

    /// What the names of many machines begin with
    #[arg(long, value_name = "PREFIX")]
    pub name_prefix: Option<Name>,

    /// Make so many tokens, for the names PREFIX1, PREFIX2 and so on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub count: Option<u32>,

    /// Make one token for so many machines, each of which chooses a name that begins with PREFIX
    #[arg(long, value_name = "N", conflicts_with = "count", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub uses: Option<u32>,

    /// A group that the machine belongs to; give one --group for each
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<Name>,

    /// How long it works: 90s, 15m, 1h or 7d
    #[arg(long, value_name = "SPAN", default_value = "1h")]
    pub ttl: Span,

    /// Print lines of name,token
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,

    /// Print a JSON object for each token
    #[arg(long)]
    pub json: bool,
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TokenRole {
    /// The daemon on a vehicle.
    Agent,
    /// An operator's program.
    Controller,
    /// A business back end.
    Service,
    /// A relay.
    Relay,
}

impl TokenArgs {
    fn orders(&self, now_s: u64) -> Result<Vec<TokenOrder>, Failure> {
        let kind = match self.role {
            TokenRole::Agent => NodeKind::Agent,
            TokenRole::Controller => NodeKind::Controller,
            TokenRole::Service => NodeKind::Service,
            TokenRole::Relay => NodeKind::Relay,
        };
        let order = |name: Name| TokenOrder {
            groups: self.groups.clone(),
            ..TokenOrder::one(
                NodeName::new(kind, name),
                now_s.saturating_add(self.ttl.seconds()),
            )
        };
        let usage = |line: String| Failure::new(Exit::Usage, line);
        match (&self.name, &self.name_prefix, self.count, self.uses) {
            (Some(name), _, _, _) => Ok(vec![order(name.clone())]),
            (None, Some(prefix), Some(count), _) => (1..=count)
                .map(|number| {
                    let name = format!("{prefix}{number}").parse();
                    name.map(order).map_err(|error| usage(error.to_string()))
                })
                .collect(),
            (None, Some(prefix), None, Some(uses)) => Ok(vec![TokenOrder {
                is_prefix: true,
                uses,
                ..order(prefix.clone())
            }]),
            (None, _, None, None) | (None, None, _, _) => Err(usage(
                "give --name, or --name-prefix with --count or --uses".to_string(),
            )),
        }
    }
}

/// Makes the tokens and prints them.
///
/// # Errors
/// When there is no authority, or the system refuses.
pub fn run(args: &TokenArgs) -> Result<(), Failure> {
    let now_s = FleetFolder::now_s(&args.directory);
    let orders = args.orders(now_s)?;
    let folder = FleetFolder::open(&args.directory)?;
    for order in &orders {
        let token = folder.token(order, now_s)?.to_text();
        let name = &order.node.name;
        let line = Zeroizing::new(if args.csv {
            format!("{name},{}", token.as_str())
        } else if args.json {
            let (node, expires_s) = (order.node.to_string(), order.expires_s);
            json!({ "node": node, "token": token.as_str(), "expires_s": expires_s }).to_string()
        } else {
            token.to_string()
        });
        if output::print([line.as_str()])? == output::Reader::Gone {
            break;
        }
    }
    Ok(())
}
