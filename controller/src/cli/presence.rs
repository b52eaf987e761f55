//! `longrein presence`: who is here, as the fleet's hub sees it.

use clap::Subcommand;
use longrein_io::exit::Exit;

use super::connection::ConnectionArgs;
use super::failure::Failure;
use super::hub_words::{NodeWord, SelectorWord, selector};
use super::output::Reader;
use super::{hub_report, output, run};
use crate::hub::NodePresence;

/// Say which nodes are here, by which links, and since when
///
/// Nodes that were here and are not any more are listed, too, with the reason.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = after_help!("Example: longrein presence kind=agent label.site=north --watch --config alice.toml")
)]
pub struct PresenceArgs {
    /// Something else to ask.
    #[command(subcommand)]
    pub verb: Option<PresenceVerb>,

    /// Only nodes that fulfil all of these: NODE, kind=KIND, group=GROUP, room=ROOM, label.KEY=VALUE; several nodes are one or the other
    #[arg(value_name = "SELECTOR")]
    pub selectors: Vec<SelectorWord>,

    /// Go on with each change until Ctrl-C
    #[arg(long)]
    pub watch: bool,

    /// Print one JSON object a line for each node
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// What else to ask.
#[derive(Debug, Subcommand)]
#[expect(
    missing_docs,
    reason = "a comment here would replace the help text that stands at the arguments of each verb"
)]
pub enum PresenceVerb {
    Where(WhereArgs),
}

/// Say whether a node is here, by which links, and in which rooms
#[derive(Debug, clap::Args)]
#[command(after_help = after_help!("Example: longrein presence where truck-17 --config alice.toml"))]
pub struct WhereArgs {
    /// The node: KIND/NAME, or the name of a vehicle's agent
    pub node: NodeWord,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Prints who is here.
///
/// # Errors
/// When no hub is reached, or it refuses.
pub fn run(args: &PresenceArgs) -> Result<(), Failure> {
    match &args.verb {
        Some(PresenceVerb::Where(args)) => where_is(args),
        None if args.watch => watch(args),
        None => list(args),
    }
}

fn print(args: &PresenceArgs, nodes: &[NodePresence]) -> Result<Reader, Failure> {
    let lines = nodes.iter().map(|node| match args.json {
        true => hub_report::presence_json(node).to_string(),
        false => hub_report::presence_line(node),
    });
    Ok(output::print(lines)?)
}

fn list(args: &PresenceArgs) -> Result<(), Failure> {
    run::at_hub(&args.connection, async |hub| {
        let nodes = hub.presence(selector(&args.selectors)).await?;
        print(args, &nodes)?;
        if nodes.is_empty() {
            eprintln!("the hub knows no such node");
        }
        Ok(())
    })
}

fn watch(args: &PresenceArgs) -> Result<(), Failure> {
    run::by_hub(&args.connection, async |hub, shutdown| {
        let asking = hub.watch_presence(selector(&args.selectors));
        let mut watch =
            run::or_signal(shutdown, run::patiently("asking the hub", asking)).await??;
        loop {
            tokio::select! {
                node = watch.next() => {
                    let Some(node) = node else {
                        return Err(match watch.lost() {
                            Some(why) => crate::hub::HubError::Refused(why).into(),
                            None => Failure::new(Exit::Failed, "the connection has ended"),
                        });
                    };
                    if print(args, &[node])? == Reader::Gone {
                        return Ok(());
                    }
                }
                _ = shutdown.wait() => return Ok(()),
            }
        }
    })
}

fn where_is(args: &WhereArgs) -> Result<(), Failure> {
    run::at_hub(&args.connection, async |hub| {
        let found = hub.where_is(&args.node.0).await?;
        let rooms: Vec<&str> = found.rooms.iter().map(|room| room.as_str()).collect();
        if args.json {
            let mut object = hub_report::presence_json(&found.presence);
            if let Some(object) = object.as_object_mut() {
                object.insert("rooms".into(), rooms.into());
            }
            output::print([object.to_string()])?;
        } else {
            let line = hub_report::presence_line(&found.presence);
            let in_rooms = rooms.iter().map(|room| format!("in room {room}"));
            output::print([line].into_iter().chain(in_rooms))?;
        }
        Ok(())
    })
}
