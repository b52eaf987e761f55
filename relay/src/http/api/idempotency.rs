//! Requests that are sent again, after whatever broke, are not done twice (draft-ietf-httpapi-idempotency-key-header-07).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use longrein_io::entropy::SystemEntropy;
use longrein_proto::base::{Entropy, NodeName};
use longrein_proto::wire::hub::MessageId;
use ring::digest::{Context, SHA256};

use super::Api;
use super::guard::Caller;
use super::refusal::bad_request;
use crate::http::problem::Problem;

/// The answers that were given to keys.
#[derive(Default)]
pub(super) struct Answers(Mutex<Known>);

#[derive(Default)]
struct Known {
    answers: BTreeMap<Key, Given>,
    /// Each with the number of its request, as a key may name another one by now.
    order: VecDeque<(Instant, Key, u64)>,
    last: u64,
    bytes: usize,
}

/// A service and its key.
type Key = (NodeName, String);

/// What was asked with a key, and answered.
struct Given {
    request: [u8; 32],
    number: u64,
    /// None while it is being done.
    answer: Option<(StatusCode, HeaderMap, Bytes)>,
}

/// The name of what a request sends: the same for each request with the same key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Naming(pub(super) MessageId);

/// What to do with a request that has a key.
enum Turn {
    First,
    Again(Box<Response>),
}

impl Answers {
    fn begin(&self, key: &Key, request: [u8; 32]) -> Result<Turn, Problem> {
        let mut known = self.lock();
        known.forget_old();
        match known.answers.get(key) {
            Some(given) if given.request != request => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                let title = "The key was used for another request";
                let detail = "an Idempotency-Key names one request: another one needs another key";
                Err(Problem::new(status, "key-reused", title, detail))
            }
            Some(Given { answer: None, .. }) => {
                let title = "The request with this key is being done";
                let detail = "wait for its answer, or ask again later";
                let problem = Problem::new(StatusCode::CONFLICT, "key-in-use", title, detail);
                Err(problem.retry_after_s(1))
            }
            Some(Given {
                answer: Some((status, headers, body)),
                ..
            }) => {
                let mut response = (*status, headers.clone(), body.clone()).into_response();
                let replayed = HeaderValue::from_static("true");
                response
                    .headers_mut()
                    .insert("idempotency-replayed", replayed);
                Ok(Turn::Again(Box::new(response)))
            }
            None => {
                known.last += 1;
                let number = known.last;
                let given = Given {
                    request,
                    number,
                    answer: None,
                };
                known.answers.insert(key.clone(), given);
                let order = (Instant::now(), key.clone(), number);
                known.order.push_back(order);
                Ok(Turn::First)
            }
        }
    }

    /// What is answered to everybody who comes with the key from now on; none when nothing was done, and the key is free again.
    fn end(&self, key: &Key, answer: Option<(StatusCode, HeaderMap, Bytes)>) {
        let mut known = self.lock();
        let known = &mut *known;
        match (answer, known.answers.get_mut(key)) {
            (Some(answer), Some(given)) => {
                known.bytes += answer.2.len();
                given.answer = Some(answer);
            }
            (None, _) => known.forget(key),
            (Some(_), None) => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn forget_old(&mut self) {
        while let Some((at, _, _)) = self.order.front()
            && (at.elapsed() > REMEMBERED || self.order.len() >= KEYS_MAX || self.bytes > BYTES_MAX)
            && let Some((_, oldest, number)) = self.order.pop_front()
        {
            let given = self.answers.get(&oldest);
            if given.is_some_and(|given| given.number == number) {
                self.forget(&oldest);
            }
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(Given {
            answer: Some((_, _, body)),
            ..
        }) = self.answers.remove(key)
        {
            self.bytes -= body.len();
        }
    }
}

/// Gives a key back when its request is given up before it is answered.
struct Turned<'a> {
    answers: &'a Answers,
    key: Option<Key>,
}

impl Drop for Turned<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.answers.end(&key, None);
        }
    }
}

/// Answers a request that came before as it was answered then.
pub(super) async fn once(
    State(api): State<Arc<Api>>,
    caller: Caller,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let key = request.headers().get("idempotency-key").cloned();
    let changes = matches!(*request.method(), Method::POST | Method::PATCH);
    let Some(key) = key.filter(|_| changes) else {
        let mut id = [0; 16];
        SystemEntropy::new().fill(&mut id);
        request.extensions_mut().insert(Naming(MessageId(id)));
        return Ok(next.run(request).await);
    };
    let key = key.to_str().ok().and_then(read_key);
    let key = key.ok_or_else(|| {
        bad_request("`Idempotency-Key` is 1 to 128 of A-Z, a-z, 0-9, `.`, `_`, `:`, `-`, with or without quotes around")
    })?;
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, api.body_bytes_max).await.map_err(|_| {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        let detail = format!("a body has at most {} bytes", api.body_bytes_max);
        Problem::new(status, "body-too-large", "The body is too large", detail)
    })?;
    let hash = hash(&[
        parts.method.as_str().as_bytes(),
        parts.uri.path().as_bytes(),
        &body,
    ]);
    let node = caller.node.to_string();
    parts.extensions.insert(Naming(name(&node, &key)));
    let key = (caller.node, key);
    if let Turn::Again(response) = api.answers.begin(&key, hash)? {
        return Ok(*response);
    }
    let mut turned = Turned {
        answers: &api.answers,
        key: Some(key),
    };
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    // What is refused was not done, and may go better another time.
    if !response.status().is_success() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, ANSWER_BYTES_MAX)
        .await
        .map_err(|_| Problem::behind("the answer is too long"))?;
    let mut headers = HeaderMap::new();
    for name in [header::CONTENT_TYPE, header::ETAG, header::LOCATION] {
        if let Some(value) = parts.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    if let Some(key) = turned.key.take() {
        let answer = (parts.status, headers, body.clone());
        api.answers.end(&key, Some(answer));
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// A key as the header has it; in quotes, as structured fields are (RFC 8941 §3.3.3), or without.
fn read_key(text: &str) -> Option<String> {
    let quoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let key = quoted.unwrap_or(text);
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    let is_key = (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(is_allowed);
    is_key.then(|| key.to_string())
}

/// The name of the message that a service sends with a key, the same over restarts of the relay: a topic or a mailbox that has it
/// takes it once.
fn name(node: &str, key: &str) -> MessageId {
    let [head @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
        hash(&[node.as_bytes(), key.as_bytes()]);
    MessageId(head)
}

/// SHA-256 of all parts, with what keeps them apart.
fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

impl<S: Send + Sync> FromRequestParts<S> for Naming {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Naming, Problem> {
        let naming = parts.extensions.get::<Naming>().copied();
        naming.ok_or_else(|| bad_request("the message has no name"))
    }
}

/// Keys that are remembered, of all services.
const KEYS_MAX: usize = 100_000;
/// Bytes of the answers to them.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long they are.
const REMEMBERED: Duration = Duration::from_secs(24 * 3_600);
/// Bytes of a key: a UUID or a hash, and what stands before it.
const KEY_BYTES_MAX: usize = 128;
/// Bytes of an answer to what changes something.
const ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        ("service/erp".parse().unwrap(), text.to_string())
    }

    fn status(turn: Result<Turn, Problem>) -> u16 {
        match turn {
            Ok(Turn::First) => 0,
            Ok(Turn::Again(response)) => response.status().as_u16(),
            Err(problem) => problem.into_response().status().as_u16(),
        }
    }

    #[test]
    fn the_same_request_is_answered_the_same_and_another_one_is_refused() {
        let answers = Answers::default();
        assert_eq!(status(answers.begin(&key("a"), [1; 32])), 0);
        assert_eq!(status(answers.begin(&key("a"), [1; 32])), 409);
        let answer = (
            StatusCode::ACCEPTED,
            HeaderMap::new(),
            Bytes::from_static(b"x"),
        );
        answers.end(&key("a"), Some(answer));
        assert_eq!(status(answers.begin(&key("a"), [1; 32])), 202);
        assert_eq!(status(answers.begin(&key("a"), [2; 32])), 422);
        assert_eq!(status(answers.begin(&key("b"), [2; 32])), 0);
    }

    #[test]
    fn what_was_refused_may_be_asked_again_with_its_key() {
        let answers = Answers::default();
        assert_eq!(status(answers.begin(&key("a"), [1; 32])), 0);
        answers.end(&key("a"), None);
        assert_eq!(status(answers.begin(&key("a"), [2; 32])), 0);
    }

    #[test]
    fn a_key_is_the_same_with_quotes_and_without() {
        let key = Some("order:1".to_string());
        assert_eq!(read_key("order:1"), key);
        assert_eq!(read_key("\"order:1\""), key);
        let long = "k".repeat(129);
        for text in ["", "\"\"", "\"a", "a b", "\u{e4}", &long] {
            assert_eq!(read_key(text), None, "{text}");
        }
    }

    #[test]
    fn a_message_has_the_same_name_over_restarts() {
        let MessageId(first) = name("service/erp", "order-1");
        assert_eq!(MessageId(first), name("service/erp", "order-1"));
        assert_ne!(MessageId(first), name("service/mes", "order-1"));
        assert_ne!(MessageId(first), name("service/erp", "order-2"));
    }
}
