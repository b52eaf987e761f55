//! How good the ways to the nodes are, as the relay sees them.

use std::time::Duration;

use longrein_proto::base::NodeName;
use longrein_proto::path::{Blame, End, Way};
use longrein_proto::role::{NodeQuality, PathQuality};
use serde_json::{Value, json};

use super::Access;
use super::access::NODES_PER_CALL;
use super::problem::Problem;

/// The nodes behind one, at most `limit`, in the order of their names, each with its paths and what is to blame.
pub(super) async fn all(
    access: &Access,
    mut after: Option<NodeName>,
    limit: usize,
) -> Result<Value, Problem> {
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
    Ok(json!({ "nodes": nodes, "next": next }))
}

/// One node.
pub(super) async fn one(access: &Access, node: NodeName) -> Result<Value, Problem> {
    let asked = node.clone();
    let quality = access.ask(move |relay, _| relay.quality(&asked)).await?;
    let quality = quality.ok_or_else(|| Problem::not_found(format!("{node} is not here")))?;
    Ok(node_json(&quality))
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
