//! The far end of a leg: it speaks the legs' language, and hands over whatever a script makes.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use longrein_proto::base::limits::{PACKET_BYTES_MAX, VERSION};
use longrein_proto::base::{MonoTime, NodeKind, NodeName, PathId};
use longrein_proto::crypto::Peer;
use longrein_proto::leg::{Leg, Origin};
use longrein_proto::wire::{AckState, Chunk, Packet};

use crate::papers;

/// A relay, to an agent or controller; or any node, to a relay.
pub struct Far {
    pub peer: Peer,
    pub paths: BTreeSet<PathId>,
    leg: Leg,
    incarnation: u64,
    /// It answers no hello.
    pub is_mute: bool,
    out: VecDeque<(PathId, Vec<u8>)>,
}

impl Far {
    pub fn new(node: &NodeName) -> Far {
        Far {
            peer: papers().peer(node),
            paths: BTreeSet::new(),
            leg: Leg::new(MonoTime::ZERO),
            incarnation: 1,
            is_mute: false,
            out: VecDeque::new(),
        }
    }

    /// Its program starts again and knows nothing of before.
    pub fn restart(&mut self, now: MonoTime) {
        self.leg = Leg::new(now);
        self.incarnation += 1;
    }

    /// A path stands. A node greets its relay.
    pub fn on_path_up(&mut self, path: PathId) {
        self.paths.insert(path);
        if self.peer.node.kind != NodeKind::Relay {
            self.say(path, self.hello());
        }
    }

    pub fn on_path_down(&mut self, now: MonoTime, path: PathId) {
        self.paths.remove(&path);
        self.leg.remove_path(now, path);
    }

    /// What the role sent; the parcels in it.
    pub fn on_packet(&mut self, now: MonoTime, path: PathId, bytes: &[u8]) -> Vec<Arc<[u8]>> {
        assert!(bytes.len() <= PACKET_BYTES_MAX, "{} bytes", bytes.len());
        let packet = Packet::decode(bytes).expect("a role sends what can be read");
        match packet.chunks.first() {
            Some(Chunk::Hello { incarnation, .. }) => {
                if !self.is_mute {
                    self.leg.add_path(now, path);
                    self.leg.set_share(path, UNBOUNDED_KBIT_S, 2_000);
                    self.say(path, self.welcome(*incarnation));
                }
                Vec::new()
            }
            Some(Chunk::Welcome { .. }) => {
                self.leg.add_path(now, path);
                self.leg.set_share(path, UNBOUNDED_KBIT_S, 2_000);
                Vec::new()
            }
            _ => {
                let arrivals = self.leg.on_packet(now, path, packet);
                self.collect();
                arrivals.into_iter().map(|arrival| arrival.parcel).collect()
            }
        }
    }

    /// Sends a parcel as a leg should.
    pub fn send(&mut self, now: MonoTime, parcel: Arc<[u8]>) {
        let origin = Origin::here(now);
        // A full leg is the far end's own matter.
        let _ = self.leg.send(now, parcel, now + PARCEL_LIFE, origin);
        self.collect();
    }

    pub fn on_timeout(&mut self, now: MonoTime) {
        self.leg.on_timeout(now);
        self.collect();
    }

    pub fn next_timeout(&self) -> Option<MonoTime> {
        self.leg.next_timeout()
    }

    pub fn poll_transmit(&mut self) -> Option<(PathId, Vec<u8>)> {
        self.out.pop_front()
    }

    fn hello(&self) -> Chunk {
        Chunk::Hello {
            version_min: VERSION,
            version_max: VERSION,
            incarnation: self.incarnation,
            features: 0,
            link: "cable".parse().expect("a valid name"),
        }
    }

    fn welcome(&self, node_incarnation: u64) -> Chunk {
        Chunk::Welcome {
            version: VERSION,
            node_incarnation,
            leg_incarnation: self.incarnation,
            features: 0,
        }
    }

    fn say(&mut self, path: PathId, chunk: Chunk) {
        let packet = Packet {
            path_sequence: 0,
            tx_time_us: 0,
            report: None,
            ack: AckState::default(),
            chunks: vec![chunk],
        };
        self.out.push_back((path, packet.encode()));
    }

    fn collect(&mut self) {
        while let Some(transmit) = self.leg.poll_transmit() {
            self.out.push_back(transmit);
        }
        while self.leg.poll_change().is_some() {}
    }
}

/// It keeps to no budget.
const UNBOUNDED_KBIT_S: u32 = 1_000_000;
const PARCEL_LIFE: Duration = Duration::from_secs(2);
