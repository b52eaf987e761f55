//! `/v1/webhooks`: how webhooks stand, and what they did not deliver.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use longrein_proto::hub::HubRight;
use longrein_proto::wire::hub::HubRefusal;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::guard::Caller;
use super::pages::Limit;
use super::refusal;
use super::words::{Node, Word};
use crate::http::problem::{Json, Place, Problem, Query};
use crate::http::webhooks::{DeadLetter, Hook, read_webhook_id, webhook_id};
use crate::hub::AnnexError;

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(enable))
        .routes(routes!(dead_letters))
        .routes(routes!(redeliver))
}

/// All webhooks.
#[derive(Serialize, ToSchema)]
struct WebhooksShown {
    /// As they are configured.
    webhooks: Vec<WebhookShown>,
}

/// How a webhook stands. Counts are those since the relay's start, but for `waiting` and `dead`.
#[derive(Serialize, ToSchema)]
struct WebhookShown {
    /// Its name.
    name: Word,
    /// Host and port that it posts to.
    host: String,
    /// In whose name it reads.
    service: Node,
    /// Whether it reads and posts.
    enabled: bool,
    /// When its receiver said that it is gone (410), in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    gone_at_ms: Option<u64>,
    /// Events that wait for delivery.
    waiting: u64,
    /// Dead letters.
    dead: u64,
    /// Events that were delivered.
    delivered: u64,
    /// Attempts that failed.
    failed_attempts: u64,
}

/// Events that were posted as often as they are, and never taken.
#[derive(Serialize, ToSchema)]
struct DeadLetters {
    /// The newest first.
    dead_letters: Vec<DeadLetterShown>,
    /// `cursor` of the next page; none on the last one.
    next: Option<String>,
}

/// An event that was never taken.
#[derive(Serialize, ToSchema)]
struct DeadLetterShown {
    /// As `webhook-id` has it.
    #[schema(examples("msg_00112233445566778899aabbccddeeff"))]
    id: String,
    /// What it is of, such as `topic/yard/talk`.
    source: String,
    /// What was posted.
    #[schema(value_type = serde_json::Value)]
    body: Box<RawValue>,
    /// How often.
    attempts: u32,
    /// When for the last time, in milliseconds since 1970.
    at_ms: u64,
    /// What came of the last time.
    why: String,
}

/// Which dead letters.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// `next` of the page before.
    cursor: Option<String>,
    /// Entries at most: 100 of them fit one answer.
    #[param(inline)]
    limit: Option<Limit>,
}

/// Lists the webhooks and how they stand. Needs `hub.manage`.
#[utoipa::path(
    get, path = "/webhooks", tag = "webhooks", operation_id = "listWebhooks",
    responses((status = 200, description = "Webhooks", body = WebhooksShown))
)]
async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<WebhooksShown>, Problem> {
    expect_manager(&caller)?;
    let webhooks = api.webhooks.iter().map(|hook| WebhookShown::of(hook));
    Ok(Json(WebhooksShown {
        webhooks: webhooks.collect(),
    }))
}

/// Has a webhook read and post again whose receiver had said that it is gone. Needs `hub.manage`.
#[utoipa::path(
    post, path = "/webhooks/{name}/enable", tag = "webhooks", operation_id = "enableWebhook",
    params(("name" = Word, Path, description = "The webhook's name")),
    responses(
        (status = 204, description = "It does"),
        (status = 404, description = "There is no such webhook"),
    )
)]
async fn enable(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(name): Place<Word>,
) -> Result<StatusCode, Problem> {
    let hook = find(&api, &caller, &name)?;
    // It goes on when the request is given up: what is stored and what is known stay the same.
    let switched = tokio::spawn(async move { hook.switch(true).await }).await;
    switched.map_err(|_| ended())?.map_err(unstored)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the dead letters of a webhook, the newest first. Needs `hub.manage`.
#[utoipa::path(
    get, path = "/webhooks/{name}/dead-letters", tag = "webhooks", operation_id = "listDeadLetters",
    params(("name" = Word, Path, description = "The webhook's name"), Which),
    responses(
        (status = 200, description = "Dead letters", body = DeadLetters),
        (status = 404, description = "There is no such webhook"),
    )
)]
async fn dead_letters(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(name): Place<Word>,
    Query(which): Query<Which>,
) -> Result<Json<DeadLetters>, Problem> {
    let hook = find(&api, &caller, &name)?;
    let below = which.cursor.map(|cursor| cursor.parse::<u64>()).transpose();
    let below =
        below.map_err(|_| refusal::bad_request("`cursor` is none that a page had as `next`"))?;
    let limit = usize::try_from(Limit::of(which.limit)).unwrap_or(LETTERS_MAX);
    let limit = limit.min(LETTERS_MAX);
    let letters = hook.outbox.dead_letters(below, limit);
    let letters = letters.await.map_err(unstored)?;
    let last = letters.last().filter(|_| letters.len() == limit);
    Ok(Json(DeadLetters {
        next: last.map(|letter| letter.number.to_string()),
        dead_letters: letters.into_iter().map(DeadLetterShown::of).collect(),
    }))
}

/// Has a dead letter delivered, with the same `webhook-id`. Needs `hub.manage`.
#[utoipa::path(
    post, path = "/webhooks/{name}/dead-letters/{id}/redeliver", tag = "webhooks", operation_id = "redeliver",
    params(
        ("name" = Word, Path, description = "The webhook's name"),
        ("id" = String, Path, description = "The dead letter's `id`"),
    ),
    responses(
        (status = 202, description = "It waits for delivery"),
        (status = 404, description = "There is no such webhook or dead letter"),
    )
)]
async fn redeliver(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place((name, id)): Place<(Word, String)>,
) -> Result<StatusCode, Problem> {
    let hook = find(&api, &caller, &name)?;
    let not_there = || Problem::not_found(format!("there is no dead letter {id}"));
    let message = read_webhook_id(&id).ok_or_else(not_there)?;
    // As of `enable`.
    let given = tokio::spawn(async move { hook.outbox.give_back(message).await }).await;
    match given.map_err(|_| ended())?.map_err(unstored)? {
        true => Ok(StatusCode::ACCEPTED),
        false => Err(not_there()),
    }
}

impl WebhookShown {
    fn of(hook: &Hook) -> WebhookShown {
        let (stats, off) = (hook.stats(), hook.outbox.off());
        WebhookShown {
            name: Word(hook.name.clone()),
            host: hook.host(),
            service: Node(hook.node()),
            enabled: off.is_none(),
            gone_at_ms: off.map(|off| off.at_ms),
            waiting: stats.waiting,
            dead: stats.dead,
            delivered: stats.delivered,
            failed_attempts: stats.failed,
        }
    }
}

impl DeadLetterShown {
    fn of(letter: DeadLetter) -> DeadLetterShown {
        let kept = letter.kept;
        let (attempts, at_ms, why) = kept
            .end
            .map(|end| (end.attempts, end.at_ms, end.why))
            .unwrap_or_default();
        DeadLetterShown {
            id: webhook_id(letter.id),
            source: kept.source.to_string(),
            body: kept.body,
            attempts,
            at_ms,
            why,
        }
    }
}

fn find(api: &Api, caller: &Caller, name: &Word) -> Result<Arc<Hook>, Problem> {
    expect_manager(caller)?;
    let hook = api.webhooks.find(&name.0).cloned();
    hook.ok_or_else(|| Problem::not_found(format!("there is no webhook {}", name.0)))
}

fn expect_manager(caller: &Caller) -> Result<(), Problem> {
    let may = caller.rights.has(HubRight::Manage);
    may.then_some(())
        .ok_or_else(|| refusal::problem(&HubRefusal::NotAllowed))
}

fn unstored(error: AnnexError) -> Problem {
    match error {
        AnnexError::Busy => refusal::problem(&HubRefusal::Busy),
        AnnexError::Store(_) | AnnexError::Closed => refusal::problem(&HubRefusal::Degraded),
    }
}

fn ended() -> Problem {
    Problem::behind("the relay ends")
}

/// Dead letters of one page: the longest ones, 19 MiB.
const LETTERS_MAX: usize = 100;
