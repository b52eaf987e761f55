//! Compression before sealing.

use zstd::zstd_safe::{CCtx, DCtx, compress_bound, find_frame_compressed_size};

use super::Dictionaries;
use crate::base::limits::{COMPRESSION_BYTES_MIN, MESSAGE_BYTES_MAX, PLAIN_COMPRESSION_BYTES_MIN};

/// One sender's compression. Each message is a frame of its own, and no session uses the contexts of another, so that what
/// one sender says never shows in the length of what another says.
// [WIRE-96]
#[derive(Default)]
pub struct Compressor {
    dictionaries: Dictionaries,
    /// Made for the first message that is long enough.
    context: Option<CCtx<'static>>,
}

impl Compressor {
    /// A compressor that has not compressed anything yet.
    pub fn new(dictionaries: Dictionaries) -> Compressor {
        Compressor {
            dictionaries,
            context: None,
        }
    }

    pub(super) const fn dictionaries(&self) -> &Dictionaries {
        &self.dictionaries
    }

    /// The message compressed with this dictionary, 0 for none, when that makes it smaller.
    // [WIRE-96] [WIRE-124]
    pub fn compress(&mut self, dictionary: u16, message: &[u8]) -> Option<Vec<u8>> {
        let shortest = match dictionary {
            0 => PLAIN_COMPRESSION_BYTES_MIN,
            _ => COMPRESSION_BYTES_MIN,
        };
        if message.len() < shortest {
            return None;
        }
        if self.context.is_none() {
            self.context = CCtx::try_create();
        }
        let context = self.context.as_mut()?;
        let mut frame = Vec::with_capacity(compress_bound(message.len()));
        if dictionary == 0 {
            context.compress(&mut frame, message, LEVEL).ok()?;
        } else {
            let prepared = &self.dictionaries.get(dictionary)?.compressing;
            context
                .compress_using_cdict(&mut frame, message, prepared)
                .ok()?;
            frame = frame.strip_prefix(&FRAME_MAGIC)?.to_vec();
        }
        // The dictionary's number takes two bytes of the content.
        (frame.len() + 2 < message.len()).then_some(frame)
    }
}

/// One receiver's decompression.
#[derive(Default)]
pub struct Decompressor {
    dictionaries: Dictionaries,
    /// Made when the first compressed message arrives, as the room for the longest message.
    context: Option<DCtx<'static>>,
    scratch: Vec<u8>,
}

/// Why compressed bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Garbled {
    /// This end lacks the dictionary.
    NoDictionary,
    /// They are no frame, or the message is too long.
    NoMessage,
}

impl Decompressor {
    /// A decompressor that has not decompressed anything yet.
    pub fn new(dictionaries: Dictionaries) -> Decompressor {
        Decompressor {
            dictionaries,
            ..Decompressor::default()
        }
    }

    /// The message that was compressed.
    ///
    /// # Errors
    /// [`Garbled`]: to be refused and counted.
    // [WIRE-97] [WIRE-124]
    pub fn decompress(&mut self, dictionary: u16, frame: &[u8]) -> Result<Vec<u8>, Garbled> {
        let prepared = match dictionary {
            0 => None,
            id => Some(self.dictionaries.get(id).ok_or(Garbled::NoDictionary)?),
        };
        let whole = match prepared {
            None => frame.to_vec(),
            Some(_) => [&FRAME_MAGIC, frame].concat(),
        };
        // [WIRE-3]
        if find_frame_compressed_size(&whole) != Ok(whole.len()) {
            return Err(Garbled::NoMessage);
        }
        if self.context.is_none() {
            self.context = DCtx::try_create();
        }
        let context = self.context.as_mut().ok_or(Garbled::NoMessage)?;
        self.scratch.clear();
        self.scratch.reserve_exact(MESSAGE_BYTES_MAX);
        let done = match prepared {
            None => context.decompress(&mut self.scratch, &whole),
            Some(dictionary) => {
                context.decompress_using_ddict(&mut self.scratch, &whole, &dictionary.decompressing)
            }
        };
        match done {
            Ok(_) if self.scratch.len() <= MESSAGE_BYTES_MAX => Ok(self.scratch.clone()),
            Ok(_) | Err(_) => Err(Garbled::NoMessage),
        }
    }
}

/// zstd's own default: higher levels make telemetry 5 % smaller for five times the time.
pub(super) const LEVEL: i32 = 3;
/// What each frame begins with (RFC 8878 §3.1.1); with a dictionary it is not sent.
const FRAME_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::session::Dictionary;
    use crate::session::samples::{status, trained};

    /// Both ends, with the trained dictionary as number 7.
    fn ends() -> (Compressor, Decompressor) {
        let mut dictionaries = Dictionaries::new();
        let dictionary = Dictionary::new(&trained(), Some(7)).unwrap();
        dictionaries.insert(dictionary, &[]).unwrap();
        (
            Compressor::new(dictionaries.clone()),
            Decompressor::new(dictionaries),
        )
    }

    // [WIRE-96]
    #[test]
    fn short_and_random_messages_are_left_alone() {
        let (mut compressor, _) = ends();
        let short = [b' '; PLAIN_COMPRESSION_BYTES_MIN];
        let shortest = &short[..COMPRESSION_BYTES_MIN];
        assert_eq!(compressor.compress(7, &shortest[1..]), None);
        assert!(compressor.compress(7, shortest).is_some());
        assert_eq!(compressor.compress(0, &short[1..]), None);
        assert!(compressor.compress(0, &short).is_some());
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .take(500)
        .collect();
        assert_eq!(compressor.compress(0, &noise), None);
        assert_eq!(compressor.compress(7, &noise), None);
    }

    // [WIRE-97]
    #[test]
    fn a_frame_that_grows_beyond_the_longest_message_is_refused() {
        let (mut compressor, mut decompressor) = ends();
        for dictionary in [0, 7] {
            let longest = vec![0; MESSAGE_BYTES_MAX];
            let frame = compressor.compress(dictionary, &longest).unwrap();
            assert_eq!(decompressor.decompress(dictionary, &frame), Ok(longest));
            let bomb = compressor
                .compress(dictionary, &vec![0; 100 * MESSAGE_BYTES_MAX])
                .unwrap();
            assert!(bomb.len() < 4_096);
            assert_eq!(
                decompressor.decompress(dictionary, &bomb),
                Err(Garbled::NoMessage)
            );
        }
    }

    // [WIRE-3] [WIRE-97]
    #[test]
    fn a_frame_that_is_cut_short_or_has_a_tail_is_refused() {
        let (mut compressor, mut decompressor) = ends();
        let message = [status(900), status(901), status(902)].concat();
        for dictionary in [0, 7] {
            let frame = compressor.compress(dictionary, &message).unwrap();
            let longer = [&frame[..], &[0]].concat();
            let two = [&frame[..], &FRAME_MAGIC, &frame].concat();
            for wrong in [&frame[..frame.len() - 1], &frame[1..], &longer, &two, &[]] {
                assert_eq!(
                    decompressor.decompress(dictionary, wrong),
                    Err(Garbled::NoMessage)
                );
            }
            assert_eq!(
                decompressor.decompress(dictionary, &frame),
                Ok(message.clone())
            );
        }
    }

    // [WIRE-97] [WIRE-124]
    #[test]
    fn a_dictionary_helps_and_its_absence_is_told() {
        let (mut compressor, mut decompressor) = ends();
        let message = status(1_234);
        let frame = compressor.compress(7, &message).unwrap();
        assert!(frame.len() * 2 < message.len(), "{}", frame.len());
        assert!(!frame.starts_with(&FRAME_MAGIC));
        // Single segment, one byte of length, no number of a dictionary.
        assert_eq!(frame[..2], [0x20, message.len() as u8]);
        assert_eq!(decompressor.decompress(7, &frame), Ok(message.clone()));
        assert_eq!(
            decompressor.decompress(8, &frame),
            Err(Garbled::NoDictionary)
        );
        assert_eq!(compressor.compress(8, &message), None);
    }

    proptest! {
        #[test]
        fn what_was_compressed_comes_back(words in prop::collection::vec(0_u8..4, 64..3_000)) {
            let (mut compressor, mut decompressor) = ends();
            for dictionary in [0, 7] {
                if let Some(frame) = compressor.compress(dictionary, &words) {
                    prop_assert!(frame.len() + 2 < words.len());
                    prop_assert_eq!(decompressor.decompress(dictionary, &frame), Ok(words.clone()));
                }
            }
        }

        // [WIRE-97]
        #[test]
        fn any_bytes_are_a_message_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let (_, mut decompressor) = ends();
            for dictionary in [0, 7] {
                if let Ok(message) = decompressor.decompress(dictionary, &bytes) {
                    prop_assert!(message.len() <= MESSAGE_BYTES_MAX);
                }
            }
        }

        // [WIRE-97]
        #[test]
        fn a_changed_frame_is_a_message_or_refused(place in 0_usize..60, bit in 0_u8..8) {
            let (mut compressor, mut decompressor) = ends();
            let mut frame = compressor.compress(7, &status(1_234)).unwrap();
            let place = place % frame.len();
            frame[place] ^= 1 << bit;
            if let Ok(message) = decompressor.decompress(7, &frame) {
                prop_assert!(message.len() <= MESSAGE_BYTES_MAX);
            }
        }
    }
}
