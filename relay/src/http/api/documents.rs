//! Attributes of nodes and rooms, and the two halves of a node's shadow: desired and reported.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use longrein_proto::base::Name;
use longrein_proto::wire::hub::{
    Answer, Bytes, Change, Document, HubRefusal, Item, LockClaim, Owner, Request, Section,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::guard::Caller;
use super::messages::unexpected;
use super::pages::node;
use super::preconditions::Precondition;
use super::refusal::{self, accepted, unprocessable};
use super::whole::whole;
use super::words::{Kind, Node, Part, Word};
use crate::http::problem::{Json, Place, Problem};

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(of_node, change_node))
        .routes(routes!(of_room, change_room))
        .routes(routes!(shadow))
}

/// All items of a document.
#[derive(Serialize, ToSchema)]
pub(super) struct DocumentShown {
    /// Grows by one with each write; 0 before the first.
    revision: u64,
    /// By key.
    items: BTreeMap<String, ItemShown>,
}

/// A value with its revision.
#[derive(Serialize, ToSchema)]
pub(super) struct ItemShown {
    /// The value, when it is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    value: Option<Box<RawValue>>,
    /// The value as bytes in base64, when it is no JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    /// That of the document when it was set.
    revision: u64,
    /// Who set it.
    by: Node,
    /// When, in milliseconds since 1970.
    at_ms: u64,
}

/// Changes of a document, all or none of them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Changes {
    /// Items and their values from now on. That of a `label.<key>` is a name.
    #[serde(default)]
    #[schema(value_type = BTreeMap<Word, serde_json::Value>)]
    set: BTreeMap<Word, Box<RawValue>>,
    /// Items that go.
    #[serde(default)]
    #[schema(max_items = 64)]
    remove: Vec<Word>,
    /// Only while this lock is held.
    lock: Option<Claim>,
    /// Only while a session of this service's holds a lease of this vehicle.
    lease: Option<Node>,
}

/// A lock by its token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    /// Its name.
    lock: Word,
    /// As it was given.
    #[serde(deserialize_with = "whole")]
    token: u64,
}

/// The revision that is wanted, as a header says it.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = r#"^(\*|"[0-9]{1,19}")$"#)]
#[expect(dead_code, reason = "described only")]
struct Tag(String);

/// That no revision is wanted.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = r"^\*$")]
#[expect(dead_code, reason = "described only")]
struct Never(String);

/// A write that was done.
#[derive(Serialize, ToSchema)]
struct Written {
    /// That of the document now.
    revision: u64,
}

/// How a node shall be, how it is, and where the two differ.
#[derive(Serialize, ToSchema)]
struct Shadow {
    /// How it shall be.
    desired: DocumentShown,
    /// How it is, as it says itself.
    reported: DocumentShown,
    /// What is desired and not reported so.
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    delta: BTreeMap<String, Box<RawValue>>,
}

/// Reads a document of a node.
#[utoipa::path(
    get, path = "/nodes/{kind}/{name}/documents/{part}", tag = "documents", operation_id = "getDocument",
    params(
        ("kind" = Kind, Path, description = "The node's kind"),
        ("name" = Word, Path, description = "The node's name"),
        ("part" = Part, Path, description = "Which document"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` that is known"),
    ),
    responses(
        (status = 200, description = "The document", body = DocumentShown, headers(("ETag" = String, description = "The revision in quotes"))),
        (status = 304, description = "It has that revision"),
    )
)]
async fn of_node(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place((kind, name, part)): Place<(Kind, Word, Part)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let owner = Owner::Node(node(kind, name));
    show(&api, &caller, owner, part.into(), &headers).await
}

/// Changes a document of a node: `attributes` and `desired` with `hub.write`; `reported` is the node's own.
#[utoipa::path(
    patch, path = "/nodes/{kind}/{name}/documents/{part}", tag = "documents", operation_id = "patchDocument",
    params(
        ("kind" = Kind, Path, description = "The node's kind"),
        ("name" = Word, Path, description = "The node's name"),
        ("part" = Part, Path, description = "Which document"),
        ("If-Match" = inline(Option<Tag>), Header, description = "The `ETag` that it is to have, or `*` for any; this or `If-None-Match` is needed"),
        ("If-None-Match" = inline(Option<Never>), Header, description = "`*`: only when it was never written"),
    ),
    request_body = Changes,
    responses(
        (status = 200, description = "It is written and stored", body = Written, headers(("ETag" = String, description = "The revision in quotes"))),
        (status = 409, description = "The lock is not held, or a bound is reached"),
        (status = 412, description = "It has another revision"),
        (status = 413, description = "It is too large"),
        (status = 428, description = "No header says which revision it is to have"),
    )
)]
async fn change_node(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place((kind, name, part)): Place<(Kind, Word, Part)>,
    headers: HeaderMap,
    Json(changes): Json<Changes>,
) -> Result<Response, Problem> {
    let owner = Owner::Node(node(kind, name));
    write(&api, &caller, owner, part.into(), &headers, changes).await
}

/// Reads the attributes of a room.
#[utoipa::path(
    get, path = "/rooms/{room}/attributes", tag = "documents", operation_id = "getRoomAttributes",
    params(
        ("room" = Word, Path, description = "The room"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` that is known"),
    ),
    responses(
        (status = 200, description = "The document", body = DocumentShown, headers(("ETag" = String, description = "The revision in quotes"))),
        (status = 304, description = "It has that revision"),
        (status = 404, description = "There is no such room"),
    )
)]
async fn of_room(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(room): Place<Word>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let owner = Owner::Room(room.0);
    show(&api, &caller, owner, Section::Attributes, &headers).await
}

/// Changes the attributes of a room. For members that speak, and with `hub.manage`.
#[utoipa::path(
    patch, path = "/rooms/{room}/attributes", tag = "documents", operation_id = "patchRoomAttributes",
    params(
        ("room" = Word, Path, description = "The room"),
        ("If-Match" = inline(Option<Tag>), Header, description = "The `ETag` that it is to have, or `*` for any; this or `If-None-Match` is needed"),
        ("If-None-Match" = inline(Option<Never>), Header, description = "`*`: only when it was never written"),
    ),
    request_body = Changes,
    responses(
        (status = 200, description = "It is written and stored", body = Written, headers(("ETag" = String, description = "The revision in quotes"))),
        (status = 404, description = "There is no such room"),
        (status = 409, description = "The lock is not held, or a bound is reached"),
        (status = 412, description = "It has another revision"),
        (status = 413, description = "It is too large"),
        (status = 428, description = "No header says which revision it is to have"),
    )
)]
async fn change_room(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(room): Place<Word>,
    headers: HeaderMap,
    Json(changes): Json<Changes>,
) -> Result<Response, Problem> {
    let owner = Owner::Room(room.0);
    write(&api, &caller, owner, Section::Attributes, &headers, changes).await
}

/// Reads how a node shall be, how it is, and where the two differ.
#[utoipa::path(
    get, path = "/nodes/{kind}/{name}/shadow", tag = "documents", operation_id = "getShadow",
    params(
        ("kind" = Kind, Path, description = "The node's kind"),
        ("name" = Word, Path, description = "The node's name"),
    ),
    responses((status = 200, description = "Both documents, and their difference", body = Shadow))
)]
async fn shadow(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place((kind, name)): Place<(Kind, Word)>,
) -> Result<Json<Shadow>, Problem> {
    let owner = Owner::Node(node(kind, name));
    let desired = read(&api, &caller, owner.clone(), Section::Desired).await?;
    let reported = read(&api, &caller, owner, Section::Reported).await?;
    let delta = delta(&desired, &reported);
    Ok(Json(Shadow {
        desired: desired.into(),
        reported: reported.into(),
        delta,
    }))
}

/// A document as it is.
pub(super) async fn read(
    api: &Api,
    caller: &Caller,
    owner: Owner,
    section: Section,
) -> Result<Document, Problem> {
    let request = Request::Document { owner, section };
    let Answer::Document(document) = api.speakers.ask(caller, request).await? else {
        return Err(unexpected());
    };
    Ok(document)
}

async fn show(
    api: &Api,
    caller: &Caller,
    owner: Owner,
    section: Section,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let document = read(api, caller, owner, section).await?;
    let tag = [(header::ETAG, etag(document.revision))];
    let known = headers.get(header::IF_NONE_MATCH);
    if known.is_some_and(|known| *known == etag(document.revision)) {
        return Ok((StatusCode::NOT_MODIFIED, tag).into_response());
    }
    Ok((tag, Json(DocumentShown::from(document))).into_response())
}

async fn write(
    api: &Api,
    caller: &Caller,
    owner: Owner,
    section: Section,
    headers: &HeaderMap,
    changes: Changes,
) -> Result<Response, Problem> {
    let precondition = Precondition::of(headers)?;
    let Changes {
        set,
        remove,
        lock,
        lease,
    } = changes;
    let set = set.into_iter().map(|(key, value)| {
        let value = Some(stored(&key.0, &value)?);
        Ok((key.0, value))
    });
    let removed = remove.into_iter().map(|key| Ok((key.0, None)));
    let changes: Result<Vec<(Name, Option<Bytes>)>, Problem> = set.chain(removed).collect();
    let change = |(key, value)| Change {
        key,
        if_revision: None,
        value,
    };
    let request = Request::Set {
        owner,
        section,
        if_revision: precondition.revision(),
        changes: changes?.into_iter().map(change).collect(),
        lock: lock.map(Claim::claim),
        lease: lease.map(|lease| lease.0),
    };
    let answer = api.speakers.ask_freely(caller, request).await?;
    if let Answer::Refused(HubRefusal::Conflict { revision }) = answer {
        return Err(refusal::precondition(revision));
    }
    let Answer::Done { revision } = accepted(answer)? else {
        return Err(unexpected());
    };
    let tag = [(header::ETAG, etag(revision))];
    Ok((tag, Json(Written { revision })).into_response())
}

/// A value as it is stored: JSON, and of a label the text itself, which selectors compare.
fn stored(key: &Name, value: &RawValue) -> Result<Bytes, Problem> {
    if !is_label(key) {
        return Ok(Bytes::from(value.get().as_bytes()));
    }
    let text: Option<String> = serde_json::from_str(value.get()).ok();
    let name = text.and_then(|text| text.parse::<Name>().ok());
    let name =
        name.ok_or_else(|| unprocessable(format!("the value of `{key}` has to be a name")))?;
    Ok(Bytes::from(name.as_str().as_bytes()))
}

/// A value as JSON; none when it is none.
fn shown(item: &Item) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(&item.value.0).ok()?;
    if is_label(&item.key) {
        let text = serde_json::to_string(text).ok()?;
        return RawValue::from_string(text).ok();
    }
    serde_json::from_str(text).ok()
}

fn is_label(key: &Name) -> bool {
    key.as_str().starts_with("label.")
}

/// What is desired and not reported so.
fn delta(desired: &Document, reported: &Document) -> BTreeMap<String, Box<RawValue>> {
    let value = |item: &Item| -> Option<Value> { serde_json::from_str(shown(item)?.get()).ok() };
    let is_so = |wanted: &Item| {
        let items = &mut reported.items.iter();
        let is = items.find(|item| item.key == wanted.key);
        is.is_some_and(|is| is.value == wanted.value || value(is) == value(wanted))
    };
    let differing = desired.items.iter().filter(|wanted| !is_so(wanted));
    differing
        .filter_map(|wanted| Some((wanted.key.to_string(), shown(wanted)?)))
        .collect()
}

fn etag(revision: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{revision}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

impl From<Document> for DocumentShown {
    fn from(document: Document) -> DocumentShown {
        let item = |item: Item| (item.key.to_string(), ItemShown::of(item));
        DocumentShown {
            revision: document.revision,
            items: document.items.into_iter().map(item).collect(),
        }
    }
}

impl ItemShown {
    pub(super) fn of(item: Item) -> ItemShown {
        let value = shown(&item);
        ItemShown {
            value_base64: value.is_none().then(|| STANDARD.encode(&item.value.0)),
            value,
            revision: item.revision,
            by: Node(item.by),
            at_ms: item.at_ms,
        }
    }
}

impl Claim {
    pub(super) fn claim(self) -> LockClaim {
        LockClaim {
            lock: self.lock.0,
            token: self.token,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(key: &str, value: &str) -> Item {
        Item {
            key: key.parse().unwrap(),
            revision: 1,
            value: Bytes::from(value.as_bytes()),
            by: "service/erp".parse().unwrap(),
            at_ms: 0,
        }
    }

    fn document(items: Vec<Item>) -> Document {
        Document { revision: 3, items }
    }

    #[test]
    fn a_label_is_stored_as_its_text_and_everything_else_as_json() {
        let label: Name = "label.site".parse().unwrap();
        let raw = |text: &str| RawValue::from_string(text.to_string()).unwrap();
        assert_eq!(&*stored(&label, &raw("\"north\"")).unwrap().0, b"north");
        assert!(stored(&label, &raw("\"North Sea\"")).is_err());
        assert!(stored(&label, &raw("7")).is_err());
        let other: Name = "speed".parse().unwrap();
        assert_eq!(&*stored(&other, &raw("\"north\"")).unwrap().0, b"\"north\"");
        assert_eq!(
            shown(&item("label.site", "north")).unwrap().get(),
            "\"north\""
        );
        assert_eq!(
            shown(&item("speed", "{\"a\": 1}")).unwrap().get(),
            "{\"a\": 1}"
        );
        assert!(shown(&item("speed", "\u{1}")).is_none());
    }

    #[test]
    fn the_delta_is_what_is_desired_and_not_reported_so() {
        let desired = document(vec![
            item("a", "1"),
            item("b", "{\"x\": 1}"),
            item("c", "true"),
        ]);
        let reported = document(vec![item("a", "2"), item("b", "{\"x\":1}"), item("d", "0")]);
        let delta = delta(&desired, &reported);
        let keys: Vec<&str> = delta.keys().map(String::as_str).collect();
        assert_eq!(keys, ["a", "c"]);
        assert_eq!(delta["a"].get(), "1");
    }
}
