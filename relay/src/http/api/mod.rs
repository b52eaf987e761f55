//! `/v1`: the hub's API for business back ends. Its description is made from this code, and served beside it.

mod documents;
pub(super) mod events;
mod guard;
mod idempotency;
mod links;
mod locks;
mod mailbox;
mod messages;
mod nodes;
mod outcomes;
mod pages;
mod payload;
mod preconditions;
mod rate;
mod refusal;
mod rooms;
mod speakers;
mod spec;
mod token;
mod topics;
mod webhooks;
mod whole;
mod words;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware;
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;

pub(super) use self::guard::Caller;
use self::guard::Guard;
use self::idempotency::Answers;
use self::outcomes::Outcomes;
use self::rate::Rates;
use self::speakers::Speakers;
pub(crate) use self::token::ED25519_SPKI;
pub use self::token::KeyError;
use super::client::HttpClient;
use super::webhooks::Webhooks;
use super::{Access, HttpError, HttpSection, not_allowed, not_found};

/// What answers are made of.
pub(super) struct Api {
    guard: Guard,
    rates: Rates,
    answers: Answers,
    outcomes: Arc<Outcomes>,
    speakers: Speakers,
    webhooks: Webhooks,
    /// Streams of events at once.
    streams: Arc<events::Places>,
    access: Access,
    /// For what waits within a request.
    patience: Duration,
    body_bytes_max: usize,
}

/// All of `/v1`.
///
/// # Errors
/// The keys that the configuration names cannot be read.
pub(super) fn router(
    section: &HttpSection,
    access: &Access,
    webhooks: &Webhooks,
) -> Result<Router<Access>, HttpError> {
    let client = HttpClient::new().map_err(|error| HttpError::Client(error.to_string()))?;
    let outcomes = Arc::new(Outcomes::default());
    let api = Arc::new(Api {
        guard: Guard::of(section, &client)?,
        rates: Rates::new(section.requests_per_s, section.requests_burst),
        answers: Answers::default(),
        speakers: Speakers::new(access.desk.clone(), Arc::clone(&outcomes)),
        access: access.clone(),
        outcomes,
        webhooks: webhooks.clone(),
        streams: Arc::new(events::Places::new(section.connections)),
        patience: section.request_timeout().mul_f32(WAIT_SHARE),
        body_bytes_max: section.body_bytes_max,
    });
    let (routes, description) = described().split_for_parts();
    let text: Arc<str> = spec::text(description).into();
    let routes: Router<Access> = routes.with_state(Arc::clone(&api));
    let asked = routes
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn_with_state(
            Arc::clone(&api),
            idempotency::once,
        ))
        .layer(middleware::from_fn_with_state(api, guard::admit));
    Ok(Router::new()
        .route("/openapi.json", get(async move || spec::json(&text)))
        .route("/docs", get(spec::page))
        .method_not_allowed_fallback(not_allowed)
        .merge(asked))
}

/// Reads the keys that the configuration names, as a relay that starts does.
///
/// # Errors
/// Which file has none.
pub(super) fn check_keys(section: &HttpSection) -> Result<(), KeyError> {
    guard::believed_keys(section).map(drop)
}

/// Everything with its description.
fn described() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(spec::head())
        .merge(messages::routes())
        .merge(mailbox::routes())
        .merge(rooms::routes())
        .merge(topics::routes())
        .merge(nodes::routes())
        .merge(documents::routes())
        .merge(locks::routes())
        .merge(events::routes())
        .merge(webhooks::routes())
        .merge(links::routes())
}

/// Of the time that a request may take, what it may wait.
const WAIT_SHARE: f32 = 0.9;
