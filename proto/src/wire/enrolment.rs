//! What a node and the fleet's authority tell each other.

use super::reader::{DecodeError, Reader, TOO_SHORT, UNKNOWN_KIND};
use super::writer::Writer;
use crate::base::NodeName;
use crate::base::limits::{CERTIFICATE_BYTES_MAX, SIGNING_REQUEST_BYTES_MAX};

/// A message of the session channel's reliable flow between a node and the authority.
///
/// ```text
/// offset  bytes
///      0  1      type
///                1 certify:   3+ name of the node, 1+ signing request (PKCS#10, DER), to the end
///                2 certified: 1+ certificate (DER), to the end
///                3 refused:   1 why
///
/// 01 01 08 747275636b2d3137 aabb
/// 02 aabb
/// 03 03
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enrolment {
    /// To the authority: a certificate for this node and the key of the request is wanted.
    Certify {
        /// The node that the asker is or wants to be.
        node: NodeName,
        /// The signing request (PKCS#10, DER); its signature proves that the asker has the key.
        request: Vec<u8>,
    },
    /// From the authority: the certificate (DER).
    Certified(Vec<u8>),
    /// From the authority: there is none.
    Refused(EnrolRefusal),
}

/// Why the authority gives no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[repr(u8)]
pub enum EnrolRefusal {
    /// It made no such token, or withdrew it.
    #[error("the authority does not know this token")]
    UnknownToken = 1,
    /// The token's time is over.
    #[error("the token has expired: ask for a new one")]
    TokenExpired = 2,
    /// As many nodes as it is for were certified with it already.
    #[error("the token is used up: each works once, and for the key that it was first used with")]
    TokenUsed = 3,
    /// The token is for another kind of node.
    #[error("the token is for another kind of node")]
    OtherKind = 4,
    /// The token is for another name, or the asker has another one.
    #[error("the certificate of another name is not given away")]
    OtherName = 5,
    /// Another node has the name.
    #[error("the name is another node's already")]
    NameTaken = 6,
    /// The signing request is none, or not signed by its own key.
    #[error("the signing request is not usable")]
    BadRequest = 7,
    /// The authority cannot write down what it gives out.
    #[error("the authority cannot work now: its log says why")]
    Broken = 8,
    /// The asker's certificate is revoked.
    #[error("this node's certificate is revoked: it needs a new token")]
    Revoked = 9,
    /// The asker has asked too often.
    #[error("the authority was asked too often: try again in a while")]
    TooOften = 10,
}

impl EnrolRefusal {
    /// All, in the order of their numbers.
    pub const ALL: [EnrolRefusal; 10] = [
        EnrolRefusal::UnknownToken,
        EnrolRefusal::TokenExpired,
        EnrolRefusal::TokenUsed,
        EnrolRefusal::OtherKind,
        EnrolRefusal::OtherName,
        EnrolRefusal::NameTaken,
        EnrolRefusal::BadRequest,
        EnrolRefusal::Broken,
        EnrolRefusal::Revoked,
        EnrolRefusal::TooOften,
    ];
}

impl Enrolment {
    /// The message's bytes. The caller keeps request and certificate within their limits.
    // [WIRE-140]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        match self {
            Enrolment::Certify { node, request } => {
                writer.u8(CERTIFY);
                writer.node_name(node);
                writer.bytes(request);
            }
            Enrolment::Certified(certificate) => {
                writer.u8(CERTIFIED);
                writer.bytes(certificate);
            }
            Enrolment::Refused(why) => {
                writer.u8(REFUSED);
                writer.u8(*why as u8);
            }
        }
        writer.into_vec()
    }

    /// The message that these bytes are.
    ///
    /// # Errors
    /// They are none: refused as malformed.
    // [WIRE-140]
    pub fn decode(bytes: &[u8]) -> Result<Enrolment, DecodeError> {
        let mut reader = Reader::new(bytes, FRAGMENT)?;
        let message = match reader.u8()? {
            CERTIFY => Enrolment::Certify {
                node: reader.node_name()?,
                request: some(reader.rest(SIGNING_REQUEST_BYTES_MAX)?)?,
            },
            CERTIFIED => Enrolment::Certified(some(reader.rest(CERTIFICATE_BYTES_MAX)?)?),
            REFUSED => {
                let why = reader.u8()?;
                let why = EnrolRefusal::ALL
                    .into_iter()
                    .find(|known| *known as u8 == why);
                Enrolment::Refused(why.ok_or(UNKNOWN_KIND)?)
            }
            _ => return Err(UNKNOWN_KIND),
        };
        reader.finish()?;
        Ok(message)
    }
}

fn some(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    if bytes.is_empty() {
        return Err(TOO_SHORT);
    }
    Ok(bytes.to_vec())
}

const CERTIFY: u8 = 1;
const CERTIFIED: u8 = 2;
const REFUSED: u8 = 3;
/// One fragment holds each of these messages.
const FRAGMENT: usize = crate::base::limits::FRAGMENT_BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vector::{assert_vector, hex};

    // [WIRE-140]
    #[test]
    fn messages_of_enrolment_look_like_their_pictures() {
        for (picture, message) in [
            (
                "01 01 08 747275636b2d3137 aabb",
                Enrolment::Certify {
                    node: "agent/truck-17".parse().unwrap(),
                    request: vec![0xaa, 0xbb],
                },
            ),
            ("02 aabb", Enrolment::Certified(vec![0xaa, 0xbb])),
            ("03 03", Enrolment::Refused(EnrolRefusal::TokenUsed)),
        ] {
            assert_vector(picture, &message, Enrolment::encode, Enrolment::decode);
        }
    }

    // [WIRE-140]
    #[test]
    fn wrong_messages_of_enrolment_are_refused() {
        for wrong in [
            "",
            "00",
            "01 01 08 747275636b2d3137",
            "02",
            "03 00",
            "03 0b",
            "03 01 00",
            "04",
        ] {
            assert!(Enrolment::decode(&hex(wrong)).is_err(), "{wrong}");
        }
        let long = [&[2][..], &[0; CERTIFICATE_BYTES_MAX + 1]].concat();
        assert!(Enrolment::decode(&long).is_err());
    }

    // [WIRE-140]
    #[test]
    fn the_numbers_of_refusals_are_their_places() {
        for (place, why) in (1..).zip(EnrolRefusal::ALL) {
            assert_eq!(why as u8, place);
        }
    }
}
