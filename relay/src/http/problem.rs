//! Errors as RFC 9457 has them, and extractors that answer with them.

use std::fmt;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
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
        }
    }

    /// The same with one more member.
    #[must_use]
    pub(crate) fn with(mut self, member: &str, value: Value) -> Problem {
        self.more.insert(member.to_string(), value);
        self
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
        (self.status, kind, body.to_string()).into_response()
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
