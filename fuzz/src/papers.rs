//! The fleet of all targets: the same keys in every run, so that a finding repeats.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use longrein_proto::base::NodeName;
use longrein_proto::crypto::{Credential, Fleet, Peer};
use rustls_pki_types::UnixTime;

use crate::identity::TestFleet;

/// Who is who.
pub struct Papers {
    pub fleet: Fleet,
    nodes: BTreeMap<NodeName, (Arc<dyn Credential>, Peer)>,
}

impl Papers {
    /// The time at which all papers are valid.
    pub const AT: UnixTime = UnixTime::since_unix_epoch(Duration::from_millis(TestFleet::UNIX_MS));
    /// The same for roles.
    pub const UNIX_MS: u64 = TestFleet::UNIX_MS;

    /// A node's name, such as `agent/truck-17`.
    pub fn name(&self, node: &str) -> NodeName {
        node.parse().expect("a valid name")
    }

    pub fn credential(&self, node: &NodeName) -> Arc<dyn Credential> {
        self.entry(node).0.clone()
    }

    pub fn peer(&self, node: &NodeName) -> Peer {
        self.entry(node).1.clone()
    }

    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.nodes.values().map(|(own, _)| own.certificate())
    }

    fn entry(&self, node: &NodeName) -> &(Arc<dyn Credential>, Peer) {
        self.nodes.get(node).expect("one of the fleet")
    }
}

pub fn papers() -> &'static Papers {
    &PAPERS
}

static PAPERS: LazyLock<Papers> = LazyLock::new(|| {
    let mut made = TestFleet::new(1);
    let nodes = NODES.iter().map(|name| {
        let node: NodeName = name.parse().expect("a valid name");
        let entry = (made.credential(&node), made.peer(&node));
        (node, entry)
    });
    let nodes = nodes.collect();
    Papers {
        fleet: made.fleet(),
        nodes,
    }
});

const NODES: [&str; 7] = [
    "agent/truck-17",
    "agent/truck-18",
    "controller/alice",
    "controller/mallory",
    "relay/a",
    "relay/b",
    "service/depot",
];
