//! `longrein history`: what was said.

use longrein_io::exit::Exit;
use longrein_proto::base::Name;

use super::connection::ConnectionArgs;
use super::failure::Failure;
use super::hub_words::TimeWord;
use super::output::Reader;
use super::{hub_report, output, run};
use crate::hub::{HistoryEntry, HistoryFrom, Hub, HubError, HubRefusal, Journal};

/// Print what was said on a topic, or what is in the own mailbox: place, time, sender and text
#[derive(Debug, clap::Args)]
#[command(
    after_help = after_help!("Example: longrein history yard talk --since 10m --config alice.toml")
)]
pub struct HistoryArgs {
    /// The room
    #[arg(required_unless_present = "mailbox", requires = "topic")]
    pub room: Option<Name>,

    /// The topic
    pub topic: Option<Name>,

    /// The own mailbox instead; what is in it stays there
    #[arg(long, conflicts_with = "room")]
    pub mailbox: bool,

    /// Only what is newer: a span such as 10m, or UTC such as 2026-03-01T12:30:00Z
    #[arg(long, value_name = "SPAN|TIME")]
    pub since: Option<TimeWord>,

    /// The newest first
    #[arg(long)]
    pub backwards: bool,

    /// At most so many; all without it
    #[arg(long, value_name = "COUNT")]
    pub count: Option<u32>,

    /// Print one JSON object a line for each message
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Prints what was said.
///
/// # Errors
/// When no hub is reached, or it refuses.
pub fn run(args: &HistoryArgs) -> Result<(), Failure> {
    run::at_hub(&args.connection, async |hub| print(args, hub).await)
}

async fn print(args: &HistoryArgs, hub: &Hub) -> Result<(), Failure> {
    let journal = match (&args.room, &args.topic) {
        (Some(room), Some(topic)) => Journal::Topic {
            room: room.clone(),
            topic: topic.clone(),
        },
        _ => Journal::Mailbox {
            node: hub.connection().me().clone(),
        },
    };
    let since_ms = args.since.map_or(0, TimeWord::unix_ms);
    let mut history = hub.history(journal);
    if args.backwards {
        history = history.backwards();
    } else if args.since.is_some() {
        history = history.from(HistoryFrom::Time(since_ms));
    }
    let mut left = args.count.unwrap_or(u32::MAX);
    while left > 0 {
        let page = history.clone().page(left);
        history = page;
        let entries = match history.next_page().await {
            Err(HubError::Refused(HubRefusal::NotFound)) => {
                return Err(Failure::new(Exit::Refused, "there is no such topic"));
            }
            entries => entries?,
        };
        let wanted = wanted(&entries, since_ms, left);
        let is_last = entries.is_empty() || (args.backwards && wanted.len() < entries.len());
        left = left.saturating_sub(u32::try_from(wanted.len()).unwrap_or(u32::MAX));
        let lines = wanted.into_iter().map(|entry| match args.json {
            true => hub_report::entry_json(entry.cursor, &entry.post).to_string(),
            false => hub_report::entry_line(entry.cursor, &entry.post),
        });
        if output::print(lines)? == Reader::Gone || is_last {
            break;
        }
    }
    Ok(())
}

/// What is to be printed of a page.
fn wanted(entries: &[HistoryEntry], since_ms: u64, left: u32) -> Vec<&HistoryEntry> {
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    let newer = entries.iter().filter(|entry| entry.post.at_ms >= since_ms);
    newer.take(left).collect()
}
