//! `/v1/quality`: how good the ways to the nodes are, as the relay sees them.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use longrein_proto::base::NodeName;
use longrein_proto::path::{Blame, End, Way};
use longrein_proto::role::{NodeQuality, PathQuality};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Access;
use super::access::NODES_PER_CALL;
use super::problem::{Json, Place, Problem, Query};

/// Which nodes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Page {
    /// Those behind this one.
    after: Option<String>,
    /// At most so many.
    limit: Option<usize>,
}

/// `GET /v1/quality`: the nodes in the order of their names, each with its paths and what is to blame.
pub(super) async fn all(
    State(access): State<Access>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Problem> {
    let limit = page.limit.unwrap_or(NODES_DEFAULT);
    if !(1..=NODES_MAX).contains(&limit) {
        return Err(bad(format!("`limit` must be 1 to {NODES_MAX}")));
    }
    let mut after = page.after.as_deref().map(parse).transpose()?;
    let mut nodes: Vec<NodeQuality> = Vec::new();
    let mut is_end = false;
    while nodes.len() < limit && !is_end {
        let (from, count) = (after.clone(), NODES_PER_CALL.min(limit - nodes.len()));
        let more = access
            .ask(move |relay, _| relay.qualities(from.as_ref(), count))
            .await?;
        is_end = more.len() < count;
        after = more.last().map(|quality| quality.node.clone()).or(after);
        nodes.extend(more);
    }
    let next = after.filter(|_| !is_end).map(|node| node.to_string());
    let nodes: Vec<Value> = nodes.iter().map(node_json).collect();
    Ok(Json(json!({ "nodes": nodes, "next": next })))
}

/// `GET /v1/quality/{kind}/{name}`: one node.
pub(super) async fn one(
    State(access): State<Access>,
    Place((kind, name)): Place<(String, String)>,
) -> Result<Json<Value>, Problem> {
    let node = parse(&format!("{kind}/{name}"))?;
    let asked = node.clone();
    let quality = access.ask(move |relay, _| relay.quality(&asked)).await?;
    let quality = quality.ok_or_else(|| Problem::not_found(format!("{node} is not here")))?;
    Ok(Json(node_json(&quality)))
}

fn parse(text: &str) -> Result<NodeName, Problem> {
    text.parse()
        .map_err(|_| bad(format!("`{text}` is no node, as `agent/truck-17` is one")))
}

fn bad(detail: String) -> Problem {
    let status = StatusCode::BAD_REQUEST;
    Problem::new(status, "bad-request", "The request cannot be read", detail)
}

/// A node's quality as it is shown.
pub(super) fn node_json(quality: &NodeQuality) -> Value {
    let paths: Vec<Value> = quality.paths.iter().map(path_json).collect();
    json!({
        "node": quality.node.to_string(),
        "parcels_sent": quality.parcels_sent,
        "copies_sent": quality.copies_sent,
        "parcels_waiting": quality.waiting,
        "paths": paths,
        "blame": blame(quality).to_string(),
    })
}

/// What is to blame for a node's delay.
pub(super) fn blame(quality: &NodeQuality) -> Blame {
    let way = |path: &'_ PathQuality| -> (String, _) { (path.link.to_string(), path.status) };
    let ways: Vec<_> = quality.paths.iter().map(way).collect();
    let ways: Vec<Way<'_>> = ways
        .iter()
        .map(|(link, status)| Way { link, status })
        .collect();
    Blame::of(End::Relay, &ways, None)
}

fn path_json(path: &PathQuality) -> Value {
    let us = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let status = &path.status;
    let way = |loss: f64, queue: Duration, packets: u64, bytes: u64, packets_per_s: u32| {
        json!({
            "loss": loss,
            "queue_us": us(queue),
            "packets": packets,
            "bytes": bytes,
            "packets_per_s": packets_per_s,
        })
    };
    json!({
        "path": status.path.0,
        "link": path.link.as_str(),
        "health": status.health.to_string(),
        "rtt_us": status.rtt.map(us),
        "rtt_min_us": status.rtt_min.map(us),
        "to_node": way(
            status.loss,
            status.queue,
            status.sent_packets,
            status.sent_bytes,
            status.sent_packets_per_s,
        ),
        "from_node": way(
            status.loss_in,
            status.queue_in,
            status.received_packets,
            status.received_bytes,
            status.received_packets_per_s,
        ),
    })
}

/// Nodes of an answer when nobody says how many.
const NODES_DEFAULT: usize = 100;
/// Nodes of one answer: some 500 bytes for each path.
const NODES_MAX: usize = 1_000;
