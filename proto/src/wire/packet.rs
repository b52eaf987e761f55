//! A packet: one datagram of a leg.

use super::Chunk;
use super::reader::{DecodeError, RESERVED, Reader, TOO_MANY};
use super::writer::{Writer, leb_len};
use crate::base::limits::{ACK_BITMAP_BYTES_MAX, CHUNKS_PER_PACKET_MAX, PACKET_BYTES_MAX};

/// One QUIC datagram between a node and a relay.
///
/// ```text
/// offset  bytes
///      0  1      head: version 1 in bits 7..4, bit 0 when a report follows, bits 3..1 zero
///      1  3      path_sequence
///      4  4      tx_time_us
///      8  [8+]   report, see PathReport
///      .  2+     acknowledgement, see AckState
///      .  ..     chunks, to the end
///
/// 11 02bf20 00002710 02bf1f 904e 0019 000c ac02 01 02 12 05 c413 14 03 aabbcc
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Low 24 bits of the packet's number on its path.
    pub path_sequence: u32,
    /// Low 32 bits of the sender's clock when it was sent, in microseconds.
    pub tx_time_us: u32,
    /// What the sender saw of the other direction of this path.
    pub report: Option<PathReport>,
    /// What the sender received of the leg's tracked parcels, over all paths.
    pub ack: AckState,
    /// What the packet carries.
    pub chunks: Vec<Chunk>,
}

impl Packet {
    /// The version of the protocol that this codec speaks.
    pub const VERSION: u8 = 1;

    /// The packet's bytes. The caller keeps [`Packet::encoded_len`] within [`PACKET_BYTES_MAX`] and the chunks within
    /// [`CHUNKS_PER_PACKET_MAX`].
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(PACKET_BYTES_MAX);
        let report = if self.report.is_some() { REPORT } else { 0 };
        writer.u8((Self::VERSION << 4) | report);
        writer.u24(self.path_sequence);
        writer.u32(self.tx_time_us);
        if let Some(report) = &self.report {
            report.encode(&mut writer);
        }
        self.ack.encode(&mut writer);
        for chunk in &self.chunks {
            chunk.encode(&mut writer);
        }
        writer.into_vec()
    }

    /// The packet that these bytes of one datagram are.
    ///
    /// # Errors
    /// [`DecodeError::Version`]: of another version of the protocol. [`DecodeError::Malformed`]: no packet. Either way it
    /// is counted and dropped.
    pub fn decode(bytes: &[u8]) -> Result<Packet, DecodeError> {
        let mut reader = Reader::new(bytes, PACKET_BYTES_MAX)?;
        let head = reader.u8()?;
        // [WIRE-6]
        if head >> 4 != Self::VERSION {
            return Err(DecodeError::Version(head >> 4));
        }
        if head & 0x0f & !REPORT != 0 {
            return Err(RESERVED);
        }
        let path_sequence = reader.u24()?;
        let tx_time_us = reader.u32()?;
        let report = if head & REPORT == 0 {
            None
        } else {
            Some(PathReport::decode(&mut reader)?)
        };
        let ack = AckState::decode(&mut reader)?;
        let mut chunks = Vec::new();
        while !reader.is_empty() {
            // [WIRE-8]
            if chunks.len() == CHUNKS_PER_PACKET_MAX {
                return Err(TOO_MANY);
            }
            chunks.push(Chunk::decode(&mut reader)?);
        }
        Ok(Packet {
            path_sequence,
            tx_time_us,
            report,
            ack,
            chunks,
        })
    }

    /// Bytes of [`Packet::encode`].
    pub fn encoded_len(&self) -> usize {
        let report = self.report.map_or(0, |report| report.encoded_len());
        let chunks: usize = self.chunks.iter().map(Chunk::encoded_len).sum();
        8 + report + self.ack.encoded_len() + chunks
    }
}

/// What one end saw of the other's packets on one path.
///
/// ```text
/// offset  bytes
///      0  3      highest
///      3  1..5   missing (LEB128)
///      .  2      queue_100us
///      .  2      hold_10us
///
/// 02bf1f 904e 0019 000c
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathReport {
    /// Low 24 bits of the highest path sequence received.
    pub highest: u32,
    /// How many numbers up to `highest` were not received, since the path began.
    pub missing: u32,
    /// Queueing delay of the newest packets, in units of 100 µs, saturating.
    pub queue_100us: u16,
    /// How long ago the packet `highest` arrived when this report was sent, in units of 10 µs, saturating at 65,535 (then
    /// it is no round-trip sample).
    pub hold_10us: u16,
}

impl PathReport {
    fn encode(&self, writer: &mut Writer) {
        writer.u24(self.highest);
        writer.leb(self.missing.into());
        writer.u16(self.queue_100us);
        writer.u16(self.hold_10us);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<PathReport, DecodeError> {
        Ok(PathReport {
            highest: reader.u24()?,
            missing: reader.leb_u32(u32::MAX)?,
            queue_100us: reader.u16()?,
            hold_10us: reader.u16()?,
        })
    }

    fn encoded_len(&self) -> usize {
        7 + leb_len(self.missing.into())
    }
}

/// The state of a receiver of tracked parcels: everything up to `cumulative`, and of the ids after it those whose bit is
/// set (bit 0 of byte 0 is `cumulative + 1`).
///
/// ```text
/// offset  bytes
///      0  1..10  cumulative (LEB128)
///      .  1      length of the bitmap, 0 to 16
///      .  ..     bitmap
///
/// ac02 01 02
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AckState {
    /// Highest id below which nothing is missing; 0 before the first.
    pub cumulative: u64,
    /// At most 16 bytes; the last byte is never zero.
    pub bitmap: Vec<u8>,
}

impl AckState {
    fn encode(&self, writer: &mut Writer) {
        let bitmap = self.written_bitmap();
        writer.leb(self.cumulative);
        writer.count(bitmap.len());
        writer.bytes(bitmap);
    }

    // [WIRE-7]
    fn decode(reader: &mut Reader<'_>) -> Result<AckState, DecodeError> {
        let cumulative = reader.leb()?;
        let length = reader.count(ACK_BITMAP_BYTES_MAX)?;
        let bitmap = reader.bytes(length)?;
        if bitmap.last() == Some(&0) {
            return Err(DecodeError::Malformed(
                "a bitmap ends with a byte that is not zero",
            ));
        }
        Ok(AckState {
            cumulative,
            bitmap: bitmap.to_vec(),
        })
    }

    fn encoded_len(&self) -> usize {
        leb_len(self.cumulative) + 1 + self.written_bitmap().len()
    }

    /// The bitmap without what would be too long and without zeros at its end.
    fn written_bitmap(&self) -> &[u8] {
        let bitmap = self
            .bitmap
            .get(..ACK_BITMAP_BYTES_MAX)
            .unwrap_or(&self.bitmap);
        let used = bitmap.iter().rposition(|&byte| byte != 0);
        bitmap.get(..used.map_or(0, |last| last + 1)).unwrap_or(&[])
    }
}

/// Bit of the head: a path report follows.
const REPORT: u8 = 0x01;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::wire::Trail;
    use crate::wire::vector::{assert_vector, hex};

    fn packet() -> Packet {
        Packet {
            path_sequence: 180_000,
            tx_time_us: 10_000,
            report: Some(PathReport {
                highest: 179_999,
                missing: 10_000,
                queue_100us: 25,
                hold_10us: 12,
            }),
            ack: AckState {
                cumulative: 300,
                bitmap: vec![0b10],
            },
            chunks: vec![Chunk::Untracked {
                trail: Trail {
                    sender_10us: 5,
                    relayed: Some((2_500, 20)),
                },
                parcel: Arc::new([0xaa, 0xbb, 0xcc]),
            }],
        }
    }

    #[test]
    fn a_packet_looks_like_its_picture() {
        assert_vector(
            "11 02bf20 00002710 02bf1f 904e 0019 000c ac02 01 02 12 05 c413 14 03 aabbcc",
            &packet(),
            Packet::encode,
            Packet::decode,
        );
    }

    #[test]
    fn another_version_is_told_apart_from_nonsense() {
        // [WIRE-6]
        let mut bytes = packet().encode();
        bytes[0] = 0x21;
        assert_eq!(Packet::decode(&bytes), Err(DecodeError::Version(2)));
        bytes[0] = 0x13;
        assert_eq!(Packet::decode(&bytes), Err(RESERVED));
    }

    #[test]
    fn a_bitmap_is_short_and_does_not_end_with_zero() {
        // [WIRE-7]
        assert!(Packet::decode(&hex("10 000001 00000000 00 00")).is_ok());
        assert!(Packet::decode(&hex("10 000001 00000000 00 01 00")).is_err());
        let long = [hex("10 000001 00000000 00 11"), vec![1; 17]].concat();
        assert_eq!(Packet::decode(&long), Err(TOO_MANY));
    }

    #[test]
    fn a_bitmap_is_written_without_what_its_reader_would_refuse() {
        // [WIRE-7]
        let mut packet = packet();
        packet.ack.bitmap = [vec![1, 0, 0], vec![0; 20]].concat();
        let read = Packet::decode(&packet.encode()).unwrap();
        assert_eq!(read.ack.bitmap, [1]);
        packet.ack.bitmap = vec![1; 20];
        let read = Packet::decode(&packet.encode()).unwrap();
        assert_eq!(read.ack.bitmap, [1; 16]);
    }

    #[test]
    fn a_packet_over_its_limits_is_refused() {
        // [WIRE-8]
        let head = hex("10 000001 00000000 00 00");
        let floors = |count: usize| [head.clone(), hex("03 01").repeat(count)].concat();
        assert!(Packet::decode(&floors(CHUNKS_PER_PACKET_MAX)).is_ok());
        assert_eq!(
            Packet::decode(&floors(CHUNKS_PER_PACKET_MAX + 1)),
            Err(TOO_MANY)
        );
        assert!(Packet::decode(&vec![0x10; PACKET_BYTES_MAX + 1]).is_err());
    }
}
