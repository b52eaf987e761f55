//! A newer certificate of a session's end.

use super::reader::{DecodeError, Reader, TOO_LONG};
use super::writer::Writer;
use crate::base::limits::{CERTIFICATE_BYTES_MAX, SIGNATURE_BYTES_MAX};

/// A newer certificate that an end of a session shows to the other one.
///
/// ```text
/// offset  bytes
///      0  2      length of the certificate, at most 800
///      2  ..     certificate (DER)
///      .  1      length of the signature, at most 96
///      .  ..     signature
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Papers {
    /// The certificate (DER).
    pub certificate: Vec<u8>,
    /// With the certificate's key, over [`Papers::to_be_signed`].
    pub signature: Vec<u8>,
}

impl Papers {
    /// The bytes that the certificate's key signs: they name the session and the certificate, and cannot be mistaken for anything
    /// else that a node signs.
    // [WIRE-161]
    pub fn to_be_signed(handshake_hash: &[u8; 32], certificate: &[u8]) -> Vec<u8> {
        [DOMAIN, handshake_hash, certificate].concat()
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u16(u16::try_from(self.certificate.len()).unwrap_or(u16::MAX));
        writer.bytes(&self.certificate);
        writer.u8(u8::try_from(self.signature.len()).unwrap_or(u8::MAX));
        writer.bytes(&self.signature);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Papers, DecodeError> {
        // [WIRE-161]
        let length = up_to(CERTIFICATE_BYTES_MAX, reader.u16()?.into())?;
        let certificate = reader.bytes(length)?.to_vec();
        let length = up_to(SIGNATURE_BYTES_MAX, reader.u8()?.into())?;
        Ok(Papers {
            certificate,
            signature: reader.bytes(length)?.to_vec(),
        })
    }
}

fn up_to(max: usize, length: usize) -> Result<usize, DecodeError> {
    if length > max {
        Err(TOO_LONG)
    } else {
        Ok(length)
    }
}

/// Keeps what is signed here apart from everything else that is signed with the same key.
const DOMAIN: &[u8] = b"longrein/1 papers\0";

#[cfg(test)]
mod tests {
    use super::*;

    // [WIRE-161]
    #[test]
    fn what_is_signed_names_session_and_certificate() {
        assert_eq!(
            Papers::to_be_signed(&[7; 32], b"DER"),
            [b"longrein/1 papers\0", &[7; 32][..], b"DER"].concat()
        );
    }
}
