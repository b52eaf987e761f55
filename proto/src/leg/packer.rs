//! Puts chunks into packets.

use crate::base::limits::{CHUNKS_PER_PACKET_MAX, PACKET_BYTES_MAX};
use crate::wire::Chunk;

/// Cuts chunks into as few packets as their order allows; `head_bytes` is what each packet needs beside them. One call
/// without chunks makes one packet.
pub(super) fn pack(head_bytes: usize, chunks: Vec<Chunk>) -> Vec<Vec<Chunk>> {
    let mut packets = Vec::new();
    let mut packet: Vec<Chunk> = Vec::new();
    let mut bytes = head_bytes;
    for chunk in chunks {
        let size = chunk.encoded_len();
        let full = bytes + size > PACKET_BYTES_MAX || packet.len() >= CHUNKS_PER_PACKET_MAX;
        if full && !packet.is_empty() {
            packets.push(std::mem::take(&mut packet));
            bytes = head_bytes;
        }
        bytes += size;
        packet.push(chunk);
    }
    packets.push(packet);
    packets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Trail;

    fn chunk(bytes: usize) -> Chunk {
        Chunk::Untracked {
            trail: Trail::default(),
            parcel: vec![4; bytes].into(),
        }
    }

    #[test]
    fn packets_are_filled_in_order_and_never_beyond_their_size() {
        let sizes = [400, 400, 400, 1_080, 20, 20];
        let packets = pack(47, sizes.map(chunk).to_vec());
        let counts: Vec<usize> = packets.iter().map(Vec::len).collect();
        assert_eq!(counts, [2, 1, 1, 2]);
        for packet in &packets {
            assert!(47 + packet.iter().map(Chunk::encoded_len).sum::<usize>() <= PACKET_BYTES_MAX);
        }
        assert_eq!(pack(47, Vec::new()), [Vec::new()]);
    }
}
