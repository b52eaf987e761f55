//! From one leg to another.

use std::sync::Arc;
use std::time::Duration;

use ring::digest;

use super::Relay;
use super::seat::{Priority, SeatId};
use crate::base::limits::{HANDSHAKE_TTL, STOP_TTL};
use crate::base::{Class, MonoTime, NodeKind, NodeName, SessionId};
use crate::leg::{Arrival, Origin};
use crate::wire::{Parcel, Signed, Statement};

/// Where a parcel goes.
struct Destination {
    /// None when the node is not here.
    seat: Option<SeatId>,
    ttl: Duration,
}

impl Relay {
    pub(super) fn on_arrival(&mut self, now: MonoTime, source: &SeatId, arrival: &Arrival) {
        let Ok(parcel) = Parcel::decode(&arrival.parcel) else {
            self.counters.malformed_parcels += 1;
            return;
        };
        let bytes = arrival.parcel.len();
        let priority = priority(&parcel);
        if let Parcel::Signed { to, body } = &parcel {
            self.on_signed(now, source, arrival, (to, body));
            return;
        }
        // [WIRE-115]
        let Some(seat) = self.seats.get_mut(source) else {
            return;
        };
        if !seat.spend_as_source(now, bytes, priority) {
            self.counters.over_source_budget += 1;
            return;
        }
        if let Parcel::Handshake { step: 1, .. } = parcel
            && !seat.spend_handshake(now)
        {
            self.counters.over_handshake_rate += 1;
            return;
        }
        if let Parcel::Notice(notice) = parcel {
            self.on_notice(now, source, notice);
            return;
        }
        let Some(to) = self.destination(now, source, &parcel) else {
            self.counters.without_route += 1;
            return;
        };
        match to.seat {
            Some(seat) => {
                let session = session_of(&parcel);
                self.forward(now, &seat, arrival, to.ttl, (priority, session));
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
        source: &SeatId,
        arrival: &Arrival,
        (to, body): (&NodeName, &[u8]),
    ) {
        let own = self.paths.get(&arrival.path).map(|path| path.fingerprint);
        let genuine = Signed::decode(body).is_ok_and(|signed| {
            let (author, addressee) = match signed.statement {
                Statement::Stop { .. } => (source.node.kind, to.kind),
                Statement::Stopped { .. } => (to.kind, source.node.kind),
            };
            let commands = matches!(author, NodeKind::Controller | NodeKind::Service);
            let certificate = digest::digest(&digest::SHA256, &signed.certificate);
            commands
                && addressee == NodeKind::Agent
                && own.is_some_and(|own| own == certificate.as_ref())
        });
        if !genuine {
            self.counters.malformed_parcels += 1;
            return;
        }
        let seats: Vec<SeatId> = self
            .seats
            .keys()
            .filter(|seat| seat.node == *to)
            .cloned()
            .collect();
        // What reaches nobody costs nothing, so that absent vehicles do not use up what the present ones need.
        if seats.is_empty() {
            self.counters.absent += 1;
            return;
        }
        let within = self
            .seats
            .get_mut(source)
            .is_some_and(|seat| seat.spend_as_source(now, arrival.parcel.len(), Priority::Stop));
        if !within {
            self.counters.over_source_budget += 1;
            return;
        }
        for seat in seats {
            self.forward(now, &seat, arrival, STOP_TTL, (Priority::Stop, None));
        }
    }

    fn forward(
        &mut self,
        now: MonoTime,
        to: &SeatId,
        arrival: &Arrival,
        ttl: Duration,
        (priority, session): (Priority, Option<SessionId>),
    ) {
        // [WIRE-116]
        let spent =
            Duration::from_micros(u64::from(arrival.trail.sender_10us) * 10) + arrival.transit;
        let Some(left) = ttl.checked_sub(spent).filter(|left| !left.is_zero()) else {
            self.counters.expired += 1;
            return;
        };
        let Some(seat) = self.seats.get_mut(to) else {
            self.counters.absent += 1;
            return;
        };
        if !seat.spend_as_destination(now, arrival.parcel.len(), priority, session) {
            self.counters.over_destination_budget += 1;
            return;
        }
        let up_10us = u32::try_from(arrival.transit.as_micros() / 10).unwrap_or(u32::MAX);
        let origin = Origin {
            created: now,
            upstream: Some((arrival.trail.sender_10us, up_10us)),
        };
        let parcel = Arc::clone(&arrival.parcel);
        match seat.leg.send(now, parcel, now + left, origin) {
            Ok(()) => self.counters.forwarded += 1,
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
        source: &SeatId,
        parcel: &Parcel,
    ) -> Option<Destination> {
        let (session, ttl) = match parcel {
            Parcel::Sealed { header, .. } => {
                let ttl = Duration::from_millis(u64::from(header.ttl_ms));
                (header.session, ttl)
            }
            Parcel::Handshake { session, .. } => (*session, HANDSHAKE_TTL),
            Parcel::Signed { .. } | Parcel::Notice(_) => return None,
        };
        let seat = self.routes.other_end(now, source, session, &self.newest)?;
        Some(Destination { seat, ttl })
    }
}

fn priority(parcel: &Parcel) -> Priority {
    match parcel {
        Parcel::Signed { .. } => Priority::Stop,
        Parcel::Sealed { header, .. } if header.flow.class == Class::Stop => Priority::Stop,
        Parcel::Sealed { .. } | Parcel::Handshake { .. } | Parcel::Notice(_) => Priority::Plain,
    }
}

fn session_of(parcel: &Parcel) -> Option<SessionId> {
    match parcel {
        Parcel::Sealed { header, .. } => Some(header.session),
        Parcel::Handshake { session, .. } => Some(*session),
        Parcel::Signed { .. } | Parcel::Notice(_) => None,
    }
}
