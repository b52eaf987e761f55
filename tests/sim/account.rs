//! Where the commands of a drive went.

use std::collections::{BTreeMap, BTreeSet};

use longrein_proto::base::{Class, Flow, MonoTime};
use longrein_proto::wire::{Chunk, Packet, Parcel, ParcelHead};

use crate::{Station, Vehicle, World};

/// sent = applied + superseded + lost + late, by what arrived at the vehicle and what it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Handed to the controller.
    pub sent: usize,
    /// Took effect.
    pub applied: usize,
    /// Arrived behind a newer one, and did not.
    pub superseded: usize,
    /// Arrived in order and did not take effect: too late, or refused.
    pub late: usize,
    /// Never arrived.
    pub lost: usize,
}

/// Which envelopes arrived at a station, and when first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrived {
    first: BTreeMap<(Flow, u64), MonoTime>,
}

impl Arrived {
    /// When an envelope first arrived.
    pub(crate) fn at(&self, flow: Flow, number: u64) -> Option<MonoTime> {
        self.first.get(&(flow, number)).copied()
    }

    pub(crate) fn note(&mut self, now: MonoTime, bytes: &[u8]) {
        let Ok(packet) = Packet::decode(bytes) else {
            return;
        };
        for chunk in packet.chunks {
            let (Chunk::Tracked { parcel, .. } | Chunk::Untracked { parcel, .. }) = chunk else {
                continue;
            };
            if let Ok(ParcelHead::Sealed(header)) = Parcel::peek(&parcel) {
                self.first
                    .entry((header.flow, header.number))
                    .or_insert(now);
            }
        }
    }
}

impl World {
    /// Where these drive commands went; of a drive in a single session.
    pub fn account(&self, agent: Station, sent: &[u64]) -> Account {
        let flow = Flow::new(Vehicle::DRIVE, Class::Latest);
        let arrived = self.arrived(agent);
        let applied: BTreeSet<u64> = self
            .lives(agent)
            .flat_map(|life| life.applied_numbers(Vehicle::DRIVE))
            .collect();
        let mut account = Account {
            sent: sent.len(),
            ..Account::default()
        };
        for number in sent {
            let first = arrived.first.get(&(flow, *number));
            let overtaken = || {
                let newer = arrived.first.range((flow, number + 1)..=(flow, u64::MAX));
                newer
                    .map(|(_, at)| at)
                    .min()
                    .is_some_and(|newer| Some(newer) < first)
            };
            if applied.contains(number) {
                account.applied += 1;
            } else if first.is_none() {
                account.lost += 1;
            } else if overtaken() {
                account.superseded += 1;
            } else {
                account.late += 1;
            }
        }
        let Account {
            sent,
            applied,
            superseded,
            late,
            lost,
        } = account;
        assert_eq!(sent, applied + superseded + late + lost);
        account
    }
}
