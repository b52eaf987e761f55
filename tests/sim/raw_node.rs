//! A node with valid papers and bad intentions: it speaks the leg's language to one relay and sends what it likes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use longrein_proto::base::limits::VERSION;
use longrein_proto::base::{MonoTime, PathId};
use longrein_proto::leg::{Leg, Origin};
use longrein_proto::role::{Input, Redial, Role, Transmit};
use longrein_proto::wire::{AckState, Chunk, Packet, Parcel};

/// A hostile node.
pub struct RawNode {
    incarnation: u64,
    leg: Leg,
    /// Everything that the relay handed to it.
    pub heard: Vec<Parcel>,
    /// Parcels that its own leg had no room for.
    pub overflows: u64,
    transmits: VecDeque<Transmit>,
    /// When each path that is not welcomed says hello again.
    hellos: BTreeMap<PathId, MonoTime>,
}

impl RawNode {
    /// A node that has no path yet.
    pub fn new(incarnation: u64) -> RawNode {
        RawNode {
            incarnation,
            leg: Leg::new(MonoTime::ZERO),
            heard: Vec::new(),
            overflows: 0,
            transmits: VecDeque::new(),
            hellos: BTreeMap::new(),
        }
    }

    /// Sends a parcel to the relay.
    pub fn send(&mut self, now: MonoTime, parcel: Arc<[u8]>) {
        let origin = Origin::here(now);
        let taken = self
            .leg
            .send(now, parcel, now + Duration::from_secs(2), origin);
        self.overflows += u64::from(taken.is_err());
        self.collect();
    }

    fn on_packet(&mut self, now: MonoTime, path: PathId, bytes: &[u8]) {
        let Ok(packet) = Packet::decode(bytes) else {
            return;
        };
        if let Some(Chunk::Welcome { .. }) = packet.chunks.first() {
            self.hellos.remove(&path);
            self.leg.add_path(now, path);
            self.leg.set_share(path, UNBOUNDED_KBIT_S, 2_000);
        } else {
            let arrivals = self.leg.on_packet(now, path, packet);
            self.heard.extend(
                arrivals
                    .iter()
                    .filter_map(|arrival| Parcel::decode(&arrival.parcel).ok()),
            );
        }
        self.collect();
    }

    fn hello(&mut self, now: MonoTime, path: PathId) {
        self.hellos.insert(path, now + HELLO_AGAIN);
        let hello = Chunk::Hello {
            version_min: VERSION,
            version_max: VERSION,
            incarnation: self.incarnation,
            features: 0,
            link: "cable".parse().expect("a valid name"),
        };
        let packet = Packet {
            path_sequence: 0,
            tx_time_us: 0,
            report: None,
            ack: AckState::default(),
            chunks: vec![hello],
        };
        self.transmits.push_back(Transmit {
            path,
            bytes: packet.encode(),
        });
    }

    fn collect(&mut self) {
        while let Some((path, bytes)) = self.leg.poll_transmit() {
            self.transmits.push_back(Transmit { path, bytes });
        }
        while self.leg.poll_change().is_some() {}
    }
}

impl Role for RawNode {
    type Event = ();

    fn handle(&mut self, now: MonoTime, input: Input<'_>) {
        match input {
            Input::PathUp { path, .. } => self.hello(now, path),
            Input::PathDown { path } => {
                self.hellos.remove(&path);
                self.leg.remove_path(now, path);
            }
            Input::Packet { path, bytes } => self.on_packet(now, path, bytes),
            Input::Timeout => {
                let due = self.hellos.iter().filter(|(_, due)| **due <= now);
                for path in due.map(|(path, _)| *path).collect::<Vec<_>>() {
                    self.hello(now, path);
                }
                self.leg.on_timeout(now);
                self.collect();
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
        let hello = self.hellos.values().min().copied();
        self.leg.next_timeout().into_iter().chain(hello).min()
    }
}

/// It keeps to no budget: more than any relay takes.
const UNBOUNDED_KBIT_S: u32 = 1_000_000;
/// Until a hello that was not answered is said again.
const HELLO_AGAIN: Duration = Duration::from_millis(500);
