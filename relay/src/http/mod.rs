//! What a relay says over HTTP: health, metrics, the quality of links, and what is built upon them in `/v1`.
//!
//! Everything here runs on a thread of its own and asks the relay by bounded calls: whoever asks, and however much, the network
//! thread forwards on.

mod access;
mod api;
mod client;
mod health;
mod metrics;
mod problem;
mod quality;
mod section;
mod server;
mod tls;
mod webhooks;

use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::middleware;
use axum::routing::get;
use axum::{Extension, Router};

pub(crate) use self::access::Access;
pub(crate) use self::api::ED25519_SPKI;
pub(crate) use self::metrics::now_s;
use self::problem::Problem;
pub use self::section::HttpSection;
pub use self::server::HttpError;
pub(crate) use self::server::HttpServer;
use self::webhooks::Webhooks;

/// All that is served.
///
/// # Errors
/// The keys that the configuration names cannot be read.
fn router(access: Access, section: &HttpSection, webhooks: &Webhooks) -> Result<Router, HttpError> {
    let mut router = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route(
            "/metrics",
            get(metrics::page).layer(Extension(webhooks.clone())),
        );
    if section.api {
        router = router.nest("/v1", api::router(section, &access, webhooks)?);
    }
    let patience = section.request_timeout();
    let router = router
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(section.body_bytes_max))
        .layer(middleware::from_fn(move |request, next| {
            server::within(patience, request, next)
        }))
        .with_state(access);
    Ok(router)
}

/// Reads the files that the configuration names, as a relay that starts does.
///
/// # Errors
/// Which one cannot be used.
pub(crate) fn check_files(section: &HttpSection) -> Result<(), HttpError> {
    if section.api {
        api::check_keys(section)?;
    }
    tls::Tls::of(section).map(drop)
}

async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(format!("there is no {}", uri.path()))
}

async fn not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::not_allowed(format!("{} does not take {method}", uri.path()))
}
