//! Packs what is sent in one wake-up.

use crate::base::limits::{CHUNKS_PER_PACKET_MAX, PACKET_BYTES_MAX};
use crate::base::{Class, MonoTime, PathId};
use crate::path::Path;
use crate::wire::{AckState, Chunk, Packet};

/// The packets of one wake-up, in the order in which they were begun: what is placed first goes first on every path.
#[derive(Debug)]
pub(super) struct Load {
    ack: AckState,
    floor: Option<Chunk>,
    drafts: Vec<Draft>,
}

#[derive(Debug)]
struct Draft {
    path: PathId,
    packet: Packet,
    bytes: usize,
    /// Nothing more goes into it.
    is_closed: bool,
}

impl Load {
    /// Without packets. Each that is begun carries the acknowledgement state, and the floor while one is needed.
    // [WIRE-40] [WIRE-46]
    pub(super) fn new(ack: AckState, floor: Option<u64>) -> Load {
        Load {
            ack,
            floor: floor.map(|id| Chunk::Floor { id }),
            drafts: Vec::new(),
        }
    }

    /// Puts a chunk into the last packet of the path, or into a new one when it does not fit there. A parcel of a class pays
    /// for itself and for the packet that it begins.
    pub(super) fn place(
        &mut self,
        now: MonoTime,
        path: &mut Path,
        chunk: Chunk,
        class: Option<Class>,
    ) {
        let bytes = chunk.encoded_len();
        let index = self
            .open(path.id())
            .filter(|&index| self.has_room_for(index, bytes))
            .unwrap_or_else(|| self.begin(now, path, bytes, class));
        if let Some(class) = class {
            path.pace_mut().on_chunk(now, class, bytes);
        }
        if let Some(draft) = self.drafts.get_mut(index) {
            draft.bytes += bytes;
            draft.packet.chunks.push(chunk);
        }
    }

    /// Makes sure that a packet goes on the path.
    pub(super) fn touch(&mut self, now: MonoTime, path: &mut Path) {
        if self.is_free(path.id()) {
            self.begin(now, path, 0, None);
        }
    }

    /// What follows on the path goes in another packet.
    pub(super) fn close(&mut self, path: PathId) {
        let open = self.open(path).and_then(|index| self.drafts.get_mut(index));
        if let Some(draft) = open {
            draft.is_closed = true;
        }
    }

    /// Whether no packet of the path is open.
    pub(super) fn is_free(&self, path: PathId) -> bool {
        self.open(path).is_none()
    }

    /// Whether the last packet of the path has room for a chunk.
    pub(super) fn has_room_on(&self, path: PathId, bytes: usize) -> bool {
        let open = self.open(path);
        open.is_some_and(|index| self.has_room_for(index, bytes))
    }

    /// Whether no packet goes.
    pub(super) const fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }

    /// The packets with their paths and sizes.
    pub(super) fn into_packets(self) -> impl Iterator<Item = (PathId, Packet, usize)> {
        let finished = |draft: Draft| (draft.path, draft.packet, draft.bytes);
        self.drafts.into_iter().map(finished)
    }

    /// Begins a packet for a chunk of this size; returns its index. The floor, and what the path has to tell, stay out when
    /// they do not fit beside it.
    fn begin(
        &mut self,
        now: MonoTime,
        path: &mut Path,
        chunk_bytes: usize,
        class: Option<Class>,
    ) -> usize {
        let mut packet = path.open_packet(now, self.ack.clone());
        let mut bytes = packet.encoded_len();
        let mut fits = |chunk: &Chunk| {
            let fits = bytes + chunk.encoded_len() + chunk_bytes <= PACKET_BYTES_MAX;
            bytes += if fits { chunk.encoded_len() } else { 0 };
            fits
        };
        packet.chunks.extend(self.floor.clone().filter(&mut fits));
        if let Some(told) = path.to_tell(now).filter(&mut fits) {
            path.on_told(now);
            packet.chunks.push(told);
        }
        path.pace_mut().on_packet(now, bytes, class);
        let index = self.drafts.len();
        self.drafts.push(Draft {
            path: path.id(),
            bytes,
            packet,
            is_closed: false,
        });
        index
    }

    /// The path's last draft, while more may go into it.
    fn open(&self, path: PathId) -> Option<usize> {
        let last = self.drafts.iter().rposition(|draft| draft.path == path)?;
        let draft = self.drafts.get(last)?;
        (!draft.is_closed).then_some(last)
    }

    fn has_room_for(&self, index: usize, bytes: usize) -> bool {
        self.drafts.get(index).is_some_and(|draft| {
            draft.bytes + bytes <= PACKET_BYTES_MAX
                && draft.packet.chunks.len() < CHUNKS_PER_PACKET_MAX
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::{LEG_WINDOW, PARCEL_BYTES_MAX, TRAIL_10US_MAX};
    use crate::path::LinkId;
    use crate::wire::Trail;

    const NOW: MonoTime = MonoTime::from_us(1_000_000);

    fn path() -> Path {
        Path::new(NOW, PathId(1), LinkId(1))
    }

    fn tracked(id: u64, bytes: usize) -> Chunk {
        Chunk::Tracked {
            id,
            trail: Trail {
                sender_10us: TRAIL_10US_MAX,
                relayed: Some((TRAIL_10US_MAX, TRAIL_10US_MAX)),
            },
            parcel: vec![4; bytes].into(),
        }
    }

    #[test]
    fn small_chunks_share_a_packet_and_the_next_one_is_begun_when_it_is_full() {
        let mut path = path();
        let mut load = Load::new(AckState::default(), None);
        for id in 1..=30 {
            load.place(NOW, &mut path, tracked(id, 100), None);
        }
        let packets: Vec<_> = load.into_packets().collect();
        assert_eq!(packets.len(), 3);
        for (_, packet, bytes) in &packets {
            assert_eq!(packet.encode().len(), *bytes);
            assert!(*bytes <= PACKET_BYTES_MAX);
            assert_eq!(Packet::decode(&packet.encode()).as_ref(), Ok(packet));
        }
    }

    #[test]
    fn the_longest_parcel_fits_beside_the_largest_head() {
        // [WIRE-46]
        let ack = AckState {
            cumulative: u64::MAX,
            bitmap: vec![0xff; usize::try_from(LEG_WINDOW / 8).unwrap()],
        };
        let mut path = path();
        let mut peer = self::path();
        let mut arrival = peer.open_packet(NOW, AckState::default());
        arrival.path_sequence = 0x7f_ffff;
        path.on_packet(NOW, &arrival);
        let mut load = Load::new(ack, Some(u64::MAX));
        load.place(NOW, &mut path, tracked(u64::MAX, PARCEL_BYTES_MAX), None);
        load.place(NOW, &mut path, Chunk::Floor { id: 1_000 }, None);
        let packets: Vec<_> = load.into_packets().collect();
        assert_eq!(packets.len(), 2);
        assert!(packets[0].2 > PACKET_BYTES_MAX - 5);
        assert!(packets.iter().all(|packet| packet.2 <= PACKET_BYTES_MAX));
        let floor = Chunk::Floor { id: u64::MAX };
        assert!(!packets[0].1.chunks.contains(&floor));
        assert!(packets[1].1.chunks.contains(&floor));
    }

    #[test]
    fn a_packet_holds_no_more_chunks_than_its_reader_takes() {
        let mut path = path();
        let mut load = Load::new(AckState::default(), None);
        for id in 1..=65 {
            load.place(NOW, &mut path, Chunk::Floor { id }, None);
        }
        let chunks: Vec<_> = load.into_packets().map(|p| p.1.chunks.len()).collect();
        assert_eq!(chunks, [64, 1]);
    }

    #[test]
    fn a_packet_without_chunks_carries_the_state() {
        // [WIRE-40]
        let ack = AckState {
            cumulative: 7,
            bitmap: vec![2],
        };
        let mut path = path();
        let mut load = Load::new(ack.clone(), Some(3));
        load.touch(NOW, &mut path);
        load.touch(NOW, &mut path);
        let packets: Vec<_> = load.into_packets().collect();
        assert_eq!(packets.len(), 1);
        assert_eq!(packets[0].1.ack, ack);
        assert_eq!(packets[0].1.chunks, [Chunk::Floor { id: 3 }]);
    }
}
