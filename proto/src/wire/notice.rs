//! Words between a node and its relay.

use crate::base::{NodeKind, NodeName, SessionId};

/// A word between a node and its relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Node to relay: envelopes of this session go to `to` from now on, and its answers come here.
    Route {
        /// The session.
        session: SessionId,
        /// The other end.
        to: NodeName,
    },
    /// Relay to node: the route stands; sent again when the other end comes or goes.
    Routed {
        /// The session.
        session: SessionId,
        /// Whether the other end is connected to this relay.
        present: bool,
    },
    /// Node to relay: the session has ended.
    Unroute {
        /// The session.
        session: SessionId,
    },
    /// Relay to node: the route is refused.
    RouteRefused {
        /// The session.
        session: SessionId,
        /// Why.
        why: RouteRefusal,
    },
    /// Node to relay: who of this kind is here?
    Query {
        /// Named by the answer.
        ask: u32,
        /// The kind asked for.
        kind: NodeKind,
    },
    /// Relay to node: part of the answer to a query.
    Nodes {
        /// The query's number.
        ask: u32,
        /// Whether further parts follow.
        more: bool,
        /// At most 16 names.
        names: Vec<NodeName>,
    },
    /// Relay to node: this relay ends soon; use the others.
    Draining,
}

/// Why a relay refuses a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouteRefusal {
    /// The session's number is in use by another node: choose another.
    SessionTaken = 1,
    /// The node has as many routes as one node may have.
    TooMany = 2,
    /// Only controllers and services may open sessions, and only with agents.
    NotAllowed = 3,
}
