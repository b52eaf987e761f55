//! What nodes tell and ask the relay itself.

use std::time::Duration;

use super::Relay;
use super::routes::Route;
use super::seat::{Seat, SeatId};
use crate::base::limits::NAMES_PER_NOTICE_MAX;
use crate::base::{MonoTime, Name, NodeKind, NodeName, SessionId};
use crate::leg::Origin;
use crate::wire::{Notice, Parcel, RouteRefusal};

impl Relay {
    pub(super) fn on_notice(&mut self, now: MonoTime, source: SeatId, notice: Notice) {
        match notice {
            Notice::Route { session, to } => self.on_route(now, source, session, to),
            Notice::Unroute { session } => self.routes.remove(source, session),
            Notice::Query { ask, kind } => {
                self.on_query(now, source, ask, |_, node| node.kind == kind);
            }
            Notice::Members { ask, group } => {
                self.on_query(now, source, ask, |relay, node| {
                    relay.is_member(node, &group)
                });
            }
            Notice::Leased { sessions } => self.on_leased(source, sessions),
            // Only relays say these.
            Notice::Routed { .. }
            | Notice::RouteRefused { .. }
            | Notice::Nodes { .. }
            | Notice::Seen { .. }
            | Notice::Draining => {
                self.counters.malformed_parcels += 1;
            }
        }
    }

    pub(super) fn notify(&mut self, now: MonoTime, to: SeatId, notice: Notice) {
        let Some(seat) = self.seats.get_mut(&to) else {
            return;
        };
        let parcel = Parcel::Notice(notice).encode();
        let origin = Origin::here(now);
        // What does not fit is asked for again by whoever waits for it.
        let taken = seat.leg.send(now, parcel, now + NOTICE_TTL, origin);
        self.counters.overflows += u64::from(taken.is_err());
        self.collect(now, to);
    }

    // [WIRE-113]
    fn on_route(&mut self, now: MonoTime, source: SeatId, session: SessionId, to: NodeName) {
        let kind = self.seats.get(&source).map(|seat| seat.node.kind);
        // [WIRE-142]
        let may_open = match kind {
            Some(NodeKind::Controller | NodeKind::Service) => {
                matches!(to.kind, NodeKind::Agent | NodeKind::Authority)
            }
            Some(NodeKind::Newcomer) => to.kind == NodeKind::Authority,
            Some(NodeKind::Agent | NodeKind::Relay | NodeKind::Authority) | None => false,
        };
        let present = self.is_present(&to);
        let answer = if may_open {
            let route = Route::new(now, source, to);
            self.routes.insert(now, session, route)
        } else {
            Err(RouteRefusal::NotAllowed)
        };
        let notice = match answer {
            Ok(evicted) => {
                self.counters.evicted_routes += u64::from(evicted);
                Notice::Routed { session, present }
            }
            Err(why) => {
                self.counters.refused_routes += 1;
                Notice::RouteRefused { session, why }
            }
        };
        self.notify(now, source, notice);
    }

    /// Only an agent has sessions whose other end holds a lease of it.
    // [WIRE-115]
    fn on_leased(&mut self, source: SeatId, sessions: Vec<SessionId>) {
        match self.seats.get_mut(&source) {
            Some(seat) if seat.node.kind == NodeKind::Agent => {
                seat.set_leased(sessions);
                self.tell_hub_of_leases(source);
            }
            Some(_) | None => self.counters.malformed_parcels += 1,
        }
    }

    /// Whether a node is an agent of a group, by the certificate that it connected with.
    fn is_member(&self, node: &NodeName, group: &Name) -> bool {
        let seat = self.newest.get(node).and_then(|seat| self.seats.get(seat));
        let path = seat.and_then(|seat| self.paths.get(seat.paths.last()?));
        node.kind == NodeKind::Agent && path.is_some_and(|path| path.peer.groups.contains(group))
    }

    fn on_query(
        &mut self,
        now: MonoTime,
        source: SeatId,
        ask: u32,
        is_wanted: impl Fn(&Relay, &NodeName) -> bool,
    ) {
        // [WIRE-142]
        let is_visitor = |seat: &Seat| seat.node.kind == NodeKind::Newcomer;
        if self.seats.get(&source).is_some_and(is_visitor) {
            self.counters.malformed_parcels += 1;
            return;
        }
        let account = self.accounts.get_mut(source.node);
        if !account.is_some_and(|account| account.spend_query(now)) {
            self.counters.over_query_rate += 1;
            return;
        }
        let names: Vec<NodeName> = self
            .newest
            .keys()
            .filter(|name| is_wanted(self, name))
            .cloned()
            .collect();
        let mut parts = names.chunks(NAMES_PER_NOTICE_MAX).peekable();
        if parts.peek().is_none() {
            let nodes = Notice::Nodes {
                ask,
                more: false,
                names: Vec::new(),
            };
            self.notify(now, source, nodes);
        }
        while let Some(part) = parts.next() {
            let nodes = Notice::Nodes {
                ask,
                more: parts.peek().is_some(),
                names: part.to_vec(),
            };
            self.notify(now, source, nodes);
        }
    }
}

/// A notice that has not arrived by then is no longer true.
const NOTICE_TTL: Duration = Duration::from_secs(10);
