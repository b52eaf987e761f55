//! What waits to be sent, and what was sent and is not acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::{Origin, Overflow};
use crate::base::limits::{
    LEG_WINDOW, OUTBOX_BYTES_MAX, OUTBOX_PARCELS_MAX, OUTBOX_STOPS_RESERVED, PARCEL_BYTES_MAX,
};
use crate::base::{Class, Flow, MonoTime, SessionId};
use crate::wire::{AckState, Parcel, ParcelHead};

/// Parcels of all classes. `latest` ones wait one per flow and are gone once sent; the others are numbered when they are
/// first sent and stay until they are acknowledged or expire.
#[derive(Debug)]
pub(super) struct Outbox {
    latest: BTreeMap<(SessionId, Flow), Item>,
    waiting: VecDeque<(Class, Item)>,
    flight: BTreeMap<u64, Flight>,
    next_id: u64,
    /// The other end has everything up to this id.
    acknowledged: u64,
    parcels: usize,
    bytes: usize,
}

/// One parcel.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) parcel: Arc<[u8]>,
    pub(super) deadline: MonoTime,
    pub(super) origin: Origin,
}

#[derive(Debug)]
struct Flight {
    class: Class,
    item: Item,
    attempts: u32,
    again_at: Option<MonoTime>,
}

/// A parcel that wants to be sent now.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) class: Class,
    /// Its number on the leg; none for `latest`.
    pub(super) id: Option<u64>,
    pub(super) item: Item,
    pub(super) attempts: u32,
}

impl Outbox {
    pub(super) fn new() -> Outbox {
        Outbox {
            latest: BTreeMap::new(),
            waiting: VecDeque::new(),
            flight: BTreeMap::new(),
            next_id: 1,
            acknowledged: 0,
            parcels: 0,
            bytes: 0,
        }
    }

    /// Takes a parcel; true when it replaced an older one of its flow.
    pub(super) fn push(&mut self, item: Item) -> Result<bool, Overflow> {
        let size = item.parcel.len();
        if size > PARCEL_BYTES_MAX {
            return Err(Overflow::TooLarge);
        }
        let head = Parcel::peek(&item.parcel).map_err(|_| Overflow::NotAParcel)?;
        let class = head.class();
        if let (ParcelHead::Sealed(header), Class::Latest) = (head, class) {
            let key = (header.session, header.flow);
            if let Some(older) = self.latest.remove(&key) {
                self.forget(&older);
                self.take(key, item);
                return Ok(true);
            }
            self.room(class, size)?;
            self.take(key, item);
            return Ok(false);
        }
        self.room(class, size)?;
        self.parcels += 1;
        self.bytes += size;
        self.waiting.push_back((class, item));
        Ok(false)
    }

    /// Drops what is over; how many.
    pub(super) fn expire(&mut self, now: MonoTime) -> u64 {
        let (mut parcels, mut bytes) = (0, 0);
        let mut lives = |item: &Item| {
            let over = item.deadline <= now;
            if over {
                parcels += 1;
                bytes += item.parcel.len();
            }
            !over
        };
        self.latest.retain(|_, item| lives(item));
        self.flight.retain(|_, flight| lives(&flight.item));
        self.waiting.retain(|(_, item)| lives(item));
        self.parcels -= parcels;
        self.bytes -= bytes;
        u64::try_from(parcels).unwrap_or(u64::MAX)
    }

    /// What wants to be sent now, in the order stop, latest, unordered, reliable.
    // [WIRE-43]
    pub(super) fn due(&mut self, now: MonoTime) -> Vec<Due> {
        self.admit();
        let mut due = Vec::new();
        for class in [
            Class::Stop,
            Class::Latest,
            Class::Unordered,
            Class::Reliable,
        ] {
            if class == Class::Latest {
                let latest = std::mem::take(&mut self.latest);
                for item in latest.into_values() {
                    self.forget(&item);
                    due.push(Due {
                        class,
                        id: None,
                        item,
                        attempts: 0,
                    });
                }
                continue;
            }
            let of_class = self
                .flight
                .iter()
                .filter(|(_, flight)| flight.class == class);
            due.extend(
                of_class
                    .filter(|(_, flight)| flight.again_at.is_none_or(|at| at <= now))
                    .map(|(id, flight)| Due {
                        class,
                        id: Some(*id),
                        item: flight.item.clone(),
                        attempts: flight.attempts,
                    }),
            );
        }
        due
    }

    /// A tracked parcel was sent; plan it again then.
    pub(super) fn on_sent(&mut self, id: u64, again_at: Option<MonoTime>) {
        if let Some(flight) = self.flight.get_mut(&id) {
            flight.attempts = flight.attempts.saturating_add(1);
            flight.again_at = again_at;
        }
    }

    /// The other end's state; false when it acknowledges what was never sent, and then nothing changes.
    // [WIRE-46]
    pub(super) fn on_ack(&mut self, ack: &AckState) -> bool {
        let later = ids(ack);
        if ack.cumulative >= self.next_id || later.last().is_some_and(|id| *id >= self.next_id) {
            return false;
        }
        self.acknowledged = self.acknowledged.max(ack.cumulative);
        let still = self.flight.split_off(&(ack.cumulative + 1));
        let mut done: Vec<Item> = std::mem::replace(&mut self.flight, still)
            .into_values()
            .map(|f| f.item)
            .collect();
        done.extend(
            later
                .iter()
                .filter_map(|id| self.flight.remove(id))
                .map(|flight| flight.item),
        );
        for item in &done {
            self.forget(item);
        }
        true
    }

    /// The lowest id that is alive, when the other end waits for one below it that never comes.
    // [WIRE-44]
    pub(super) fn floor(&self) -> Option<u64> {
        let floor = self.flight.keys().next().copied().unwrap_or(self.next_id);
        (floor > self.acknowledged + 1).then_some(floor)
    }

    /// When something is due or over; without a path nothing is due. What waits for the window waits for another fact.
    pub(super) fn next_timeout(&self, has_path: bool) -> Option<MonoTime> {
        let retries = self
            .flight
            .values()
            .filter_map(|flight| flight.again_at.filter(|_| has_path));
        let flight = self.flight.values().map(|flight| &flight.item);
        let waiting = self.waiting.iter().map(|(_, item)| item);
        let deadlines = flight
            .chain(waiting)
            .chain(self.latest.values())
            .map(|item| item.deadline);
        deadlines.chain(retries).min()
    }

    /// Numbers what waits, as far as the other end's window allows; the last part of it is kept for stops.
    fn admit(&mut self) {
        let window = self.acknowledged + LEG_WINDOW;
        for (class, last_id) in [
            (Class::Stop, window),
            (Class::Unordered, window - STOP_WINDOW),
            (Class::Reliable, window - STOP_WINDOW),
        ] {
            if self.waiting.iter().any(|(waiting, _)| *waiting == class) {
                self.admit_class(class, last_id);
            }
        }
    }

    fn admit_class(&mut self, wanted: Class, last_id: u64) {
        let mut left = VecDeque::with_capacity(self.waiting.len());
        for (class, item) in self.waiting.drain(..) {
            if class == wanted && self.next_id <= last_id {
                self.flight.insert(
                    self.next_id,
                    Flight {
                        class,
                        item,
                        attempts: 0,
                        again_at: None,
                    },
                );
                self.next_id += 1;
            } else {
                left.push_back((class, item));
            }
        }
        self.waiting = left;
    }

    // [WIRE-49]
    fn room(&self, class: Class, size: usize) -> Result<(), Overflow> {
        let reserved = if class == Class::Stop {
            0
        } else {
            OUTBOX_STOPS_RESERVED
        };
        if self.parcels + reserved >= OUTBOX_PARCELS_MAX {
            Err(Overflow::Parcels)
        } else if self.bytes + size + reserved * PARCEL_BYTES_MAX > OUTBOX_BYTES_MAX {
            Err(Overflow::Bytes)
        } else {
            Ok(())
        }
    }

    fn take(&mut self, key: (SessionId, Flow), item: Item) {
        self.parcels += 1;
        self.bytes += item.parcel.len();
        self.latest.insert(key, item);
    }

    fn forget(&mut self, item: &Item) {
        self.parcels -= 1;
        self.bytes -= item.parcel.len();
    }
}

/// The single ids that a bitmap acknowledges, in order.
fn ids(ack: &AckState) -> Vec<u64> {
    let first = ack.cumulative.saturating_add(1);
    let bits = (0_u64..).zip(&ack.bitmap).flat_map(|(byte, bits)| {
        (0..8)
            .filter(move |bit| bits & (1 << bit) != 0)
            .map(move |bit| byte * 8 + bit)
    });
    bits.map(|bit| first.saturating_add(bit)).collect()
}

/// Ids at the end of the window that only stops may use.
const STOP_WINDOW: u64 = 16;
