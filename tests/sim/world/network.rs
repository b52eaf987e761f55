//! The paths between stations.

use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use longrein_proto::base::limits::WIRE_OVERHEAD_BYTES;
use longrein_proto::base::{Channel, Class, MonoTime, Name, PathId};
use longrein_proto::role::{Input, Redial, Transmit};
use longrein_proto::wire::{Chunk, Packet, Parcel, ParcelHead};

use super::slot::Body;
use super::{Station, World};
use crate::{Link, check};

/// A node's way to a relay.
pub(super) struct Path {
    node: Station,
    relay: Station,
    link_name: Name,
    link: Link,
    carried: Carried,
    /// Where its packets come from, as its relay sees it.
    address: Option<IpAddr>,
}

/// What a path was given to carry so far, with the overhead of QUIC, UDP and IP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Carried {
    /// Packets from the node to the relay.
    pub up_packets: u64,
    /// Their bytes.
    pub up_bytes: u64,
    /// Of these, bytes of packets with something of a function in them: telemetry, where the node is an agent.
    pub up_telemetry_bytes: u64,
    /// Packets from the relay to the node.
    pub down_packets: u64,
    /// Their bytes.
    pub down_bytes: u64,
    /// Copies of reliable messages in them.
    pub down_copies: u64,
}

impl Carried {
    /// Bytes both ways.
    pub fn bytes(&self) -> u64 {
        self.up_bytes + self.down_bytes
    }
}

/// A node's wish for another connection in a path's place, or its end. Scenarios say what comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redialled {
    /// When, in the world's time.
    pub at: MonoTime,
    /// The path's number for [`World::link`].
    pub path: usize,
    /// Whether it is wanted.
    pub wanted: bool,
}

/// Who sends on a path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Node,
    Relay,
}

impl World {
    /// Joins a node to a relay; gives the path's number for [`World::link`].
    pub fn join(&mut self, node: Station, relay: Station, link_name: &str, link: Link) -> usize {
        let link_name: Name = link_name.parse().expect("a valid link name");
        self.paths.push(Path {
            node,
            relay,
            link_name,
            link,
            carried: Carried::default(),
            address: None,
        });
        let index = self.paths.len() - 1;
        self.bring_up(index);
        index
    }

    /// The network of a path, to change it while the world runs.
    pub fn link(&mut self, path: usize) -> &mut Link {
        &mut self.paths[path].link
    }

    /// From now on a path's packets come from this address.
    pub fn set_address(&mut self, path: usize, address: IpAddr) {
        self.paths[path].address = Some(address);
        let mut ends = self.ends.iter();
        let end = ends.find(|(_, end)| **end == (path, End::Relay));
        if let Some((station, path)) = end.map(|(end, _)| *end) {
            self.handle(station, Input::Remote { path, address });
        }
    }

    /// What a path was given to carry so far.
    pub fn carried(&self, path: usize) -> Carried {
        self.paths[path].carried
    }

    /// How long a packet to a node would wait before its link now.
    pub fn queue_of(&self, node: Station, link: &str) -> Duration {
        self.wait_of(node, link, End::Relay)
    }

    /// How long a packet of a node would wait before its link now.
    pub fn queue_from(&self, node: Station, link: &str) -> Duration {
        self.wait_of(node, link, End::Node)
    }

    fn wait_of(&self, node: Station, link: &str, from: End) -> Duration {
        let name: Name = link.parse().expect("a valid link name");
        let medium = self.media.get(&((node, name), from));
        medium.map_or(Duration::ZERO, |medium| medium.wait(self.now))
    }

    /// The paths that end at a station.
    pub fn paths_of(&self, station: Station) -> Vec<usize> {
        let ends_there = |path: &&Path| path.node == station || path.relay == station;
        let paths = self.paths.iter().zip(0..);
        paths
            .filter(|(path, _)| ends_there(path))
            .map(|(_, index)| index)
            .collect()
    }

    /// What nodes wanted to be dialled anew so far.
    pub fn redials(&self) -> &[Redialled] {
        &self.redials
    }

    pub(super) fn note_redial(&mut self, station: Station, redial: Redial) {
        if let Some((path, _)) = self.ends.get(&(station, redial.path)) {
            self.redials.push(Redialled {
                at: self.now,
                path: *path,
                wanted: redial.wanted,
            });
        }
    }

    /// Gives both ends of a path new numbers, as a new connection does; the old ones are down.
    pub fn connect(&mut self, index: usize) {
        self.part(index);
        self.bring_up(index);
    }

    /// Makes another connection beside a path's, over the same link; its number.
    pub fn join_beside(&mut self, index: usize) -> usize {
        let Path {
            node,
            relay,
            link_name,
            link,
            ..
        } = &self.paths[index];
        let (node, relay, name, link) = (*node, *relay, link_name.to_string(), *link);
        self.join(node, relay, &name, link)
    }

    /// Ends a path's connection.
    pub fn part(&mut self, index: usize) {
        let old: Vec<(Station, PathId)> = self
            .ends
            .iter()
            .filter(|(_, (path, _))| *path == index)
            .map(|(end, _)| *end)
            .collect();
        for (station, path) in old {
            self.ends.remove(&(station, path));
            self.handle(station, Input::PathDown { path });
        }
    }

    fn bring_up(&mut self, index: usize) {
        let (node, relay) = (self.paths[index].node, self.paths[index].relay);
        let link = self.paths[index].link_name.clone();
        for (station, other, end) in [(relay, node, End::Relay), (node, relay, End::Node)] {
            self.next_path += 1;
            let path = PathId(self.next_path);
            self.ends.insert((station, path), (index, end));
            let peer = self.fleet.peer(&self.slot(other).node.clone());
            self.handle(
                station,
                Input::PathUp {
                    path,
                    link: link.clone(),
                    peer,
                },
            );
            if let (End::Relay, Some(address)) = (end, self.paths[index].address) {
                self.handle(station, Input::Remote { path, address });
            }
        }
    }

    /// Puts a packet on its path's network.
    pub(super) fn transport(&mut self, from: Station, transmit: Transmit) {
        check::packet(&transmit.bytes);
        (self.now, from.0, transmit.path.0, &transmit.bytes).hash(&mut self.digest);
        if let Body::Relay { .. } = &self.slot(from).body {
            self.budgets
                .on_packet(self.now, transmit.path, &transmit.bytes);
        }
        let Some((index, end)) = self.ends.get(&(from, transmit.path)).copied() else {
            return;
        };
        let length = transmit.bytes.len() + WIRE_OVERHEAD_BYTES;
        let carried = &mut self.paths[index].carried;
        let (packets, bytes) = match end {
            End::Node => (&mut carried.up_packets, &mut carried.up_bytes),
            End::Relay => (&mut carried.down_packets, &mut carried.down_bytes),
        };
        *packets += 1;
        *bytes += length as u64;
        if end == End::Relay {
            carried.down_copies += reliable_copies(&transmit.bytes);
        } else if is_of_function(&transmit.bytes) {
            carried.up_telemetry_bytes += length as u64;
        }
        let link = self.paths[index].link;
        let (delay, cut, to) = match end {
            End::Node => (link.delay_up, link.cut_up, End::Relay),
            End::Relay => (link.delay_down, link.cut_down, End::Node),
        };
        if cut {
            return;
        }
        // Nobody may be there any more: the way is as long.
        let there = self.ends.iter().find(|(_, other)| **other == (index, to));
        let there = there.map(|(end, _)| *end);
        let way = (self.paths[index].node, self.paths[index].link_name.clone());
        let medium = self.media.entry((way, end)).or_default();
        for _ in 0..=DUPLICATES_MAX {
            let taken = medium.carry(self.now, &link, length, &mut self.chance);
            if let (Some(taken), Some((station, path))) = (taken, there) {
                self.next_arrival += 1;
                let at = (self.now + delay + taken, self.next_arrival);
                self.arrivals
                    .insert(at, (station, path, transmit.bytes.clone()));
            }
            if !self.chance.happens(link.duplicates) {
                break;
            }
        }
    }
}

/// Copies of reliable messages in a packet.
fn reliable_copies(bytes: &[u8]) -> u64 {
    let chunks = Packet::decode(bytes).map_or(Vec::new(), |packet| packet.chunks);
    let is_reliable = |chunk: &&Chunk| {
        let Chunk::Tracked { parcel, .. } = chunk else {
            return false;
        };
        let head = Parcel::peek(parcel);
        head.is_ok_and(|head| head.class() == Class::Reliable)
    };
    chunks.iter().filter(is_reliable).count() as u64
}

/// Whether a packet holds an envelope of a function's channel.
fn is_of_function(bytes: &[u8]) -> bool {
    let chunks = Packet::decode(bytes).map_or(Vec::new(), |packet| packet.chunks);
    chunks.iter().any(|chunk| {
        let (Chunk::Tracked { parcel, .. } | Chunk::Untracked { parcel, .. }) = chunk else {
            return false;
        };
        let head = Parcel::peek(parcel);
        head.is_ok_and(|head| matches!(head, ParcelHead::Sealed(header) if header.flow.channel != Channel::SESSION))
    })
}

/// Second arrivals of one packet at most.
const DUPLICATES_MAX: usize = 10;
