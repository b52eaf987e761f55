//! The sealed inside of an envelope.

use super::reader::{DecodeError, Reader};
use super::writer::Writer;
use crate::base::limits::{FRAGMENT_BYTES_MAX, FRAGMENTS_MAX, PARCEL_BYTES_MAX};

/// What is sealed: when it was sent, which part of a message it is, and the bytes.
///
/// ```text
/// offset  bytes
///      0  1      bit 0: compressed, bit 1: fragment, others zero
///      1  6      sent_at_us
///      7  [2]    fragment: 1 index, 1 count
///      .  [2]    dictionary
///      .  ..     bytes, to the end (at most 1,000)
///
/// 00 0000d693a400 aabb
/// 03 0000d693a400 01 03 0002 aabb
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The sender's monotonic clock in microseconds when the application handed the message over (48 bits).
    pub sent_at_us: u64,
    /// The zstd dictionary of a compressed message (0 is none); absent when it is not compressed. The same in each fragment.
    pub dictionary: Option<u16>,
    /// Which fragment this is; absent when the message is whole.
    pub fragment: Option<FragmentOf>,
    /// The bytes of the message or fragment.
    pub bytes: Vec<u8>,
}

impl Content {
    /// The plaintext to seal.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(11 + self.bytes.len());
        let compressed = if self.dictionary.is_some() {
            COMPRESSED
        } else {
            0
        };
        let fragment = if self.fragment.is_some() { FRAGMENT } else { 0 };
        writer.u8(compressed | fragment);
        writer.u48(self.sent_at_us);
        if let Some(fragment) = self.fragment {
            writer.u8(fragment.index);
            writer.u8(fragment.count);
        }
        if let Some(dictionary) = self.dictionary {
            writer.u16(dictionary);
        }
        writer.bytes(&self.bytes);
        writer.into_vec()
    }

    /// The content of a seal that opened.
    ///
    /// # Errors
    /// It is none: the far end is broken. Counted and dropped.
    // [WIRE-19]
    pub fn decode(bytes: &[u8]) -> Result<Content, DecodeError> {
        let mut reader = Reader::new(bytes, PARCEL_BYTES_MAX)?;
        let bits = reader.bits(COMPRESSED | FRAGMENT)?;
        let sent_at_us = reader.u48()?;
        let fragment = if bits & FRAGMENT == 0 {
            None
        } else {
            Some(FragmentOf::decode(&mut reader)?)
        };
        let dictionary = if bits & COMPRESSED == 0 {
            None
        } else {
            Some(reader.u16()?)
        };
        Ok(Content {
            sent_at_us,
            dictionary,
            fragment,
            bytes: reader.rest(FRAGMENT_BYTES_MAX)?.to_vec(),
        })
    }
}

/// Position of a fragment; the fragments of a message have consecutive numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentOf {
    /// From 0.
    pub index: u8,
    /// How many fragments the message has, 2 or more.
    pub count: u8,
}

impl FragmentOf {
    // [WIRE-18]
    fn decode(reader: &mut Reader<'_>) -> Result<FragmentOf, DecodeError> {
        let (index, count) = (reader.u8()?, reader.u8()?);
        if (2..=FRAGMENTS_MAX).contains(&usize::from(count)) && index < count {
            Ok(FragmentOf { index, count })
        } else {
            Err(DecodeError::Malformed("no fragment has this place"))
        }
    }
}

/// Bit: the bytes are compressed and a dictionary's id follows.
const COMPRESSED: u8 = 0x01;
/// Bit: the message is cut and the fragment's place follows.
const FRAGMENT: u8 = 0x02;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vector::{assert_vector, hex};

    #[test]
    fn contents_look_like_their_pictures() {
        // [WIRE-19]
        let whole = Content {
            sent_at_us: 3_600_000_000,
            dictionary: None,
            fragment: None,
            bytes: vec![0xaa, 0xbb],
        };
        let fragment = Content {
            dictionary: Some(2),
            fragment: Some(FragmentOf { index: 1, count: 3 }),
            ..whole.clone()
        };
        for (picture, content) in [
            ("00 0000d693a400 aabb", whole),
            ("03 0000d693a400 01 03 0002 aabb", fragment),
        ] {
            assert_vector(picture, &content, Content::encode, Content::decode);
        }
    }

    #[test]
    fn a_fragment_has_a_place_among_2_to_66() {
        // [WIRE-18]
        let fragment = |place: &str| Content::decode(&hex(&format!("02 000000000000 {place}")));
        for right in ["00 02", "01 02", "41 42"] {
            assert!(fragment(right).is_ok(), "{right}");
        }
        for wrong in ["00 00", "00 01", "02 02", "00 43"] {
            assert!(fragment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_long_content_and_unknown_bits_are_refused() {
        // [WIRE-19] [WIRE-2]
        let content = |bytes| [vec![0; 7], vec![1; bytes]].concat();
        assert!(Content::decode(&content(1_000)).is_ok());
        assert!(Content::decode(&content(1_001)).is_err());
        assert!(Content::decode(&hex("04 000000000000")).is_err());
    }
}
