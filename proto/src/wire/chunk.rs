//! What a packet carries.

use std::sync::Arc;

use super::reader::{DecodeError, Reader, TOO_LONG, TOO_SHORT, UNKNOWN_KIND};
use super::writer::{Writer, leb_len};
use crate::base::Name;
use crate::base::limits::{PARCEL_BYTES_MAX, TRAIL_10US_MAX};

/// One part of a packet.
///
/// ```text
/// offset  bytes
///      0  1      kind
///                0x01 hello:     1 version_min, 1 version_max, 8 incarnation, 4 features, 1+ link (name)
///                0x02 welcome:   1 version, 8 node_incarnation, 8 leg_incarnation, 4 features
///                0x03 floor:     1..10 id (LEB128)
///                0x04 allowance: 1..5 kbit/s (LEB128)
///                0x10 untracked: 1..9 trail, 1..2 length (LEB128), parcel
///                0x11 tracked:   1..10 id (LEB128), 1..9 trail, 1..2 length (LEB128), parcel
///                0x12 and 0x13:  as 0x10 and 0x11, and the trail has its relayed part
///
/// 01 01 01 0102030405060708 00000000 05 6d6f64656d
/// 02 01 0102030405060708 1112131415161718 00000000
/// 03 2a
/// 04 e807
/// 11 2a 05 02 aabb
/// 12 05 c413 14 03 aabbcc
/// ```
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
        /// Optional features that the node knows, one bit each: [`FEATURE_VISIT`], [`FEATURE_SEEN`], [`FEATURE_HUB`].
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
    /// How much the relay may send on this path.
    Allowance {
        /// Thousands of bits a second on the wire.
        kbit_s: u32,
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
            Chunk::Allowance { kbit_s } => {
                writer.u8(ALLOWANCE);
                writer.leb((*kbit_s).into());
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
            ALLOWANCE => Ok(Chunk::Allowance {
                kbit_s: reader.leb_u32(u32::MAX)?,
            }),
            _ if kind & !RELAYED == TRACKED => {
                let id = reader.leb()?;
                // [WIRE-15]
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
            Chunk::Allowance { kbit_s } => 1 + leb_len((*kbit_s).into()),
            Chunk::Tracked { id, trail, parcel } => {
                1 + leb_len(*id) + trail.encoded_len() + parcel_len(parcel)
            }
            Chunk::Untracked { trail, parcel } => 1 + trail.encoded_len() + parcel_len(parcel),
        }
    }
}

/// Where a parcel's time went so far, in units of 10 µs, in the order of its journey: at the sender, and after a relay
/// also on the way up and in the relay. A hint for queues and people; the deadline is judged on sealed times.
///
/// Written as one or three LEB128 numbers, each saturated at 2^21 - 1 (21 s).
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
const ALLOWANCE: u8 = 0x04;
const UNTRACKED: u8 = 0x10;
const TRACKED: u8 = 0x11;
/// Bit of the kinds with a parcel: the trail has its relayed part.
const RELAYED: u8 = 0x02;

/// Feature of a hello: the node is here to reach the authority and nobody else, beside its other programs.
// [WIRE-142]
pub const FEATURE_VISIT: u32 = 1;
/// Feature of a hello and of its welcome: the relay tells what it sees of the node's addresses.
// [WIRE-169]
pub const FEATURE_SEEN: u32 = 2;
/// Feature of a hello: the node speaks with hubs; of a welcome: the relay is one.
// [WIRE-189]
pub const FEATURE_HUB: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::PACKET_BYTES_MAX;
    use crate::wire::vector::{assert_vector, hex};

    fn encode(chunk: &Chunk) -> Vec<u8> {
        let mut writer = Writer::new();
        chunk.encode(&mut writer);
        writer.into_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Chunk, DecodeError> {
        let mut reader = Reader::new(bytes, PACKET_BYTES_MAX)?;
        let chunk = Chunk::decode(&mut reader)?;
        reader.finish()?;
        Ok(chunk)
    }

    #[test]
    fn chunks_look_like_their_pictures() {
        let vectors = [
            (
                "01 01 01 0102030405060708 00000000 05 6d6f64656d",
                Chunk::Hello {
                    version_min: 1,
                    version_max: 1,
                    incarnation: 0x0102_0304_0506_0708,
                    features: 0,
                    link: "modem".parse().unwrap(),
                },
            ),
            (
                "02 01 0102030405060708 1112131415161718 00000000",
                Chunk::Welcome {
                    version: 1,
                    node_incarnation: 0x0102_0304_0506_0708,
                    leg_incarnation: 0x1112_1314_1516_1718,
                    features: 0,
                },
            ),
            ("03 2a", Chunk::Floor { id: 42 }),
            ("04 e807", Chunk::Allowance { kbit_s: 1_000 }),
            (
                "11 2a 05 02 aabb",
                Chunk::Tracked {
                    id: 42,
                    trail: Trail {
                        sender_10us: 5,
                        relayed: None,
                    },
                    parcel: Arc::new([0xaa, 0xbb]),
                },
            ),
            (
                "12 05 c413 14 03 aabbcc",
                Chunk::Untracked {
                    trail: Trail {
                        sender_10us: 5,
                        relayed: Some((2_500, 20)),
                    },
                    parcel: Arc::new([0xaa, 0xbb, 0xcc]),
                },
            ),
        ];
        for (picture, chunk) in vectors {
            assert_vector(picture, &chunk, encode, decode);
        }
    }

    #[test]
    fn a_hello_offers_at_least_one_version() {
        // [WIRE-9]
        assert!(decode(&hex("01 02 01 0102030405060708 00000000 01 61")).is_err());
        assert!(decode(&hex("01 00 01 0102030405060708 00000000 01 61")).is_err());
    }

    #[test]
    fn a_trail_saturates() {
        // [WIRE-10]
        let chunk = Chunk::Untracked {
            trail: Trail {
                sender_10us: u32::MAX,
                relayed: None,
            },
            parcel: Arc::new([1]),
        };
        assert_eq!(encode(&chunk), hex("10 ffff7f 01 01"));
        assert!(decode(&hex("10 80808001 01 01")).is_err());
    }

    #[test]
    fn a_parcel_has_1_to_1080_bytes() {
        // [WIRE-8]
        let untracked = |length: &str, bytes| [hex("10 00"), hex(length), vec![1; bytes]].concat();
        assert!(decode(&untracked("b808", 1_080)).is_ok());
        assert_eq!(decode(&untracked("b908", 1_081)), Err(TOO_LONG));
        assert_eq!(decode(&untracked("00", 0)), Err(TOO_SHORT));
        assert_eq!(decode(&untracked("02", 1)), Err(TOO_SHORT));
    }

    #[test]
    fn unknown_kinds_and_the_id_0_are_refused() {
        // [WIRE-2] [WIRE-15]
        for wrong in [
            "00",
            "04",
            "05 01",
            "14 00 01 01",
            "90 00 01 01",
            "11 00 00 01 01",
        ] {
            assert!(decode(&hex(wrong)).is_err(), "{wrong}");
        }
    }
}
