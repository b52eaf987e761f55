//! Compression before sealing.

use std::collections::BTreeMap;
use std::sync::Arc;

use zstd::bulk::{Compressor, Decompressor};

use crate::base::limits::{
    COMPRESSION_BYTES_MIN, DICTIONARIES_MAX, MESSAGE_BYTES_MAX, PLAIN_COMPRESSION_BYTES_MIN,
};

/// Trained zstd dictionaries by number, the same at both ends.
#[derive(Clone, Debug, Default)]
pub struct Dictionaries {
    by_id: BTreeMap<u16, Arc<[u8]>>,
}

impl Dictionaries {
    /// No dictionaries.
    pub const fn new() -> Dictionaries {
        Dictionaries {
            by_id: BTreeMap::new(),
        }
    }

    /// Adds a dictionary, or replaces the one with this number. False when the number is 0, which means none, or when
    /// there are as many as there may be.
    pub fn insert(&mut self, id: u16, bytes: impl Into<Arc<[u8]>>) -> bool {
        let room = self.by_id.len() < DICTIONARIES_MAX || self.by_id.contains_key(&id);
        if id == 0 || !room {
            return false;
        }
        self.by_id.insert(id, bytes.into());
        true
    }

    /// Whether there is a dictionary with this number. 0 means none and is always known.
    pub fn knows(&self, id: u16) -> bool {
        id == 0 || self.by_id.contains_key(&id)
    }

    fn bytes(&self, id: u16) -> Option<&[u8]> {
        match id {
            0 => Some(&[]),
            id => self.by_id.get(&id).map(AsRef::as_ref),
        }
    }
}

/// One session's compression. Each message is a frame of its own, and no session uses the contexts of another, so that
/// what one sender says never shows in the length of what another says.
// [WIRE-96]
pub(super) struct Squeeze {
    dictionaries: Dictionaries,
    compressors: BTreeMap<u16, Compressor<'static>>,
    decompressors: BTreeMap<u16, Decompressor<'static>>,
    /// Room for the longest message, made when the first compressed one arrives.
    scratch: Vec<u8>,
}

/// Why compressed bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Garbled {
    /// This end lacks the dictionary.
    NoDictionary,
    /// They are no frame, or the message is too long.
    NoMessage,
}

impl Squeeze {
    pub(super) const fn new(dictionaries: Dictionaries) -> Squeeze {
        Squeeze {
            dictionaries,
            compressors: BTreeMap::new(),
            decompressors: BTreeMap::new(),
            scratch: Vec::new(),
        }
    }

    pub(super) const fn dictionaries(&self) -> &Dictionaries {
        &self.dictionaries
    }

    /// The message compressed with this dictionary, when that makes it smaller.
    // [WIRE-96]
    pub(super) fn compress(&mut self, dictionary: u16, message: &[u8]) -> Option<Vec<u8>> {
        let shortest = match dictionary {
            0 => PLAIN_COMPRESSION_BYTES_MIN,
            _ => COMPRESSION_BYTES_MIN,
        };
        if message.len() < shortest {
            return None;
        }
        if !self.compressors.contains_key(&dictionary) {
            let bytes = self.dictionaries.bytes(dictionary)?;
            let compressor = Compressor::with_dictionary(LEVEL, bytes).ok()?;
            self.compressors.insert(dictionary, compressor);
        }
        let compressed = self
            .compressors
            .get_mut(&dictionary)?
            .compress(message)
            .ok()?;
        // The dictionary's number takes two bytes of the content.
        (compressed.len() + 2 < message.len()).then_some(compressed)
    }

    /// The message that was compressed.
    // [WIRE-97]
    pub(super) fn decompress(&mut self, dictionary: u16, frame: &[u8]) -> Result<Vec<u8>, Garbled> {
        if !self.decompressors.contains_key(&dictionary) {
            let bytes = self
                .dictionaries
                .bytes(dictionary)
                .ok_or(Garbled::NoDictionary)?;
            let decompressor =
                Decompressor::with_dictionary(bytes).map_err(|_| Garbled::NoDictionary)?;
            self.decompressors.insert(dictionary, decompressor);
        }
        self.scratch.clear();
        self.scratch.reserve_exact(MESSAGE_BYTES_MAX);
        let decompressor = self
            .decompressors
            .get_mut(&dictionary)
            .ok_or(Garbled::NoDictionary)?;
        match decompressor.decompress_to_buffer(frame, &mut self.scratch) {
            Ok(_) if self.scratch.len() <= MESSAGE_BYTES_MAX => Ok(self.scratch.clone()),
            Ok(_) | Err(_) => Err(Garbled::NoMessage),
        }
    }
}

/// zstd's own default: messages are too short for higher levels to gain anything.
const LEVEL: i32 = 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain() -> Squeeze {
        Squeeze::new(Dictionaries::new())
    }

    // [WIRE-96]
    #[test]
    fn short_and_random_messages_are_left_alone() {
        let mut squeeze = plain();
        squeeze.dictionaries.insert(1, *b"seven");
        let short = [7; PLAIN_COMPRESSION_BYTES_MIN];
        assert_eq!(
            squeeze.compress(1, &short[..COMPRESSION_BYTES_MIN - 1]),
            None
        );
        assert!(
            squeeze
                .compress(1, &short[..COMPRESSION_BYTES_MIN])
                .is_some()
        );
        assert_eq!(squeeze.compress(0, &short[1..]), None);
        assert!(squeeze.compress(0, &short).is_some());
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .take(500)
        .collect();
        assert_eq!(squeeze.compress(0, &noise), None);
    }

    // [WIRE-97]
    #[test]
    fn a_frame_that_grows_beyond_the_longest_message_is_refused() {
        let mut squeeze = plain();
        let longest = vec![0; MESSAGE_BYTES_MAX];
        let frame = squeeze.compress(0, &longest).unwrap();
        assert_eq!(squeeze.decompress(0, &frame), Ok(longest));
        let bomb = squeeze
            .compress(0, &vec![0; 100 * MESSAGE_BYTES_MAX])
            .unwrap();
        assert!(bomb.len() < 4_096);
        assert_eq!(squeeze.decompress(0, &bomb), Err(Garbled::NoMessage));
        assert_eq!(
            squeeze.decompress(0, &[frame, bomb].concat()),
            Err(Garbled::NoMessage)
        );
    }

    #[test]
    fn a_dictionary_helps_and_its_absence_is_told() {
        let text = br#"{"type":"status","speed_mm_s":1200,"heading_mrad":-31,"battery":"ok","mode":"manual"}"#;
        let mut dictionaries = Dictionaries::new();
        assert!(dictionaries.insert(7, text.repeat(4)));
        assert!(!dictionaries.insert(0, text.to_vec()));
        assert!(dictionaries.knows(7) && dictionaries.knows(0) && !dictionaries.knows(8));
        let message = br#"{"type":"status","speed_mm_s":1300,"heading_mrad":-29,"battery":"ok","mode":"manual"}"#;
        let mut both = Squeeze::new(dictionaries);
        let frame = both.compress(7, message).unwrap();
        assert!(frame.len() < message.len() / 2, "{}", frame.len());
        assert_eq!(both.decompress(7, &frame), Ok(message.to_vec()));
        assert_eq!(plain().decompress(7, &frame), Err(Garbled::NoDictionary));
        assert_eq!(both.compress(8, message), None);
    }

    proptest! {
        #[test]
        fn what_was_compressed_comes_back(words in prop::collection::vec(0_u8..4, 64..3_000)) {
            let mut squeeze = plain();
            if let Some(frame) = squeeze.compress(0, &words) {
                prop_assert!(frame.len() < words.len());
                prop_assert_eq!(squeeze.decompress(0, &frame), Ok(words));
            }
        }

        // [WIRE-97]
        #[test]
        fn any_bytes_are_a_message_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = plain().decompress(0, &bytes);
        }
    }
}
