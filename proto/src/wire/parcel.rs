//! A parcel: what a leg delivers.

use std::sync::Arc;

use super::Notice;
use super::hub::{Frame, HUB};
use super::reader::{DecodeError, RESERVED, Reader, TOO_SHORT, UNKNOWN_KIND};
use super::writer::Writer;
use crate::base::limits::{HANDSHAKE_BYTES_MAX, PARCEL_BYTES_MAX, SEAL_TAG_BYTES, TTL_MAX};
use crate::base::{Class, Flow, NodeName, SessionId};

/// What a leg delivers: an envelope between two nodes, or a notice between a node and its relay.
///
/// ```text
/// offset  bytes
///      0  1      kind in bits 3..0; bits 5..4 key phase of a sealed envelope; other bits zero
///                1 sealed:    the rest of SealedHeader, ciphertext to the end (16 bytes or more)
///                2 handshake: 4 session, 1 step, [step 1: 1 kind and 2+ name of the addressee], body to the end
///                3 signed:    1 kind and 2+ name of the addressee, body to the end
///                4 notice:    see Notice
///                5 revocations: body to the end, see RevocationPart
///                6 hub:       see Frame
///
/// 21 5a17c0de 04 a0fe0a c801 00112233445566778899aabbccddeeff
/// 02 5a17c0de 01 01 08 747275636b2d3137 aabb
/// 03 01 08 747275636b2d3137 aabb
/// 04 03 5a17c0de
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parcel {
    /// A sealed message or fragment of a session.
    Sealed {
        /// The clear part: what a relay needs, and the associated data of the seal.
        header: SealedHeader,
        /// Ciphertext and tag.
        ciphertext: Arc<[u8]>,
    },
    /// One of the three messages that open a session.
    Handshake {
        /// The session that it opens.
        session: SessionId,
        /// 1, 2 or 3.
        step: u8,
        /// Whom the initiator calls; only in step 1.
        to: Option<NodeName>,
        /// The Noise message.
        body: Arc<[u8]>,
    },
    /// A statement that its author signed, for a node with which there may be no session.
    Signed {
        /// For whom.
        to: NodeName,
        /// The encoded [`super::Signed`].
        body: Arc<[u8]>,
    },
    /// A word between a node and its relay.
    Notice(Notice),
    /// A part of a list of revocations, for everybody: the encoded [`super::RevocationPart`].
    Revocations(Arc<[u8]>),
    /// A message between a node and the hub, or a piece of one: the encoded [`super::hub::Frame`].
    Hub(Arc<[u8]>),
}

impl Parcel {
    /// The parcel's bytes.
    pub fn encode(&self) -> Arc<[u8]> {
        let mut writer = Writer::with_capacity(PARCEL_BYTES_MAX);
        match self {
            Parcel::Sealed { header, ciphertext } => {
                header.write(&mut writer);
                writer.bytes(ciphertext);
            }
            Parcel::Handshake {
                session,
                step,
                to,
                body,
            } => {
                writer.u8(HANDSHAKE);
                writer.session(*session);
                writer.u8(*step);
                if let Some(to) = to {
                    writer.node_name(to);
                }
                writer.bytes(body);
            }
            Parcel::Signed { to, body } => {
                writer.u8(SIGNED);
                writer.node_name(to);
                writer.bytes(body);
            }
            Parcel::Notice(notice) => {
                writer.u8(NOTICE);
                notice.encode(&mut writer);
            }
            Parcel::Revocations(body) => {
                writer.u8(REVOCATIONS);
                writer.bytes(body);
            }
            Parcel::Hub(frame) => {
                writer.u8(HUB);
                writer.bytes(frame);
            }
        }
        writer.into_arc()
    }

    /// The parcel that these bytes are.
    ///
    /// # Errors
    /// They are none: counted and dropped.
    pub fn decode(bytes: &[u8]) -> Result<Parcel, DecodeError> {
        let mut reader = Reader::new(bytes, PARCEL_BYTES_MAX)?;
        let kind = reader.u8()?;
        let parcel = match kind & 0x0f {
            SEALED => Parcel::Sealed {
                header: SealedHeader::read(kind, &mut reader)?,
                ciphertext: at_least(SEAL_TAG_BYTES, reader.rest(PARCEL_BYTES_MAX)?)?.into(),
            },
            // [WIRE-13]
            _ if kind & 0xf0 != 0 => return Err(RESERVED),
            // [WIRE-16]
            HANDSHAKE => {
                let session = reader.session()?;
                let step = step(&mut reader)?;
                let to = match step {
                    1 => Some(reader.node_name()?),
                    _ => None,
                };
                let body = at_least(1, reader.rest(HANDSHAKE_BYTES_MAX)?)?.into();
                Parcel::Handshake {
                    session,
                    step,
                    to,
                    body,
                }
            }
            SIGNED => Parcel::Signed {
                to: reader.node_name()?,
                body: at_least(1, reader.rest(HANDSHAKE_BYTES_MAX)?)?.into(),
            },
            NOTICE => Parcel::Notice(Notice::decode(&mut reader)?),
            REVOCATIONS => {
                Parcel::Revocations(at_least(1, reader.rest(HANDSHAKE_BYTES_MAX)?)?.into())
            }
            HUB => {
                let frame = reader.rest(PARCEL_BYTES_MAX)?;
                Frame::decode(frame)?;
                Parcel::Hub(frame.into())
            }
            _ => return Err(UNKNOWN_KIND),
        };
        reader.finish()?;
        Ok(parcel)
    }

    /// What the front of an encoded parcel says, without a copy of the rest: enough to queue and route it.
    ///
    /// # Errors
    /// The front is none of a parcel. That it is one does not mean that [`Parcel::decode`] succeeds.
    pub fn peek(bytes: &[u8]) -> Result<ParcelHead, DecodeError> {
        let mut reader = Reader::new(bytes, PARCEL_BYTES_MAX)?;
        let kind = reader.u8()?;
        match kind & 0x0f {
            SEALED => SealedHeader::read(kind, &mut reader).map(ParcelHead::Sealed),
            _ if kind & 0xf0 != 0 => Err(RESERVED),
            HANDSHAKE => Ok(ParcelHead::Handshake {
                session: reader.session()?,
                step: step(&mut reader)?,
            }),
            SIGNED => Ok(ParcelHead::Signed),
            NOTICE => Ok(ParcelHead::Notice),
            REVOCATIONS => Ok(ParcelHead::Revocations),
            HUB => Frame::peek_class(&mut reader).map(ParcelHead::Hub),
            _ => Err(UNKNOWN_KIND),
        }
    }
}

/// The front of an encoded parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParcelHead {
    /// Of a sealed message or fragment.
    Sealed(SealedHeader),
    /// Of a message that opens a session.
    Handshake {
        /// The session.
        session: SessionId,
        /// 1, 2 or 3.
        step: u8,
    },
    /// Of a signed statement.
    Signed,
    /// Of a notice.
    Notice,
    /// Of a part of a list of revocations.
    Revocations,
    /// Of a message between a node and the hub, of this class.
    Hub(Class),
}

impl ParcelHead {
    /// The class by which a leg treats the parcel: signed statements are stops; handshakes and notices go on arrival, before
    /// what is reliable.
    pub const fn class(&self) -> Class {
        match self {
            ParcelHead::Sealed(header) => header.flow.class,
            ParcelHead::Hub(class) => *class,
            ParcelHead::Handshake { .. } | ParcelHead::Notice | ParcelHead::Revocations => {
                Class::Unordered
            }
            ParcelHead::Signed => Class::Stop,
        }
    }
}

/// The clear part of a sealed envelope. Encoded, it is the associated data of the seal.
///
/// ```text
/// offset  bytes
///      0  1      0x01, key phase in bits 5..4
///      1  4      session
///      5  1      flow: channel in bits 7..2, class in bits 1..0
///      6  1..10  number (LEB128)
///      .  1..3   ttl_ms (LEB128)
///
/// 21 5a17c0de 04 a0fe0a c801
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedHeader {
    /// Low two bits of the key epoch.
    pub key_phase: u8,
    /// The session.
    pub session: SessionId,
    /// Channel and class.
    pub flow: Flow,
    /// The envelope's number in its flow and direction, from 1.
    pub number: u64,
    /// Time to live in milliseconds, from the sealed sending time.
    pub ttl_ms: u16,
}

impl SealedHeader {
    /// The clear bytes of the envelope: the associated data of its seal, and exactly what stands before the ciphertext.
    // [WIRE-12]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.into_vec()
    }

    fn write(&self, writer: &mut Writer) {
        writer.u8(SEALED | ((self.key_phase & 3) << 4));
        writer.session(self.session);
        writer.flow(self.flow);
        writer.leb(self.number);
        writer.leb(self.ttl_ms.into());
    }

    /// The header after its first byte, `kind`.
    fn read(kind: u8, reader: &mut Reader<'_>) -> Result<SealedHeader, DecodeError> {
        if kind >> 6 != 0 {
            return Err(RESERVED);
        }
        let session = reader.session()?;
        let flow = reader.flow()?;
        let number = reader.leb()?;
        // [WIRE-15]
        if number == 0 {
            return Err(DecodeError::Malformed("numbers begin with 1"));
        }
        // [WIRE-14]
        let ttl_ms = u16::try_from(reader.leb()?)
            .ok()
            .filter(|&ttl_ms| u128::from(ttl_ms) <= TTL_MAX.as_millis())
            .ok_or(DecodeError::Malformed("a time to live is too long"))?;
        Ok(SealedHeader {
            key_phase: kind >> 4,
            session,
            flow,
            number,
            ttl_ms,
        })
    }
}

fn step(reader: &mut Reader<'_>) -> Result<u8, DecodeError> {
    match reader.u8()? {
        step @ 1..=3 => Ok(step),
        _ => Err(UNKNOWN_KIND),
    }
}

const fn at_least(bytes_min: usize, bytes: &[u8]) -> Result<&[u8], DecodeError> {
    if bytes.len() < bytes_min {
        Err(TOO_SHORT)
    } else {
        Ok(bytes)
    }
}

const SEALED: u8 = 1;
const HANDSHAKE: u8 = 2;
const SIGNED: u8 = 3;
const NOTICE: u8 = 4;
const REVOCATIONS: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Channel;
    use crate::wire::vector::{assert_in_norm, assert_vector, hex};

    const SESSION: SessionId = SessionId(0x5a17_c0de);

    fn header() -> SealedHeader {
        SealedHeader {
            key_phase: 2,
            session: SESSION,
            flow: Flow::new(Channel::new(1).unwrap(), Class::Latest),
            number: 180_000,
            ttl_ms: 200,
        }
    }

    #[test]
    fn parcels_look_like_their_pictures() {
        // [WIRE-13] [WIRE-16]
        let to: NodeName = "agent/truck-17".parse().unwrap();
        let vectors = [
            (
                "21 5a17c0de 04 a0fe0a c801 00112233445566778899aabbccddeeff",
                Parcel::Sealed {
                    header: header(),
                    ciphertext: hex("00112233445566778899aabbccddeeff").into(),
                },
            ),
            (
                "02 5a17c0de 01 01 08 747275636b2d3137 aabb",
                Parcel::Handshake {
                    session: SESSION,
                    step: 1,
                    to: Some(to.clone()),
                    body: Arc::new([0xaa, 0xbb]),
                },
            ),
            (
                "02 5a17c0de 02 aabb",
                Parcel::Handshake {
                    session: SESSION,
                    step: 2,
                    to: None,
                    body: Arc::new([0xaa, 0xbb]),
                },
            ),
            (
                "03 01 08 747275636b2d3137 aabb",
                Parcel::Signed {
                    to,
                    body: Arc::new([0xaa, 0xbb]),
                },
            ),
            (
                "04 03 5a17c0de",
                Parcel::Notice(Notice::Unroute { session: SESSION }),
            ),
        ];
        for (picture, parcel) in vectors {
            assert_vector(picture, &parcel, |p| p.encode().to_vec(), Parcel::decode);
        }
    }

    #[test]
    fn the_associated_data_looks_like_its_picture() {
        // [WIRE-12]
        let picture = "21 5a17c0de 04 a0fe0a c801";
        assert_eq!(header().encode(), hex(picture));
        assert_in_norm(picture);
    }

    #[test]
    fn reserved_bits_and_unknown_kinds_and_steps_are_refused() {
        // [WIRE-2] [WIRE-13] [WIRE-16]
        for wrong in [
            "61 5a17c0de 04 01 01 00112233445566778899aabbccddeeff",
            "12 5a17c0de 02 aabb",
            "02 5a17c0de 00 aabb",
            "02 5a17c0de 04 aabb",
            "02 5a17c0de 02",
            "14 03 5a17c0de",
            "13 01 01 61 aabb",
            "06 00",
            "07 00",
            "00",
            "",
        ] {
            assert!(Parcel::decode(&hex(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_to_live_over_a_minute_the_number_0_and_a_cut_tag_are_refused() {
        // [WIRE-14] [WIRE-15]
        let sealed = |clear: &str, tag| [hex(clear), vec![0; tag]].concat();
        assert!(Parcel::decode(&sealed("01 5a17c0de 04 01 e0d403", 16)).is_ok());
        assert!(Parcel::decode(&sealed("01 5a17c0de 04 01 e1d403", 16)).is_err());
        assert!(Parcel::decode(&sealed("01 5a17c0de 04 00 01", 16)).is_err());
        assert!(Parcel::decode(&sealed("01 5a17c0de 04 01 01", 15)).is_err());
    }

    #[test]
    fn a_handshake_body_over_its_limit_is_refused() {
        // [WIRE-4]
        let handshake = |body| [hex("02 5a17c0de 02"), vec![0; body]].concat();
        assert!(Parcel::decode(&handshake(HANDSHAKE_BYTES_MAX)).is_ok());
        assert!(Parcel::decode(&handshake(HANDSHAKE_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn the_front_tells_the_class() {
        let class = |picture| Parcel::peek(&hex(picture)).map(|head| head.class());
        assert_eq!(class("21 5a17c0de 07 a0fe0a c801"), Ok(Class::Stop));
        assert_eq!(class("02 5a17c0de 02"), Ok(Class::Unordered));
        assert_eq!(class("03"), Ok(Class::Stop));
        assert_eq!(class("04"), Ok(Class::Unordered));
    }
}
