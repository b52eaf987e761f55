//! The hub at a relay: brings it what nodes say to it, and carries what it says to them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::seat::SeatId;
use super::{Relay, RelayEvent};
use crate::base::limits::HUB_PIECES_PER_TURN;
use crate::base::{MonoTime, NodeKind};
use crate::hub::{ClientId, Hub, HubEffect, Moment};
use crate::leg::Origin;
use crate::wire::FEATURE_HUB;
use crate::wire::hub::LeaveReason;

/// The hub, with who speaks to it over which leg.
#[derive(Debug)]
pub(super) struct Hosted {
    hub: Hub,
    seats: BTreeMap<ClientId, SeatId>,
    clients: BTreeMap<SeatId, ClientId>,
    last_client: u64,
    /// When legs had their last turn.
    pumped_at: MonoTime,
    /// Legs that have something to send.
    touched: VecDeque<SeatId>,
}

impl Relay {
    /// This relay is its fleet's hub from now on.
    pub fn host(&mut self, hub: Hub) {
        self.hosted = Some(Hosted {
            hub,
            seats: BTreeMap::new(),
            clients: BTreeMap::new(),
            last_client: 0,
            pumped_at: MonoTime::ZERO,
            touched: VecDeque::new(),
        });
    }

    /// The hub, if this relay is one.
    pub fn hub(&self) -> Option<&Hub> {
        self.hosted.as_ref().map(|hosted| &hosted.hub)
    }

    /// Does something with the hub, if this relay is one; what follows from it is in [`RelayEvent::Hub`].
    pub fn with_hub<T>(
        &mut self,
        now: MonoTime,
        act: impl FnOnce(&mut Hub, Moment) -> T,
    ) -> Option<T> {
        let at = self.moment(now);
        let hosted = self.hosted.as_mut()?;
        let result = act(&mut hosted.hub, at);
        self.take_effects(now);
        Some(result)
    }

    /// A new number for somebody who speaks to the hub, if this relay is one.
    pub fn next_client(&mut self) -> Option<ClientId> {
        let hosted = self.hosted.as_mut()?;
        hosted.last_client += 1;
        Some(ClientId(hosted.last_client))
    }

    /// The features that a relay says it has, of those that a node knows.
    pub(super) fn features(&self) -> u32 {
        if self.hosted.is_some() {
            FEATURE_HUB
        } else {
            0
        }
    }

    /// A node that knows of hubs has a seat.
    pub(super) fn on_hub_seat(&mut self, now: MonoTime, seat: SeatId, features: u32) {
        let Some(seated) = self
            .seats
            .get(&seat)
            .filter(|_| features & FEATURE_HUB != 0)
        else {
            return;
        };
        let speaks = matches!(
            seated.node.kind,
            NodeKind::Agent | NodeKind::Controller | NodeKind::Service
        );
        let is_new = |hosted: &Hosted| !hosted.clients.contains_key(&seat);
        if !speaks || !self.hosted.as_ref().is_some_and(is_new) {
            return;
        }
        let path = seated.paths.last().and_then(|path| self.paths.get(path));
        let groups = path
            .map(|path| path.peer.groups.clone())
            .unwrap_or_default();
        let node = seated.node.clone();
        let Some(client) = self.next_client() else {
            return;
        };
        if let Some(hosted) = &mut self.hosted {
            hosted.seats.insert(client, seat);
            hosted.clients.insert(seat, client);
        }
        self.with_hub(now, |hub, at| hub.on_client(at, client, node, &groups));
    }

    /// A seat is gone.
    pub(super) fn on_hub_unseated(&mut self, now: MonoTime, seat: SeatId, why: LeaveReason) {
        let hosted = self.hosted.as_mut();
        // `gone` is read before: the seat is taken away already.
        let Some((hosted, client)) = hosted.and_then(|hosted| {
            let client = hosted.clients.remove(&seat)?;
            Some((hosted, client))
        }) else {
            return;
        };
        hosted.seats.remove(&client);
        self.with_hub(now, |hub, at| hub.on_client_gone(at, client, why));
    }

    /// The hub hears whose sessions hold leases of a vehicle.
    pub(super) fn tell_hub_of_leases(&mut self, vehicle: SeatId) {
        let (Some(hosted), Some(seat)) = (&mut self.hosted, self.seats.get(&vehicle)) else {
            return;
        };
        let routes = self.routes.to_node(&seat.node).into_iter();
        let owners = routes.filter(|(session, _)| seat.is_leased(*session));
        let holders = owners.filter_map(|(_, owner)| Some(self.seats.get(&owner)?.node.clone()));
        hosted.hub.on_leased(&seat.node, holders);
    }

    /// A frame for the hub came.
    pub(super) fn on_hub_frame(&mut self, now: MonoTime, seat: SeatId, frame: &[u8]) {
        let hosted = self.hosted.as_ref();
        match hosted.and_then(|hosted| hosted.clients.get(&seat)).copied() {
            Some(client) => {
                self.with_hub(now, |hub, at| hub.on_frame(at, client, frame));
            }
            None => self.counters.malformed_parcels += 1,
        }
    }

    /// A leg has brought pieces.
    pub(super) fn on_hub_delivered(&mut self, now: MonoTime, seat: SeatId) {
        let at = self.moment(now);
        let Some(seated) = self.seats.get_mut(&seat) else {
            return;
        };
        let client = self
            .hosted
            .as_ref()
            .and_then(|hosted| hosted.clients.get(&seat))
            .copied();
        while let Some(parcel) = seated.leg.poll_delivered() {
            if !seated.bulletin.on_delivered(&parcel)
                && let (Some(hosted), Some(client)) = (&mut self.hosted, client)
            {
                hosted.hub.on_delivered(at, client, &parcel);
            }
        }
    }

    /// Does what is due at the hub, and puts some pieces on legs: few at once, so that what is forwarded goes between them.
    pub(super) fn work_for_hub(&mut self, now: MonoTime) {
        let at = self.moment(now);
        let Some(hosted) = &mut self.hosted else {
            return;
        };
        if now < hosted.pumped_at + TURN {
            return;
        }
        if hosted.hub.next_timeout().is_some_and(|due| due <= now) {
            hosted.hub.on_timeout(at);
        }
        for _ in 0..HUB_PIECES_PER_TURN {
            let Some((client, piece)) = hosted.hub.poll_piece(at) else {
                break;
            };
            hosted.pumped_at = now;
            let seat = hosted.seats.get(&client);
            let Some((id, seat)) = seat.and_then(|id| Some((*id, self.seats.get_mut(id)?))) else {
                continue;
            };
            let (parcel, origin) = (piece.parcel, Origin::here(now));
            let taken = seat.leg.send(now, parcel.clone(), piece.deadline, origin);
            if taken.is_err() {
                hosted.hub.on_no_room(at, client, &parcel);
            }
            if !hosted.touched.contains(&id) {
                hosted.touched.push_back(id);
            }
        }
        while let Some(seat) = self
            .hosted
            .as_mut()
            .and_then(|hosted| hosted.touched.pop_front())
        {
            self.collect(now, seat);
        }
        self.take_effects(now);
    }

    /// When [`Relay::work_for_hub`] has something to do.
    pub(super) fn next_hub_timeout(&self) -> Option<MonoTime> {
        let hosted = self.hosted.as_ref()?;
        Some(hosted.hub.next_timeout()?.max(hosted.pumped_at + TURN))
    }

    fn take_effects(&mut self, now: MonoTime) {
        while let Some(effect) = self
            .hosted
            .as_mut()
            .and_then(|hosted| hosted.hub.poll_effect())
        {
            match effect {
                HubEffect::Reset { client } => {
                    let seats = self.hosted.as_ref().map(|hosted| &hosted.seats);
                    if let Some(seat) = seats.and_then(|seats| seats.get(&client)).copied() {
                        self.remove_seat(now, seat);
                    }
                }
                HubEffect::Commit { .. } | HubEffect::Read { .. } | HubEffect::Tell { .. } => {
                    self.events.push_back(RelayEvent::Hub(effect));
                }
            }
        }
    }

    fn moment(&self, now: MonoTime) -> Moment {
        Moment {
            now,
            unix_ms: self.wall.shown_ms(now).unwrap_or_default(),
        }
    }
}

/// Least time between two turns of the hub's pieces.
const TURN: Duration = Duration::from_micros(200);
