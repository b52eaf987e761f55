//! `/v1/rooms/{room}/topics/{topic}/messages`: what is published, and the past.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use longrein_proto::wire::hub::{
    Answer, HistoryEntry, HistoryFrom, Journal, Post, Publish, Request, Want,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::guard::Caller;
use super::idempotency::Naming;
use super::messages::unexpected;
use super::pages::Limit;
use super::payload;
use super::refusal::bad_request;
use super::whole::whole_or_none;
use super::words::{Id, Node, Place as At, Promise, Wish, Word};
use crate::http::problem::{Json, Place, Problem, Query};

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(history, publish))
}

/// A message for all who read a topic.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPost {
    /// Its class: `reliable` is kept as the room is set, and read in order; of `latest` the newest of each sender counts.
    #[serde(default)]
    #[schema(default = "reliable")]
    class: Promise,
    /// Milliseconds for which it is worth anything: up to a week when it is `reliable`, up to a minute otherwise.
    #[serde(default, deserialize_with = "whole_or_none")]
    #[schema(minimum = 1, maximum = 604_800_000)]
    ttl_ms: Option<u32>,
    /// What it says, as JSON.
    #[serde(default, deserialize_with = "payload::any")]
    #[schema(value_type = Option<serde_json::Value>)]
    payload: Option<Box<RawValue>>,
    /// What it says, as bytes in base64; instead of `payload`.
    payload_base64: Option<String>,
}

/// A message that is published.
#[derive(Serialize, ToSchema)]
struct Published {
    /// Its identifier.
    id: Id,
    /// Its place, if it is kept.
    cursor: Option<At>,
    /// When the hub had it, in milliseconds since 1970.
    at_ms: u64,
    /// How many read the topic now; 0 when the message was there already.
    targets: u32,
}

/// A message of a topic or a mailbox.
#[derive(Serialize, ToSchema)]
pub(super) struct PostShown {
    /// Its place, if it is kept.
    cursor: Option<At>,
    /// Its identifier.
    id: Id,
    /// Who sent it.
    from: Node,
    /// Its class.
    class: Promise,
    /// Of a message to a node, what it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<Word>,
    /// When the hub had it, in milliseconds since 1970.
    at_ms: u64,
    /// Until when it is worth anything, in milliseconds since 1970.
    until_ms: u64,
    /// What its sender wants to hear.
    want: Wish,
    /// What it says, when that is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    payload: Option<Box<RawValue>>,
    /// What it says, as bytes in base64, when it is no JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

/// Messages in the order that was asked for.
#[derive(Serialize, ToSchema)]
pub(super) struct Posts {
    /// The messages.
    messages: Vec<PostShown>,
    /// `cursor` of the next page in this direction; none when there is no more now.
    next: Option<At>,
    /// The place of the last message of this page, or the cursor that was asked for when there is none: who polls goes on behind it.
    last: Option<At>,
}

/// Which direction a page goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Direction {
    /// From the newest to older ones.
    #[default]
    Backwards,
    /// From the oldest to newer ones.
    Forwards,
}

/// Which messages.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Past {
    /// Messages behind this place, in the direction of reading.
    #[param(inline)]
    cursor: Option<At>,
    /// Messages from this time on, in the direction of reading, in milliseconds since 1970. A `cursor` counts more.
    #[param(maximum = 9_007_199_254_740_991u64)]
    since_ms: Option<u64>,
    /// `backwards` begins with the newest, `forwards` with the oldest. With `since_ms` it is `forwards` when nothing is said.
    #[param(inline)]
    direction: Option<Direction>,
    /// Messages at most; there may be fewer although more follow.
    #[param(inline)]
    limit: Option<Limit>,
}

/// Publishes a message on a topic.
///
/// For members of the room that are `driver` or `dispatcher`, and with `hub.send`. With the same `Idempotency-Key` it is published
/// once, over a restart of the relay too.
#[utoipa::path(
    post, path = "/rooms/{room}/topics/{topic}/messages", tag = "topics", operation_id = "publish",
    params(
        ("room" = Word, Path, description = "The room"),
        ("topic" = Word, Path, description = "The topic; it is made by its first message"),
    ),
    request_body = NewPost,
    responses(
        (status = 201, description = "It is there, and stored if the room keeps anything", body = Published),
        (status = 404, description = "There is no such room"),
        (status = 409, description = "The room has as many topics as it may, or the key is in use"),
        (status = 413, description = "It is too large"),
    )
)]
async fn publish(
    State(api): State<Arc<Api>>,
    caller: Caller,
    naming: Naming,
    Place((room, topic)): Place<(Word, Word)>,
    Json(post): Json<NewPost>,
) -> Result<(StatusCode, Json<Published>), Problem> {
    let ttl_ms = match post.class {
        Promise::Reliable => TTL_KEPT_MS,
        Promise::Latest | Promise::Unordered => TTL_MS,
    };
    let request = Request::Publish(Publish {
        room: room.0,
        topic: topic.0,
        class: post.class.into(),
        ttl_ms: post.ttl_ms.unwrap_or(ttl_ms),
        id: naming.0,
        to: Vec::new(),
        want: Want::Nothing,
        payload: payload::read(post.payload, post.payload_base64)?,
    });
    let answer = api.speakers.ask(&caller, request).await?;
    let Answer::Published {
        cursor,
        at_ms,
        targets,
    } = answer
    else {
        return Err(unexpected());
    };
    let published = Published {
        id: Id::of(naming.0),
        cursor: cursor.map(At::of),
        at_ms,
        targets,
    };
    Ok((StatusCode::CREATED, Json(published)))
}

/// Reads the past of a topic, page by page in either direction.
#[utoipa::path(
    get, path = "/rooms/{room}/topics/{topic}/messages", tag = "topics", operation_id = "listMessages",
    params(
        ("room" = Word, Path, description = "The room"),
        ("topic" = Word, Path, description = "The topic"),
        Past,
    ),
    responses(
        (status = 200, description = "Messages", body = Posts),
        (status = 404, description = "There is no such room or topic, or the cursor is of another one"),
    )
)]
async fn history(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place((room, topic)): Place<(Word, Word)>,
    Query(past): Query<Past>,
) -> Result<Json<Posts>, Problem> {
    let journal = Journal::Topic {
        room: room.0,
        topic: topic.0,
    };
    past.read(&api, &caller, journal).await.map(Json)
}

impl Past {
    /// The messages of a journal that are asked for.
    pub(super) async fn read(
        self,
        api: &Api,
        caller: &Caller,
        journal: Journal,
    ) -> Result<Posts, Problem> {
        if self
            .since_ms
            .is_some_and(|since_ms| since_ms > SINCE_MS_MAX)
        {
            return Err(bad_request(format!(
                "`since_ms` must be at most {SINCE_MS_MAX}"
            )));
        }
        let asked = self.cursor.as_ref().map(At::cursor);
        let from = match (asked, self.since_ms) {
            (None, None) => HistoryFrom::End,
            (Some(cursor), _) => HistoryFrom::After(cursor),
            (None, Some(at_ms)) => HistoryFrom::Time(at_ms),
        };
        let direction = match self.since_ms {
            Some(_) => Direction::Forwards,
            None => Direction::Backwards,
        };
        let request = Request::History {
            journal,
            from,
            backwards: self.direction.unwrap_or(direction) == Direction::Backwards,
            count: Limit::of(self.limit),
        };
        let answer = api.speakers.ask(caller, request).await?;
        let Answer::History { entries, more } = answer else {
            return Err(unexpected());
        };
        let last = entries.last().map(|entry| entry.cursor);
        Ok(Posts {
            next: last.filter(|_| more).map(At::of),
            last: last.or(asked).map(At::of),
            messages: entries.into_iter().map(PostShown::of_entry).collect(),
        })
    }
}

impl PostShown {
    fn of_entry(entry: HistoryEntry) -> PostShown {
        PostShown::of(Some(At::of(entry.cursor)), entry.post)
    }

    pub(super) fn of(cursor: Option<At>, post: Post) -> PostShown {
        let (payload, payload_base64) = payload::show(&post.payload);
        PostShown {
            cursor,
            id: Id::of(post.id),
            from: Node(post.from),
            class: post.class.into(),
            flow: post.flow.map(Word),
            at_ms: post.at_ms,
            until_ms: post.until_ms,
            want: post.want.into(),
            payload,
            payload_base64,
        }
    }
}

/// Life of a message of a topic that is kept, when nobody says it: a week.
const TTL_KEPT_MS: u32 = 7 * 86_400_000;
/// The largest whole number that every program for JSON reads exactly: a time far from now.
const SINCE_MS_MAX: u64 = (1 << 53) - 1;
/// Life of one that is not.
const TTL_MS: u32 = 10_000;
