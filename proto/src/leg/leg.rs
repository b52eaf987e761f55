//! A node and one relay.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::ack::Acks;
use super::dispatch::Dispatch;
use super::floor::FloorRepeat;
use super::intake::Intake;
use super::load::Load;
use super::outbox::{Offered, Outbox};
use super::planner::{self, PathView};
use super::room::Overflow;
use super::{Arrival, Counters, Origin};
use crate::base::limits::{HEARTBEAT, PATHS_PER_LEG_MAX, TRANSMITS_PER_LEG_MAX};
use crate::base::{Histogram, MonoTime, PathId};
use crate::path::{Carries, Health, LinkId, Path, PathStatus};
use crate::wire::{Chunk, Packet};

/// One end of a leg: delivers parcels by class over all paths to the peer.
///
/// Whatever calls it wakes it up; what is then to be sent is at once in [`Leg::poll_transmit`].
#[derive(Clone, Debug)]
pub struct Leg {
    paths: BTreeMap<PathId, Path>,
    intake: Intake,
    acks: Acks,
    outbox: Outbox,
    floor: FloorRepeat,
    transmits: VecDeque<(PathId, Vec<u8>)>,
    changes: BTreeMap<PathId, Health>,
    counters: Counters,
    held: Option<Histogram>,
}

/// A path whose health changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathChange {
    /// Which one.
    pub path: PathId,
    /// Its health now.
    pub health: Health,
}

impl Leg {
    /// A leg without paths.
    pub fn new(_now: MonoTime) -> Leg {
        Leg {
            paths: BTreeMap::new(),
            intake: Intake::default(),
            acks: Acks::new(),
            outbox: Outbox::new(),
            floor: FloorRepeat::default(),
            transmits: VecDeque::new(),
            changes: BTreeMap::new(),
            counters: Counters::default(),
            held: None,
        }
    }

    /// A path is connected; it counts as a link of its own. False when the leg has as many paths as it may, or this one.
    pub fn add_path(&mut self, now: MonoTime, path: PathId) -> bool {
        if self.paths.len() >= PATHS_PER_LEG_MAX || self.paths.contains_key(&path) {
            return false;
        }
        self.paths
            .insert(path, Path::new(now, path, LinkId(path.0)));
        self.flush(now, None);
        true
    }

    /// A path uses this link of the node's.
    pub fn set_link(&mut self, path: PathId, link: LinkId) {
        if let Some(path) = self.paths.get_mut(&path) {
            path.set_link(link);
        }
    }

    /// A path may carry this from now on.
    pub fn set_carries(&mut self, path: PathId, carries: Carries) {
        if let Some(path) = self.paths.get_mut(&path) {
            path.set_carries(carries);
        }
    }

    /// Whether a path works; none when it is not the leg's.
    pub fn health(&self, path: PathId) -> Option<Health> {
        self.paths.get(&path).map(Path::health)
    }

    /// A path may use so much of its link's budget, and the peer so much on the way here.
    pub fn set_share(&mut self, path: PathId, up_kbit_s: u32, down_kbit_s: u32) {
        if let Some(path) = self.paths.get_mut(&path) {
            path.set_share(up_kbit_s, down_kbit_s);
        }
    }

    /// A path is gone, with what waits to be taken for it; what it carried is sent again on the others.
    pub fn remove_path(&mut self, now: MonoTime, path: PathId) {
        self.paths.remove(&path);
        self.acks.on_removed(path);
        self.outbox.on_path_gone();
        self.changes.remove(&path);
        self.transmits.retain(|(other, _)| *other != path);
        self.flush(now, None);
    }

    /// Sends a parcel until it is acknowledged (`latest`: until it is sent), superseded or past its deadline, which is at most
    /// [`TTL_MAX`](crate::base::limits::TTL_MAX) away.
    ///
    /// # Errors
    /// The bound that refuses it; what was accepted before is not affected.
    pub fn send(
        &mut self,
        now: MonoTime,
        parcel: Arc<[u8]>,
        deadline: MonoTime,
        origin: Origin,
    ) -> Result<(), Overflow> {
        let offered = self
            .outbox
            .offer(now, parcel, deadline, origin)
            .inspect_err(|_| self.counters.overflow += 1)?;
        match offered {
            Offered::Queued => self.counters.parcels_sent += 1,
            Offered::Replaced => {
                self.counters.parcels_sent += 1;
                self.counters.superseded += 1;
            }
            Offered::Superseded | Offered::Known => self.counters.superseded += 1,
            Offered::Expired => self.counters.expired += 1,
        }
        self.flush(now, None);
        Ok(())
    }

    /// Sends a chunk once, now, on one path: the role's hello or welcome, which it repeats itself.
    pub fn say(&mut self, now: MonoTime, path: PathId, chunk: Chunk) {
        self.flush(now, Some((path, chunk)));
    }

    /// Takes in a packet; returns the parcels that are new. Hello and welcome are the role's business and skipped.
    pub fn on_packet(&mut self, now: MonoTime, path: PathId, packet: Packet) -> Vec<Arrival> {
        let Some(receiver) = self.paths.get_mut(&path) else {
            self.counters.packets_strange += 1;
            return Vec::new();
        };
        self.counters.packets_received += 1;
        let received = receiver.on_packet(now, &packet);
        self.counters.bad_reports += u64::from(received.bad_report);
        if let Some(health) = received.health {
            self.changes.insert(path, health);
        }
        self.counters.bad_acks += self.outbox.on_ack(&packet.ack);
        let mut arrivals = Vec::new();
        for chunk in packet.chunks {
            let taken = self.intake.on_chunk(chunk, &mut self.counters);
            if taken.asks_ack {
                self.acks.on_tracked(now, path);
            }
            if let Some((trail, parcel)) = taken.parcel {
                arrivals.push(Arrival {
                    path,
                    parcel,
                    trail,
                    transit: received.transit,
                });
            }
        }
        self.counters.parcels_received += arrivals.len() as u64;
        self.flush(now, None);
        arrivals
    }

    /// Does what is due.
    pub fn on_timeout(&mut self, now: MonoTime) {
        for (id, path) in &mut self.paths {
            if let Some(health) = path.on_timeout(now) {
                self.changes.insert(*id, health);
            }
        }
        self.flush(now, None);
    }

    /// When [`Leg::on_timeout`] is to be called.
    pub fn next_timeout(&self) -> Option<MonoTime> {
        let deadline = self.outbox.next_deadline();
        if self.paths.is_empty() {
            return deadline;
        }
        self.paths
            .values()
            .map(Path::next_timeout)
            .chain(deadline)
            .chain(self.outbox.next_due())
            .chain(self.acks.next_timeout())
            .chain(self.floor.next_timeout())
            .min()
    }

    /// The next packet to send, and on which path.
    pub fn poll_transmit(&mut self) -> Option<(PathId, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// The next path whose health changed, with the newest health of each.
    pub fn poll_change(&mut self) -> Option<PathChange> {
        let (path, health) = self.changes.pop_first()?;
        Some(PathChange { path, health })
    }

    /// The next part of a list of revocations, or piece of a message of the hub's, that the peer has acknowledged. Whoever sends such
    /// parcels takes these too.
    pub fn poll_delivered(&mut self) -> Option<Arc<[u8]>> {
        self.outbox.poll_delivered()
    }

    /// How long parcels that went on since this was last asked had been at this relay; none when no such went, or at other nodes.
    pub const fn take_held(&mut self) -> Option<Histogram> {
        self.held.take()
    }

    /// How the paths stand.
    pub fn paths(&self) -> Vec<PathStatus> {
        self.paths.values().map(Path::status).collect()
    }

    /// How many parcels wait or are not acknowledged.
    pub fn waiting(&self) -> usize {
        self.outbox.len()
    }

    /// What the leg counted.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Sends everything that is due: first what is `said`, then parcels by urgency, then what only state needs.
    // [WIRE-54]
    fn flush(&mut self, now: MonoTime, said: Option<(PathId, Chunk)>) {
        self.counters.expired += self.outbox.expire(now);
        let mut other_probes = self.paths.values().any(|path| path.pace().is_probing());
        for path in self.paths.values_mut() {
            path.refresh(now, other_probes);
            other_probes |= path.pace().is_probing();
        }
        if self.paths.is_empty() || (said.is_none() && self.is_idle(now)) {
            return;
        }
        let floor = self.outbox.floor();
        let mut load = Load::new(self.intake.ack(), floor);
        if let Some((path, chunk)) = said
            && let Some(path) = self.paths.get_mut(&path)
        {
            load.place(now, path, chunk, None);
        }
        let views: Vec<PathView> = self.paths.values().map(view).collect();
        let dispatch = Dispatch::new(now, &mut self.outbox, &mut self.paths, &mut load, &views);
        let dispatched = dispatch.run();
        self.counters.copies_sent += dispatched.extra;
        self.counters.withheld += dispatched.withheld;
        if dispatched.held.count() > 0 {
            self.held.get_or_insert_default().add(&dispatched.held);
        }
        self.place_state(now, &planner::usable(&views), floor, &mut load);
        self.transmit(now, load);
    }

    /// Whether nothing is to be sent whatever the planner would say: most packets that arrive ask for none.
    fn is_idle(&self, now: MonoTime) -> bool {
        self.outbox.len() == 0
            && self.outbox.floor().is_none()
            && self.floor.next_timeout().is_none()
            && self.acks.next_timeout().is_none_or(|due| now < due)
            && !self.paths.values().any(|path| path.heartbeat_due(now))
    }

    // [WIRE-49] [WIRE-50]
    fn place_state(
        &mut self,
        now: MonoTime,
        usable: &[PathView],
        floor: Option<u64>,
        load: &mut Load,
    ) {
        let ids: Vec<PathId> = usable.iter().map(|view| view.path).collect();
        let mut needed = Vec::new();
        if self.floor.is_due(now, floor) {
            // Where nothing comes the heartbeats carry it.
            let hears = |view: &&PathView| view.health == Health::Live;
            needed.extend(usable.iter().filter(hears).map(|view| view.path));
            self.floor.on_sent(if needed.is_empty() {
                now + HEARTBEAT
            } else {
                planner::answer_due(now, usable)
            });
        }
        let carried = !load.is_empty() || !needed.is_empty();
        let asked = self.acks.take_due(now, &ids, carried);
        if !asked.is_empty() {
            let affords = |id: &PathId| {
                self.paths
                    .get(id)
                    .is_some_and(|path| path.pace().affords_state())
            };
            let before = needed.len();
            needed.extend(asked.into_iter().filter(affords));
            if needed.len() == before {
                self.acks.on_unaffordable(now);
            }
        }
        for path in needed {
            if let Some(path) = self.paths.get_mut(&path) {
                load.touch(now, path);
            }
        }
        for path in self.paths.values_mut() {
            if path.heartbeat_due(now) {
                load.touch(now, path);
            }
        }
    }

    fn transmit(&mut self, now: MonoTime, load: Load) {
        for (id, packet, bytes) in load.into_packets() {
            if let Some(path) = self.paths.get_mut(&id) {
                path.on_sent(bytes);
                self.acks.on_sent(now, id, path.loss());
            }
            self.counters.packets_sent += 1;
            if self.transmits.len() >= TRANSMITS_PER_LEG_MAX {
                self.transmits.pop_front();
                self.counters.packets_dropped += 1;
            }
            self.transmits.push_back((id, packet.encode()));
        }
    }
}

/// What the planner knows of a path, brought up to now.
fn view(path: &Path) -> PathView {
    PathView::new(&path.status(), path.pace().in_pairs(), path.carries())
}
