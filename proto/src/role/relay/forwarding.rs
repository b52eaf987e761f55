//! From one leg to another.

use std::sync::Arc;
use std::time::Duration;

use super::Relay;
use super::seat::SeatId;
use crate::base::limits::{HANDSHAKE_TTL, STOP_TTL};
use crate::base::{Class, MonoTime, NodeKind, NodeName, PathId, SessionId};
use crate::crypto::fingerprint;
use crate::leg::{Arrival, Origin};
use crate::wire::{Parcel, Signed, Statement};

/// Where a parcel goes.
struct Destination {
    /// None when the node is not here.
    seat: Option<SeatId>,
    ttl: Duration,
}

/// A parcel that its source may send on.
struct Cargo<'a> {
    arrival: &'a Arrival,
    source: SeatId,
    ttl: Duration,
    is_stop: bool,
    is_sealed: bool,
    session: Option<SessionId>,
}

impl Relay {
    pub(super) fn on_arrival(&mut self, now: MonoTime, source: SeatId, arrival: &Arrival) {
        let Ok(parcel) = Parcel::decode(&arrival.parcel) else {
            self.counters.malformed_parcels += 1;
            return;
        };
        if let Parcel::Signed { to, body } = &parcel {
            self.on_signed(now, source, arrival, (to, body));
            return;
        }
        // [WIRE-115]
        let Some(account) = self.accounts.get_mut(source.node) else {
            return;
        };
        let is_stop = is_stop(&parcel);
        if !account.spend_as_source(now, arrival.parcel.len(), is_stop) {
            self.counters.over_source_budget += 1;
            return;
        }
        if let Parcel::Handshake { step, .. } = parcel
            && !account.spend_handshake(now, step)
        {
            self.counters.over_handshake_rate += 1;
            return;
        }
        if let Parcel::Notice(notice) = parcel {
            self.on_notice(now, source, notice);
            return;
        }
        if let Parcel::Hub(frame) = &parcel {
            self.on_hub_frame(now, source, frame);
            return;
        }
        if let Parcel::Revocations(part) = &parcel {
            self.on_revocations(now, source, part);
            return;
        }
        let Some(to) = self.destination(now, source, &parcel) else {
            self.counters.without_route += 1;
            return;
        };
        match to.seat {
            Some(seat) => {
                let cargo = Cargo {
                    arrival,
                    source,
                    ttl: to.ttl,
                    is_stop,
                    is_sealed: matches!(parcel, Parcel::Sealed { .. }),
                    session: session_of(&parcel),
                };
                self.forward(now, seat, &cargo);
            }
            None => self.counters.absent += 1,
        }
    }

    /// A stop goes from who commands to an agent, its answer back, each with its sender's own certificate: nobody fills the
    /// places that are kept for stops with something else, or in another's name. It goes to every program of the addressee.
    // [WIRE-122]
    fn on_signed(
        &mut self,
        now: MonoTime,
        source: SeatId,
        arrival: &Arrival,
        (to, body): (&NodeName, &[u8]),
    ) {
        let signed = Signed::decode(body).ok();
        let own = signed.filter(|signed| self.is_own(now, arrival.path, to, signed));
        if own.is_none() {
            self.counters.malformed_parcels += 1;
            return;
        }
        let seats = self.seats_of(to);
        // What reaches nobody costs nothing, so that absent vehicles do not use up what the present ones need.
        if seats.is_empty() {
            self.counters.absent += 1;
            return;
        }
        let Some(account) = self.accounts.get_mut(source.node) else {
            return;
        };
        if !account.spend_as_source(now, arrival.parcel.len(), true) {
            self.counters.over_source_budget += 1;
            return;
        }
        let cargo = Cargo {
            arrival,
            source,
            ttl: STOP_TTL,
            is_stop: true,
            is_sealed: false,
            session: None,
        };
        for seat in seats {
            self.forward(now, seat, &cargo);
        }
    }

    /// Whether a signed statement is of the node that a path is of, and for somebody whom it may stop or answer.
    // [WIRE-122]
    fn is_own(&mut self, now: MonoTime, path: PathId, to: &NodeName, signed: &Signed) -> bool {
        let Some(own) = self.paths.get(&path) else {
            return false;
        };
        let (author, addressee) = match signed.statement {
            Statement::Stop { .. } | Statement::StopOfGroup { .. } => (own.node.kind, to.kind),
            Statement::Stopped { .. } => (to.kind, own.node.kind),
        };
        let commands = matches!(author, NodeKind::Controller | NodeKind::Service);
        if !commands || addressee != NodeKind::Agent {
            return false;
        }
        let certificate = fingerprint(&signed.certificate);
        if own.peer.fingerprint == certificate {
            return true;
        }
        // It may have a newer one than when it connected.
        let (Some(fleet), Some(number)) = (&self.fleet, self.accounts.number_of(&own.node)) else {
            return false;
        };
        let is_of_node = || {
            // Whose it is: a wrong clock here must not keep a vehicle from stopping.
            let peer = fleet.verify_undated(&signed.certificate);
            peer.is_ok_and(|peer| peer.node == own.node)
        };
        let account = self.accounts.get_mut(number);
        account.is_some_and(|account| account.knows_certificate(now, certificate, is_of_node))
    }

    fn forward(&mut self, now: MonoTime, to: SeatId, cargo: &Cargo<'_>) {
        let Cargo { arrival, .. } = cargo;
        // [WIRE-116]
        let spent =
            Duration::from_micros(u64::from(arrival.trail.sender_10us) * 10) + arrival.transit;
        let Some(left) = cargo.ttl.checked_sub(spent).filter(|left| !left.is_zero()) else {
            self.counters.expired += 1;
            return;
        };
        let Some(seat) = self.seats.get_mut(&to) else {
            self.counters.absent += 1;
            return;
        };
        let is_leased = cargo.session.is_some_and(|session| seat.is_leased(session));
        let is_agent = seat.node.kind == NodeKind::Agent;
        let is_called = is_agent || seat.node.kind == NodeKind::Authority;
        let is_to_share = cargo.is_sealed && !is_leased && is_called;
        // [WIRE-135]
        if cargo.is_stop && is_to_share {
            self.counters.stops_without_lease += 1;
            return;
        }
        // [WIRE-115]
        let within = cargo.is_stop
            || self.accounts.get_mut(to.node).is_some_and(|account| {
                account.spend_as_destination(now, arrival.parcel.len(), is_leased)
            });
        if !within {
            self.counters.over_destination_budget += 1;
            return;
        }
        // [WIRE-136]
        let origin = Origin {
            is_held_to_share: is_to_share,
            ..Origin::relayed(now, cargo.source.node, arrival)
        };
        let parcel = Arc::clone(&arrival.parcel);
        match seat.leg.send(now, parcel, now + left, origin) {
            Ok(()) => {
                self.counters.forwarded += 1;
                self.delays.on_forwarded(seat.node.kind, arrival);
            }
            Err(_) => self.counters.overflows += 1,
        }
        self.collect(now, to);
    }

    /// Where a parcel goes and how long it lives; all routing state is keyed by the authenticated source. None when the
    /// source has no route for it.
    // [WIRE-112]
    fn destination(
        &mut self,
        now: MonoTime,
        source: SeatId,
        parcel: &Parcel,
    ) -> Option<Destination> {
        let (session, ttl) = match parcel {
            Parcel::Sealed { header, .. } => {
                let ttl = Duration::from_millis(u64::from(header.ttl_ms));
                (header.session, ttl)
            }
            Parcel::Handshake { session, .. } => (*session, HANDSHAKE_TTL),
            Parcel::Signed { .. } | Parcel::Notice(_) | Parcel::Revocations(_) | Parcel::Hub(_) => {
                return None;
            }
        };
        let name = &self.seats.get(&source)?.node;
        let seat = self
            .routes
            .other_end(now, (source, name), session, &self.newest)?;
        Some(Destination { seat, ttl })
    }
}

fn is_stop(parcel: &Parcel) -> bool {
    match parcel {
        Parcel::Signed { .. } => true,
        Parcel::Sealed { header, .. } => header.flow.class == Class::Stop,
        Parcel::Handshake { .. } | Parcel::Notice(_) | Parcel::Revocations(_) | Parcel::Hub(_) => {
            false
        }
    }
}

fn session_of(parcel: &Parcel) -> Option<SessionId> {
    match parcel {
        Parcel::Sealed { header, .. } => Some(header.session),
        Parcel::Handshake { session, .. } => Some(*session),
        Parcel::Signed { .. } | Parcel::Notice(_) | Parcel::Revocations(_) | Parcel::Hub(_) => None,
    }
}
