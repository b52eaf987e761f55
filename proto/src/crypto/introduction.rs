//! What the ends of a session tell each other of themselves, sealed in steps 2 and 3 of the handshake.

use crate::base::limits::CERTIFICATE_BYTES_MAX;

/// Lowest version of the session protocol that this end speaks.
pub(super) const VERSION_MIN: u8 = 1;
/// Highest version of the session protocol that this end speaks.
pub(super) const VERSION_MAX: u8 = 1;
/// Feature of a session: its end reads lists of dictionaries.
// [WIRE-126]
pub const FEATURE_DICTIONARIES: u32 = 1;
/// Feature of a session: its end reads newer certificates of the other one.
// [WIRE-161]
pub const FEATURE_PAPERS: u32 = 2;
/// Feature of a session: its end reads what the other one's wall clock shows.
// [WIRE-166]
pub const FEATURE_WALL_CLOCK: u32 = 4;
/// Feature of a session: the called end's static key is that of its run.
// [WIRE-167]
pub const FEATURE_RUN: u32 = 8;
/// Optional features of a session that this end knows, one bit each.
pub(super) const FEATURES: u32 =
    FEATURE_DICTIONARIES | FEATURE_PAPERS | FEATURE_WALL_CLOCK | FEATURE_RUN;

/// The payload of steps 2 and 3.
///
/// ```text
///  0  u64  when the step before arrived, in microseconds of the sender's clock
///  8  u64  when this step was made, in microseconds of the sender's clock
/// 16  u8   lowest version   \ step 2: what the responder speaks,
/// 17  u8   highest version  | step 3: what the initiator chose (both bytes the same)
/// 18  u32  features         /
/// 22  u16  length of the certificate
/// 24       certificate (DER), then the signature to the end
/// ```
///
/// 24 bytes before the certificate, big-endian.
// [WIRE-63]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Introduction<'a> {
    pub(super) received_us: u64,
    pub(super) sent_us: u64,
    pub(super) version_min: u8,
    pub(super) version_max: u8,
    pub(super) features: u32,
    pub(super) certificate: &'a [u8],
}

/// Which end introduces itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Initiator,
    Responder,
}

/// A payload in its parts.
pub(super) struct Introduced<'a> {
    pub(super) introduction: Introduction<'a>,
    /// All of the payload but the signature.
    pub(super) clear: &'a [u8],
    pub(super) signature: &'a [u8],
}

impl<'a> Introduction<'a> {
    /// The payload without its signature; absent when the certificate is too long.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        if self.certificate.len() > CERTIFICATE_BYTES_MAX {
            return None;
        }
        let length = u16::try_from(self.certificate.len()).ok()?;
        let mut bytes = Vec::with_capacity(24 + self.certificate.len() + 72);
        bytes.extend_from_slice(&self.received_us.to_be_bytes());
        bytes.extend_from_slice(&self.sent_us.to_be_bytes());
        bytes.extend_from_slice(&[self.version_min, self.version_max]);
        bytes.extend_from_slice(&self.features.to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(self.certificate);
        Some(bytes)
    }

    /// The parts of a payload; absent when it is malformed or its times run backwards.
    pub(super) fn decode(payload: &'a [u8]) -> Option<Introduced<'a>> {
        let (received_us, rest) = payload.split_first_chunk()?;
        let (sent_us, rest) = rest.split_first_chunk()?;
        let (&[version_min, version_max], rest) = rest.split_first_chunk()?;
        let (features, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (certificate, signature) = rest.split_at_checked(length)?;
        let introduction = Introduction {
            received_us: u64::from_be_bytes(*received_us),
            sent_us: u64::from_be_bytes(*sent_us),
            version_min,
            version_max,
            features: u32::from_be_bytes(*features),
            certificate,
        };
        let right = introduction.received_us <= introduction.sent_us
            && version_min <= version_max
            && length <= CERTIFICATE_BYTES_MAX;
        let clear = payload.split_at_checked(payload.len() - signature.len())?.0;
        right.then_some(Introduced {
            introduction,
            clear,
            signature,
        })
    }

    /// The highest version that both ends speak.
    // [WIRE-70]
    pub(super) fn common_version(&self) -> Option<u8> {
        let version = self.version_max.min(VERSION_MAX);
        (version >= self.version_min.max(VERSION_MIN)).then_some(version)
    }
}

/// What the signature covers: label, handshake hash before the step, the signer's Noise static key, the payload before the
/// signature.
// [WIRE-64]
pub(super) fn to_be_signed(role: Role, hash: &[u8], static_public: &[u8], clear: &[u8]) -> Vec<u8> {
    let label: &[u8] = match role {
        Role::Initiator => b"longrein/1 handshake initiator\0",
        Role::Responder => b"longrein/1 handshake responder\0",
    };
    [label, hash, static_public, clear].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: Introduction<'static> = Introduction {
        received_us: 1_000,
        sent_us: 1_500,
        version_min: 1,
        version_max: 2,
        features: 0x8000_0001,
        certificate: b"DER",
    };

    // [WIRE-63]
    #[test]
    fn the_payload_stands_as_pictured() {
        let mut bytes = EXAMPLE.encode().expect("short");

        assert_eq!(
            bytes,
            [
                0, 0, 0, 0, 0, 0, 0x03, 0xE8, 0, 0, 0, 0, 0, 0, 0x05, 0xDC, 1, 2, 0x80, 0, 0, 1, 0,
                3, b'D', b'E', b'R'
            ]
        );
        let clear = bytes.clone();
        bytes.extend_from_slice(b"signature");
        let introduced = Introduction::decode(&bytes).expect("right");
        assert_eq!(introduced.introduction, EXAMPLE);
        assert_eq!(introduced.clear, clear);
        assert_eq!(introduced.signature, b"signature");
    }

    // [WIRE-63]
    #[test]
    fn short_payloads_backward_times_and_long_certificates_are_refused() {
        let bytes = EXAMPLE.encode().expect("short");
        for length in 0..bytes.len() {
            assert!(Introduction::decode(&bytes[..length]).is_none());
        }
        let backward = Introduction {
            received_us: 1_501,
            ..EXAMPLE
        };
        let inverted = Introduction {
            version_min: 3,
            ..EXAMPLE
        };
        for wrong in [backward, inverted] {
            assert!(Introduction::decode(&wrong.encode().expect("short")).is_none());
        }
        let long = Introduction {
            certificate: &[0; CERTIFICATE_BYTES_MAX + 1],
            ..EXAMPLE
        };
        assert!(long.encode().is_none());
    }

    // [WIRE-64]
    #[test]
    fn a_signature_covers_role_hash_static_key_and_payload() {
        assert_eq!(
            to_be_signed(Role::Initiator, b"hash", b"static", b"clear"),
            b"longrein/1 handshake initiator\0hashstaticclear"
        );
        assert_eq!(
            to_be_signed(Role::Responder, b"hash", b"static", b"clear"),
            b"longrein/1 handshake responder\0hashstaticclear"
        );
    }

    // [WIRE-70]
    #[test]
    fn the_highest_common_version_is_chosen() {
        for (version_min, version_max, chosen) in
            [(1, 1, Some(1)), (1, 7, Some(1)), (2, 7, None), (0, 0, None)]
        {
            let introduction = Introduction {
                version_min,
                version_max,
                ..EXAMPLE
            };
            assert_eq!(introduction.common_version(), chosen);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1_000)) {
            if let Some(introduced) = Introduction::decode(&bytes) {
                prop_assert_eq!(introduced.introduction.encode().expect("short"), introduced.clear);
            }
        }
    }
}
