//! `/v1/messages`: messages to nodes, and what became of them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use longrein_proto::base::Name;
use longrein_proto::wire::hub::{
    Answer, Direct, HubRefusal, Label, MessageId, Request, Selector, TargetOutcome, TargetResult,
    Targets, Want,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::guard::Caller;
use super::idempotency::Naming;
use super::outcomes::Outcome;
use super::payload;
use super::refusal::{bad_request, unprocessable};
use super::whole::whole;
use super::words::{Id, Kind, Node, Promise, Wish, Word};
use crate::http::problem::{Json, Place, Problem, Query};

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(send))
        .routes(routes!(results))
        .routes(routes!(outcome))
}

/// A message to nodes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewMessage {
    /// Who gets it.
    to: To,
    /// What it is about, in the application's words.
    flow: Word,
    /// Its class.
    #[serde(default)]
    #[schema(default = "reliable")]
    class: Promise,
    /// Milliseconds for which it is worth anything: up to a minute, and up to a week when it is kept.
    #[serde(default = "ttl_ms", deserialize_with = "whole")]
    #[schema(default = 10_000, minimum = 1, maximum = 604_800_000)]
    ttl_ms: u32,
    /// Whether it goes through the mailbox: kept until it is taken, also by who is away. Only `reliable`.
    #[serde(default)]
    keep: bool,
    /// What the sender wants to hear; `delivered` for who waits and does not say it.
    want: Option<Wish>,
    /// What it says, as JSON.
    #[serde(default, deserialize_with = "payload::any")]
    #[schema(value_type = Option<serde_json::Value>)]
    payload: Option<Box<RawValue>>,
    /// What it says, as bytes in base64; instead of `payload`.
    payload_base64: Option<String>,
}

/// Who gets a message.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum To {
    /// These, whether they are here or not.
    Nodes(Vec<Node>),
    /// Those that are known to the hub and fulfil this.
    Select(Select),
}

/// Nodes that fulfil all that it asks for; without anything, all.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Select {
    /// One of these.
    #[serde(default)]
    nodes: Vec<Node>,
    /// Of this kind.
    kind: Option<Kind>,
    /// With this group in its certificate.
    group: Option<Word>,
    /// A member of this room.
    room: Option<Word>,
    /// With these attributes `label.<key>`.
    #[serde(default)]
    labels: Vec<LabelIs>,
}

/// An attribute `label.<key>` with this text.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LabelIs {
    /// What follows `label.`.
    key: Word,
    /// The value.
    value: Word,
}

/// How long to wait for results.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wait {
    /// Milliseconds to wait for the results; the header `Prefer: wait=<seconds>` (RFC 7240) says the same.
    #[param(minimum = 0, maximum = 60_000)]
    wait_ms: Option<u32>,
}

/// A message that was sent.
#[derive(Serialize, ToSchema)]
pub(super) struct MessageState {
    /// Its identifier.
    id: Id,
    /// For how many it is.
    targets: u32,
    /// When the hub had it, in milliseconds since 1970.
    at_ms: u64,
    /// Of how many targets it is not yet known what became of it there.
    open: u32,
    /// What became of it, of each target once; none when the sender wants to hear nothing.
    results: Vec<ResultAt>,
}

/// What became of a message at one target.
#[derive(Serialize, ToSchema)]
struct ResultAt {
    /// The target.
    node: Node,
    /// What became of it.
    outcome: OutcomeWord,
    /// Of `declined` and `refused`: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// What became of a message at one target.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum OutcomeWord {
    /// Its program has it.
    Delivered,
    /// Its application did what it says.
    Applied,
    /// Its application did not.
    Declined,
    /// It did not get it in time.
    Expired,
    /// It is not here.
    Offline,
    /// It is kept in its mailbox.
    Kept,
    /// The hub does not pass it on.
    Refused,
    /// Nobody said in time what became of it.
    Unknown,
}

/// What the service did with a message that it got.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewOutcome {
    /// The message.
    id: Id,
    /// Its sender.
    from: Node,
    /// Whether it did what the message says.
    applied: bool,
    /// Why not.
    why: Option<Word>,
}

/// Sends a message to nodes.
///
/// Needs `hub.send`. Nothing that is sent here can command a leased function of a vehicle. Answers 200 when it is known of all
/// targets what became of it, 202 when it is not: `GET /v1/messages/{id}` tells then.
#[utoipa::path(
    post, path = "/messages", tag = "messages", operation_id = "sendMessage",
    params(Wait, ("Prefer" = Option<String>, Header, description = "`wait=<seconds>`")),
    request_body = NewMessage,
    responses(
        (status = 200, description = "What became of it is known of all targets", body = MessageState),
        (status = 202, description = "The hub has it", body = MessageState),
        (status = 409, description = "A bound is reached, or the key is in use"),
        (status = 410, description = "Its time to live was over"),
        (status = 413, description = "It is too large"),
    )
)]
async fn send(
    State(api): State<Arc<Api>>,
    caller: Caller,
    naming: Naming,
    Query(wait): Query<Wait>,
    headers: HeaderMap,
    Json(message): Json<NewMessage>,
) -> Result<Response, Problem> {
    let wait = wait.of(&headers, api.patience)?;
    let id = naming.0;
    let want = message.want.map_or(
        if wait.is_some() {
            Want::Delivered
        } else {
            Want::Nothing
        },
        Want::from,
    );
    let direct = Direct {
        to: message.to.targets()?,
        flow: message.flow.0,
        class: message.class.into(),
        ttl_ms: message.ttl_ms,
        id,
        is_kept: message.keep,
        want,
        payload: payload::read(message.payload, message.payload_base64)?,
    };
    api.outcomes.begin(&caller.node, id);
    let answer = api.speakers.ask(&caller, Request::Send(direct)).await?;
    let Answer::Sent { targets, at_ms } = answer else {
        return Err(unexpected());
    };
    let sent = (&caller.node, id);
    api.outcomes
        .on_sent(sent, targets, at_ms, want != Want::Nothing);
    let known = match wait {
        Some(wait) => api.outcomes.wait(&caller.node, id, wait).await,
        None => api.outcomes.of(&caller.node, id),
    };
    let known = known.ok_or_else(unexpected)?;
    let is_over = known.open == 0 && want != Want::Nothing;
    let status = if is_over {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let place = format!("/v1/messages/{}", String::from(Id::of(id)));
    let place = HeaderValue::try_from(place).map_err(|_| unexpected())?;
    let state = Json(MessageState::of(id, known));
    Ok((status, [(header::LOCATION, place)], state).into_response())
}

/// Tells what became of a message that the service sent.
///
/// It is known for 15 minutes after the message was sent, and not after a restart of the relay.
#[utoipa::path(
    get, path = "/messages/{id}", tag = "messages", operation_id = "getMessage",
    params(("id" = Id, Path, description = "The message"), Wait),
    responses(
        (status = 200, description = "What became of it so far", body = MessageState),
        (status = 404, description = "The service sent no such message, or long ago"),
    )
)]
async fn results(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(id): Place<Id>,
    Query(wait): Query<Wait>,
    headers: HeaderMap,
) -> Result<Json<MessageState>, Problem> {
    let wait = wait.of(&headers, api.patience)?.unwrap_or_default();
    let id = id.message();
    let known = api.outcomes.wait(&caller.node, id, wait).await;
    let known = known.filter(|outcome| outcome.targets.is_some());
    let known = known.ok_or_else(|| Problem::not_found("no such message is known"))?;
    Ok(Json(MessageState::of(id, known)))
}

/// Says what the service did with a message that it got and whose sender wants to hear it.
#[utoipa::path(
    post, path = "/outcomes", tag = "messages", operation_id = "tellOutcome",
    request_body = NewOutcome,
    responses((status = 204, description = "The hub passes it on, if its sender still waits for it"))
)]
async fn outcome(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(told): Json<NewOutcome>,
) -> Result<StatusCode, Problem> {
    let outcome = match (told.applied, told.why) {
        (true, None) => TargetOutcome::Applied,
        (false, Some(why)) => TargetOutcome::Declined(why.0),
        _ => {
            return Err(unprocessable(
                "`why` is said when it was not applied, and only then",
            ));
        }
    };
    let request = Request::Outcome {
        id: told.id.message(),
        from: told.from.0,
        outcome,
    };
    api.speakers.ask(&caller, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Wait {
    /// How long to wait, as the query or the header says, but not longer than a request may take.
    fn of(&self, headers: &HeaderMap, patience: Duration) -> Result<Option<Duration>, Problem> {
        let by_query = self.wait_ms.map(|ms| Duration::from_millis(ms.into()));
        if by_query.is_some_and(|wait| wait > WAIT_MAX) {
            return Err(bad_request("`wait_ms` must be at most 60000"));
        }
        let prefer = headers.get("prefer").and_then(|value| value.to_str().ok());
        let wait = prefer.and_then(|text| {
            let wishes = text.split([',', ';']).map(str::trim);
            wishes.filter_map(|wish| wish.strip_prefix("wait=")).next()
        });
        // RFC 7240 §2: a wish that cannot be read is none.
        let by_header = wait.and_then(|text| text.parse::<u16>().ok());
        let by_header = by_header.map(|seconds| Duration::from_secs(seconds.into()));
        Ok(by_query.or(by_header).map(|wait| wait.min(patience)))
    }
}

impl To {
    fn targets(self) -> Result<Targets, Problem> {
        match self {
            To::Nodes(nodes) if nodes.is_empty() => Err(unprocessable("`nodes` names nobody")),
            To::Nodes(nodes) => Ok(Targets::Nodes(
                nodes.into_iter().map(|node| node.0).collect(),
            )),
            To::Select(select) => Ok(Targets::Select(select.selector())),
        }
    }
}

impl Select {
    fn selector(self) -> Selector {
        let labels = self.labels.into_iter();
        Selector {
            nodes: self.nodes.into_iter().map(|node| node.0).collect(),
            kind: self.kind.map(Kind::into),
            group: self.group.map(|group| group.0),
            room: self.room.map(|room| room.0),
            labels: labels
                .map(|label| Label {
                    key: label.key.0,
                    value: label.value.0,
                })
                .collect(),
        }
    }
}

impl MessageState {
    fn of(id: MessageId, outcome: Outcome) -> MessageState {
        MessageState {
            id: Id::of(id),
            targets: outcome.targets.unwrap_or_default(),
            at_ms: outcome.at_ms,
            open: outcome.open,
            results: outcome.results.into_values().map(ResultAt::of).collect(),
        }
    }
}

impl ResultAt {
    fn of(result: TargetResult) -> ResultAt {
        let why = |why: &dyn ToString| Some(why.to_string());
        let (outcome, why) = match result.outcome {
            TargetOutcome::Delivered => (OutcomeWord::Delivered, None),
            TargetOutcome::Applied => (OutcomeWord::Applied, None),
            TargetOutcome::Declined(reason) => (OutcomeWord::Declined, why(&reason as &Name)),
            TargetOutcome::Expired => (OutcomeWord::Expired, None),
            TargetOutcome::Offline => (OutcomeWord::Offline, None),
            TargetOutcome::Kept => (OutcomeWord::Kept, None),
            TargetOutcome::Refused(refusal) => (OutcomeWord::Refused, why(&refusal as &HubRefusal)),
            TargetOutcome::Unknown => (OutcomeWord::Unknown, None),
        };
        ResultAt {
            node: Node(result.node),
            outcome,
            why,
        }
    }
}

/// The hub answers something else than was asked: a newer one would.
pub(super) fn unexpected() -> Problem {
    Problem::behind("the hub answers something else than was asked")
}

fn ttl_ms() -> u32 {
    10_000
}

/// Longest wait for results.
const WAIT_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<NewMessage, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_message_is_for_nodes_or_for_those_that_are_selected() {
        let text = r#"{"to": {"nodes": ["agent/truck-17"]}, "flow": "chat", "payload": null}"#;
        let message = read(text).unwrap();
        let truck = "agent/truck-17".parse().unwrap();
        assert_eq!(message.to.targets().unwrap(), Targets::Nodes(vec![truck]));
        assert_eq!((message.ttl_ms, message.class), (10_000, Promise::Reliable));
        assert!(message.payload.is_some());

        let text = r#"{"to": {"select": {"kind": "agent", "labels": [{"key": "site", "value": "north"}]}}, "flow": "chat"}"#;
        let Targets::Select(selector) = read(text).unwrap().to.targets().unwrap() else {
            panic!("a selector");
        };
        assert_eq!(selector.kind, Some(longrein_proto::base::NodeKind::Agent));
        assert_eq!(selector.labels.len(), 1);
    }

    #[test]
    fn what_is_not_known_or_is_no_name_is_refused() {
        for text in [
            r#"{"to": {"nodes": ["plane/x"]}, "flow": "chat"}"#,
            r#"{"to": {"nodes": [], "select": {}}, "flow": "chat"}"#,
            r#"{"to": {"select": {"colour": "red"}}, "flow": "chat"}"#,
            r#"{"to": {"select": {}}, "flow": "Chat"}"#,
            r#"{"to": {"select": {}}, "flow": "chat", "speed": 3}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn who_waits_says_so_in_the_query_or_by_preference_and_waits_no_longer_than_a_request_takes() {
        let patience = Duration::from_secs(9);
        let wait = |wait_ms, prefer: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", HeaderValue::try_from(prefer).unwrap());
            Wait { wait_ms }.of(&headers, patience).unwrap()
        };
        assert_eq!(wait(None, "wait=2"), Some(Duration::from_secs(2)));
        assert_eq!(wait(None, "respond-async, wait=100"), Some(patience));
        assert_eq!(wait(Some(5), "wait=2"), Some(Duration::from_millis(5)));
        assert_eq!(wait(None, "wait=soon"), None);
    }
}
