//! `/v1/rooms`: rooms and their members.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use longrein_proto::base::Name;
use longrein_proto::wire::hub::{
    Answer, Member, Request, Retention, RoomInfo, RoomRole, RoomSettings,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::guard::Caller;
use super::messages::unexpected;
use super::pages::{Limit, node};
use super::whole::whole;
use super::words::{Kind, Node, Role, Word};
use crate::http::problem::{Json, Place, Problem, Query};

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, create, close))
        .routes(routes!(members))
        .routes(routes!(kick))
        .routes(routes!(assign))
}

/// What a room is set to.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Members at once.
    #[serde(default = "members_max", deserialize_with = "whole")]
    #[schema(default = 100, minimum = 1, maximum = 10_000)]
    members_max: u32,
    /// How much of each topic is kept.
    #[serde(default)]
    retention: Keeping,
    /// Whether the room ends when its last member has left; nothing of it is stored then.
    #[serde(default)]
    transient: bool,
    /// The most that who joins may be.
    #[serde(default = "role_max")]
    #[schema(default = "driver")]
    role_max: Role,
}

/// How much of a topic is kept: what is over any of the bounds goes, the oldest first.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct Keeping {
    /// Messages; 0: none is kept.
    #[serde(deserialize_with = "whole")]
    #[schema(default = 1_000, maximum = 100_000)]
    count_max: u64,
    /// Bytes of messages.
    #[serde(deserialize_with = "whole")]
    #[schema(default = 16_777_216, maximum = 268_435_456)]
    bytes_max: u64,
    /// Seconds since they came.
    #[serde(deserialize_with = "whole")]
    #[schema(default = 604_800, maximum = 2_592_000)]
    age_max_s: u64,
}

/// How a room stands.
#[derive(Serialize, ToSchema)]
struct Room {
    /// Its name.
    room: Word,
    /// What it is set to.
    settings: Settings,
    /// Grows with each change of its members.
    revision: u64,
    /// How many there are.
    members: u32,
    /// The topics on which something was published or is read.
    topics: Vec<Word>,
}

/// Rooms by name.
#[derive(Serialize, ToSchema)]
struct Rooms {
    /// Up to 16 of them.
    rooms: Vec<Room>,
    /// `cursor` of the next page; none on the last one.
    next: Option<String>,
}

/// A member of a room.
#[derive(Serialize, ToSchema)]
struct MemberOf {
    /// Who.
    node: Node,
    /// What it does.
    role: Role,
    /// Since when, in milliseconds since 1970.
    since_ms: u64,
}

/// Members of a room by name.
#[derive(Serialize, ToSchema)]
struct Members {
    /// Of all members.
    revision: u64,
    /// Up to 500 of them.
    members: Vec<MemberOf>,
    /// `cursor` of the next page; none on the last one.
    next: Option<String>,
}

/// A role to give.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRole {
    /// The role.
    role: Role,
}

/// Which page of rooms.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RoomPage {
    /// `next` of the page before.
    #[param(inline)]
    cursor: Option<Word>,
    /// Entries at most; there may be fewer although more follow.
    #[param(inline)]
    limit: Option<Limit>,
}

/// Which page of members.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MemberPage {
    /// `next` of the page before.
    #[param(inline)]
    cursor: Option<Node>,
    /// Entries at most; there may be fewer although more follow.
    #[param(inline)]
    limit: Option<Limit>,
}

/// Lists rooms by name.
#[utoipa::path(
    get, path = "/rooms", tag = "rooms", operation_id = "listRooms", params(RoomPage),
    responses((status = 200, description = "Rooms", body = Rooms))
)]
async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(page): Query<RoomPage>,
) -> Result<Json<Rooms>, Problem> {
    let request = Request::Rooms {
        after: page.cursor.map(|room| room.0),
        count: Limit::of(page.limit),
    };
    let Answer::Rooms { rooms, more } = api.speakers.ask(&caller, request).await? else {
        return Err(unexpected());
    };
    let last = rooms.last().filter(|_| more);
    Ok(Json(Rooms {
        next: last.map(|room| room.room.to_string()),
        rooms: rooms.into_iter().map(Room::of).collect(),
    }))
}

/// Shows a room.
#[utoipa::path(
    get, path = "/rooms/{room}", tag = "rooms", operation_id = "getRoom",
    params(("room" = Word, Path, description = "The room")),
    responses(
        (status = 200, description = "The room", body = Room),
        (status = 404, description = "There is no such room"),
    )
)]
async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(room): Place<Word>,
) -> Result<Json<Room>, Problem> {
    look(&api, &caller, room.0).await.map(Json)
}

/// Makes a room; done also when it is there with these settings. Needs `hub.manage`.
#[utoipa::path(
    put, path = "/rooms/{room}", tag = "rooms", operation_id = "putRoom",
    params(("room" = Word, Path, description = "The room")),
    request_body = Settings,
    responses(
        (status = 200, description = "The room", body = Room),
        (status = 409, description = "The room exists and has other settings, or a bound is reached"),
    )
)]
async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(room): Place<Word>,
    Json(settings): Json<Settings>,
) -> Result<Json<Room>, Problem> {
    let settings = RoomSettings::from(settings);
    let request = Request::CreateRoom {
        room: room.0.clone(),
        settings: settings.clone(),
    };
    let Answer::Done { revision } = api.speakers.ask(&caller, request).await? else {
        return Err(unexpected());
    };
    // Whoever may make rooms need not be allowed to see who is in them.
    let made = RoomInfo {
        room: room.0.clone(),
        settings,
        revision,
        members: 0,
        topics: Vec::new(),
    };
    let seen = look(&api, &caller, room.0).await;
    Ok(Json(seen.unwrap_or_else(|_| Room::of(made))))
}

/// Closes a room: its members, topics and attributes are gone. For its dispatchers, and with `hub.manage`.
#[utoipa::path(
    delete, path = "/rooms/{room}", tag = "rooms", operation_id = "closeRoom",
    params(("room" = Word, Path, description = "The room")),
    responses(
        (status = 204, description = "It is closed"),
        (status = 404, description = "There is no such room"),
    )
)]
async fn close(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(room): Place<Word>,
) -> Result<StatusCode, Problem> {
    let request = Request::CloseRoom { room: room.0 };
    api.speakers.ask(&caller, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the members of a room by name.
#[utoipa::path(
    get, path = "/rooms/{room}/members", tag = "rooms", operation_id = "listMembers",
    params(("room" = Word, Path, description = "The room"), MemberPage),
    responses(
        (status = 200, description = "Members", body = Members),
        (status = 404, description = "There is no such room"),
    )
)]
async fn members(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(room): Place<Word>,
    Query(page): Query<MemberPage>,
) -> Result<Json<Members>, Problem> {
    let request = Request::Members {
        room: room.0,
        after: page.cursor.map(|node| node.0),
        count: Limit::of(page.limit),
    };
    let answer = api.speakers.ask(&caller, request).await?;
    let Answer::Members {
        revision,
        members,
        more,
    } = answer
    else {
        return Err(unexpected());
    };
    let last = members.last().filter(|_| more);
    Ok(Json(Members {
        revision,
        next: last.map(|member| member.node.to_string()),
        members: members.into_iter().map(MemberOf::of).collect(),
    }))
}

/// Removes a member. For dispatchers of the room, and with `hub.manage`.
#[utoipa::path(
    delete, path = "/rooms/{room}/members/{kind}/{name}", tag = "rooms", operation_id = "removeMember",
    params(
        ("room" = Word, Path, description = "The room"),
        ("kind" = Kind, Path, description = "The node's kind"),
        ("name" = Word, Path, description = "The node's name"),
    ),
    responses(
        (status = 204, description = "It is removed"),
        (status = 404, description = "There is no such room or member"),
    )
)]
async fn kick(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place((room, kind, name)): Place<(Word, Kind, Word)>,
) -> Result<StatusCode, Problem> {
    let request = Request::Kick {
        room: room.0,
        node: node(kind, name),
    };
    api.speakers.ask(&caller, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a member another role. For dispatchers of the room, and with `hub.manage`.
#[utoipa::path(
    put, path = "/rooms/{room}/members/{kind}/{name}/role", tag = "rooms", operation_id = "putRole",
    params(
        ("room" = Word, Path, description = "The room"),
        ("kind" = Kind, Path, description = "The node's kind"),
        ("name" = Word, Path, description = "The node's name"),
    ),
    request_body = NewRole,
    responses(
        (status = 204, description = "It has the role"),
        (status = 404, description = "There is no such room or member"),
    )
)]
async fn assign(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place((room, kind, name)): Place<(Word, Kind, Word)>,
    Json(NewRole { role }): Json<NewRole>,
) -> Result<StatusCode, Problem> {
    let request = Request::Assign {
        room: room.0,
        node: node(kind, name),
        role: role.into(),
    };
    api.speakers.ask(&caller, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn look(api: &Api, caller: &Caller, room: Name) -> Result<Room, Problem> {
    let Answer::Room(info) = api.speakers.ask(caller, Request::Room { room }).await? else {
        return Err(unexpected());
    };
    Ok(Room::of(info))
}

impl Room {
    fn of(info: RoomInfo) -> Room {
        Room {
            room: Word(info.room),
            settings: info.settings.into(),
            revision: info.revision,
            members: info.members,
            topics: info.topics.into_iter().map(Word).collect(),
        }
    }
}

impl MemberOf {
    fn of(member: Member) -> MemberOf {
        MemberOf {
            node: Node(member.node),
            role: member.role.into(),
            since_ms: member.since_ms,
        }
    }
}

impl From<Settings> for RoomSettings {
    fn from(settings: Settings) -> RoomSettings {
        let Keeping {
            count_max,
            bytes_max,
            age_max_s,
        } = settings.retention;
        RoomSettings {
            members_max: settings.members_max,
            retention: Retention {
                count_max,
                bytes_max,
                age_max_s,
            },
            is_transient: settings.transient,
            role_max: settings.role_max.into(),
        }
    }
}

impl From<RoomSettings> for Settings {
    fn from(settings: RoomSettings) -> Settings {
        let Retention {
            count_max,
            bytes_max,
            age_max_s,
        } = settings.retention;
        Settings {
            members_max: settings.members_max,
            retention: Keeping {
                count_max,
                bytes_max,
                age_max_s,
            },
            transient: settings.is_transient,
            role_max: settings.role_max.into(),
        }
    }
}

impl Default for Keeping {
    /// A thousand messages, 16 MiB, a week.
    fn default() -> Keeping {
        Keeping {
            count_max: 1_000,
            bytes_max: 16 * 1024 * 1024,
            age_max_s: 7 * 86_400,
        }
    }
}

fn members_max() -> u32 {
    100
}

fn role_max() -> Role {
    RoomRole::Driver.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_defaults_and_are_shown_as_they_were_given() {
        let given: Settings = serde_json::from_str("{}").unwrap();
        let settings = RoomSettings::from(given);
        assert_eq!(settings.members_max, 100);
        assert_eq!(settings.retention.count_max, 1_000);
        let shown = serde_json::to_string(&Settings::from(settings.clone())).unwrap();
        let again: Settings = serde_json::from_str(&shown).unwrap();
        assert_eq!(RoomSettings::from(again), settings);
    }

    #[test]
    fn settings_that_there_are_not_are_refused() {
        for text in [
            "{\"colour\": 1}",
            "{\"role_max\": \"king\"}",
            "{\"members_max\": -1}",
        ] {
            assert!(serde_json::from_str::<Settings>(text).is_err(), "{text}");
        }
    }
}
