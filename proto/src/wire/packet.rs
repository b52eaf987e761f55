//! A packet: one datagram of a leg.

use super::Chunk;
use super::reader::{DecodeError, RESERVED, Reader, TOO_MANY};
use super::writer::{Writer, leb_len};
use crate::base::limits::{ACK_BITMAP_BYTES_MAX, CHUNKS_PER_PACKET_MAX, PACKET_BYTES_MAX};

/// One QUIC datagram between a node and a relay.
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
