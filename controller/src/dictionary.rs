//! Dictionaries for compression: trained on what a fleet's messages look like, tried on others.

mod mavlink;
mod samples;
mod trial;

use longrein_proto::base::limits::COMPRESSION_BYTES_MIN;
use longrein_proto::session::{Dictionary, DictionaryError};

pub use mavlink::frames;
pub use samples::{SAMPLES_MIN, Samples, SamplesError, Shape};
pub use trial::{Measured, Trial};

/// Trains a dictionary of at most `bytes_max` bytes on messages like those to come. Its number is `id`, or else one from
/// 32,768 on that follows from its content.
///
/// # Errors
/// [`TrainError`]: what the samples lack.
pub fn train<S: AsRef<[u8]>>(
    samples: &[S],
    bytes_max: usize,
    id: Option<u16>,
) -> Result<Vec<u8>, TrainError> {
    if samples
        .iter()
        .all(|sample| sample.as_ref().len() < COMPRESSION_BYTES_MIN)
    {
        return Err(TrainError::AllShort);
    }
    let mut bytes = zstd::dict::from_samples(samples, bytes_max)
        .map_err(|source| TrainError::Untrained { bytes_max, source })?;
    let place = bytes
        .get_mut(NUMBER)
        .and_then(|place| <&mut [u8; 4]>::try_from(place).ok())
        .ok_or(DictionaryError::NotTrained)?;
    let [low, high, ..] = *place;
    // zstd keeps numbers below 32,768 for dictionaries that all the world knows.
    let drawn = u16::from_le_bytes([low, high]) | 0x8000;
    *place = u32::from(id.unwrap_or(drawn)).to_le_bytes();
    Dictionary::new(&bytes, None)?;
    Ok(bytes)
}

/// Why samples make no dictionary.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Nothing that is like them would be compressed.
    #[error(
        "no sample has {COMPRESSION_BYTES_MIN} bytes or more, and shorter messages are not compressed"
    )]
    AllShort,
    /// zstd's trainer gives up.
    #[error(
        "the samples make no dictionary of {bytes_max} bytes ({source}): give more of them, or ask for fewer bytes"
    )]
    Untrained {
        /// What was asked for.
        bytes_max: usize,
        /// What the trainer says.
        source: std::io::Error,
    },
    /// What it made cannot be used.
    #[error("what zstd has trained {0}")]
    Unusable(#[from] DictionaryError),
}

/// Where a dictionary has its number (RFC 8878 §5).
const NUMBER: std::ops::Range<usize> = 4..8;

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Vec<u8>> {
        let sample = |number: u32| {
            let speed = number * 7_919 % 3_000;
            format!(
                r#"{{"type":"status","at":{number},"speed_mm_s":{speed},"battery":{{"soc":{}}},"mode":"manual"}}"#,
                number % 100
            )
            .into_bytes()
        };
        (0..500).map(sample).collect()
    }

    #[test]
    fn a_trained_dictionary_has_a_number_and_the_size_that_was_asked_for() {
        let bytes = train(&samples(), 2_048, Some(9)).unwrap();
        assert!(bytes.len() <= 2_048);
        assert_eq!(Dictionary::new(&bytes, None).unwrap().id(), 9);
        let drawn = train(&samples(), 2_048, None).unwrap();
        assert!(Dictionary::new(&drawn, None).unwrap().id() >= 0x8000);
        assert_eq!(drawn, train(&samples(), 2_048, None).unwrap());
    }

    #[test]
    fn samples_that_make_no_dictionary_say_why() {
        let short = vec![vec![b'a'; COMPRESSION_BYTES_MIN - 1]; 500];
        assert!(matches!(
            train(&short, 2_048, None),
            Err(TrainError::AllShort)
        ));
        let few = samples()[..3].to_vec();
        let error = train(&few, 65_536, None).unwrap_err().to_string();
        assert!(
            error.starts_with("the samples make no dictionary of 65536 bytes ("),
            "{error}"
        );
    }

    #[test]
    fn a_trial_says_what_the_dictionary_saves() {
        let samples = samples();
        let dictionary = train(&samples[..400], 2_048, Some(9)).unwrap();
        let dictionary = Dictionary::new(&dictionary, None).unwrap();
        let with = Trial::run(Some(dictionary), &samples[400..]).unwrap();
        let without = Trial::run(None, &samples[400..]).unwrap();
        assert_eq!(with.messages.len(), 100);
        assert!(with.ratio() > 2.0, "{}", with.ratio());
        assert!((without.ratio() - 1.0).abs() < 0.001, "they are too short");
        assert_eq!((with.left_alone(), without.left_alone()), (0, 100));
    }
}
