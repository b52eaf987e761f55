//! Who is let in no more.

use std::sync::Arc;

use super::seat::SeatId;
use super::{Relay, RelayEvent, RelayPath};
use crate::base::limits::REVOCATIONS_TTL;
use crate::base::{MonoTime, NodeKind, PathId};
use crate::crypto::{Fleet, Peer};
use crate::leg::Origin;
use crate::wire::Parcel;

impl Relay {
    // [WIRE-144] [WIRE-147]
    pub(super) fn on_path_up(&mut self, now: MonoTime, path: PathId, peer: Peer) {
        let is_revoked = |fleet: &Fleet| fleet.is_revoked(&peer.node, peer.not_before);
        if self.fleet.as_ref().is_some_and(is_revoked) {
            self.counters.revoked += 1;
            self.events.push_back(RelayEvent::Close { path });
            return;
        }
        let clock = self.wall.at(now);
        let at = self.fleet.as_ref().map_or(clock, |fleet| fleet.time(clock));
        let is_expired = peer.not_after < at;
        let known = RelayPath {
            node: peer.node.clone(),
            peer,
            seat: None,
        };
        self.paths.insert(path, known);
        if is_expired {
            self.take_as_visitor(path);
        }
    }

    /// Takes a part of a list of revocations, from whomever it comes: the authority has signed it.
    // [WIRE-147] [WIRE-148]
    pub(super) fn on_revocations(&mut self, now: MonoTime, source: SeatId, part: &[u8]) {
        let (Some(fleet), Some(seat)) = (&self.fleet, self.seats.get(&source)) else {
            return;
        };
        if !self.revoking.on_part(now, &seat.node, part, fleet) {
            return;
        }
        let parts = fleet.revocation_parts();
        self.events.push_back(RelayEvent::Revocations { parts });
        self.drop_revoked(now);
        let seats: Vec<SeatId> = self.seats.keys().copied().collect();
        for seat in seats {
            self.tell_revocations(now, seat);
        }
    }

    /// Tells a node the newest list.
    // [WIRE-148]
    pub(super) fn tell_revocations(&mut self, now: MonoTime, to: SeatId) {
        let parts = self.fleet.as_ref().map(|fleet| fleet.revocation_parts());
        let (Some(parts), Some(seat)) = (parts, self.seats.get_mut(&to)) else {
            return;
        };
        if seat.node.kind == NodeKind::Newcomer {
            return;
        }
        for part in parts {
            let parcel = Parcel::Revocations(Arc::clone(&part)).encode();
            let taken = seat
                .leg
                .send(now, parcel, now + REVOCATIONS_TTL, Origin::here(now));
            self.counters.overflows += u64::from(taken.is_err());
        }
        self.collect(now, to);
    }

    fn drop_revoked(&mut self, now: MonoTime) {
        let Some(fleet) = &self.fleet else {
            return;
        };
        let is_revoked = |path: &RelayPath| fleet.is_revoked(&path.peer.node, path.peer.not_before);
        let revoked: Vec<PathId> = self
            .paths
            .iter()
            .filter(|(_, path)| is_revoked(path))
            .map(|(id, _)| *id)
            .collect();
        for path in revoked {
            self.counters.revoked += 1;
            self.on_path_down(now, path);
            self.events.push_back(RelayEvent::Close { path });
        }
    }
}
