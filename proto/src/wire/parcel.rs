//! A parcel: what a leg delivers.

use std::sync::Arc;

use super::Notice;
use super::reader::{DecodeError, RESERVED, Reader, TOO_SHORT, UNKNOWN_KIND};
use super::writer::Writer;
use crate::base::limits::{HANDSHAKE_BYTES_MAX, PARCEL_BYTES_MAX, SEAL_TAG_BYTES, TTL_MAX};
use crate::base::{Class, Flow, NodeName, SessionId};

/// What a leg delivers: an envelope between two nodes, or a notice between a node and its relay.
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
}

impl ParcelHead {
    /// The class by which a leg treats the parcel: signed statements are stops; handshakes and notices go on arrival, before
    /// what is reliable.
    pub const fn class(&self) -> Class {
        match self {
            ParcelHead::Sealed(header) => header.flow.class,
            ParcelHead::Handshake { .. } | ParcelHead::Notice => Class::Unordered,
            ParcelHead::Signed => Class::Stop,
        }
    }
}

/// The clear part of a sealed envelope. Encoded, it is the associated data of the seal.
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
