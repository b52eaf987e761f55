//! Example bytes: written in `docs/wire.md` and by the codec alike.

use std::fmt::Debug;

use super::{DecodeError, SessionMessage};

/// The norm.
const NORM: &str = include_str!("../../../docs/wire.md");

/// Checks that `value` is written as the bytes of `picture` and read from them, and that the norm shows the same picture.
pub fn assert_vector<T: Debug + PartialEq>(
    picture: &str,
    value: &T,
    encode: impl Fn(&T) -> Vec<u8>,
    decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
) {
    let bytes = encode(value);
    assert_eq!(bytes, hex(picture), "{picture}: {bytes:02x?}");
    assert_eq!(decode(&bytes).as_ref(), Ok(value), "{picture}");
    assert_in_norm(picture);
}

/// The same for messages of the session channel.
pub fn assert_messages<const N: usize>(vectors: [(&str, SessionMessage); N]) {
    for (picture, message) in vectors {
        assert_vector(
            picture,
            &message,
            SessionMessage::encode,
            SessionMessage::decode,
        );
    }
}

/// Checks that the norm shows this picture.
pub fn assert_in_norm(picture: &str) {
    assert!(NORM.contains(picture), "docs/wire.md lacks {picture}");
}

/// The bytes that a picture shows: hexadecimal digits, with spaces between fields.
pub fn hex(picture: &str) -> Vec<u8> {
    let digits: Vec<u8> = picture
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks_exact(2)
        .map(|pair| (pair[0] << 4) | pair[1])
        .collect()
}
