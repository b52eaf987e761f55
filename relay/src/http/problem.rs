//! Errors as RFC 9457 has them, and extractors that answer with them.

use std::fmt;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// Why a request is not answered as it wishes: `application/problem+json` with `type`, `title`, `status` and `detail`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    status: StatusCode,
    /// The last word of `type`.
    kind: &'static str,
    title: &'static str,
    detail: String,
    more: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of this kind: `kind` is what programs compare, the same for the same `title`; `detail` says what of this request.
    pub(crate) fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Problem {
        Problem {
            status,
            kind,
            title,
            detail: detail.into(),
            more: Map::new(),
            headers: Vec::new(),
        }
    }

    /// The same with one more member.
    #[must_use]
    pub(crate) fn with(mut self, member: &str, value: Value) -> Problem {
        self.more.insert(member.to_string(), value);
        self
    }

    /// The same with a header.
    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.headers.push((name, value));
        self
    }

    /// The same, and when to try again.
    #[must_use]
    pub(crate) fn retry_after_s(self, seconds: u64) -> Problem {
        self.with_header(header::RETRY_AFTER, seconds.into())
    }

    /// There is no such thing.
    pub(crate) fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    /// It is there, but not for this method.
    pub(super) fn not_allowed(detail: impl Into<String>) -> Problem {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        Problem::new(status, "method-not-allowed", "Method not allowed", detail)
    }

    /// The relay's network thread does not answer.
    pub(super) fn behind(detail: impl Into<String>) -> Problem {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Problem::new(status, "relay-behind", "The relay does not answer", detail)
    }

    /// The request took too long.
    pub(super) fn too_slow() -> Problem {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let detail = "the request took longer than `request_timeout_ms` of [http]";
        Problem::new(status, "too-slow", "The request took too long", detail)
    }

    /// What axum found wrong with a request.
    fn of_rejection(status: StatusCode, detail: impl fmt::Display) -> Problem {
        let (kind, title) = match status {
            StatusCode::PAYLOAD_TOO_LARGE => ("body-too-large", "The body is too large"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                ("unsupported-media-type", "The body is not application/json")
            }
            StatusCode::UNPROCESSABLE_ENTITY => {
                ("unprocessable", "The body is not what is expected here")
            }
            _ => ("bad-request", "The request cannot be read"),
        };
        Problem::new(status, kind, title, detail.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": format!("urn:longrein:problem:{}", self.kind),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(body) = body.as_object_mut() {
            body.extend(self.more);
        }
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (self.status, kind, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.extend(self.headers);
        let may_be_tried_again = self.status == StatusCode::SERVICE_UNAVAILABLE;
        if may_be_tried_again && !headers.contains_key(header::RETRY_AFTER) {
            headers.insert(header::RETRY_AFTER, RETRY_S.into());
        }
        response
    }
}

/// A body of JSON, both ways; a bad one is a [`Problem`].
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Json<T>, Problem> {
        let read = axum::Json::<T>::from_request(request, state).await;
        read.map(|axum::Json(value)| Json(value))
            .map_err(|error: JsonRejection| {
                Problem::of_rejection(error.status(), error.body_text())
            })
    }
}

impl<T: serde::Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// What stands behind the question mark; a bad one is a [`Problem`].
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Query<T>, Problem> {
        let read = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        read.map(|axum::extract::Query(value)| Query(value))
            .map_err(|error: QueryRejection| {
                Problem::of_rejection(error.status(), error.body_text())
            })
    }
}

/// The variable parts of the path; bad ones are a [`Problem`].
pub(crate) struct Place<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Place<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Place<T>, Problem> {
        let read = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        read.map(|axum::extract::Path(value)| Place(value))
            .map_err(|error: PathRejection| {
                Problem::of_rejection(error.status(), error.body_text())
            })
    }
}

/// Seconds after which what is behind or busy is asked again.
const RETRY_S: u64 = 1;

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::extract::DefaultBodyLimit;
    use axum::routing::post;
    use tower::ServiceExt;

    use super::*;

    #[derive(serde::Deserialize)]
    struct Order {
        #[expect(dead_code, reason = "only read")]
        speed_mm_s: i16,
    }

    async fn take(Json(_): Json<Order>) -> &'static str {
        "taken"
    }

    /// Status, kind of content, and body of the answer to an order.
    async fn order(kind: &str, body: &str) -> (u16, String, String) {
        let router: Router = Router::new()
            .route("/order", post(take))
            .layer(DefaultBodyLimit::max(64));
        let request = Request::post("/order")
            .header(header::CONTENT_TYPE, kind)
            .body(Body::from(body.to_string()));
        let answer = router.oneshot(request.unwrap()).await.unwrap();
        let kind = answer.headers().get(header::CONTENT_TYPE).unwrap();
        let kind = kind.to_str().unwrap().to_string();
        let status = answer.status().as_u16();
        let bytes = to_bytes(answer.into_body(), 10_000).await.unwrap();
        (status, kind, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_body_is_told_as_a_problem() {
        let long = format!("{{\"speed_mm_s\":{}1}}", " ".repeat(100));
        let json = "application/json";
        for (kind, body, status, word) in [
            (json, "{\"speed_mm_s\":", 400, "bad-request"),
            (json, &long, 413, "body-too-large"),
            ("text/plain", "{}", 415, "unsupported-media-type"),
            (json, "{\"speed_mm_s\":\"fast\"}", 422, "unprocessable"),
        ] {
            let (got, content, text) = order(kind, body).await;
            assert_eq!(
                (got, content.as_str()),
                (status, "application/problem+json")
            );
            let problem: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(problem["type"], format!("urn:longrein:problem:{word}"));
            assert_eq!(problem["status"], status);
            assert!(problem["detail"].as_str().unwrap().len() > 5, "{problem}");
        }
        let (status, _, text) = order(json, "{\"speed_mm_s\":3}").await;
        assert_eq!((status, text.as_str()), (200, "taken"));
    }

    #[tokio::test]
    async fn a_problem_has_more_members_when_there_is_more_to_say() {
        let problem = Problem::not_found("there is no x").with("near", json!(["y"]));
        let body = problem.into_response().into_body();
        let bytes = to_bytes(body, 10_000).await.unwrap();
        let object: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            object,
            json!({
                "type": "urn:longrein:problem:not-found",
                "title": "Not found",
                "status": 404,
                "detail": "there is no x",
                "near": ["y"],
            })
        );
    }
}
