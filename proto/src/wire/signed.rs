//! Statements that their author signs, so that they need no session.

use super::reader::{DecodeError, Reader, TOO_LONG, UNKNOWN_KIND};
use super::writer::Writer;
use crate::base::limits::{CERTIFICATE_BYTES_MAX, HANDSHAKE_BYTES_MAX, SIGNATURE_BYTES_MAX};
use crate::base::{Name, NodeName, StopId};

/// A statement with its author's certificate and signature.
///
/// ```text
/// offset  bytes
///      0  ..     statement, see Statement
///      .  2      length of the certificate, at most 800
///      .  ..     certificate
///      .  ..     signature, to the end (at most 96)
///
/// 01 000102030405060708090a0b0c0d0e0f 01 04 0002 aabb ccdd
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What is said.
    pub statement: Statement,
    /// The author's certificate (DER).
    pub certificate: Vec<u8>,
    /// Over the author, the addressee and the statement.
    pub signature: Vec<u8>,
}

impl Signed {
    /// The bytes that the author signs: they name the author, the addressee and the statement, and cannot be mistaken for
    /// anything else that a node signs.
    // [WIRE-35]
    pub fn to_be_signed(author: &NodeName, to: &NodeName, statement: &Statement) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.bytes(DOMAIN);
        writer.node_name(author);
        writer.node_name(to);
        statement.encode(&mut writer);
        writer.into_vec()
    }

    /// The bytes of the signed statement. The caller keeps certificate and signature within their limits.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.statement.encode(&mut writer);
        writer.u16(u16::try_from(self.certificate.len()).unwrap_or(u16::MAX));
        writer.bytes(&self.certificate);
        writer.bytes(&self.signature);
        writer.into_vec()
    }

    /// The signed statement that these bytes are; nothing is verified.
    ///
    /// # Errors
    /// They are none: counted and dropped.
    // [WIRE-33]
    pub fn decode(bytes: &[u8]) -> Result<Signed, DecodeError> {
        let mut reader = Reader::new(bytes, HANDSHAKE_BYTES_MAX)?;
        let statement = Statement::decode(&mut reader)?;
        let length = usize::from(reader.u16()?);
        // [WIRE-34]
        if length > CERTIFICATE_BYTES_MAX {
            return Err(TOO_LONG);
        }
        Ok(Signed {
            statement,
            certificate: reader.bytes(length)?.to_vec(),
            signature: reader.rest(SIGNATURE_BYTES_MAX)?.to_vec(),
        })
    }
}

/// What is said.
///
/// ```text
/// offset  bytes
///      0  1      type
///                1 stop:    16 id, 1 whether a generation follows (0 or 1), [1..5 generation (LEB128)]
///                2 stopped: 16 id, 1..5 generation (LEB128), 1 latched (0 or 1)
///                3 stop of a group: 16 id, 2+ group
///
/// 01 000102030405060708090a0b0c0d0e0f 01 04
/// 02 000102030405060708090a0b0c0d0e0f 04 01
/// 03 000102030405060708090a0b0c0d0e0f 04 79617264
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// To an agent: stop now and stay stopped.
    Stop {
        /// Names this stop; repeats have the same.
        id: StopId,
        /// The vehicle's stop generation, when the sender knows it.
        generation: Option<u32>,
    },
    /// To an agent: stop now and stay stopped, if you are in this group.
    StopOfGroup {
        /// Names this stop; repeats have the same.
        id: StopId,
        /// The group.
        group: Name,
    },
    /// From an agent to the author of a stop: the vehicle is stopped.
    Stopped {
        /// The stop that this answers.
        id: StopId,
        /// The vehicle's stop generation.
        generation: u32,
        /// False when the stop was of an older generation, or repeated after its reset, or of another group, and had no effect.
        latched: bool,
    },
}

impl Statement {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Statement::Stop { id, generation } => {
                writer.u8(STOP);
                writer.bytes(&id.0);
                writer.bool(generation.is_some());
                if let Some(generation) = generation {
                    writer.leb((*generation).into());
                }
            }
            Statement::StopOfGroup { id, group } => {
                writer.u8(STOP_OF_GROUP);
                writer.bytes(&id.0);
                writer.name(group);
            }
            Statement::Stopped {
                id,
                generation,
                latched,
            } => {
                writer.u8(STOPPED);
                writer.bytes(&id.0);
                writer.leb((*generation).into());
                writer.bool(*latched);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Statement, DecodeError> {
        Ok(match reader.u8()? {
            STOP => Statement::Stop {
                id: StopId(reader.array()?),
                generation: if reader.bool()? {
                    Some(reader.leb_u32(u32::MAX)?)
                } else {
                    None
                },
            },
            STOPPED => Statement::Stopped {
                id: StopId(reader.array()?),
                generation: reader.leb_u32(u32::MAX)?,
                latched: reader.bool()?,
            },
            STOP_OF_GROUP => Statement::StopOfGroup {
                id: StopId(reader.array()?),
                group: reader.name()?,
            },
            _ => return Err(UNKNOWN_KIND),
        })
    }
}

/// Begins what is signed, so that no signature of a statement is one of anything else.
const DOMAIN: &[u8] = b"longrein/1 statement\0";

const STOP: u8 = 1;
const STOPPED: u8 = 2;
const STOP_OF_GROUP: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vector::{assert_in_norm, assert_vector, hex};

    const ID: StopId = StopId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);

    fn signed(statement: Statement) -> Signed {
        Signed {
            statement,
            certificate: vec![0xaa, 0xbb],
            signature: vec![0xcc, 0xdd],
        }
    }

    #[test]
    fn signed_statements_look_like_their_pictures() {
        // [WIRE-33]
        let stop = Statement::Stop {
            id: ID,
            generation: Some(4),
        };
        let stopped = Statement::Stopped {
            id: ID,
            generation: 4,
            latched: true,
        };
        for (picture, statement) in [
            (
                "01 000102030405060708090a0b0c0d0e0f 01 04 0002 aabb ccdd",
                stop,
            ),
            (
                "02 000102030405060708090a0b0c0d0e0f 04 01 0002 aabb ccdd",
                stopped,
            ),
            (
                "03 000102030405060708090a0b0c0d0e0f 04 79617264 0002 aabb ccdd",
                Statement::StopOfGroup {
                    id: ID,
                    group: "yard".parse().unwrap(),
                },
            ),
        ] {
            assert_vector(picture, &signed(statement), Signed::encode, Signed::decode);
        }
    }

    #[test]
    fn what_is_signed_looks_like_its_picture() {
        // [WIRE-35]
        let picture = "6c6f6e677265696e2f312073746174656d656e7400 02 04 6465736b 01 08 747275636b2d3137 \
                       01 000102030405060708090a0b0c0d0e0f 01 04";
        let bytes = Signed::to_be_signed(
            &"controller/desk".parse().unwrap(),
            &"agent/truck-17".parse().unwrap(),
            &Statement::Stop {
                id: ID,
                generation: Some(4),
            },
        );
        assert_eq!(bytes, hex(picture));
        assert_in_norm(picture);
    }

    #[test]
    fn certificates_and_signatures_over_their_limits_are_refused() {
        // [WIRE-34]
        let mut largest = signed(Statement::Stop {
            id: ID,
            generation: None,
        });
        largest.certificate.resize(CERTIFICATE_BYTES_MAX, 0);
        largest.signature.resize(SIGNATURE_BYTES_MAX, 0);
        assert_eq!(Signed::decode(&largest.encode()), Ok(largest.clone()));
        let mut wrong = largest.clone();
        wrong.certificate.push(0);
        assert!(Signed::decode(&wrong.encode()).is_err());
        let mut wrong = largest;
        wrong.signature.push(0);
        assert!(Signed::decode(&wrong.encode()).is_err());
    }
}
