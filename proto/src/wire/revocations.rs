//! Whose certificates count no more, signed by the fleet's authority.

use super::reader::{DecodeError, Reader, TOO_LARGE, TOO_LONG};
use super::writer::Writer;
use crate::base::limits::{
    CERTIFICATE_BYTES_MAX, HANDSHAKE_BYTES_MAX, REVOCATION_PARTS_MAX, REVOKED_PER_PART_MAX,
    SIGNATURE_BYTES_MAX,
};

/// One part of a list of revocations.
///
/// ```text
/// offset  bytes
///      0  8      number of the list
///      8  8      when it was made, in seconds since 1970
///     16  1      index of the part, from 0
///     17  1      count of parts, at most 64
///     18  1      count of nodes, at most 64
///      .  12     each: 8 first bytes of the SHA-256 of the node's name, 4 since when, in seconds since 1970
///      .  2      length of the certificate
///      .  ..     certificate of the authority's node (DER)
///      .  ..     signature, to the end
///
/// 0000000000000007 000000006b49d200 00 01 01 0001020304050607 6b49d1ff 0002 aabb ccdd
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationPart {
    /// What it says.
    pub words: RevocationWords,
    /// The signer's certificate (DER).
    pub certificate: Vec<u8>,
    /// Over the words.
    pub signature: Vec<u8>,
}

/// What a part of a list of revocations says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationWords {
    /// The list's number; a newer list has a higher one.
    pub number: u64,
    /// When the list was made, in seconds since 1970.
    pub made_s: u64,
    /// Which part this is, from 0.
    pub index: u8,
    /// How many parts the list has.
    pub count: u8,
    /// Nodes whose certificates count no more.
    pub revoked: Vec<Revoked>,
}

/// A node whose certificates of a time and before count no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revoked {
    /// First bytes of the SHA-256 of the node's name as text, such as `agent/truck-17`.
    pub node: [u8; 8],
    /// Certificates that were valid from this second since 1970 or before count no more.
    pub since_s: u32,
}

impl RevocationWords {
    /// The bytes that the authority's node signs; they cannot be mistaken for anything else that a node signs.
    // [WIRE-146]
    pub fn to_be_signed(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.bytes(DOMAIN);
        self.write(&mut writer);
        writer.into_vec()
    }

    fn write(&self, writer: &mut Writer) {
        writer.u64(self.number);
        writer.u64(self.made_s);
        writer.u8(self.index);
        writer.u8(self.count);
        writer.count(self.revoked.len());
        for revoked in &self.revoked {
            writer.bytes(&revoked.node);
            writer.u32(revoked.since_s);
        }
    }
}

impl RevocationPart {
    /// The part's bytes. The caller keeps all within their limits.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.words.write(&mut writer);
        writer.u16(u16::try_from(self.certificate.len()).unwrap_or(u16::MAX));
        writer.bytes(&self.certificate);
        writer.bytes(&self.signature);
        writer.into_vec()
    }

    /// The part that these bytes are; nothing is verified.
    ///
    /// # Errors
    /// They are none: counted and dropped.
    // [WIRE-145]
    pub fn decode(bytes: &[u8]) -> Result<RevocationPart, DecodeError> {
        let mut reader = Reader::new(bytes, HANDSHAKE_BYTES_MAX)?;
        let (number, made_s) = (reader.u64()?, reader.u64()?);
        let (index, count) = (reader.u8()?, reader.u8()?);
        if index >= count || usize::from(count) > REVOCATION_PARTS_MAX {
            return Err(TOO_LARGE);
        }
        let revoked = (0..reader.count(REVOKED_PER_PART_MAX)?)
            .map(|_| {
                Ok(Revoked {
                    node: reader.array()?,
                    since_s: reader.u32()?,
                })
            })
            .collect::<Result<_, DecodeError>>()?;
        let length = usize::from(reader.u16()?);
        if length > CERTIFICATE_BYTES_MAX {
            return Err(TOO_LONG);
        }
        Ok(RevocationPart {
            words: RevocationWords {
                number,
                made_s,
                index,
                count,
                revoked,
            },
            certificate: reader.bytes(length)?.to_vec(),
            signature: reader.rest(SIGNATURE_BYTES_MAX)?.to_vec(),
        })
    }
}

/// Begins what is signed, so that no signature of a list is one of anything else.
const DOMAIN: &[u8] = b"longrein/1 revocations\0";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vector::{assert_in_norm, assert_vector, hex};

    fn part() -> RevocationPart {
        RevocationPart {
            words: RevocationWords {
                number: 7,
                made_s: 1_800_000_000,
                index: 0,
                count: 1,
                revoked: vec![Revoked {
                    node: [0, 1, 2, 3, 4, 5, 6, 7],
                    since_s: 1_799_999_999,
                }],
            },
            certificate: vec![0xaa, 0xbb],
            signature: vec![0xcc, 0xdd],
        }
    }

    // [WIRE-145]
    #[test]
    fn a_part_looks_like_its_picture() {
        let picture =
            "0000000000000007 000000006b49d200 00 01 01 0001020304050607 6b49d1ff 0002 aabb ccdd";
        assert_vector(
            picture,
            &part(),
            RevocationPart::encode,
            RevocationPart::decode,
        );
    }

    // [WIRE-146]
    #[test]
    fn what_is_signed_looks_like_its_picture() {
        let picture = "6c6f6e677265696e2f31207265766f636174696f6e7300 0000000000000007 000000006b49d200 \
                       00 01 01 0001020304050607 6b49d1ff";
        assert_eq!(part().words.to_be_signed(), hex(picture));
        assert_in_norm(picture);
    }

    // [WIRE-145]
    #[test]
    fn parts_over_their_limits_are_refused() {
        let decode = |part: &RevocationPart| RevocationPart::decode(&part.encode());
        let mut wrong = part();
        wrong.words.index = 1;
        assert!(decode(&wrong).is_err());
        wrong.words.count = 65;
        assert!(decode(&wrong).is_err());
        let mut wrong = part();
        wrong.certificate.resize(CERTIFICATE_BYTES_MAX + 1, 0);
        assert!(decode(&wrong).is_err());
        let mut wrong = part();
        wrong.signature.resize(SIGNATURE_BYTES_MAX + 1, 0);
        assert!(decode(&wrong).is_err());
        let mut most = part();
        most.words.revoked = vec![most.words.revoked[0]; REVOKED_PER_PART_MAX];
        assert_eq!(decode(&most), Ok(most.clone()));
        most.words.revoked.push(most.words.revoked[0]);
        assert!(decode(&most).is_err());
    }
}
