//! Locks of nodes and rooms.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use longrein_proto::base::limits::LOCK_WAIT_MAX;
use longrein_proto::wire::hub::{Answer, LockClaim, LockInfo, Owner, Request};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::guard::Caller;
use super::messages::unexpected;
use super::pages::node;
use super::refusal::{accepted, unprocessable};
use super::whole::whole;
use super::words::{Kind, Node, Word};
use crate::http::problem::{Json, Place, Problem, Query};

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(list_of_node))
        .routes(routes!(take_of_node, renew_of_node, give_of_node))
        .routes(routes!(list_of_room))
        .routes(routes!(take_of_room, renew_of_room, give_of_room))
}

/// A lock to take.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewLock {
    /// Milliseconds for which it is held unless it is renewed.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 100, maximum = 300_000)]
    ttl_ms: u32,
    /// Milliseconds to wait in turn for who holds it; not longer than a request may take.
    #[serde(default, deserialize_with = "whole")]
    #[schema(maximum = 60_000)]
    wait_ms: u32,
}

/// A lock to hold for longer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Renewal {
    /// By which token it is held.
    #[serde(deserialize_with = "whole")]
    token: u64,
    /// Milliseconds from now on.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 100, maximum = 300_000)]
    ttl_ms: u32,
}

/// How a lock is given back.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Giving {
    /// By which token it is held; without one it is taken from whoever holds it, which needs `hub.manage`.
    token: Option<u64>,
}

/// A lock that is held.
#[derive(Serialize, ToSchema)]
struct Held {
    /// Above that of all who held it before: who guards something refuses lower ones.
    token: u64,
}

/// A lock.
#[derive(Serialize, ToSchema)]
struct LockShown {
    /// Its name.
    lock: Word,
    /// Who has it.
    by: Node,
    /// By which token.
    token: u64,
    /// Milliseconds that are left.
    left_ms: u32,
    /// How many wait for it.
    waiting: u32,
}

/// Locks by name.
#[derive(Serialize, ToSchema)]
struct LocksShown {
    /// Those that are held.
    locks: Vec<LockShown>,
}

/// Lists the locks of a node that are held.
#[utoipa::path(
    get, path = "/nodes/{kind}/{name}/locks", tag = "locks", operation_id = "listNodeLocks",
    params(
        ("kind" = Kind, Path, description = "The node's kind"),
        ("name" = Word, Path, description = "The node's name"),
    ),
    responses(
        (status = 200, description = "Locks", body = LocksShown),
    )
)]
async fn list_of_node(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place((kind, name)): Place<(Kind, Word)>,
) -> Result<Json<LocksShown>, Problem> {
    list(&api, &caller, Owner::Node(node(kind, name))).await
}

/// Takes a lock of a node, or waits for it in turn.
///
/// The service holds it, not the connection: it is free when it is given back, or not renewed in time.
#[utoipa::path(
    post, path = "/nodes/{kind}/{name}/locks/{lock}", tag = "locks", operation_id = "takeNodeLock",
    params(
        ("kind" = Kind, Path, description = "The node's kind"),
        ("name" = Word, Path, description = "The node's name"),
        ("lock" = Word, Path, description = "The lock"),
    ),
    request_body = NewLock,
    responses(
        (status = 200, description = "It is held", body = Held),
        (status = 409, description = "Somebody else holds it, or a bound is reached"),
    )
)]
async fn take_of_node(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place((kind, name, lock)): Place<(Kind, Word, Word)>,
    Json(wanted): Json<NewLock>,
) -> Result<Json<Held>, Problem> {
    take(&api, &caller, Owner::Node(node(kind, name)), lock, wanted).await
}

/// Holds a lock of a node for longer.
#[utoipa::path(
    put, path = "/nodes/{kind}/{name}/locks/{lock}", tag = "locks", operation_id = "renewNodeLock",
    params(
        ("kind" = Kind, Path, description = "The node's kind"),
        ("name" = Word, Path, description = "The node's name"),
        ("lock" = Word, Path, description = "The lock"),
    ),
    request_body = Renewal,
    responses(
        (status = 200, description = "It is held", body = Held),
        (status = 409, description = "It is not held by this token"),
    )
)]
async fn renew_of_node(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place((kind, name, lock)): Place<(Kind, Word, Word)>,
    Json(renewal): Json<Renewal>,
) -> Result<Json<Held>, Problem> {
    renew(&api, &caller, Owner::Node(node(kind, name)), lock, renewal).await
}

/// Gives a lock of a node back, or takes it from who holds it.
#[utoipa::path(
    delete, path = "/nodes/{kind}/{name}/locks/{lock}", tag = "locks", operation_id = "releaseNodeLock",
    params(
        ("kind" = Kind, Path, description = "The node's kind"),
        ("name" = Word, Path, description = "The node's name"),
        ("lock" = Word, Path, description = "The lock"),
        Giving,
    ),
    responses(
        (status = 204, description = "It is free"),
        (status = 404, description = "There is no such lock"),
        (status = 409, description = "It is not held by this token"),
    )
)]
async fn give_of_node(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place((kind, name, lock)): Place<(Kind, Word, Word)>,
    Query(giving): Query<Giving>,
) -> Result<StatusCode, Problem> {
    give(&api, &caller, Owner::Node(node(kind, name)), lock, giving).await
}

/// Lists the locks of a room that are held.
#[utoipa::path(
    get, path = "/rooms/{room}/locks", tag = "locks", operation_id = "listRoomLocks",
    params(
        ("room" = Word, Path, description = "The room"),
    ),
    responses(
        (status = 200, description = "Locks", body = LocksShown),
        (status = 404, description = "There is no such room"),
    )
)]
async fn list_of_room(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(room): Place<Word>,
) -> Result<Json<LocksShown>, Problem> {
    list(&api, &caller, Owner::Room(room.0)).await
}

/// Takes a lock of a room, or waits for it in turn.
///
/// The service holds it, not the connection: it is free when it is given back, or not renewed in time.
#[utoipa::path(
    post, path = "/rooms/{room}/locks/{lock}", tag = "locks", operation_id = "takeRoomLock",
    params(
        ("room" = Word, Path, description = "The room"),
        ("lock" = Word, Path, description = "The lock"),
    ),
    request_body = NewLock,
    responses(
        (status = 200, description = "It is held", body = Held),
        (status = 404, description = "There is no such room"),
        (status = 409, description = "Somebody else holds it, or a bound is reached"),
    )
)]
async fn take_of_room(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place((room, lock)): Place<(Word, Word)>,
    Json(wanted): Json<NewLock>,
) -> Result<Json<Held>, Problem> {
    take(&api, &caller, Owner::Room(room.0), lock, wanted).await
}

/// Holds a lock of a room for longer.
#[utoipa::path(
    put, path = "/rooms/{room}/locks/{lock}", tag = "locks", operation_id = "renewRoomLock",
    params(
        ("room" = Word, Path, description = "The room"),
        ("lock" = Word, Path, description = "The lock"),
    ),
    request_body = Renewal,
    responses(
        (status = 200, description = "It is held", body = Held),
        (status = 404, description = "There is no such room"),
        (status = 409, description = "It is not held by this token"),
    )
)]
async fn renew_of_room(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place((room, lock)): Place<(Word, Word)>,
    Json(renewal): Json<Renewal>,
) -> Result<Json<Held>, Problem> {
    renew(&api, &caller, Owner::Room(room.0), lock, renewal).await
}

/// Gives a lock of a room back, or takes it from who holds it.
#[utoipa::path(
    delete, path = "/rooms/{room}/locks/{lock}", tag = "locks", operation_id = "releaseRoomLock",
    params(
        ("room" = Word, Path, description = "The room"),
        ("lock" = Word, Path, description = "The lock"),
        Giving,
    ),
    responses(
        (status = 204, description = "It is free"),
        (status = 404, description = "There is no such lock"),
        (status = 409, description = "It is not held by this token"),
    )
)]
async fn give_of_room(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place((room, lock)): Place<(Word, Word)>,
    Query(giving): Query<Giving>,
) -> Result<StatusCode, Problem> {
    give(&api, &caller, Owner::Room(room.0), lock, giving).await
}

async fn list(api: &Api, caller: &Caller, owner: Owner) -> Result<Json<LocksShown>, Problem> {
    let Answer::Locks(locks) = api.speakers.ask(caller, Request::Locks { owner }).await? else {
        return Err(unexpected());
    };
    let locks = locks.into_iter().map(LockShown::of).collect();
    Ok(Json(LocksShown { locks }))
}

async fn take(
    api: &Api,
    caller: &Caller,
    owner: Owner,
    lock: Word,
    wanted: NewLock,
) -> Result<Json<Held>, Problem> {
    if Duration::from_millis(wanted.wait_ms.into()) > LOCK_WAIT_MAX {
        return Err(unprocessable("`wait_ms` must be at most 60000"));
    }
    // Whoever waits longer than its request may take would hold what it does not know of.
    let patience_ms = u32::try_from(api.patience.as_millis()).unwrap_or(u32::MAX);
    let wait_ms = wanted.wait_ms.min(patience_ms);
    let request = Request::Lock {
        owner,
        lock: lock.0,
        ttl_ms: wanted.ttl_ms,
        wait_ms,
    };
    let wait = Duration::from_millis(wait_ms.into()) + ANSWER_MAX;
    let answer = api.speakers.ask_within(caller, request, wait).await?;
    held(accepted(answer)?)
}

async fn renew(
    api: &Api,
    caller: &Caller,
    owner: Owner,
    lock: Word,
    renewal: Renewal,
) -> Result<Json<Held>, Problem> {
    let request = Request::RenewLock {
        owner,
        lock: LockClaim {
            lock: lock.0,
            token: renewal.token,
        },
        ttl_ms: renewal.ttl_ms,
    };
    held(api.speakers.ask(caller, request).await?)
}

async fn give(
    api: &Api,
    caller: &Caller,
    owner: Owner,
    lock: Word,
    giving: Giving,
) -> Result<StatusCode, Problem> {
    let lock = lock.0;
    let request = match giving.token {
        Some(token) => Request::Unlock {
            owner,
            lock: LockClaim { lock, token },
        },
        None => Request::RevokeLock { owner, lock },
    };
    api.speakers.ask(caller, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn held(answer: Answer) -> Result<Json<Held>, Problem> {
    let Answer::Locked { token } = answer else {
        return Err(unexpected());
    };
    Ok(Json(Held { token }))
}

impl LockShown {
    fn of(lock: LockInfo) -> LockShown {
        LockShown {
            lock: Word(lock.lock),
            by: Node(lock.by),
            token: lock.token,
            left_ms: lock.left_ms,
            waiting: lock.waiting,
        }
    }
}

/// For the hub's answer when the wait is over.
const ANSWER_MAX: Duration = Duration::from_millis(500);
