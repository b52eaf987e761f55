//! `longrein send`: messages to nodes.

use clap::{ArgGroup, ValueEnum};
use longrein_io::exit::Exit;
use longrein_proto::base::{Name, NodeKind, NodeName};
use serde_json::json;

use super::connection::ConnectionArgs;
use super::failure::Failure;
use super::hub_words::{ClassWord, NodeWord, duration, parse_kind, parse_label, payload};
use super::span::Span;
use super::{hub_report, output, run};
use crate::hub::{Label, Message, Selector, Sent, TargetOutcome, TargetResult, Want};

/// Send a message to nodes, and say what becomes of it at each
///
/// It is for nodes by name, or for those that are here and fulfil all of --kind, --group, --label and --room. It commands nothing: what a
/// vehicle's functions obey is sent by `longrein drive` and `longrein command`.
#[derive(Debug, clap::Args)]
#[command(
    group(ArgGroup::new("selector").args(["kind", "group", "labels", "room"]).multiple(true)),
    group(ArgGroup::new("target").args(["nodes", "kind", "group", "labels", "room"]).required(true).multiple(true)),
    after_help = after_help!("Example: longrein send --kind agent --label site=north --payload 'shift is over' --wait delivered --config alice.toml")
)]
pub struct SendArgs {
    /// The nodes: KIND/NAME, or names of vehicles' agents
    #[arg(value_name = "NODE", conflicts_with = "selector")]
    pub nodes: Vec<NodeWord>,

    /// Nodes of this kind
    #[arg(long, value_parser = parse_kind)]
    pub kind: Option<NodeKind>,

    /// Nodes of this group
    #[arg(long)]
    pub group: Option<Name>,

    /// Nodes with this label; give one --label for each
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    pub labels: Vec<Label>,

    /// Members of this room
    #[arg(long)]
    pub room: Option<Name>,

    /// What to say: text, or @FILE
    #[arg(long, value_name = "TEXT|@FILE")]
    pub payload: String,

    /// What it is about, in the words of who reads it
    #[arg(long, default_value = "message")]
    pub flow: Name,

    /// The message's class
    #[arg(long, value_enum, default_value_t = ClassWord::Reliable)]
    pub class: ClassWord,

    /// Keep it in mailboxes, for who is away, too
    #[arg(long)]
    pub kept: bool,

    /// How long it is worth anything; at most 60s unless it is kept [default: 10s, 7d when kept]
    #[arg(long, value_name = "SPAN")]
    pub ttl: Option<Span>,

    /// Wait until each target's program has it (or its mailbox, when kept), or until its application says that it did it
    #[arg(long, value_enum)]
    pub wait: Option<WaitWord>,

    /// Print one JSON object a line for each target
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitWord {
    /// The program has it
    Delivered,
    /// The application did it
    Applied,
}

/// Sends it and prints what becomes of it.
///
/// # Errors
/// When no hub is reached, it refuses, or it is not done at each target.
pub fn run(args: &SendArgs) -> Result<(), Failure> {
    let message = message(args)?;
    run::at_hub(&args.connection, async |hub| {
        let sent = hub.send(message).await?;
        if args.wait.is_some() {
            return results(args, sent).await;
        }
        let targets = sent.targets();
        if args.json {
            let id = hub_report::id(&sent.id());
            let object = json!({ "targets": targets, "id": id, "at_ms": sent.at_ms() });
            output::print([object.to_string()])?;
        } else {
            eprintln!("sent to {targets}");
        }
        Ok(())
    })
}

fn message(args: &SendArgs) -> Result<Message, Failure> {
    let (flow, payload) = (args.flow.clone(), payload(&args.payload)?);
    let message = if args.nodes.is_empty() {
        let selector = Selector {
            nodes: Vec::new(),
            kind: args.kind,
            group: args.group.clone(),
            room: args.room.clone(),
            labels: args.labels.clone(),
        };
        Message::to_selected(selector, flow, payload)
    } else {
        let nodes = args.nodes.iter().map(|node| node.0.clone());
        Message::to_nodes(nodes, flow, payload)
    };
    let message = message.class(args.class.into()).want(match args.wait {
        None => Want::Nothing,
        Some(WaitWord::Delivered) => Want::Delivered,
        Some(WaitWord::Applied) => Want::Applied,
    });
    Ok(match (args.kept, args.ttl) {
        (true, ttl) => message.kept(ttl.map_or(KEPT_TTL, duration)),
        (false, Some(ttl)) => message.ttl(duration(ttl)),
        (false, None) => message,
    })
}

async fn results(args: &SendArgs, mut sent: Sent) -> Result<(), Failure> {
    let mut named: Vec<NodeName> = args.nodes.iter().map(|node| node.0.clone()).collect();
    let mut tally = Tally::default();
    while let Some(result) = sent.next().await {
        named.retain(|node| *node != result.node);
        tally.add(&result.outcome);
        print(args, &result)?;
    }
    // Of these nothing was heard.
    for node in named {
        let outcome = TargetOutcome::Unknown;
        print(args, &TargetResult { node, outcome })?;
    }
    tally.unknown += usize::try_from(sent.open()).unwrap_or(usize::MAX);
    tally.verdict()
}

fn print(args: &SendArgs, result: &TargetResult) -> Result<(), Failure> {
    output::print([match args.json {
        true => hub_report::result_json(result).to_string(),
        false => hub_report::result_line(result),
    }])?;
    Ok(())
}

/// What became of a message at all its targets.
#[derive(Debug, Default)]
struct Tally {
    done: usize,
    refused: usize,
    expired: usize,
    unknown: usize,
}

impl Tally {
    fn add(&mut self, outcome: &TargetOutcome) {
        let count = match outcome {
            // Kept is told only to who waits for no more than that.
            TargetOutcome::Delivered | TargetOutcome::Applied | TargetOutcome::Kept => {
                &mut self.done
            }
            TargetOutcome::Declined(_) | TargetOutcome::Refused(_) => &mut self.refused,
            TargetOutcome::Expired => &mut self.expired,
            TargetOutcome::Offline | TargetOutcome::Unknown => &mut self.unknown,
        };
        *count += 1;
    }

    fn verdict(&self) -> Result<(), Failure> {
        let all = self.done + self.refused + self.expired + self.unknown;
        let exit = if self.refused > 0 {
            Exit::Refused
        } else if self.expired > 0 {
            Exit::Expired
        } else if self.unknown > 0 {
            Exit::Unreachable
        } else {
            return Ok(());
        };
        let line = format!("done at {} of {all}", self.done);
        Err(Failure::new(exit, line))
    }
}

/// The longest that the hub keeps anything.
const KEPT_TTL: std::time::Duration = longrein_proto::base::limits::KEPT_TTL_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::HubRefusal;

    #[test]
    fn it_is_done_only_when_it_is_done_everywhere() {
        let exit = |outcomes: &[TargetOutcome]| {
            let mut tally = Tally::default();
            outcomes.iter().for_each(|outcome| tally.add(outcome));
            tally.verdict().err().map(|failure| failure.exit())
        };
        let done = [TargetOutcome::Delivered, TargetOutcome::Kept];
        assert_eq!(exit(&done), None);
        assert_eq!(exit(&[]), None);
        let away = [TargetOutcome::Delivered, TargetOutcome::Offline];
        assert_eq!(exit(&away), Some(Exit::Unreachable));
        let late = [TargetOutcome::Expired, TargetOutcome::Unknown];
        assert_eq!(exit(&late), Some(Exit::Expired));
        let full = TargetOutcome::Refused(HubRefusal::Full);
        assert_eq!(exit(&[full, TargetOutcome::Expired]), Some(Exit::Refused));
    }
}
