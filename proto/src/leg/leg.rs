//! The leg itself: wires its parts to packets and time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::ack::AckTimer;
use super::inbox::{Inbox, Seen};
use super::newest::Newest;
use super::outbox::{Due, Item, Outbox};
use super::packer::pack;
use super::planner::{Demand, PathView, plan};
use crate::base::limits::{HEARTBEAT, PATHS_PER_LEG_MAX, TRANSMITS_PER_LEG_MAX};
use crate::base::{Class, MonoTime, PathId};
use crate::path::{Estimate, Health, HealthClock, Quality};
use crate::wire::{Chunk, Packet, Parcel, ParcelHead, Trail};

/// One node and one relay over all paths between them; the same at both ends.
#[derive(Debug)]
pub struct Leg {
    paths: BTreeMap<PathId, LegPath>,
    inbox: Inbox,
    newest: Newest,
    outbox: Outbox,
    acks: AckTimer,
    /// The path that carried the last acknowledgement of its own.
    last_ack_path: Option<PathId>,
    transmits: VecDeque<(PathId, Vec<u8>)>,
    changes: VecDeque<PathChange>,
    counters: LegCounters,
}

#[derive(Debug)]
struct LegPath {
    estimate: Estimate,
    health: HealthClock,
    sent_at: MonoTime,
    status: Traffic,
}

#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    sent_packets: u64,
    sent_bytes: u64,
    received_packets: u64,
}

/// Where a parcel comes from, for its trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// When it came into being here, or arrived here.
    pub created: MonoTime,
    /// At a relay: what its sender held it, and its way up, both in 10 µs.
    pub upstream: Option<(u32, u32)>,
}

/// A parcel from the other end, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The path of its first copy.
    pub path: PathId,
    /// The encoded parcel.
    pub parcel: Arc<[u8]>,
    /// Where its time went before this leg.
    pub trail: Trail,
    /// Estimate of its time on this leg; zero before the first round trip is measured.
    pub transit: Duration,
}

/// A leg has no room, or this is nothing for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overflow {
    /// As many parcels wait as may.
    #[error("too many parcels wait")]
    Parcels,
    /// As many bytes wait as may.
    #[error("too many bytes wait")]
    Bytes,
    /// It does not fit a packet.
    #[error("the parcel is larger than a packet")]
    TooLarge,
    /// It cannot be read.
    #[error("these bytes are no parcel")]
    NotAParcel,
}

/// A path's health has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathChange {
    /// The path.
    pub path: PathId,
    /// Its health.
    pub health: Health,
}

/// How one path stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathStatus {
    /// The path.
    pub path: PathId,
    /// Whether it works.
    pub health: Health,
    /// Its figures.
    pub quality: Quality,
    /// Packets sent on it.
    pub sent_packets: u64,
    /// Bytes of those.
    pub sent_bytes: u64,
    /// Packets received on it.
    pub received_packets: u64,
}

/// What a leg saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegCounters {
    /// Parcels handed up.
    pub arrivals: u64,
    /// Copies and repeats that were dropped.
    pub duplicates: u64,
    /// Tracked parcels beyond the window: the other end is broken.
    pub too_far: u64,
    /// Parcels that expired here.
    pub expired: u64,
    /// `latest` parcels that a newer one replaced before they were sent.
    pub superseded: u64,
    /// Parcels for which there was no room.
    pub overflows: u64,
    /// Acknowledgements or reports of what was never sent.
    pub absurd: u64,
    /// Packets for which nobody asked in time.
    pub dropped_packets: u64,
}

impl Leg {
    /// A leg without paths.
    pub fn new(_now: MonoTime) -> Leg {
        Leg {
            paths: BTreeMap::new(),
            inbox: Inbox::default(),
            newest: Newest::default(),
            outbox: Outbox::new(),
            acks: AckTimer::default(),
            last_ack_path: None,
            transmits: VecDeque::new(),
            changes: VecDeque::new(),
            counters: LegCounters::default(),
        }
    }

    /// A path begins; what waits goes out on it. More than [`PATHS_PER_LEG_MAX`] are ignored.
    pub fn add_path(&mut self, now: MonoTime, path: PathId) {
        if self.paths.len() >= PATHS_PER_LEG_MAX {
            return;
        }
        self.paths.entry(path).or_insert_with(|| LegPath {
            estimate: Estimate::new(),
            health: HealthClock::new(now),
            // So that the other end hears of the path at once.
            sent_at: now.before(HEARTBEAT),
            status: Traffic::default(),
        });
        self.on_timeout(now);
    }

    /// A path is gone.
    pub fn remove_path(&mut self, _now: MonoTime, path: PathId) {
        self.paths.remove(&path);
    }

    /// Takes a parcel; it is sent at once if there is a path.
    ///
    /// # Errors
    /// [`Overflow`]: it is not taken; the caller counts it and tells whoever must know.
    pub fn send(
        &mut self,
        now: MonoTime,
        parcel: Arc<[u8]>,
        deadline: MonoTime,
        origin: Origin,
    ) -> Result<(), Overflow> {
        match self.outbox.push(Item {
            parcel,
            deadline,
            origin,
        }) {
            Ok(replaced) => self.counters.superseded += u64::from(replaced),
            Err(overflow) => {
                self.counters.overflows += 1;
                return Err(overflow);
            }
        }
        self.flush(now);
        Ok(())
    }

    /// Takes a packet of a path; what it brings for the first time.
    pub fn on_packet(&mut self, now: MonoTime, path: PathId, packet: Packet) -> Vec<Arrival> {
        let Some(known) = self.paths.get_mut(&path) else {
            return Vec::new();
        };
        known.status.received_packets += 1;
        if let Some(health) = known.health.on_heard(now) {
            self.changes.push_back(PathChange { path, health });
        }
        known
            .estimate
            .on_received(now, packet.path_sequence, packet.tx_time_us);
        let honest = packet
            .report
            .is_none_or(|report| known.estimate.on_report(now, &report));
        let transit = known.estimate.transit();
        let loss = known.estimate.quality().loss;
        let honest = self.outbox.on_ack(&packet.ack) && honest;
        self.counters.absurd += u64::from(!honest);
        let mut arrivals = Vec::new();
        for chunk in packet.chunks {
            if let Some((parcel, trail)) = self.on_chunk(now, chunk, loss) {
                self.counters.arrivals += 1;
                arrivals.push(Arrival {
                    path,
                    parcel,
                    trail,
                    transit,
                });
            }
        }
        self.flush(now);
        arrivals
    }

    /// Sends what is due: retries, acknowledgements, heartbeats; drops what is over.
    pub fn on_timeout(&mut self, now: MonoTime) {
        for (path, state) in &mut self.paths {
            if let Some(health) = state.health.on_timeout(now) {
                self.changes.push_back(PathChange {
                    path: *path,
                    health,
                });
            }
        }
        self.flush(now);
        if self.acks.next_timeout().is_some_and(|at| at <= now)
            && let Some(path) = self.next_ack_path()
        {
            self.send_chunks(now, path, Vec::new());
        }
        let silent: Vec<PathId> = self
            .paths
            .iter()
            .filter(|(_, path)| path.sent_at + HEARTBEAT <= now)
            .map(|(path, _)| *path)
            .collect();
        for path in silent {
            self.send_chunks(now, path, Vec::new());
        }
    }

    /// When [`Leg::on_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<MonoTime> {
        let outbox = self.outbox.next_timeout(!self.paths.is_empty());
        if self.paths.is_empty() {
            return outbox;
        }
        let heartbeats = self.paths.values().map(|path| path.sent_at + HEARTBEAT);
        let healths = self
            .paths
            .values()
            .filter_map(|path| path.health.next_timeout());
        heartbeats
            .chain(healths)
            .chain(self.acks.next_timeout())
            .chain(outbox)
            .min()
    }

    /// The next packet to send; only pops.
    pub fn poll_transmit(&mut self) -> Option<(PathId, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// The next change of a path's health; only pops.
    pub fn poll_change(&mut self) -> Option<PathChange> {
        self.changes.pop_front()
    }

    /// How each path stands.
    pub fn paths(&self) -> Vec<PathStatus> {
        let status = |(path, state): (&PathId, &LegPath)| PathStatus {
            path: *path,
            health: state.health.health(),
            quality: state.estimate.quality(),
            sent_packets: state.status.sent_packets,
            sent_bytes: state.status.sent_bytes,
            received_packets: state.status.received_packets,
        };
        self.paths.iter().map(status).collect()
    }

    /// What was seen so far.
    pub fn counters(&self) -> LegCounters {
        self.counters
    }

    fn on_chunk(&mut self, now: MonoTime, chunk: Chunk, loss: f64) -> Option<(Arc<[u8]>, Trail)> {
        match chunk {
            Chunk::Floor { id } => {
                self.inbox.on_floor(id);
                self.acks.on_tracked(now, loss);
                None
            }
            Chunk::Tracked { id, trail, parcel } => {
                let seen = self.inbox.on_id(id);
                // A repeat says that the acknowledgement was lost: it is due again.
                self.acks.on_tracked(now, loss);
                match seen {
                    Seen::First => return Some((parcel, trail)),
                    Seen::Again => self.counters.duplicates += 1,
                    Seen::TooFar => self.counters.too_far += 1,
                }
                None
            }
            // [WIRE-48]
            Chunk::Untracked { trail, parcel } => {
                let newer = match Parcel::peek(&parcel) {
                    Ok(ParcelHead::Sealed(header)) if header.flow.class == Class::Latest => self
                        .newest
                        .on_number(header.session, header.flow, header.number),
                    // Only what need not be tracked may come untracked.
                    Ok(_) | Err(_) => false,
                };
                self.counters.duplicates += u64::from(!newer);
                newer.then_some((parcel, trail))
            }
            // The role's business.
            Chunk::Hello { .. } | Chunk::Welcome { .. } => None,
        }
    }

    /// Plans and sends everything that is due.
    fn flush(&mut self, now: MonoTime) {
        self.counters.expired += self.outbox.expire(now);
        if self.paths.is_empty() {
            return;
        }
        let views: Vec<PathView> = self
            .paths
            .iter()
            .map(|(path, state)| PathView {
                path: *path,
                health: state.health.health(),
                quality: state.estimate.quality(),
            })
            .collect();
        let mut chunks: BTreeMap<PathId, Vec<Chunk>> = BTreeMap::new();
        for due in self.outbox.due(now) {
            let demand = Demand {
                class: due.class,
                bytes: due.item.parcel.len(),
                deadline: due.item.deadline,
                attempts: due.attempts,
            };
            let plan = plan(now, &views, &demand);
            if let Some(id) = due.id {
                self.outbox.on_sent(id, plan.again_at);
            }
            for path in plan.paths {
                chunks.entry(path).or_default().push(chunk(now, &due));
            }
        }
        for (path, chunks) in chunks {
            self.send_chunks(now, path, chunks);
        }
    }

    /// Sends chunks on one path; without any, an empty packet with state only.
    fn send_chunks(&mut self, now: MonoTime, path: PathId, mut chunks: Vec<Chunk>) {
        let Some(state) = self.paths.get_mut(&path) else {
            return;
        };
        if let Some(id) = self.outbox.floor() {
            chunks.insert(0, Chunk::Floor { id });
        }
        let mut packet = Packet {
            path_sequence: 0,
            tx_time_us: u32::try_from(now.as_us() & u64::from(u32::MAX)).unwrap_or_default(),
            report: state.estimate.take_report(now),
            ack: self.inbox.ack(),
            chunks: Vec::new(),
        };
        for chunks in pack(packet.encoded_len(), chunks) {
            let sequence = state.estimate.on_sent(now);
            packet.path_sequence = u32::try_from(sequence & 0xff_ffff).unwrap_or_default();
            packet.chunks = chunks;
            let bytes = packet.encode();
            state.status.sent_packets += 1;
            state.status.sent_bytes += u64::try_from(bytes.len()).unwrap_or_default();
            self.transmits.push_back((path, bytes));
            // The report is said once.
            packet.report = None;
        }
        if self.transmits.len() > TRANSMITS_PER_LEG_MAX {
            self.transmits.pop_front();
            self.counters.dropped_packets += 1;
        }
        state.sent_at = now;
        self.acks.on_packet_sent(now);
    }

    /// The next path that is not down, in turn; any when all are.
    fn next_ack_path(&mut self) -> Option<PathId> {
        let works = |path: &&PathId| {
            self.paths
                .get(path)
                .is_some_and(|p| p.health.health() != Health::Down)
        };
        let after = self
            .paths
            .keys()
            .filter(|path| Some(**path) > self.last_ack_path)
            .find(works);
        let path = after
            .or_else(|| self.paths.keys().find(works))
            .or_else(|| self.paths.keys().next())
            .copied();
        self.last_ack_path = path;
        path
    }
}

fn chunk(now: MonoTime, due: &Due) -> Chunk {
    let held =
        u32::try_from(now.since(due.item.origin.created).as_micros() / 10).unwrap_or(u32::MAX);
    let trail = match due.item.origin.upstream {
        None => Trail {
            sender_10us: held,
            relayed: None,
        },
        Some((sender_10us, up)) => Trail {
            sender_10us,
            relayed: Some((up, held)),
        },
    };
    let parcel = Arc::clone(&due.item.parcel);
    match due.id {
        Some(id) => Chunk::Tracked { id, trail, parcel },
        None => Chunk::Untracked { trail, parcel },
    }
}
