//! Emergency stops that no vehicle has answered yet.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::ControllerEvent;
use crate::base::limits::{STOP_REPEAT_INTERVAL, STOPS_PENDING_MAX};
use crate::base::{MonoTime, NodeName, StopId};
use crate::role::node::Node;

/// Stops on their way, repeated on every leg.
#[derive(Debug, Default)]
pub(super) struct Stops {
    pending: BTreeMap<(NodeName, StopId), Pending>,
}

#[derive(Debug)]
struct Pending {
    parcel: Arc<[u8]>,
    next: MonoTime,
    until: MonoTime,
}

impl Stops {
    /// Begins a stop; tells of one that had to give way.
    pub(super) fn insert(
        &mut self,
        now: MonoTime,
        vehicle: NodeName,
        id: StopId,
        parcel: Arc<[u8]>,
        until: MonoTime,
    ) -> Option<ControllerEvent> {
        let full = self.pending.len() >= STOPS_PENDING_MAX;
        let first_over = self.pending.iter().min_by_key(|(_, stop)| stop.until);
        let given_up = first_over.filter(|_| full).map(|(key, _)| key.clone());
        self.pending.insert(
            (vehicle, id),
            Pending {
                parcel,
                next: now,
                until,
            },
        );
        let (vehicle, id) = given_up?;
        self.pending.remove(&(vehicle.clone(), id));
        Some(ControllerEvent::StopUnanswered { vehicle, id })
    }

    /// Whether an answer to this stop is waited for.
    pub(super) fn awaits(&self, id: StopId) -> bool {
        self.pending.keys().any(|(_, pending)| *pending == id)
    }

    /// Forgets an answered stop; false when it was none of ours.
    pub(super) fn remove(&mut self, vehicle: &NodeName, id: StopId) -> bool {
        self.pending.remove(&(vehicle.clone(), id)).is_some()
    }

    pub(super) fn on_leg_up(&mut self, now: MonoTime, relay: &NodeName, node: &mut Node) {
        for stop in self.pending.values() {
            node.send(now, relay, &stop.parcel, now, stop.until);
        }
    }

    pub(super) fn on_timeout(
        &mut self,
        now: MonoTime,
        node: &mut Node,
        events: &mut VecDeque<ControllerEvent>,
    ) {
        self.pending.retain(|(vehicle, id), stop| {
            let alive = now < stop.until;
            if !alive {
                events.push_back(ControllerEvent::StopUnanswered {
                    vehicle: vehicle.clone(),
                    id: *id,
                });
            } else if stop.next <= now {
                let repeat = now + STOP_REPEAT_INTERVAL;
                let room = node.send_everywhere(now, &stop.parcel, now, repeat.min(stop.until));
                stop.next = if room { repeat } else { now + WAIT_FOR_ROOM };
            }
            alive
        });
    }

    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        self.pending
            .values()
            .map(|stop| stop.next.min(stop.until))
            .min()
    }
}

/// Until a stop tries again that no leg had room for: those before it are acknowledged within a round trip, and it must not
/// come behind their repeats again and again.
const WAIT_FOR_ROOM: Duration = Duration::from_millis(10);
