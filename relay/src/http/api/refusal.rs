//! What the hub refuses, as problems.

use axum::http::StatusCode;
use longrein_proto::wire::hub::{Answer, HubRefusal};
use serde_json::json;

use super::guard::too_often;
use crate::http::problem::Problem;
use crate::hub::DeskError;

/// The problem that a refusal is.
pub(super) fn problem(refusal: &HubRefusal) -> Problem {
    let detail = refusal.to_string();
    let is = |status, kind, title| Problem::new(status, kind, title, detail.clone());
    match refusal {
        HubRefusal::NotAllowed => is(
            StatusCode::FORBIDDEN,
            "not-allowed",
            "The token does not allow it",
        ),
        HubRefusal::RoleForbids => is(
            StatusCode::FORBIDDEN,
            "role-forbids",
            "The role in the room does not allow it",
        ),
        HubRefusal::NotAMember => is(
            StatusCode::FORBIDDEN,
            "not-a-member",
            "Only members of the room may",
        ),
        HubRefusal::NoLease => is(StatusCode::FORBIDDEN, "no-lease", "No lease is held"),
        HubRefusal::NoSuchRoom => is(
            StatusCode::NOT_FOUND,
            "no-such-room",
            "There is no such room",
        ),
        HubRefusal::NotFound => Problem::not_found(detail),
        HubRefusal::Unknown => is(
            StatusCode::NOT_FOUND,
            "unknown-to-hub",
            "This hub does not know that request",
        ),
        HubRefusal::RoomExists => is(
            StatusCode::CONFLICT,
            "room-exists",
            "The room exists and has other settings",
        ),
        HubRefusal::Conflict { revision } => {
            is(StatusCode::CONFLICT, "conflict", "It has another revision")
                .with("revision", json!(revision))
        }
        HubRefusal::LockHeld { by } => is(StatusCode::CONFLICT, "lock-held", "The lock is held")
            .with("held_by", json!(by.to_string())),
        HubRefusal::NotHolder => is(
            StatusCode::CONFLICT,
            "not-holder",
            "The lock is not held by this token",
        ),
        HubRefusal::Full => is(StatusCode::CONFLICT, "full", "A bound is reached"),
        HubRefusal::TooLarge => is(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "It is too large",
        ),
        HubRefusal::Malformed => is(
            StatusCode::UNPROCESSABLE_ENTITY,
            "unprocessable",
            "It is not what may be asked",
        ),
        HubRefusal::TooOften { retry_ms } => {
            too_often(detail).retry_after_s(u64::from(*retry_ms).div_ceil(1_000).max(1))
        }
        HubRefusal::Expired => is(StatusCode::GONE, "expired", "Its time to live was over"),
        HubRefusal::Degraded => is(
            StatusCode::SERVICE_UNAVAILABLE,
            "degraded",
            "The hub cannot store it now",
        ),
        HubRefusal::Busy => is(StatusCode::SERVICE_UNAVAILABLE, "busy", "The hub is busy"),
    }
}

/// What the hub answers when it does not refuse.
pub(super) fn accepted(answer: Answer) -> Result<Answer, Problem> {
    if let Answer::Refused(why) = answer {
        return Err(problem(&why));
    }
    Ok(answer)
}

/// That a document has another revision than a header asked for.
pub(super) fn precondition(revision: u64) -> Problem {
    let status = StatusCode::PRECONDITION_FAILED;
    let title = "It has another revision than If-Match or If-None-Match asks for";
    Problem::new(
        status,
        "precondition-failed",
        title,
        format!("the revision is {revision}"),
    )
    .with("revision", json!(revision))
}

/// That the hub is not reached.
pub(super) fn unreached(error: DeskError) -> Problem {
    match error {
        DeskError::NoHub => no_hub(),
        DeskError::Remote(_) | DeskError::Overrun => Problem::behind(error.to_string()),
    }
}

/// That this relay is no hub.
pub(super) fn no_hub() -> Problem {
    let detail = "this relay is not its fleet's hub: ask the one whose [hub] has `enabled = true`";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Problem::new(status, "no-hub", "This relay is no hub", detail)
}

/// That a body or a parameter says something that it may not.
pub(super) fn unprocessable(detail: impl Into<String>) -> Problem {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Problem::new(
        status,
        "unprocessable",
        "It is not what may be asked",
        detail,
    )
}

/// That a request cannot be read.
pub(super) fn bad_request(detail: impl Into<String>) -> Problem {
    let status = StatusCode::BAD_REQUEST;
    Problem::new(status, "bad-request", "The request cannot be read", detail)
}
