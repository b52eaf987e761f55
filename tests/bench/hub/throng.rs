//! Many vehicles in one drive loop: a load that costs less than what it loads.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use longrein_proto::base::{MonoTime, PathId};
use longrein_proto::role::{Input, Redial, Role, Transmit};
use longrein_tests::RawNode;

/// Vehicles with one path each, which say nothing but heartbeats. Each path that comes up is a new run of one.
#[derive(Default)]
pub struct Throng {
    vehicles: BTreeMap<PathId, Vehicle>,
    timeouts: BTreeSet<(MonoTime, PathId)>,
    transmits: VecDeque<Transmit>,
    runs: u64,
}

struct Vehicle {
    node: RawNode,
    /// As noted among the time-outs.
    due: Option<MonoTime>,
}

impl Throng {
    fn work(&mut self, now: MonoTime, path: PathId, input: Input<'_>) {
        let Some(vehicle) = self.vehicles.get_mut(&path) else {
            return;
        };
        vehicle.node.handle(now, input);
        vehicle.node.heard.clear();
        self.transmits
            .extend(std::iter::from_fn(|| vehicle.node.poll_transmit()));
        let due = vehicle.node.next_timeout();
        if due != vehicle.due {
            if let Some(old) = std::mem::replace(&mut vehicle.due, due) {
                self.timeouts.remove(&(old, path));
            }
            self.timeouts.extend(due.map(|due| (due, path)));
        }
    }
}

impl Role for Throng {
    type Event = ();

    fn handle(&mut self, now: MonoTime, input: Input<'_>) {
        match input {
            Input::PathUp { path, .. } => {
                self.runs += 1;
                let node = RawNode::new(self.runs);
                self.vehicles.insert(path, Vehicle { node, due: None });
                self.work(now, path, input);
            }
            Input::PathDown { path } => {
                let gone = self.vehicles.remove(&path);
                if let Some(due) = gone.and_then(|vehicle| vehicle.due) {
                    self.timeouts.remove(&(due, path));
                }
            }
            Input::Packet { path, .. } => self.work(now, path, input),
            Input::Timeout => {
                while let Some((due, path)) = self.timeouts.first().copied()
                    && due <= now
                {
                    self.work(now, path, Input::Timeout);
                    // A vehicle that is due at once again waits for the next time.
                    if self.timeouts.first() == Some(&(due, path)) {
                        break;
                    }
                }
            }
            Input::Remote { .. } | Input::Wall { .. } | Input::Persisted { .. } => {}
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn poll_redial(&mut self) -> Option<Redial> {
        None
    }

    fn next_timeout(&self) -> Option<MonoTime> {
        self.timeouts.first().map(|(due, _)| *due)
    }
}
