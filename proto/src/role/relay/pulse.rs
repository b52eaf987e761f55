//! How the relay knows who is here: by what it hears, and for how long it hears nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::Relay;
use super::seat::SeatId;
use crate::base::limits::{SILENCE_AGAIN, SILENCE_LATE};
use crate::base::{MonoTime, Name, NodeKind, NodeName, PathId};
use crate::hub::LinkState;
use crate::leg::Leg;
use crate::path::{Quiet, is_silent, look_again_at};
use crate::wire::hub::PresenceReason;

/// Whether something comes from a run of a node's program.
///
/// It is looked at by a timer that no packet moves: what was heard meanwhile is read when it rings. Only while something is silent each
/// packet asks whether it ends that.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// When each path said hello last: until it hears the welcome, that is all it says.
    greeted: BTreeMap<PathId, MonoTime>,
    /// Whether all paths together are silent.
    is_silent: bool,
    silent_links: BTreeSet<Name>,
    silent_paths: BTreeSet<PathId>,
    /// When to look again, as noted in the relay's list.
    due: Option<MonoTime>,
    /// Whether the last look was put off.
    is_put_off: bool,
}

impl Pulse {
    /// A path says hello.
    pub(super) fn on_hello(&mut self, now: MonoTime, path: PathId) {
        self.greeted.insert(path, now);
    }

    /// A path is gone.
    pub(super) fn on_path_gone(&mut self, path: PathId) {
        self.greeted.remove(&path);
        self.silent_paths.remove(&path);
    }

    /// Whether a packet of this path ends a silence.
    pub(super) fn awaits(&self, path: PathId) -> bool {
        self.is_silent || self.silent_paths.contains(&path)
    }

    /// When the next look is due, as noted in the relay's list.
    pub(super) const fn due(&self) -> Option<MonoTime> {
        self.due
    }

    /// Whether a look that was due has to wait: whoever comes so late was held up, and packets may wait to be read. Once.
    fn puts_off(&mut self, now: MonoTime) -> bool {
        let is_late = self.due.is_some_and(|due| now.since(due) >= SILENCE_LATE);
        self.is_put_off = is_late && !self.is_put_off;
        self.is_put_off
    }

    /// Judges all paths; whether something changed, and when to look again.
    fn look(
        &mut self,
        now: MonoTime,
        leg: &Leg,
        links: &BTreeMap<PathId, Name>,
    ) -> (bool, Option<MonoTime>) {
        let mut all = Vec::new();
        let mut by_link: BTreeMap<&Name, Vec<Quiet>> = BTreeMap::new();
        for (path, mut quiet) in leg.quiets() {
            if let Some(greeted) = self.greeted.get(&path) {
                quiet.heard_at = quiet.heard_at.max(*greeted);
            }
            all.push(quiet);
            if let Some(link) = links.get(&path) {
                by_link.entry(link).or_default().push(quiet);
            }
        }
        let mut again = None;
        let mut judge = |paths: &[Quiet]| {
            let silent = is_silent(now, paths);
            if !silent {
                let looks = look_again_at(now, paths).into_iter().chain(again);
                again = looks.min();
            }
            silent
        };
        let is_silent = judge(&all);
        let silent_links: BTreeSet<Name> = by_link
            .into_iter()
            .filter(|(_, paths)| judge(paths))
            .map(|(link, _)| link.clone())
            .collect();
        let has_changed = (is_silent, &silent_links) != (self.is_silent, &self.silent_links);
        let of_silent = links
            .iter()
            .filter(|(_, link)| silent_links.contains(*link));
        self.silent_paths = of_silent.map(|(path, _)| *path).collect();
        (self.is_silent, self.silent_links) = (is_silent, silent_links);
        (has_changed, again)
    }
}

impl Relay {
    /// Something came on a path.
    pub(super) fn on_heard(&mut self, now: MonoTime, id: SeatId, path: PathId) {
        if self
            .seats
            .get(&id)
            .is_some_and(|seat| seat.pulse.awaits(path))
        {
            self.look(now, id);
        }
    }

    /// Looks at all seats whose time has come.
    pub(super) fn look_at_due(&mut self, now: MonoTime) {
        while let Some((at, id)) = self.looks.first().copied()
            && at <= now
        {
            let is_put_off = |seat: &mut super::Seat| seat.pulse.puts_off(now);
            if self.seats.get_mut(&id).is_some_and(is_put_off) {
                self.note_look(id, Some(now + SILENCE_AGAIN));
            } else {
                self.look(now, id);
            }
            // Whatever became of it, it was looked at.
            self.looks.remove(&(at, id));
        }
    }

    /// Judges a seat's silence, and tells what that changes.
    pub(super) fn look(&mut self, now: MonoTime, id: SeatId) {
        let Some(seat) = self.seats.get_mut(&id) else {
            return;
        };
        let (has_changed, again) = seat.pulse.look(now, &seat.leg, &seat.links);
        let node = seat.node.clone();
        self.note_look(id, again);
        if has_changed {
            self.tell_hub(now, &node);
        }
    }

    /// Tells the hub how a node stands, of whose seats or links something changed.
    pub(super) fn tell_hub(&mut self, now: MonoTime, node: &NodeName) {
        // Whoever asks for papers is nobody yet.
        if node.kind == NodeKind::Newcomer {
            return;
        }
        let seats = self.seats_of(node);
        let seats: Vec<_> = seats.iter().filter_map(|id| self.seats.get(id)).collect();
        let mut heard = seats.iter().filter(|seat| !seat.pulse.is_silent).peekable();
        if heard.peek().is_none() {
            let reason = if seats.is_empty() {
                PresenceReason::Ended
            } else {
                PresenceReason::Silent
            };
            self.with_hub(now, |hub, at| hub.on_away(at, node, reason));
            return;
        }
        let mut links: BTreeMap<&Name, LinkState> = BTreeMap::new();
        for seat in &seats {
            for link in seat.links.values() {
                let is_silent = seat.pulse.is_silent || seat.pulse.silent_links.contains(link);
                let state = links.entry(link).or_insert(LinkState::Silent);
                if !is_silent {
                    *state = LinkState::Heard;
                }
            }
        }
        let links: Vec<(Name, LinkState)> = links
            .into_iter()
            .map(|(link, state)| (link.clone(), state))
            .collect();
        let newest = heard.next_back().and_then(|seat| seat.paths.last());
        let peer = newest.and_then(|path| self.paths.get(path));
        let groups = peer
            .map(|path| path.peer.groups.clone())
            .unwrap_or_default();
        self.with_hub(now, |hub, at| hub.on_here(at, node, &groups, &links));
    }

    /// A seat is gone, and is looked at no more.
    pub(super) fn forget_look(&mut self, id: SeatId, due: Option<MonoTime>) {
        if let Some(at) = due {
            self.looks.remove(&(at, id));
        }
    }

    fn note_look(&mut self, id: SeatId, due: Option<MonoTime>) {
        let Some(seat) = self.seats.get_mut(&id) else {
            return;
        };
        let old = std::mem::replace(&mut seat.pulse.due, due);
        if old != due {
            if let Some(at) = old {
                self.looks.remove(&(at, id));
            }
            if let Some(at) = due {
                self.looks.insert((at, id));
            }
        }
    }
}

#[cfg(test)]
mod tests;
