//! `/v1`: what programs of the fleet's owner ask.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;

use super::problem::Problem;
use super::{Access, not_allowed, not_found, quality};

/// All of `/v1`; each request passes [`admit`] first.
pub(super) fn router() -> Router<Access> {
    Router::new()
        .route("/quality", get(quality::all))
        .route("/quality/{kind}/{name}", get(quality::one))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn(admit))
}

/// Who may ask: the one place where that is decided. All who reach it may, which `[http]` keeps to this machine.
async fn admit(request: Request, next: Next) -> Result<Response, Problem> {
    Ok(next.run(request).await)
}
