//! Who is here: greetings, seats, and what the others are told of them.

use super::seat::{Seat, SeatId};
use super::{Relay, RelayEvent};
use crate::base::limits::{SEATS_MAX, SEATS_PER_NODE_MAX, VERSION, WELCOMES_AGAIN};
use crate::base::{MonoTime, Name, NodeKind, NodeName, PathId};
use crate::role::Transmit;
use crate::role::node::greeting;
use crate::wire::{Chunk, Notice};

impl Relay {
    // [WIRE-110]
    pub(super) fn on_hello(&mut self, now: MonoTime, path: PathId, incarnation: u64, link: Name) {
        let Some(known) = self.paths.get(&path) else {
            self.counters.unexpected_packets += 1;
            return;
        };
        let id = SeatId {
            node: known.node.clone(),
            incarnation,
        };
        // A connection belongs to one run of a program: a new run makes a new one, and pays for its handshake.
        if known.seat.as_ref().is_some_and(|seat| *seat != id) {
            self.counters.unexpected_packets += 1;
            return;
        }
        // A hello that comes again says that the answer did not.
        let copies = if known.seat.is_some() {
            WELCOMES_AGAIN
        } else {
            1
        };
        if !self.seats.contains_key(&id) && !self.take_seat(now, &id) {
            return;
        }
        let Some(seat) = self.seats.get_mut(&id) else {
            return;
        };
        if !seat.has_room_for(path) {
            self.counters.refused_seats += 1;
            return;
        }
        let welcome = Chunk::Welcome {
            version: VERSION,
            node_incarnation: incarnation,
            leg_incarnation: seat.leg_incarnation,
            features: 0,
        };
        let bytes = greeting(now, welcome);
        let again = std::iter::repeat_n(Transmit { path, bytes }, copies);
        self.transmits.extend(again);
        let joined = seat.join(now, path);
        if let Some(known) = self.paths.get_mut(&path) {
            known.seat = Some(id.clone());
        }
        if joined {
            let node = id.node.clone();
            self.events
                .push_back(RelayEvent::PathJoined { node, path, link });
        }
        self.collect(now, &id);
        if self.draining {
            self.notify(now, &id, Notice::Draining);
        }
    }

    pub(super) fn on_path_down(&mut self, now: MonoTime, path: PathId) {
        if let Some(id) = self.paths.remove(&path).and_then(|path| path.seat) {
            self.leave_seat(now, &id, path);
        }
    }

    // [WIRE-119]
    pub(super) fn tell_presence(&mut self, now: MonoTime, node: &NodeName, present: bool) {
        for (session, owner) in self.routes.to_node(node) {
            self.notify(now, &owner, Notice::Routed { session, present });
        }
    }

    /// A node is back: what it was told while it was away may be lost.
    // [WIRE-119]
    pub(super) fn tell_routes(&mut self, now: MonoTime, owner: &SeatId) {
        for (session, to) in self.routes.owned(owner) {
            let present = self.is_present(&to);
            self.notify(now, owner, Notice::Routed { session, present });
        }
    }

    pub(super) fn is_present(&self, node: &NodeName) -> bool {
        let seat = self.newest.get(node).and_then(|seat| self.seats.get(seat));
        seat.is_some_and(Seat::present)
    }

    /// An agent has one seat, that of its newest run; a controller's programs have one each.
    // [WIRE-104]
    fn take_seat(&mut self, now: MonoTime, id: &SeatId) -> bool {
        let older = self.seats_of(&id.node);
        let single = matches!(
            id.node.kind,
            NodeKind::Agent | NodeKind::Service | NodeKind::Authority
        );
        if single {
            if self.is_twin(id, &older) {
                return false;
            }
            for seat in &older {
                self.remove_seat(now, seat);
            }
        } else if older.len() >= SEATS_PER_NODE_MAX {
            let absent = |seat: &&SeatId| self.seats.get(*seat).is_some_and(|s| !s.present());
            match older.iter().find(absent) {
                Some(absent) => self.remove_seat(now, absent),
                None => {
                    self.counters.refused_seats += 1;
                    return false;
                }
            }
        }
        if self.seats.len() >= SEATS_MAX {
            self.counters.refused_seats += 1;
            return false;
        }
        self.accounts.on_seated(now, id, &self.config);
        let seat = Seat::new(now, self.entropy.next_u64());
        self.seats.insert(id.clone(), seat);
        if self.newest.insert(id.node.clone(), id.clone()).is_none() {
            let node = id.node.clone();
            self.events.push_back(RelayEvent::Joined { node });
        }
        self.tell_presence(now, &id.node, true);
        true
    }

    /// Whether the run had the place before, while another one has it now: no program comes back after its successor has
    /// started, so both run. Where they took turns, each would have half of the node's traffic.
    // [WIRE-104]
    fn is_twin(&mut self, id: &SeatId, others: &[SeatId]) -> bool {
        let account = self.accounts.get(&id.node);
        if !account.is_some_and(|account| account.knows_run(id.incarnation)) {
            return false;
        }
        let is_here = |seat: &&SeatId| self.seats.get(*seat).is_some_and(Seat::present);
        let here = others.iter().find(is_here);
        let Some(seat) = here.and_then(|seat| self.seats.get_mut(seat)) else {
            return false;
        };
        self.counters.refused_twins += 1;
        if !std::mem::replace(&mut seat.twin_told, true) {
            let node = id.node.clone();
            self.events.push_back(RelayEvent::RunsTwice { node });
        }
        true
    }

    fn leave_seat(&mut self, now: MonoTime, id: &SeatId, path: PathId) {
        let Some(seat) = self.seats.get_mut(id) else {
            return;
        };
        let changed = seat.leave(now, path);
        if seat.paths.is_empty() {
            self.remove_seat(now, id);
            return;
        }
        self.collect(now, id);
        if let Some(present) = changed {
            self.tell_presence(now, &id.node, present);
        }
    }

    fn remove_seat(&mut self, now: MonoTime, id: &SeatId) {
        let Some(seat) = self.seats.remove(id) else {
            return;
        };
        if let Some(at) = seat.timeout {
            self.timeouts.remove(&(at, id.clone()));
        }
        for path in seat.paths {
            self.paths.remove(&path);
            self.events.push_back(RelayEvent::Close { path });
        }
        self.routes.remove_seat(id);
        if self.seats_of(&id.node).is_empty() {
            self.accounts.on_unseated(now, &id.node);
        }
        if self.newest.get(&id.node) != Some(id) {
            return;
        }
        self.newest.remove(&id.node);
        match self.seats_of(&id.node).pop() {
            Some(other) => {
                self.newest.insert(id.node.clone(), other);
            }
            None => {
                let node = id.node.clone();
                self.events.push_back(RelayEvent::Left { node });
                self.tell_presence(now, &id.node, false);
            }
        }
    }

    fn seats_of(&self, node: &NodeName) -> Vec<SeatId> {
        let id = |incarnation| SeatId {
            node: node.clone(),
            incarnation,
        };
        let seats = self.seats.range(id(0)..=id(u64::MAX));
        seats.map(|(seat, _)| seat.clone()).collect()
    }
}
