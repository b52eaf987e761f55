//! The sealed inside of an envelope.

use super::reader::{DecodeError, Reader};
use super::writer::Writer;
use crate::base::limits::{FRAGMENT_BYTES_MAX, FRAGMENTS_MAX, PARCEL_BYTES_MAX};

/// What is sealed: when it was sent, which part of a message it is, and the bytes.
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
