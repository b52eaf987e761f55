//! How good the ways to the nodes are, as the relay sees them.

use std::ops::Bound;
use std::time::Duration;

use super::Relay;
use super::seat::{Seat, SeatId};
use crate::base::{Histogram, Name, NodeKind, NodeName};
use crate::leg::{Arrival, PathStatus};

/// How good the ways to one node are: all its programs together.
#[derive(Clone, Debug)]
pub struct NodeQuality {
    /// The node.
    pub node: NodeName,
    /// Parcels that its legs took for it.
    pub parcels_sent: u64,
    /// Copies and repeats beyond the first of each.
    pub copies_sent: u64,
    /// Parcels that wait or are not acknowledged.
    pub waiting: usize,
    /// Its paths, in the order in which they came up.
    pub paths: Vec<PathQuality>,
}

/// How good one path is.
#[derive(Clone, Debug)]
pub struct PathQuality {
    /// The node's name for its link.
    pub link: Name,
    /// How it stands, seen from the relay: what is sent goes to the node.
    pub status: PathStatus,
}

/// Where the time of forwarded parcels went, up to when they left the relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// Held by their senders, as these say.
    pub sender: Histogram,
    /// On the way to the relay.
    pub uplink: Histogram,
    /// Held by the relay until the first copy went on.
    pub relay: Histogram,
}

/// [`Delays`] by where parcels go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForwardingDelays {
    /// To agents: commands.
    pub to_agents: Delays,
    /// To all others: telemetry and answers.
    pub to_others: Delays,
}

impl ForwardingDelays {
    /// A parcel for a node of this kind has come so far.
    pub(super) fn on_forwarded(&mut self, kind: NodeKind, arrival: &Arrival) {
        let held = Duration::from_micros(u64::from(arrival.trail.sender_10us) * 10);
        let delays = self.to(kind);
        delays.sender.record(held);
        delays.uplink.record(arrival.transit);
    }

    /// Parcels for a node of this kind were here for so long.
    pub(super) fn on_left(&mut self, kind: NodeKind, held: &Histogram) {
        self.to(kind).relay.add(held);
    }

    const fn to(&mut self, kind: NodeKind) -> &mut Delays {
        match kind {
            NodeKind::Agent => &mut self.to_agents,
            NodeKind::Controller
            | NodeKind::Service
            | NodeKind::Relay
            | NodeKind::Authority
            | NodeKind::Newcomer => &mut self.to_others,
        }
    }
}

impl Relay {
    /// Where the time of all parcels went that were forwarded so far.
    pub fn delays(&self) -> &ForwardingDelays {
        &self.delays
    }

    /// At most so many nodes in the order of their names, beginning behind one: whoever looks at all of them asks again, and
    /// does not hold up what is forwarded meanwhile.
    pub fn qualities(&self, after: Option<&NodeName>, nodes_max: usize) -> Vec<NodeQuality> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let nodes = self.newest.range((from, Bound::Unbounded));
        nodes
            .take(nodes_max)
            .map(|(node, _)| self.quality_of(node))
            .collect()
    }

    /// How good the ways to a node are; none when it is not here.
    pub fn quality(&self, node: &NodeName) -> Option<NodeQuality> {
        let is_here = self.newest.contains_key(node);
        is_here.then(|| self.quality_of(node))
    }

    fn quality_of(&self, node: &NodeName) -> NodeQuality {
        let mut quality = NodeQuality {
            node: node.clone(),
            parcels_sent: 0,
            copies_sent: 0,
            waiting: 0,
            paths: Vec::new(),
        };
        for seat in self.seats_of(node) {
            if let Some(seat) = self.seats.get(&seat) {
                seat.tell(&mut quality);
            }
        }
        quality.paths.sort_by_key(|path| path.status.path);
        quality
    }

    /// Counts how long parcels were here that a seat's leg has just sent on.
    pub(super) fn count_held(&mut self, id: SeatId) {
        if let Some(seat) = self.seats.get_mut(&id)
            && let Some(held) = seat.leg.take_held()
        {
            self.delays.on_left(seat.node.kind, &held);
        }
    }
}

impl Seat {
    fn tell(&self, quality: &mut NodeQuality) {
        let counters = self.leg.counters();
        quality.parcels_sent += counters.parcels_sent;
        quality.copies_sent += counters.copies_sent;
        quality.waiting += self.leg.waiting();
        let paths = self.leg.paths().into_iter();
        let named = paths.filter_map(|status| {
            let link = self.link_of(status.path)?.clone();
            Some(PathQuality { link, status })
        });
        quality.paths.extend(named);
    }
}
