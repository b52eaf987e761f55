//! Which session goes where.

use std::collections::BTreeMap;

use super::seat::SeatId;
use crate::base::limits::ROUTES_PER_NODE_MAX;
use crate::base::{NodeName, SessionId};
use crate::wire::RouteRefusal;

/// One session's way through the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Who opened it.
    pub(super) owner: SeatId,
    /// The other end, by name: it may restart.
    pub(super) to: NodeName,
}

/// All sessions' ways.
#[derive(Debug, Default)]
pub(super) struct Routes {
    by_session: BTreeMap<SessionId, Route>,
}

impl Routes {
    /// Notes a route; the same node may repeat it.
    pub(super) fn insert(&mut self, route: Route, session: SessionId) -> Result<(), RouteRefusal> {
        match self.by_session.get(&session) {
            Some(known) if *known == route => return Ok(()),
            Some(known) if known.owner.node != route.owner.node => {
                return Err(RouteRefusal::SessionTaken);
            }
            Some(_) | None => {}
        }
        let owned = self
            .by_session
            .values()
            .filter(|known| known.owner == route.owner)
            .count();
        if owned >= ROUTES_PER_NODE_MAX {
            return Err(RouteRefusal::TooMany);
        }
        self.by_session.insert(session, route);
        Ok(())
    }

    pub(super) fn remove(&mut self, source: &SeatId, session: SessionId) {
        if self
            .by_session
            .get(&session)
            .is_some_and(|route| route.owner == *source)
        {
            self.by_session.remove(&session);
        }
    }

    pub(super) fn remove_seat(&mut self, seat: &SeatId) {
        self.by_session.retain(|_, route| route.owner != *seat);
    }

    /// The other end of a session for one of its ends: none when the source is no end of it, and within that none when
    /// the other end is not here.
    pub(super) fn other_end(
        &self,
        source: &SeatId,
        session: SessionId,
        newest: &BTreeMap<NodeName, SeatId>,
    ) -> Option<Option<SeatId>> {
        let route = self.by_session.get(&session)?;
        if route.owner == *source {
            Some(newest.get(&route.to).cloned())
        } else if route.to == source.node {
            Some(Some(route.owner.clone()))
        } else {
            None
        }
    }

    /// Sessions to a node, with their owners.
    pub(super) fn to_node(&self, node: &NodeName) -> Vec<(SessionId, SeatId)> {
        let to_it = self
            .by_session
            .iter()
            .filter(|(_, route)| route.to == *node);
        to_it
            .map(|(session, route)| (*session, route.owner.clone()))
            .collect()
    }
}
