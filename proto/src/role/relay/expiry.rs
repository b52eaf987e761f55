//! From when until when a node may be here.

use std::time::Duration;

use rustls_pki_types::UnixTime;

use super::{Relay, RelayEvent, RelayPath};
use crate::base::limits::GRACE;
use crate::base::{MonoTime, PathId};
use crate::crypto::{Fleet, Peer};
use crate::role::wall::end_of;

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
        let not_after = if is_expired {
            with_grace(peer.not_after)
        } else {
            peer.not_after
        };
        let ends = end_of(now, at, not_after);
        let known = RelayPath {
            node: peer.node.clone(),
            peer,
            seat: None,
            ends,
            remote: None,
            told_as: None,
        };
        self.paths.insert(path, known);
        self.ends.insert((ends, path));
        if is_expired {
            self.take_as_visitor(path);
        }
    }

    /// Closes the paths of nodes whose certificates have ended. Who has a newer one by then is here with it; an expired agent comes
    /// back as a visitor.
    // [WIRE-144] [WIRE-160]
    pub(super) fn end_expired(&mut self, now: MonoTime) {
        while let Some((ends, path)) = self.ends.first().copied()
            && ends <= now
        {
            self.ends.pop_first();
            self.counters.ended_papers += 1;
            self.on_path_down(now, path);
            self.events.push_back(RelayEvent::Close { path });
        }
    }

    /// Forgets a path, but not that its seat has it.
    pub(super) fn remove_path(&mut self, path: PathId) -> Option<RelayPath> {
        let known = self.paths.remove(&path)?;
        self.ends.remove(&(known.ends, path));
        Some(known)
    }
}

fn with_grace(not_after: UnixTime) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(not_after.as_secs()) + GRACE)
}
