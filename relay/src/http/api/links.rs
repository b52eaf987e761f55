//! `/v1/quality`: how good the ways to the nodes are, as this relay sees them. Every relay tells it, the hub or not.

use std::sync::Arc;

use axum::extract::State;
use longrein_proto::hub::HubRight;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::guard::Caller;
use super::pages::{Limit, node};
use super::words::{Kind, Node, Word};
use crate::http::problem::{Json, Place, Problem, Query};
use crate::http::quality;

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(all))
        .routes(routes!(one))
}

/// Which nodes.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Behind {
    /// `next` of the page before.
    #[param(inline)]
    after: Option<Node>,
    /// Nodes at most.
    #[param(inline)]
    limit: Option<Limit>,
}

/// Lists the nodes that are at this relay, by name, with the quality of their links and what is to blame.
#[utoipa::path(
    get, path = "/quality", tag = "quality", operation_id = "listQuality", params(Behind),
    responses((status = 200, description = "`nodes`, and `next` for the page behind them", body = Value))
)]
async fn all(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(Behind { after, limit }): Query<Behind>,
) -> Result<Json<Value>, Problem> {
    caller.expect(HubRight::Read)?;
    let limit = usize::try_from(Limit::of(limit)).unwrap_or(usize::MAX);
    let after = after.map(|node| node.0);
    quality::all(&api.access, after, limit).await.map(Json)
}

/// Tells the quality of one node's links, and what is to blame.
#[utoipa::path(
    get, path = "/quality/{kind}/{name}", tag = "quality", operation_id = "getQuality",
    params(
        ("kind" = Kind, Path, description = "The node's kind"),
        ("name" = Word, Path, description = "The node's name"),
    ),
    responses(
        (status = 200, description = "The node, its paths, and what is to blame", body = Value),
        (status = 404, description = "It is not at this relay"),
    )
)]
async fn one(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place((kind, name)): Place<(Kind, Word)>,
) -> Result<Json<Value>, Problem> {
    caller.expect(HubRight::Read)?;
    quality::one(&api.access, node(kind, name)).await.map(Json)
}
