//! What a packet carries.

use std::sync::Arc;

use super::reader::{DecodeError, Reader, TOO_LONG, TOO_SHORT, UNKNOWN_KIND};
use super::writer::{Writer, leb_len};
use crate::base::Name;
use crate::base::limits::{PARCEL_BYTES_MAX, TRAIL_10US_MAX};

/// One part of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// First words of a node on a path; repeated until the welcome.
    Hello {
        /// Lowest protocol version that the node speaks.
        version_min: u8,
        /// Highest protocol version that the node speaks.
        version_max: u8,
        /// Random number of this run of the node's program; paths with the same one belong to one leg.
        incarnation: u64,
        /// Optional features that the node knows, one bit each; none are defined yet.
        features: u32,
        /// The link that the path uses, for people.
        link: Name,
    },
    /// A relay's answer to a hello.
    Welcome {
        /// The version that both speak from now on.
        version: u8,
        /// The node's incarnation, from its hello.
        node_incarnation: u64,
        /// Random number of the leg at the relay: a new one means that the relay forgot the leg's state.
        leg_incarnation: u64,
        /// Features that both know.
        features: u32,
    },
    /// No tracked parcel with an id below this one will be sent again.
    Floor {
        /// The lowest id that is still alive.
        id: u64,
    },
    /// A parcel whose arrival is acknowledged.
    Tracked {
        /// Its number on the leg, from 1.
        id: u64,
        /// Where its time went before.
        trail: Trail,
        /// The encoded parcel.
        parcel: Arc<[u8]>,
    },
    /// A parcel of class `latest`, which is not acknowledged: a newer one is better than a retry.
    Untracked {
        /// Where its time went before.
        trail: Trail,
        /// The encoded parcel.
        parcel: Arc<[u8]>,
    },
}

impl Chunk {
    pub(super) fn encode(&self, writer: &mut Writer) {
        match self {
            Chunk::Hello {
                version_min,
                version_max,
                incarnation,
                features,
                link,
            } => {
                writer.u8(HELLO);
                writer.u8(*version_min);
                writer.u8(*version_max);
                writer.u64(*incarnation);
                writer.u32(*features);
                writer.name(link);
            }
            Chunk::Welcome {
                version,
                node_incarnation,
                leg_incarnation,
                features,
            } => {
                writer.u8(WELCOME);
                writer.u8(*version);
                writer.u64(*node_incarnation);
                writer.u64(*leg_incarnation);
                writer.u32(*features);
            }
            Chunk::Floor { id } => {
                writer.u8(FLOOR);
                writer.leb(*id);
            }
            Chunk::Tracked { id, trail, parcel } => {
                writer.u8(TRACKED | trail.bit());
                writer.leb(*id);
                trail.encode(writer);
                encode_parcel(parcel, writer);
            }
            Chunk::Untracked { trail, parcel } => {
                writer.u8(UNTRACKED | trail.bit());
                trail.encode(writer);
                encode_parcel(parcel, writer);
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Chunk, DecodeError> {
        let kind = reader.u8()?;
        match kind {
            HELLO => {
                let (version_min, version_max) = (reader.u8()?, reader.u8()?);
                // [WIRE-9]
                if version_min == 0 || version_min > version_max {
                    return Err(DecodeError::Malformed("no version is offered"));
                }
                Ok(Chunk::Hello {
                    version_min,
                    version_max,
                    incarnation: reader.u64()?,
                    features: reader.u32()?,
                    link: reader.name()?,
                })
            }
            WELCOME => Ok(Chunk::Welcome {
                version: reader.u8()?,
                node_incarnation: reader.u64()?,
                leg_incarnation: reader.u64()?,
                features: reader.u32()?,
            }),
            FLOOR => Ok(Chunk::Floor { id: reader.leb()? }),
            _ if kind & !RELAYED == TRACKED => {
                let id = reader.leb()?;
                if id == 0 {
                    return Err(DecodeError::Malformed("ids begin with 1"));
                }
                Ok(Chunk::Tracked {
                    id,
                    trail: Trail::decode(kind, reader)?,
                    parcel: decode_parcel(reader)?,
                })
            }
            _ if kind & !RELAYED == UNTRACKED => Ok(Chunk::Untracked {
                trail: Trail::decode(kind, reader)?,
                parcel: decode_parcel(reader)?,
            }),
            // [WIRE-2]
            _ => Err(UNKNOWN_KIND),
        }
    }

    /// Bytes that the chunk takes in a packet.
    pub fn encoded_len(&self) -> usize {
        let parcel_len = |parcel: &Arc<[u8]>| leb_len(parcel.len() as u64) + parcel.len();
        match self {
            Chunk::Hello { link, .. } => 16 + link.as_str().len(),
            Chunk::Welcome { .. } => 22,
            Chunk::Floor { id } => 1 + leb_len(*id),
            Chunk::Tracked { id, trail, parcel } => {
                1 + leb_len(*id) + trail.encoded_len() + parcel_len(parcel)
            }
            Chunk::Untracked { trail, parcel } => 1 + trail.encoded_len() + parcel_len(parcel),
        }
    }
}

/// Where a parcel's time went so far, in units of 10 µs, in the order of its journey: at the sender, and after a relay
/// also on the way up and in the relay. A hint for queues and people; the deadline is judged on sealed times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// Held by the sending node.
    pub sender_10us: u32,
    /// On the way to the relay, and held by the relay; absent on the first leg.
    pub relayed: Option<(u32, u32)>,
}

impl Trail {
    /// The bit of a chunk's kind that says whether the relayed part is there.
    const fn bit(&self) -> u8 {
        match self.relayed {
            Some(_) => RELAYED,
            None => 0,
        }
    }

    fn encode(&self, writer: &mut Writer) {
        for stay in self.stays() {
            writer.leb(stay);
        }
    }

    fn decode(kind: u8, reader: &mut Reader<'_>) -> Result<Trail, DecodeError> {
        let mut stay = || reader.leb_u32(TRAIL_10US_MAX);
        Ok(Trail {
            sender_10us: stay()?,
            relayed: if kind & RELAYED == 0 {
                None
            } else {
                Some((stay()?, stay()?))
            },
        })
    }

    fn encoded_len(&self) -> usize {
        self.stays().map(leb_len).sum()
    }

    /// The stays as they are written: saturated.
    // [WIRE-10]
    fn stays(&self) -> impl Iterator<Item = u64> {
        std::iter::once(self.sender_10us)
            .chain(self.relayed.into_iter().flat_map(|(up, relay)| [up, relay]))
            .map(|stay| stay.min(TRAIL_10US_MAX).into())
    }
}

fn encode_parcel(parcel: &[u8], writer: &mut Writer) {
    writer.leb(parcel.len() as u64);
    writer.bytes(parcel);
}

fn decode_parcel(reader: &mut Reader<'_>) -> Result<Arc<[u8]>, DecodeError> {
    let length = usize::try_from(reader.leb()?).map_err(|_| TOO_LONG)?;
    // [WIRE-8]
    match length {
        0 => Err(TOO_SHORT),
        1..=PARCEL_BYTES_MAX => Ok(reader.bytes(length)?.into()),
        _ => Err(TOO_LONG),
    }
}

const HELLO: u8 = 0x01;
const WELCOME: u8 = 0x02;
const FLOOR: u8 = 0x03;
const UNTRACKED: u8 = 0x10;
const TRACKED: u8 = 0x11;
/// Bit of the kinds with a parcel: the trail has its relayed part.
const RELAYED: u8 = 0x02;
