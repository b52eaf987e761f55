//! Which tracked parcels are on their way.

use std::collections::BTreeMap;

use super::place::Place;
use crate::base::Class;
use crate::base::limits::{LEG_WINDOW, LEG_WINDOW_STOPS};
use crate::wire::AckState;

/// Numbers tracked parcels and keeps them within what the peer can acknowledge.
#[derive(Clone, Debug)]
pub(super) struct Window {
    next: u64,
    /// The peer has no gap up to here.
    cumulative: u64,
    /// Ids that are neither acknowledged nor expired.
    alive: BTreeMap<u64, Place>,
}

/// What an acknowledgement says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Acked {
    /// Parcels that arrived.
    pub(super) places: Vec<Place>,
    /// How many ids it names that were never sent.
    pub(super) unknown: u64,
}

impl Window {
    pub(super) const fn new() -> Window {
        Window {
            next: 1,
            cumulative: 0,
            alive: BTreeMap::new(),
        }
    }

    /// An id for a parcel, if there is room for its class.
    // [WIRE-41] [WIRE-42]
    pub(super) fn admit(&mut self, class: Class, place: Place) -> Option<u64> {
        let room = match class {
            Class::Stop => LEG_WINDOW,
            Class::Latest | Class::Unordered | Class::Reliable => LEG_WINDOW - LEG_WINDOW_STOPS,
        };
        let id = self.next;
        if id > self.cumulative + room {
            return None;
        }
        self.next += 1;
        self.alive.insert(id, place);
        Some(id)
    }

    /// Takes in what the peer received.
    // [WIRE-48]
    pub(super) fn on_ack(&mut self, ack: &AckState) -> Acked {
        let mut acked = Acked::default();
        if ack.cumulative >= self.next {
            acked.unknown = 1;
            return acked;
        }
        self.cumulative = self.cumulative.max(ack.cumulative);
        let rest = self.alive.split_off(&(ack.cumulative + 1));
        acked.places.extend(self.alive.values());
        self.alive = rest;
        for (first, byte) in (ack.cumulative + 1..).step_by(8).zip(&ack.bitmap) {
            for id in (first..first + 8).filter(|id| byte >> (id - first) & 1 == 1) {
                if id >= self.next {
                    acked.unknown += 1;
                } else {
                    acked.places.extend(self.alive.remove(&id));
                }
            }
        }
        acked
    }

    /// The parcel will not be sent again.
    pub(super) fn expire(&mut self, id: u64) {
        self.alive.remove(&id);
    }

    /// What the peer must be told so that it does not wait for expired ids: the lowest that is alive.
    // [WIRE-46]
    pub(super) fn floor(&self) -> Option<u64> {
        let lowest = self.alive.keys().next().copied().unwrap_or(self.next);
        (lowest > self.cumulative + 1).then_some(lowest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(serial: u64) -> Place {
        Place::new(Class::Reliable, serial)
    }

    fn ack(cumulative: u64, bitmap: &[u8]) -> AckState {
        AckState {
            cumulative,
            bitmap: bitmap.to_vec(),
        }
    }

    #[test]
    fn ids_stay_within_the_window_and_stops_have_room_of_their_own() {
        // [WIRE-41] [WIRE-42]
        let mut window = Window::new();
        for id in 1..=112 {
            assert_eq!(window.admit(Class::Reliable, place(id)), Some(id));
        }
        assert_eq!(window.admit(Class::Unordered, place(0)), None);
        for id in 113..=128 {
            assert_eq!(window.admit(Class::Stop, place(id)), Some(id));
        }
        assert_eq!(window.admit(Class::Stop, place(0)), None);
        window.on_ack(&ack(1, &[0xff]));
        assert_eq!(window.admit(Class::Stop, place(129)), Some(129));
        assert_eq!(window.admit(Class::Stop, place(0)), None);
    }

    #[test]
    fn acknowledgements_resolve_ids_once_and_may_come_out_of_order() {
        let mut window = Window::new();
        for id in 1..=10 {
            window.admit(Class::Reliable, place(id));
        }
        assert_eq!(
            window.on_ack(&ack(2, &[0b10])).places,
            [place(1), place(2), place(4)]
        );
        assert_eq!(window.on_ack(&ack(0, &[0b1111])).places, [place(3)]);
        assert_eq!(window.on_ack(&ack(2, &[0b10])), Acked::default());
        assert_eq!(window.cumulative, 2);
    }

    #[test]
    fn ids_that_were_never_sent_are_not_acknowledged() {
        // [WIRE-48]
        let mut window = Window::new();
        window.admit(Class::Reliable, place(1));
        for forged in [ack(2, &[]), ack(u64::MAX, &[0xff; 16])] {
            let acked = window.on_ack(&forged);
            assert_eq!((acked.places.len(), acked.unknown), (0, 1));
        }
        let acked = window.on_ack(&ack(0, &[0b111]));
        assert_eq!((acked.places, acked.unknown), (vec![place(1)], 2));
        assert_eq!(window.admit(Class::Reliable, place(2)), Some(2));
    }

    #[test]
    fn the_floor_rises_over_expired_ids_until_the_peer_knows() {
        // [WIRE-46]
        let mut window = Window::new();
        for id in 1..=3 {
            window.admit(Class::Reliable, place(id));
        }
        assert_eq!(window.floor(), None);
        window.expire(2);
        assert_eq!(window.floor(), None);
        window.on_ack(&ack(1, &[]));
        assert_eq!(window.floor(), Some(3));
        window.expire(3);
        assert_eq!(window.floor(), Some(4));
        window.on_ack(&ack(3, &[]));
        assert_eq!(window.floor(), None);
    }
}
