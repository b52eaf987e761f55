//! `/v1/nodes` and `/v1/vehicles`: who is here, and where.

use std::sync::Arc;

use axum::extract::State;
use longrein_proto::base::{NodeKind, NodeName};
use longrein_proto::wire::hub::{
    Answer, Label, LinkPresence, NodePresence, Owner, Request, Section, Selector,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::documents::{self, DocumentShown};
use super::guard::Caller;
use super::messages::unexpected;
use super::pages::{Limit, node};
use super::refusal::bad_request;
use super::words::{Kind, Node, Reason, Word};
use crate::http::problem::{Json, Place, Problem, Query};

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(vehicle))
}

/// Whether a node is here.
#[derive(Serialize, ToSchema)]
pub(super) struct Presence {
    /// Which one.
    node: Node,
    /// Whether it is.
    present: bool,
    /// Why it is so.
    reason: Reason,
    /// Since when, in milliseconds since 1970; 0 when that is not known.
    since_ms: u64,
    /// Grows with each change of this node's.
    revision: u64,
    /// Its links, while it is here.
    links: Vec<Link>,
}

/// A link of a node, as the hub's relay sees it.
#[derive(Serialize, ToSchema)]
struct Link {
    /// The node's name for it.
    link: Word,
    /// Whether something comes over it.
    present: bool,
    /// Why it is so.
    reason: Reason,
}

/// Nodes by name.
#[derive(Serialize, ToSchema)]
struct Nodes {
    /// The nodes.
    nodes: Vec<Presence>,
    /// `cursor` of the next page; none on the last one.
    next: Option<String>,
}

/// Where a node is.
#[derive(Serialize, ToSchema)]
struct Where {
    /// Whether it is here, and by which links.
    presence: Presence,
    /// The rooms that it is a member of.
    rooms: Vec<Word>,
}

/// A vehicle, as it reports itself.
#[derive(Serialize, ToSchema)]
struct Vehicle {
    /// The agent on it.
    node: Node,
    /// Whether it is here.
    presence: Presence,
    /// The rooms that it is a member of.
    rooms: Vec<Word>,
    /// What it reports: revision 0 and nothing until it does.
    reported: DocumentShown,
}

/// Which nodes: all that fulfil what is said.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Chosen {
    /// Of this kind.
    #[param(inline)]
    kind: Option<Kind>,
    /// With this group in its certificate.
    #[param(inline)]
    group: Option<Word>,
    /// A member of this room.
    #[param(inline)]
    room: Option<Word>,
    /// With these labels, as `key:value`, with commas between.
    #[param(
        example = "site:north",
        pattern = "^[a-z0-9][a-z0-9._-]{0,47}:[a-z0-9][a-z0-9._-]{0,47}(,[a-z0-9][a-z0-9._-]{0,47}:[a-z0-9][a-z0-9._-]{0,47}){0,15}$"
    )]
    labels: Option<String>,
    /// `next` of the page before.
    #[param(inline)]
    cursor: Option<Node>,
    /// Entries at most; there may be fewer although more follow.
    #[param(inline)]
    limit: Option<Limit>,
}

/// Lists who is here, by name.
#[utoipa::path(
    get, path = "/nodes", tag = "nodes", operation_id = "listNodes", params(Chosen),
    responses(
        (status = 200, description = "Nodes", body = Nodes),
        (status = 404, description = "This hub does not know presence"),
    )
)]
async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(chosen): Query<Chosen>,
) -> Result<Json<Nodes>, Problem> {
    let request = Request::Presence {
        after: chosen.cursor.map(|node| node.0),
        count: Limit::of(chosen.limit),
        of: selector(chosen.kind, chosen.group, chosen.room, chosen.labels)?,
    };
    let Answer::Presence { nodes, more } = api.speakers.ask(&caller, request).await? else {
        return Err(unexpected());
    };
    let last = nodes.last().filter(|_| more);
    Ok(Json(Nodes {
        next: last.map(|presence| presence.node.to_string()),
        nodes: nodes.into_iter().map(Presence::of).collect(),
    }))
}

/// Tells where a node is: whether it is here, by which links, and in which rooms.
#[utoipa::path(
    get, path = "/nodes/{kind}/{name}", tag = "nodes", operation_id = "getNode",
    params(
        ("kind" = Kind, Path, description = "The node's kind"),
        ("name" = Word, Path, description = "The node's name"),
    ),
    responses(
        (status = 200, description = "Where it is; also of one that was never here", body = Where),
        (status = 404, description = "This hub does not know presence"),
    )
)]
async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place((kind, name)): Place<(Kind, Word)>,
) -> Result<Json<Where>, Problem> {
    let (presence, rooms) = look(&api, &caller, node(kind, name)).await?;
    Ok(Json(Where { presence, rooms }))
}

/// Tells how a vehicle is, as far as it reports that.
///
/// What agents report of leases and of the vehicle's state is in `reported`, which the agent alone writes. Agents that report
/// nothing have an empty one.
#[utoipa::path(
    get, path = "/vehicles/{name}", tag = "nodes", operation_id = "getVehicle",
    params(("name" = Word, Path, description = "The agent's name")),
    responses(
        (status = 200, description = "The vehicle", body = Vehicle),
        (status = 404, description = "This hub does not know presence"),
    )
)]
async fn vehicle(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(name): Place<Word>,
) -> Result<Json<Vehicle>, Problem> {
    let agent = NodeName::new(NodeKind::Agent, name.0);
    let (presence, rooms) = look(&api, &caller, agent.clone()).await?;
    let owner = Owner::Node(agent.clone());
    let reported = documents::read(&api, &caller, owner, Section::Reported).await?;
    Ok(Json(Vehicle {
        node: Node(agent),
        presence,
        rooms,
        reported: reported.into(),
    }))
}

async fn look(
    api: &Api,
    caller: &Caller,
    node: NodeName,
) -> Result<(Presence, Vec<Word>), Problem> {
    let answer = api.speakers.ask(caller, Request::WhereIs { node }).await?;
    let Answer::WhereIs { presence, rooms } = answer else {
        return Err(unexpected());
    };
    Ok((
        Presence::of(presence),
        rooms.into_iter().map(Word).collect(),
    ))
}

/// Whom a query is about.
pub(super) fn selector(
    kind: Option<Kind>,
    group: Option<Word>,
    room: Option<Word>,
    labels_text: Option<String>,
) -> Result<Selector, Problem> {
    Ok(Selector {
        nodes: Vec::new(),
        kind: kind.map(NodeKind::from),
        group: group.map(|group| group.0),
        room: room.map(|room| room.0),
        labels: labels(labels_text.as_deref())?,
    })
}

fn labels(text: Option<&str>) -> Result<Vec<Label>, Problem> {
    let label = |text: &str| {
        let (key, value) = text.split_once(':')?;
        Some(Label {
            key: key.parse().ok()?,
            value: value.parse().ok()?,
        })
    };
    let texts = text.into_iter().flat_map(|text| text.split(','));
    let labels: Option<Vec<Label>> = texts.take(LABELS_MAX + 1).map(label).collect();
    labels
        .filter(|labels| labels.len() <= LABELS_MAX)
        .ok_or_else(|| bad_request("`labels` is up to 16 of `key:value` with commas between"))
}

impl Presence {
    pub(super) fn of(presence: NodePresence) -> Presence {
        Presence {
            node: Node(presence.node),
            present: presence.present,
            reason: presence.reason.into(),
            since_ms: presence.since_ms,
            revision: presence.revision,
            links: presence.links.into_iter().map(Link::of).collect(),
        }
    }
}

impl Link {
    fn of(link: LinkPresence) -> Link {
        Link {
            link: Word(link.link),
            present: link.present,
            reason: link.reason.into(),
        }
    }
}

/// Labels of one question: more than a node has.
const LABELS_MAX: usize = 16;
