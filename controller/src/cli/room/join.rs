//! `longrein room join`: what is said in a room.

use std::path::PathBuf;
use std::str::FromStr;

use longrein_io::exit::Exit;
use longrein_proto::base::Name;
use serde_json::json;

use super::cursor_file::CursorFile;
use super::settings_args::SettingsArgs;
use crate::cli::connection::ConnectionArgs;
use crate::cli::failure::Failure;
use crate::cli::hub_words::RoleWord;
use crate::cli::output::Reader;
use crate::cli::{hub_report, output, run};
use crate::hub::{CursorText, CursorTextError, JoinOptions, Room, RoomEvent, Start};

/// Join a room and print what is said on some of its topics until Ctrl-C
///
/// Each line has the message's place (EPOCH:NUMBER; `-` when it is not kept), topic, sender and text. With --cursor-file a program that
/// is started again, after whatever ended it, goes on behind the last line that it printed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = after_help!("Example: longrein room join yard talk --from oldest --cursor-file talk.cursor --config alice.toml")
)]
pub struct JoinArgs {
    /// The room
    pub room: Name,

    /// The topics
    #[arg(value_name = "TOPIC", required_unless_present = "members")]
    pub topics: Vec<Name>,

    /// As what
    #[arg(long, value_enum, default_value_t = RoleWord::Observer)]
    pub role: RoleWord,

    /// Begin with the oldest message that is kept, with what comes now, or behind a place (EPOCH:NUMBER, for one topic)
    #[arg(long, value_name = "oldest|now|CURSOR", default_value = "now")]
    pub from: FromWord,

    /// Keep in this file how far each topic was printed, and go on behind that; --from is for topics that are not in it
    #[arg(long, value_name = "FILE")]
    pub cursor_file: Option<PathBuf>,

    /// Also say who joins and leaves, on stderr, or as JSON on stdout
    #[arg(long)]
    pub members: bool,

    /// Make the room when it is not there
    #[arg(long)]
    pub create: bool,

    /// What it is set to then.
    #[command(flatten)]
    pub settings: SettingsArgs,

    /// Print one JSON object a line for each event
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FromWord(pub Start);

impl FromStr for FromWord {
    type Err = CursorTextError;

    fn from_str(text: &str) -> Result<FromWord, CursorTextError> {
        Ok(FromWord(match text {
            "oldest" => Start::Oldest,
            "now" => Start::Now,
            cursor => Start::After(cursor.parse::<CursorText>()?.0),
        }))
    }
}

/// Prints what happens in the room until a signal comes, nobody reads it, or the room is lost.
///
/// # Errors
/// When no hub is reached, it refuses, or the room is lost.
pub fn run(args: &JoinArgs) -> Result<(), Failure> {
    if matches!(args.from.0, Start::After(_)) && args.topics.len() != 1 {
        let line = "--from CURSOR is for one topic: several have places of their own";
        return Err(Failure::new(Exit::Usage, line));
    }
    let file = args.cursor_file.clone().map(CursorFile::open);
    let mut file = file.transpose()?;
    run::by_hub(&args.connection, async |hub, shutdown| {
        let options = options(args, file.as_ref());
        let joining = run::patiently("joining the room", hub.join(options));
        let mut room = run::or_signal(shutdown, joining).await??;
        eprintln!("joined {}", args.room);
        loop {
            tokio::select! {
                event = room.next() => {
                    let event = event.ok_or_else(|| Failure::new(Exit::Failed, "the connection has ended"))?;
                    if on_event(args, &mut file, event)? == Reader::Gone {
                        break;
                    }
                }
                _ = shutdown.wait() => break,
            }
        }
        say_missed(&room);
        room.leave().await.ok();
        Ok(())
    })
}

fn options(args: &JoinArgs, file: Option<&CursorFile>) -> JoinOptions {
    let mut options = JoinOptions::new(args.room.clone(), args.role.into());
    for topic in &args.topics {
        let kept = file.and_then(|file| file.cursor(topic));
        let from = kept.map_or(args.from.0, Start::After);
        options = options.topic(topic.clone(), from);
    }
    if args.create {
        options = options.create(args.settings.settings());
    }
    if args.members {
        options = options.members();
    }
    options
}

fn on_event(
    args: &JoinArgs,
    file: &mut Option<CursorFile>,
    event: RoomEvent,
) -> Result<Reader, Failure> {
    match event {
        RoomEvent::Message(message) => {
            let line = match args.json {
                true => hub_report::message_json(&message).to_string(),
                false => hub_report::message_line(&message),
            };
            let reader = output::print([line])?;
            if let (Some(file), Some(cursor), Reader::There) = (file, message.cursor, reader) {
                file.keep(&message.topic, cursor)?;
            }
            Ok(reader)
        }
        RoomEvent::Members(changes) if args.json => {
            let object = hub_report::members_json(&changes);
            Ok(output::print([object.to_string()])?)
        }
        RoomEvent::Members(changes) => {
            for line in hub_report::member_lines(&changes) {
                eprintln!("{line}");
            }
            Ok(Reader::There)
        }
        RoomEvent::Resumed { topic, is_broken } => {
            let topic = topic.map(|topic| topic.to_string());
            if is_broken {
                let what = topic.as_deref().unwrap_or("members");
                eprintln!(
                    "{what}: some may be missing: what stood behind the last one is not kept"
                );
            }
            let object =
                json!({ "event": "resumed", "topic": topic, "may_have_missed": is_broken });
            let line = args.json.then(|| object.to_string());
            Ok(output::print(line)?)
        }
        RoomEvent::Removed(why) => {
            let why = hub_report::leave_word(why);
            let line = format!("no member of {} any more: {why}", args.room);
            Err(Failure::new(Exit::Refused, line))
        }
        RoomEvent::Lost(why) => {
            let line = format!("no member of {} any more: {why}", args.room);
            Err(Failure::new(Exit::Refused, line))
        }
        RoomEvent::Overrun => {
            let line = "stdout is read too slowly: start again, behind the last place";
            Err(Failure::new(Exit::Failed, line))
        }
    }
}

fn say_missed(room: &Room) {
    if room.missed() > 0 {
        let missed = room.missed();
        eprintln!(
            "{missed} messages that are not kept were not printed: stdout was read too slowly"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Cursor;

    #[test]
    fn a_topic_begins_where_it_is_told() {
        let from = |text: &str| text.parse::<FromWord>().map(|word| word.0);
        assert_eq!(from("oldest"), Ok(Start::Oldest));
        assert_eq!(from("now"), Ok(Start::Now));
        let cursor = Cursor {
            epoch: 7,
            number: 1,
        };
        assert_eq!(from("7:1"), Ok(Start::After(cursor)));
        assert!(from("yesterday").is_err());
    }
}
