//! Compressed messages, and the dictionaries that make them small.

use std::sync::LazyLock;

use longrein_proto::base::limits::MESSAGE_BYTES_MAX;
use longrein_proto::session::{Compressor, Decompressor, Dictionaries, Dictionary};

use crate::Script;

/// Reads bytes as a frame or as a dictionary, or a frame that was changed on its way.
pub fn run(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let how = script.byte();
    let dictionary = u16::from(how >> 7);
    let mut decompressor = Decompressor::new(DICTIONARIES.clone());
    match how % 4 {
        0 | 1 => {
            let frame = script.bytes(MESSAGE_BYTES_MAX);
            if let Ok(message) = decompressor.decompress(dictionary, frame) {
                assert!(message.len() <= MESSAGE_BYTES_MAX);
            }
        }
        2 => {
            let _ = Dictionary::new(script.bytes(MESSAGE_BYTES_MAX), Some(2));
        }
        _ => {
            let at = usize::from(script.u16());
            let change = script.byte();
            let message = script.bytes(MESSAGE_BYTES_MAX).repeat(3);
            let frame = Compressor::new(DICTIONARIES.clone()).compress(dictionary, &message);
            let Some(mut frame) = frame else { return };
            assert_eq!(decompressor.decompress(dictionary, &frame), Ok(message));
            let at = at % frame.len();
            frame[at] ^= change;
            let _ = decompressor.decompress(dictionary, &frame);
        }
    }
}

/// One dictionary, number 1.
static DICTIONARIES: LazyLock<Dictionaries> = LazyLock::new(|| {
    let samples: Vec<Vec<u8>> = (0..200)
        .map(|n| {
            let (speed, heading) = (n * 37 % 1_500, n * 91 % 6_283);
            format!("{{\"speed_mm_s\":{speed},\"heading_mrad\":{heading},\"gear\":\"D\"}}").into()
        })
        .collect();
    let trained = zstd::dict::from_samples(&samples, 1_024).expect("enough samples");
    let dictionary = Dictionary::new(&trained, Some(1)).expect("just trained");
    let mut dictionaries = Dictionaries::new();
    dictionaries
        .insert(dictionary, &["drive".parse().expect("a valid name")])
        .expect("the first one");
    dictionaries
});
