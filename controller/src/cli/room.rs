//! `longrein room`: rooms at the fleet's hub.

mod cursor_file;
pub mod join;
pub mod settings_args;

use clap::Subcommand;
use longrein_proto::base::{Class, Name};
use serde_json::json;

use self::join::JoinArgs;
use self::settings_args::SettingsArgs;
use super::connection::ConnectionArgs;
use super::failure::Failure;
use super::hub_words::{ClassWord, NodeWord, RoleWord, duration, payload};
use super::span::Span;
use super::{hub_report, output, run};
use crate::hub::{CursorText, Hub, HubError, HubRefusal, JoinOptions, RoomRole};

/// What to do with rooms.
#[derive(Debug, Subcommand)]
#[expect(
    missing_docs,
    reason = "a comment here would replace the help text that stands at the arguments of each verb"
)]
pub enum RoomVerb {
    List(ListArgs),
    Show(RoomArgs),
    Create(CreateArgs),
    Join(JoinArgs),
    Publish(PublishArgs),
    Members(MembersArgs),
    Kick(KickArgs),
    Assign(AssignArgs),
    Close(CloseArgs),
}

/// List the rooms: name, members and how many there may be, topics
#[derive(Debug, clap::Args)]
#[command(after_help = after_help!("Example: longrein room list --config alice.toml"))]
pub struct ListArgs {
    /// Print one JSON object a line for each room
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Say how a room is set and how it stands
#[derive(Debug, clap::Args)]
#[command(after_help = after_help!("Example: longrein room show yard --json --config alice.toml"))]
pub struct RoomArgs {
    /// The room
    pub room: Name,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Make a room, as one who manages rooms
///
/// Who may not manage rooms may make one by `longrein room join --create`.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help!("Example: longrein room create yard --members-max 20 --keep 7d --config chief.toml"))]
pub struct CreateArgs {
    /// The room
    pub room: Name,

    /// What it is set to.
    #[command(flatten)]
    pub settings: SettingsArgs,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Publish a message on a topic of a room
///
/// Joins the room for that, and leaves it. Prints the message's place, if it is kept: it is stored then.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help!("Example: longrein room publish yard talk 'good morning' --config alice.toml"))]
pub struct PublishArgs {
    /// The room
    pub room: Name,

    /// The topic
    pub topic: Name,

    /// What to say: text, or @FILE
    #[arg(value_name = "TEXT|@FILE")]
    pub payload: String,

    /// The message's class
    #[arg(long, value_enum, default_value_t = ClassWord::Reliable)]
    pub class: ClassWord,

    /// How long it is worth anything; at most 60s unless it is reliable [default: 1d for reliable, 10s else]
    #[arg(long, value_name = "SPAN")]
    pub ttl: Option<Span>,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// List the members of a room and what they do there
#[derive(Debug, clap::Args)]
#[command(after_help = after_help!("Example: longrein room members yard --config alice.toml"))]
pub struct MembersArgs {
    /// The room
    pub room: Name,

    /// Print one JSON object a line for each member
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Remove a member from a room, as its dispatcher
#[derive(Debug, clap::Args)]
#[command(after_help = after_help!("Example: longrein room kick yard controller/bob --config chief.toml"))]
pub struct KickArgs {
    /// The room
    pub room: Name,

    /// Whom: KIND/NAME, or the name of a vehicle's agent
    pub node: NodeWord,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Give a member of a room another role, as its dispatcher
#[derive(Debug, clap::Args)]
#[command(after_help = after_help!("Example: longrein room assign yard controller/bob driver --config chief.toml"))]
pub struct AssignArgs {
    /// The room
    pub room: Name,

    /// Whom: KIND/NAME, or the name of a vehicle's agent
    pub node: NodeWord,

    /// What it does from now on
    #[arg(value_enum)]
    pub role: RoleWord,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Close a room: its members, topics and attributes are gone
#[derive(Debug, clap::Args)]
#[command(after_help = after_help!("Example: longrein room close yard --config chief.toml"))]
pub struct CloseArgs {
    /// The room
    pub room: Name,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Does what the verb says.
///
/// # Errors
/// When no hub is reached, or it refuses.
pub fn run(verb: RoomVerb) -> Result<(), Failure> {
    match verb {
        RoomVerb::List(args) => list(&args),
        RoomVerb::Show(args) => show(&args),
        RoomVerb::Create(args) => run::at_hub(&args.connection, async |hub| {
            Ok(hub
                .create_room(&args.room, args.settings.settings())
                .await?)
        }),
        RoomVerb::Join(args) => join::run(&args),
        RoomVerb::Publish(args) => publish(&args),
        RoomVerb::Members(args) => members(&args),
        RoomVerb::Kick(args) => run::at_hub(&args.connection, async |hub| {
            let node = &args.node.0;
            as_dispatcher(hub, &args.room, async || hub.kick(&args.room, node).await).await
        }),
        RoomVerb::Assign(args) => run::at_hub(&args.connection, async |hub| {
            let (node, role) = (&args.node.0, args.role.into());
            let assign = async || hub.assign(&args.room, node, role).await;
            as_dispatcher(hub, &args.room, assign).await
        }),
        RoomVerb::Close(args) => run::at_hub(&args.connection, async |hub| {
            as_dispatcher(hub, &args.room, async || hub.close_room(&args.room).await).await
        }),
    }
}

/// Does something that managers of rooms may, and who is the room's dispatcher: as the latter when the former is refused.
async fn as_dispatcher(
    hub: &Hub,
    room: &Name,
    act: impl AsyncFn() -> Result<(), HubError>,
) -> Result<(), Failure> {
    match act().await {
        Err(HubError::Refused(HubRefusal::NotAllowed)) => {}
        done => return Ok(done?),
    }
    let join = JoinOptions::new(room.clone(), RoomRole::Dispatcher);
    let joined = hub.join(join).await?;
    let done = act().await;
    // A room that was closed is left already.
    joined.leave().await.ok();
    Ok(done?)
}

fn list(args: &ListArgs) -> Result<(), Failure> {
    run::at_hub(&args.connection, async |hub| {
        let rooms = hub.rooms().await?;
        output::print(rooms.iter().map(|room| match args.json {
            true => hub_report::room_json(room).to_string(),
            false => hub_report::room_line(room),
        }))?;
        if rooms.is_empty() {
            eprintln!("there is no room");
        }
        Ok(())
    })
}

fn show(args: &RoomArgs) -> Result<(), Failure> {
    run::at_hub(&args.connection, async |hub| {
        let object = hub_report::room_json(&hub.room(&args.room).await?);
        if args.json {
            output::print([object.to_string()])?;
        } else {
            let words = object.as_object().into_iter().flatten();
            output::print(words.map(|(key, value)| format!("{key}: {value}")))?;
        }
        Ok(())
    })
}

fn publish(args: &PublishArgs) -> Result<(), Failure> {
    let payload = payload(&args.payload)?;
    let class = Class::from(args.class);
    let ttl = match (args.ttl, class) {
        (Some(span), _) => duration(span),
        (None, Class::Reliable) => TTL_KEPT,
        (None, _) => TTL_LIVE,
    };
    run::at_hub(&args.connection, async |hub| {
        let join = JoinOptions::new(args.room.clone(), RoomRole::Driver);
        let room = hub.join(join).await?;
        let published = room.publish(&args.topic, class, ttl, payload).await?;
        room.leave().await?;
        let place = published
            .cursor
            .map(|cursor| CursorText(cursor).to_string());
        if args.json {
            let object = json!({
                "cursor": place,
                "id": hub_report::id(&published.id),
                "at_ms": published.at_ms,
                "targets": published.targets,
            });
            output::print([object.to_string()])?;
        } else {
            output::print(place)?;
            eprintln!("published; {} programs read the topic", published.targets);
        }
        Ok(())
    })
}

fn members(args: &MembersArgs) -> Result<(), Failure> {
    run::at_hub(&args.connection, async |hub| {
        let (revision, members) = hub.members(&args.room).await?;
        output::print(members.iter().map(|member| {
            let (node, role) = (&member.node, hub_report::role_word(member.role));
            match args.json {
                true => json!({
                    "node": node.to_string(),
                    "role": role,
                    "since_ms": member.since_ms,
                    "revision": revision,
                })
                .to_string(),
                false => format!("{node}\t{role}"),
            }
        }))?;
        Ok(())
    })
}

/// As long as rooms keep messages unless they are set otherwise.
const TTL_KEPT: std::time::Duration = std::time::Duration::from_secs(86_400);
/// For who is here, over a link that is gone for a moment.
const TTL_LIVE: std::time::Duration = std::time::Duration::from_secs(10);
