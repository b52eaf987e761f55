//! Who is let in no more.

use std::sync::Arc;

use super::seat::SeatId;
use super::{Relay, RelayEvent, RelayPath};
use crate::base::{MonoTime, NodeKind, PathId};
use crate::crypto::Fleet;
use crate::wire::Parcel;

impl Relay {
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
        self.bulletin = parcels(fleet);
        self.events.push_back(RelayEvent::Revocations { parts });
        self.drop_revoked(now);
        let seats: Vec<SeatId> = self.seats.keys().copied().collect();
        for seat in seats {
            self.tell_revocations(now, seat);
        }
    }

    /// Brings a node the newest list, until it is acknowledged.
    // [WIRE-148]
    pub(super) fn tell_revocations(&mut self, now: MonoTime, to: SeatId) {
        let Some(seat) = self.seats.get_mut(&to) else {
            return;
        };
        if seat.node.kind == NodeKind::Newcomer {
            return;
        }
        let without_room = seat.bulletin.bring(now, &self.bulletin, &mut seat.leg);
        self.counters.overflows += without_room;
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

/// The newest list, as parcels.
pub(super) fn parcels(fleet: &Fleet) -> Vec<Arc<[u8]>> {
    let parts = fleet.revocation_parts().into_iter();
    parts
        .map(|part| Parcel::Revocations(part).encode())
        .collect()
}
