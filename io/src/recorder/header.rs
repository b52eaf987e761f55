//! How a segment begins.

use longrein_proto::base::MonoTime;
use longrein_proto::base::limits::{CERTIFICATE_BYTES_MAX, SIGNATURE_BYTES_MAX};
use longrein_proto::crypto::{Credential, verify_signature};
use longrein_proto::wire::{DecodeError, Reader, Writer};

use super::chain::{Chain, Hash};

/// The beginning of a segment, signed by the node whose certificate is in it.
///
/// ```text
/// offset  bytes
///      0  16     "longrein-record1"
///     16  8      number of the segment, from 1 on
///     24  8      number of the oldest segment that is kept from now on
///     32  8      number of its first entry
///     40  32     hash after the entry before; zero when there is none
///     72  6      monotonic time in µs
///     78  6      wall clock in ms since 1970
///     84  4      how far that may be wrong, in ms; ffffffff: unknown
///     88  2      length of the certificate
///     90  ..     certificate (DER)
///      .  1      length of the signature
///      .  ..     signature over "longrein/1 record header" and all of this before its length
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: u64,
    pub(super) kept_from: u64,
    /// The number of the first entry, and the hash before it.
    pub(super) chain: Chain,
    pub(super) at: MonoTime,
    pub(super) wall_ms: u64,
    pub(super) error_ms: Option<u32>,
    pub(super) certificate: Vec<u8>,
}

/// A header as it stands in a file.
#[derive(Debug)]
pub(super) struct SignedHeader<'a> {
    pub(super) header: Header,
    signed: &'a [u8],
    signature: &'a [u8],
    /// The whole header.
    pub(super) bytes: &'a [u8],
    /// The entries.
    pub(super) rest: &'a [u8],
}

impl Header {
    /// The header's bytes, signed.
    pub(super) fn sign(&self, credential: &dyn Credential) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.bytes(MAGIC);
        writer.bytes(&self.number.to_be_bytes());
        writer.bytes(&self.kept_from.to_be_bytes());
        writer.bytes(&self.chain.next.to_be_bytes());
        writer.bytes(&self.chain.hash);
        writer.u48(self.at.as_us());
        writer.u48(self.wall_ms);
        writer.u32(self.error_ms.unwrap_or(UNKNOWN));
        writer.u16(u16::try_from(self.certificate.len()).unwrap_or(u16::MAX));
        writer.bytes(&self.certificate);
        let mut bytes = writer.into_vec();
        let signature = credential.sign(&to_be_signed(&bytes));
        bytes.push(u8::try_from(signature.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(&signature);
        bytes
    }

    /// The header at the front of a file.
    ///
    /// # Errors
    /// There is none, or not all of it.
    pub(super) fn read(file: &[u8]) -> Result<SignedHeader<'_>, DecodeError> {
        let mut reader = Reader::new(file, usize::MAX)?;
        if reader.array()? != *MAGIC {
            return Err(DecodeError::Malformed("no segment of a record"));
        }
        let number = reader.u64()?;
        let kept_from = reader.u64()?;
        let next = reader.u64()?;
        let hash: Hash = reader.array()?;
        let at = MonoTime::from_us(reader.u48()?);
        let wall_ms = reader.u48()?;
        let error_ms = Some(reader.u32()?).filter(|error| *error != UNKNOWN);
        let length = usize::from(reader.u16()?);
        if length > CERTIFICATE_BYTES_MAX {
            return Err(DecodeError::Malformed("the certificate is too long"));
        }
        let certificate = reader.bytes(length)?.to_vec();
        let signed_len = FIXED_BYTES + length;
        let length = reader.count(SIGNATURE_BYTES_MAX)?;
        let signature = reader.bytes(length)?;
        let bytes_len = signed_len + 1 + length;
        let (bytes, rest) = file.split_at_checked(bytes_len).unwrap_or((file, &[]));
        Ok(SignedHeader {
            header: Header {
                number,
                kept_from,
                chain: Chain { next, hash },
                at,
                wall_ms,
                error_ms,
                certificate,
            },
            signed: bytes.get(..signed_len).unwrap_or_default(),
            signature,
            bytes,
            rest,
        })
    }

    /// Whether a file is no more than a beginning of a header, as of a file that was never filled.
    pub(super) fn is_cut(file: &[u8]) -> bool {
        let zero = file.iter().all(|byte| *byte == 0);
        let begun = file
            .iter()
            .zip(MAGIC)
            .all(|(found, wanted)| found == wanted);
        let whole = Header::read(file).is_ok();
        zero || (begun
            && !whole
            && file.len() < FIXED_BYTES + CERTIFICATE_BYTES_MAX + 1 + SIGNATURE_BYTES_MAX)
    }
}

impl SignedHeader<'_> {
    /// Whether the key of its certificate signed it.
    pub(super) fn is_genuine(&self) -> bool {
        let words = to_be_signed(self.signed);
        verify_signature(&self.header.certificate, &words, self.signature).is_ok()
    }
}

fn to_be_signed(bytes: &[u8]) -> Vec<u8> {
    [CONTEXT, bytes].concat()
}

/// Names the file's kind and version.
const MAGIC: &[u8; 16] = b"longrein-record1";
/// So that no other signature of the key can stand here.
const CONTEXT: &[u8] = b"longrein/1 record header";
/// Bytes before the certificate.
const FIXED_BYTES: usize = 90;
const UNKNOWN: u32 = u32::MAX;
