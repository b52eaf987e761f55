//! `/v1/events`: what happens, as server-sent events.

mod body;
mod catching_up;
mod places;
mod position;
mod shown;
mod sink;
mod stream;
mod wanted;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(in crate::http) use self::body::Unread;
pub(super) use self::places::Places;
pub(in crate::http) use self::position::Positions;
pub(in crate::http) use self::shown::DocumentTold;
pub(in crate::http) use self::sink::Sink;
pub(in crate::http) use self::stream::{Ending, Stream};
use self::wanted::Wishes;
pub(in crate::http) use self::wanted::{From, Wanted};
use super::Api;
use super::guard::Caller;
use crate::http::problem::{Problem, Query};

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(events))
}

/// An event of the stream.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described only: body.rs writes them")]
struct EventTold {
    /// Its name.
    event: String,
    /// What `Last-Event-ID` says to go on behind it.
    id: Option<String>,
    /// What it tells, as JSON.
    data: String,
}

/// Streams what happens, as server-sent events, until the client ends it.
///
/// Names of events: `ready` (once, when the stream is set up), `topic` (a message of a topic), `mailbox` (one that is kept for the
/// service), `message` (one that is sent to it and not kept), `members` (who joined and left a room), `presence` (who came and
/// went; first how all stand), `document` (a change of a document), `removed` (the service is no member of a room any more),
/// `gap` (messages of a topic were missed), and `end` (the stream is cut off, and why: `slow` when it was not read fast enough).
/// `data` is JSON. Events of topics and mailboxes have an `id`: who comes again with it as `Last-Event-ID` and the same `topics`
/// and `mailbox` gets what it missed, each message once. A comment comes every 15 seconds. While a stream reads topics or members
/// of a room the service is a member of that room, as an observer, for which it needs `hub.join`.
#[utoipa::path(
    get, path = "/events", tag = "events", operation_id = "streamEvents",
    params(
        Wishes,
        ("Last-Event-ID" = Option<String>, Header, description = "`id` of the last event that was taken"),
    ),
    responses(
        (status = 200, description = "Events", body = EventTold, content_type = "text/event-stream"),
        (status = 404, description = "There is no such room"),
        (status = 409, description = "A bound is reached"),
    )
)]
async fn events(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(wishes): Query<Wishes>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last = headers.get("last-event-id");
    let last = last.map(|value| value.to_str().unwrap_or("?"));
    let wanted = Wanted::of(wishes, last.filter(|last| !last.is_empty()))?;
    let place = api.streams.take(&caller.node)?;
    let desk = api.speakers.desk()?;
    let stream = Stream::open(desk, &caller, wanted).await?;
    let (body, writer) = body::pair();
    tokio::spawn(async move {
        let _place = place;
        stream.run(writer).await;
    });
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::new(body)).into_response())
}
