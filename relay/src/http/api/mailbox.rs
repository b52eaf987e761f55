//! `/v1/mailbox`: messages that are kept for the service until it has taken them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use longrein_proto::wire::hub::{Journal, Request};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::guard::Caller;
use super::topics::{Past, Posts};
use super::words::Place;
use crate::http::problem::{Json, Problem, Query};

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(read))
        .routes(routes!(take))
}

/// What was taken.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Taken {
    /// Place of the last message that need not be kept any more.
    cursor: Place,
}

/// Reads the service's mailbox, page by page; nothing is taken by that.
#[utoipa::path(
    get, path = "/mailbox", tag = "messages", operation_id = "readMailbox", params(Past),
    responses(
        (status = 200, description = "Messages", body = Posts),
        (status = 404, description = "The cursor is of another journal"),
    )
)]
async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(past): Query<Past>,
) -> Result<Json<Posts>, Problem> {
    let node = caller.node.clone();
    let journal = Journal::Mailbox { node };
    past.read(&api, &caller, journal).await.map(Json)
}

/// Says that messages up to one are done with: they are kept no more.
#[utoipa::path(
    post, path = "/mailbox/taken", tag = "messages", operation_id = "takeMailbox",
    request_body = Taken,
    responses((status = 204, description = "They are gone"))
)]
async fn take(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(taken): Json<Taken>,
) -> Result<StatusCode, Problem> {
    let below = taken.cursor.cursor().number.saturating_add(1);
    api.speakers.ask(&caller, Request::Taken { below }).await?;
    Ok(StatusCode::NO_CONTENT)
}
