//! Who is here: greetings, seats, and what the others are told of them.

use std::net::IpAddr;

use super::seat::{Seat, SeatId};
use super::{Relay, RelayEvent};
use crate::base::limits::{SEATS_MAX, SEATS_PER_NODE_MAX, VERSION, WELCOMES_AGAIN};
use crate::base::{MonoTime, Name, NodeKind, NodeName, PathId};
use crate::role::Transmit;
use crate::role::node::greeting;
use crate::wire::hub::LeaveReason;
use crate::wire::{Chunk, FEATURE_SEEN, Notice};

impl Relay {
    // [WIRE-110]
    pub(super) fn on_hello(
        &mut self,
        now: MonoTime,
        path: PathId,
        (incarnation, features): (u64, u32),
        link: Name,
    ) {
        let Some(known) = self.paths.get(&path) else {
            self.counters.unexpected_packets += 1;
            return;
        };
        // A connection belongs to one run of a program: a new run makes a new one, and pays for its handshake.
        if known
            .seat
            .is_some_and(|seat| seat.incarnation != incarnation)
        {
            self.counters.unexpected_packets += 1;
            return;
        }
        // A hello that comes again says that the answer did not.
        let copies = if known.seat.is_some() {
            WELCOMES_AGAIN
        } else {
            1
        };
        let node = known.node.clone();
        let taken = self
            .seats_of(&node)
            .into_iter()
            .find(|seat| seat.incarnation == incarnation)
            .or_else(|| self.take_seat(now, &node, incarnation));
        let Some(id) = taken else {
            return;
        };
        if !self.has_room_for(now, id, path) {
            self.counters.refused_seats += 1;
            return;
        }
        let known_features = FEATURE_SEEN | self.features();
        let Some(seat) = self.seats.get_mut(&id) else {
            return;
        };
        let welcome = Chunk::Welcome {
            version: VERSION,
            node_incarnation: incarnation,
            leg_incarnation: seat.leg_incarnation,
            features: features & known_features,
        };
        let bytes = greeting(now, welcome);
        let again = std::iter::repeat_n(Transmit { path, bytes }, copies);
        self.transmits.extend(again);
        let is_new = seat.paths.is_empty();
        let joined = seat.join(now, path, link.clone());
        seat.pulse.on_hello(now, path);
        let was_awaited = seat.pulse.awaits(path);
        let name = node.clone();
        let replaced = seat.path_replaced(&link);
        if let Some(known) = self.paths.get_mut(&path) {
            known.seat = Some(id);
            known.told_as = (features & FEATURE_SEEN != 0).then(|| link.clone());
        }
        if joined {
            self.tell_seen(now, path);
            self.events
                .push_back(RelayEvent::PathJoined { node, path, link });
        }
        if let Some(replaced) = replaced {
            self.on_path_down(now, replaced);
            self.events.push_back(RelayEvent::Close { path: replaced });
        }
        self.collect(now, id);
        if joined || was_awaited {
            self.look(now, id);
            self.tell_hub(now, &name);
        }
        if is_new {
            self.tell_revocations(now, id);
            self.on_hub_seat(now, id, features);
        }
        if self.draining {
            self.notify(now, id, Notice::Draining);
        }
    }

    /// A path's packets come from this address.
    pub(super) fn on_remote(&mut self, now: MonoTime, path: PathId, address: IpAddr) {
        let address = address.to_canonical();
        if let Some(known) = self.paths.get_mut(&path)
            && known.remote.replace(address) != Some(address)
        {
            self.tell_seen(now, path);
        }
    }

    /// Tells a node where a path of it comes from, if it wants to know.
    // [WIRE-169]
    fn tell_seen(&mut self, now: MonoTime, path: PathId) {
        if let Some(known) = self.paths.get(&path)
            && let (Some(seat), Some(link), Some(address)) =
                (known.seat, known.told_as.clone(), known.remote)
        {
            self.notify(now, seat, Notice::Seen { link, address });
        }
    }

    /// Whoever wants to reach the authority only is a newcomer here, whatever else its certificate names: it takes no seat of
    /// the node's own programs, has budgets of its own, and has no way to anybody else.
    // [WIRE-142]
    pub(super) fn take_as_visitor(&mut self, path: PathId) {
        if let Some(known) = self.paths.get_mut(&path)
            && known.seat.is_none()
        {
            known.node.kind = NodeKind::Newcomer;
        }
    }

    pub(super) fn on_path_down(&mut self, now: MonoTime, path: PathId) {
        if let Some(id) = self.paths.get(&path).and_then(|path| path.seat) {
            // Whatever is silent by now did not say that it ends.
            self.look(now, id);
        }
        let known = self.remove_path(path);
        if let Some((id, node)) = known.and_then(|path| Some((path.seat?, path.node))) {
            self.leave_seat(now, id, path);
            self.look(now, id);
            self.tell_hub(now, &node);
        }
    }

    /// Whether the leg takes a path, in place of one that is down if it has to.
    // [WIRE-131]
    fn has_room_for(&mut self, now: MonoTime, id: SeatId, path: PathId) -> bool {
        let Some(seat) = self.seats.get(&id) else {
            return false;
        };
        if seat.has_room_for(path) {
            return true;
        }
        let Some(down) = seat.path_down() else {
            return false;
        };
        self.on_path_down(now, down);
        self.events.push_back(RelayEvent::Close { path: down });
        true
    }

    // [WIRE-119]
    pub(super) fn tell_presence(&mut self, now: MonoTime, node: &NodeName, present: bool) {
        for (session, owner) in self.routes.to_node(node) {
            self.notify(now, owner, Notice::Routed { session, present });
        }
    }

    /// A node is back: what it was told while it was away may be lost.
    // [WIRE-119]
    pub(super) fn tell_routes(&mut self, now: MonoTime, owner: SeatId) {
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
    fn take_seat(&mut self, now: MonoTime, node: &NodeName, incarnation: u64) -> Option<SeatId> {
        let older = self.seats_of(node);
        let single = matches!(
            node.kind,
            NodeKind::Agent | NodeKind::Service | NodeKind::Authority
        );
        if single {
            if self.is_twin(node, incarnation, &older) {
                return None;
            }
            for seat in older {
                self.remove_seat(now, seat);
            }
        } else if older.len() >= SEATS_PER_NODE_MAX {
            let absent = |seat: &&SeatId| self.seats.get(*seat).is_some_and(|s| !s.present());
            match older.iter().find(absent) {
                Some(absent) => self.remove_seat(now, *absent),
                None => {
                    self.counters.refused_seats += 1;
                    return None;
                }
            }
        }
        if self.seats.len() >= SEATS_MAX {
            self.counters.refused_seats += 1;
            return None;
        }
        let id = self
            .accounts
            .on_seated(now, node, incarnation, &self.config);
        let seat = Seat::new(now, node.clone(), self.entropy.next_u64());
        self.seats.insert(id, seat);
        if self.newest.insert(node.clone(), id).is_none() {
            let node = node.clone();
            self.events.push_back(RelayEvent::Joined { node });
        }
        self.tell_presence(now, node, true);
        Some(id)
    }

    /// Whether the run had the place before, while another one has it now: no program comes back after its successor has
    /// started, so both run. Where they took turns, each would have half of the node's traffic.
    // [WIRE-104]
    fn is_twin(&mut self, node: &NodeName, incarnation: u64, others: &[SeatId]) -> bool {
        let account = self.accounts.of(node);
        if !account.is_some_and(|account| account.knows_run(incarnation)) {
            return false;
        }
        let is_here = |seat: &&SeatId| self.seats.get(*seat).is_some_and(Seat::present);
        let here = others.iter().find(is_here);
        let Some(seat) = here.and_then(|seat| self.seats.get_mut(seat)) else {
            return false;
        };
        self.counters.refused_twins += 1;
        if !std::mem::replace(&mut seat.twin_told, true) {
            let node = node.clone();
            self.events.push_back(RelayEvent::RunsTwice { node });
        }
        true
    }

    fn leave_seat(&mut self, now: MonoTime, id: SeatId, path: PathId) {
        let Some(seat) = self.seats.get_mut(&id) else {
            return;
        };
        let node = seat.node.clone();
        let changed = seat.leave(now, path);
        if seat.paths.is_empty() {
            self.remove_seat(now, id);
            return;
        }
        self.collect(now, id);
        if let Some(present) = changed {
            self.tell_presence(now, &node, present);
        }
    }

    pub(super) fn remove_seat(&mut self, now: MonoTime, id: SeatId) {
        let Some(seat) = self.seats.remove(&id) else {
            return;
        };
        if let Some(at) = seat.timeout {
            self.timeouts.remove(&(at, id));
        }
        self.forget_look(id, seat.pulse.due());
        for path in seat.paths {
            self.remove_path(path);
            self.events.push_back(RelayEvent::Close { path });
        }
        self.routes.remove_seat(id);
        self.on_hub_unseated(now, id, LeaveReason::Ended);
        let other = self.seats_of(&seat.node).pop();
        if other.is_none() {
            self.accounts.on_unseated(now, id.node);
        }
        if self.newest.get(&seat.node) != Some(&id) {
            return;
        }
        match other {
            Some(other) => {
                self.newest.insert(seat.node, other);
            }
            None => {
                self.newest.remove(&seat.node);
                let node = seat.node.clone();
                self.events.push_back(RelayEvent::Left { node });
                self.tell_presence(now, &seat.node, false);
            }
        }
    }

    /// By incarnation.
    pub(super) fn seats_of(&self, node: &NodeName) -> Vec<SeatId> {
        let Some(node) = self.accounts.number_of(node) else {
            return Vec::new();
        };
        let id = |incarnation| SeatId { node, incarnation };
        let seats = self.seats.range(id(0)..=id(u64::MAX));
        seats.map(|(seat, _)| *seat).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Entropy;
    use crate::base::limits::PATHS_PER_LEG_MAX;
    use crate::crypto::Peer;
    use crate::hub::{Hub, HubSettings, Loaded};
    use crate::role::{Input, RelayConfig, Role};
    use crate::wire::{AckState, FEATURE_HUB, Packet, Parcel, Trail};

    struct Zeros;

    impl Entropy for Zeros {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_us(ms * 1_000)
    }

    /// A relay, and a node that uses all the paths that it may.
    fn crowded() -> (Relay, u32) {
        let mut relay = Relay::new(RelayConfig::default(), Box::new(Zeros));
        let paths = u32::try_from(PATHS_PER_LEG_MAX).unwrap();
        for path in 1..=paths {
            assert!(is_welcomed(
                &mut relay,
                at(0),
                PathId(path),
                &format!("link-{path}")
            ));
        }
        (relay, paths)
    }

    /// A new path says hello; whether it is welcomed.
    fn is_welcomed(relay: &mut Relay, now: MonoTime, path: PathId, link: &str) -> bool {
        !greeted(relay, now, (path, link), 0).is_empty()
    }

    /// A new path says hello with these features; what is sent on it.
    fn greeted(
        relay: &mut Relay,
        now: MonoTime,
        (path, link): (PathId, &str),
        features: u32,
    ) -> Vec<Packet> {
        let peer = Peer {
            node: "agent/truck-17".parse().unwrap(),
            groups: Vec::new(),
            not_before: rustls_pki_types::UnixTime::now(),
            not_after: rustls_pki_types::UnixTime::now(),
            fingerprint: [0; 32],
        };
        let link: Name = link.parse().unwrap();
        let up = Input::PathUp {
            path,
            link: link.clone(),
            peer,
        };
        relay.handle(now, up);
        let hello = Chunk::Hello {
            version_min: VERSION,
            version_max: VERSION,
            incarnation: 7,
            features,
            link,
        };
        let bytes = &greeting(now, hello);
        relay.handle(now, Input::Packet { path, bytes });
        sent(relay, path)
    }

    fn sent(relay: &mut Relay, path: PathId) -> Vec<Packet> {
        let sent = std::iter::from_fn(|| relay.poll_transmit());
        let on_path = sent.filter(|transmit| transmit.path == path);
        on_path
            .map(|transmit| Packet::decode(&transmit.bytes).unwrap())
            .collect()
    }

    /// The addresses that a node is told, copies counted once.
    fn seen(packets: &[Packet]) -> Vec<String> {
        let chunks = packets.iter().flat_map(|packet| &packet.chunks);
        let notices = chunks.filter_map(|chunk| {
            let Chunk::Tracked { parcel, .. } = chunk else {
                return None;
            };
            Parcel::decode(parcel).ok()
        });
        let seen = notices.filter_map(|notice| {
            let Parcel::Notice(Notice::Seen { link, address }) = notice else {
                return None;
            };
            Some(format!("{link} {address}"))
        });
        let mut seen: Vec<String> = seen.collect();
        seen.dedup();
        seen
    }

    /// [WIRE-169]
    #[test]
    fn a_node_that_reads_it_is_told_from_where_its_path_comes_and_no_other_is() {
        let mut relay = Relay::new(RelayConfig::default(), Box::new(Zeros));
        let features = |packets: &[Packet]| {
            let Chunk::Welcome { features, .. } = packets[0].chunks[0] else {
                panic!("no welcome")
            };
            features
        };
        let remote = |path, address: &str| Input::Remote {
            path,
            address: address.parse().unwrap(),
        };
        let deaf = greeted(&mut relay, at(0), (PathId(1), "lte"), 0);
        assert_eq!(features(&deaf), 0);
        relay.handle(at(1), remote(PathId(1), "192.0.2.1"));
        assert_eq!(seen(&sent(&mut relay, PathId(1))), [""; 0]);

        let reads = greeted(
            &mut relay,
            at(10),
            (PathId(2), "lte"),
            FEATURE_SEEN | 1 << 31,
        );
        assert_eq!(features(&reads), FEATURE_SEEN);
        relay.handle(at(11), remote(PathId(2), "::ffff:192.0.2.9"));
        assert_eq!(seen(&sent(&mut relay, PathId(2))), ["lte 192.0.2.9"]);
        relay.handle(at(12), remote(PathId(2), "192.0.2.9"));
        assert_eq!(
            seen(&sent(&mut relay, PathId(2))),
            [""; 0],
            "it has not changed"
        );
        relay.handle(at(13), remote(PathId(2), "2001:db8::9"));
        assert_eq!(seen(&sent(&mut relay, PathId(2))), ["lte 2001:db8::9"]);
    }

    // [WIRE-189]
    #[test]
    fn a_hub_says_so_to_who_speaks_with_hubs_and_reads_nobody_elses_frames() {
        let frame = Parcel::Hub(vec![2, 0, 0, 0, 0, 1, 0x80].into()).encode();
        let says = |hello: u32, is_hub: bool| {
            let mut relay = Relay::new(RelayConfig::default(), Box::new(Zeros));
            if is_hub {
                let (settings, loaded) = (HubSettings::default(), Loaded::default());
                relay.host(Hub::new(settings, loaded, 1));
            }
            let packets = greeted(&mut relay, at(0), (PathId(1), "lte"), hello);
            let Chunk::Welcome { features, .. } = packets[0].chunks[0] else {
                panic!("no welcome")
            };
            let chunk = Chunk::Tracked {
                id: 1,
                trail: Trail {
                    sender_10us: 0,
                    relayed: None,
                },
                parcel: frame.clone(),
            };
            let bytes = greeting(at(1), chunk);
            let path = PathId(1);
            relay.handle(
                at(1),
                Input::Packet {
                    path,
                    bytes: &bytes,
                },
            );
            (features, relay.counters().malformed_parcels)
        };
        assert_eq!(says(FEATURE_HUB, true), (FEATURE_HUB, 0));
        assert_eq!(says(0, true), (0, 1));
        assert_eq!(says(FEATURE_HUB, false), (0, 1));
    }

    fn closed(relay: &mut Relay) -> Vec<PathId> {
        let events = std::iter::from_fn(|| relay.poll_event());
        let close = |event| match event {
            RelayEvent::Close { path } => Some(path),
            RelayEvent::Joined { .. }
            | RelayEvent::Left { .. }
            | RelayEvent::RunsTwice { .. }
            | RelayEvent::PathJoined { .. }
            | RelayEvent::Revocations { .. }
            | RelayEvent::Hub(_) => None,
        };
        events.filter_map(close).collect()
    }

    /// [WIRE-131]
    #[test]
    fn a_path_that_is_down_gives_way_to_a_new_one_and_no_other_does() {
        let (mut relay, paths) = crowded();
        assert!(!is_welcomed(&mut relay, at(10), PathId(90), "lte"));
        // All but the third go on.
        for path in (1..=paths).filter(|path| *path != 3) {
            let packet = Packet {
                path_sequence: 1,
                tx_time_us: 0,
                report: None,
                ack: AckState::default(),
                chunks: Vec::new(),
            };
            let bytes = &packet.encode();
            let path = PathId(path);
            relay.handle(at(2_000), Input::Packet { path, bytes });
        }
        while relay.next_timeout().is_some_and(|due| due <= at(3_000)) {
            relay.handle(relay.next_timeout().unwrap(), Input::Timeout);
        }
        assert_eq!(closed(&mut relay), []);
        assert!(is_welcomed(&mut relay, at(3_010), PathId(91), "lte"));
        assert_eq!(closed(&mut relay), [PathId(3)]);
        assert!(!is_welcomed(&mut relay, at(3_020), PathId(92), "lte"));
        assert_eq!(closed(&mut relay), []);
        assert_eq!(relay.counters().refused_seats, 2);
    }

    /// [WIRE-180]
    #[test]
    fn a_link_that_comes_and_goes_leaves_one_old_path_behind_and_touches_no_other() {
        let mut relay = Relay::new(RelayConfig::default(), Box::new(Zeros));
        assert!(is_welcomed(&mut relay, at(0), PathId(1), "cable"));
        for path in 2..=40 {
            let now = at(u64::from(path) * 10);
            assert!(is_welcomed(&mut relay, now, PathId(path), "modem"));
            // The one before the last may still carry, until the node has heard the welcome.
            let expected: Vec<PathId> = (path >= 4).then(|| PathId(path - 2)).into_iter().collect();
            assert_eq!(closed(&mut relay), expected);
        }
        assert_eq!(relay.counters().refused_seats, 0);
    }
}
