//! Which session goes where.

use std::collections::{BTreeMap, BTreeSet};

use super::seat::SeatId;
use crate::base::limits::{ROUTES_PER_NODE_MAX, SESSION_LIFE};
use crate::base::{MonoTime, NodeName, SessionId};
use crate::wire::RouteRefusal;

/// One session's way through the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Who opened it.
    owner: SeatId,
    /// The other end, by name: it may restart.
    to: NodeName,
    /// When something went over it last.
    used_at: MonoTime,
}

impl Route {
    pub(super) const fn new(now: MonoTime, owner: SeatId, to: NodeName) -> Route {
        Route {
            owner,
            to,
            used_at: now,
        }
    }
}

/// All sessions' ways.
#[derive(Debug, Default)]
pub(super) struct Routes {
    by_session: BTreeMap<SessionId, Route>,
    by_owner: BTreeMap<SeatId, BTreeSet<SessionId>>,
    by_called: BTreeMap<NodeName, BTreeSet<SessionId>>,
}

impl Routes {
    /// Notes a route; its owner may repeat it. True when an older one of the same owner gave way.
    // [WIRE-113]
    pub(super) fn insert(
        &mut self,
        now: MonoTime,
        session: SessionId,
        route: Route,
    ) -> Result<bool, RouteRefusal> {
        match self.by_session.get(&session) {
            Some(known) if known.owner == route.owner && known.to == route.to => return Ok(false),
            Some(_) => return Err(RouteRefusal::SessionTaken),
            None => {}
        }
        let evicted = self.make_room(now, route.owner)?;
        let owned = self.by_owner.entry(route.owner).or_default();
        owned.insert(session);
        let called = self.by_called.entry(route.to.clone()).or_default();
        called.insert(session);
        self.by_session.insert(session, route);
        Ok(evicted)
    }

    pub(super) fn remove(&mut self, source: SeatId, session: SessionId) {
        let owns = |route: &Route| route.owner == source;
        if self.by_session.get(&session).is_some_and(owns) {
            self.forget(session);
        }
    }

    pub(super) fn remove_seat(&mut self, seat: SeatId) {
        for session in self.by_owner.get(&seat).cloned().unwrap_or_default() {
            self.forget(session);
        }
    }

    /// The other end of a session for one of its ends: none when the source is no end of it, and within that none when
    /// the other end is not here.
    // [WIRE-112]
    pub(super) fn other_end(
        &mut self,
        now: MonoTime,
        (source, name): (SeatId, &NodeName),
        session: SessionId,
        newest: &BTreeMap<NodeName, SeatId>,
    ) -> Option<Option<SeatId>> {
        let route = self.by_session.get_mut(&session)?;
        let end = if route.owner == source {
            newest.get(&route.to).copied()
        } else if route.to == *name {
            Some(route.owner)
        } else {
            return None;
        };
        route.used_at = now;
        Some(end)
    }

    /// Sessions to a node, with their owners.
    pub(super) fn to_node(&self, node: &NodeName) -> Vec<(SessionId, SeatId)> {
        let sessions = self.by_called.get(node).into_iter().flatten();
        sessions
            .filter_map(|session| Some((*session, self.by_session.get(session)?.owner)))
            .collect()
    }

    /// Sessions of an owner, with where they go.
    pub(super) fn owned(&self, owner: SeatId) -> Vec<(SessionId, NodeName)> {
        let sessions = self.by_owner.get(&owner).into_iter().flatten();
        sessions
            .filter_map(|session| Some((*session, self.by_session.get(session)?.to.clone())))
            .collect()
    }

    /// Of an owner's full share the route that was unused longest gives way, if both its ends have forgotten it by now: the
    /// word that it is over may be lost.
    fn make_room(&mut self, now: MonoTime, owner: SeatId) -> Result<bool, RouteRefusal> {
        let owned = self.by_owner.get(&owner);
        if owned.is_none_or(|owned| owned.len() < ROUTES_PER_NODE_MAX) {
            return Ok(false);
        }
        let used_at = |session: &SessionId| Some(self.by_session.get(session)?.used_at);
        let idle = owned
            .into_iter()
            .flatten()
            .filter_map(|session| Some((used_at(session)?, *session)))
            .min();
        match idle {
            Some((used_at, session)) if used_at + SESSION_LIFE <= now => {
                self.forget(session);
                Ok(true)
            }
            Some(_) | None => Err(RouteRefusal::TooMany),
        }
    }

    fn forget(&mut self, session: SessionId) {
        let Some(route) = self.by_session.remove(&session) else {
            return;
        };
        remove_from(&mut self.by_owner, &route.owner, session);
        remove_from(&mut self.by_called, &route.to, session);
    }
}

fn remove_from<K: Ord>(index: &mut BTreeMap<K, BTreeSet<SessionId>>, key: &K, session: SessionId) {
    if let Some(sessions) = index.get_mut(key) {
        sessions.remove(&session);
        if sessions.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leg::Source;

    const ANNA: Source = Source(1);
    const OTTO: Source = Source(2);
    const TRUCK: Source = Source(3);

    const fn seat(node: Source, incarnation: u64) -> SeatId {
        SeatId { node, incarnation }
    }

    fn name(node: &str) -> NodeName {
        node.parse().unwrap()
    }

    fn at(s: u64) -> MonoTime {
        MonoTime::from_us(s * 1_000_000)
    }

    fn to_truck(owner: SeatId, s: u64) -> Route {
        Route::new(at(s), owner, name("agent/truck-17"))
    }

    /// [WIRE-113]
    #[test]
    fn a_number_belongs_to_the_run_of_a_program_that_opened_it_first() {
        let (anna, again) = (seat(ANNA, 1), seat(ANNA, 2));
        let mut routes = Routes::default();
        let number = SessionId(7);
        assert_eq!(routes.insert(at(0), number, to_truck(anna, 0)), Ok(false));
        assert_eq!(routes.insert(at(1), number, to_truck(anna, 1)), Ok(false));
        for other in [again, seat(OTTO, 1)] {
            assert_eq!(
                routes.insert(at(1), number, to_truck(other, 1)),
                Err(RouteRefusal::SessionTaken)
            );
            routes.remove(other, number);
        }
        routes.remove_seat(anna);
        assert_eq!(routes.insert(at(2), number, to_truck(again, 2)), Ok(false));
    }

    /// [WIRE-112]
    #[test]
    fn only_the_two_ends_of_a_session_reach_each_other() {
        let anna = (seat(ANNA, 1), &name("controller/anna"));
        let truck = (seat(TRUCK, 5), &name("agent/truck-17"));
        let newest = BTreeMap::from([(truck.1.clone(), truck.0)]);
        let mut routes = Routes::default();
        let number = SessionId(7);
        let end = |routes: &mut Routes, from: (SeatId, &NodeName)| {
            routes.other_end(at(1), from, number, &newest)
        };
        assert_eq!(end(&mut routes, anna), None);
        routes.insert(at(0), number, to_truck(anna.0, 0)).unwrap();
        assert_eq!(end(&mut routes, anna), Some(Some(truck.0)));
        assert_eq!(end(&mut routes, truck), Some(Some(anna.0)));
        for other in ["controller/otto", "agent/truck-18"] {
            assert_eq!(end(&mut routes, (seat(OTTO, 1), &name(other))), None);
        }
        assert_eq!(end(&mut routes, (seat(ANNA, 2), anna.1)), None);
    }

    /// [WIRE-113]
    #[test]
    fn a_full_share_gives_up_the_route_that_was_unused_longest_but_none_in_use() {
        let anna = seat(ANNA, 1);
        let mut routes = Routes::default();
        let share = u32::try_from(ROUTES_PER_NODE_MAX).unwrap();
        for number in 0..share {
            routes
                .insert(at(0), SessionId(number), to_truck(anna, 0))
                .unwrap();
        }
        let one_more = |routes: &mut Routes, number, s| {
            routes.insert(at(s), SessionId(number), to_truck(anna, s))
        };
        assert_eq!(one_more(&mut routes, share, 1), Err(RouteRefusal::TooMany));
        let otto = seat(OTTO, 1);
        let other = routes.insert(at(1), SessionId(999), to_truck(otto, 1));
        assert_eq!(other, Ok(false));
        let anna = (anna, &name("controller/anna"));
        routes.other_end(at(9), anna, SessionId(0), &BTreeMap::new());
        assert_eq!(one_more(&mut routes, share, 10), Ok(true));
        assert!(routes.by_session.contains_key(&SessionId(0)));
        assert!(!routes.by_session.contains_key(&SessionId(1)));
        assert_eq!(routes.by_session.len(), ROUTES_PER_NODE_MAX + 1);
        assert_eq!(routes.to_node(&"agent/truck-17".parse().unwrap()).len(), 65);
    }
}
