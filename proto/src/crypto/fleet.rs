//! One trust domain: which certificates name its nodes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use ring::digest;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::ring::{ECDSA_P256_SHA256, ED25519};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter};

use super::revocations::{RevocationOutcome, Revocations};
use crate::base::limits::{CERTIFICATE_BYTES_MAX, GRACE};
use crate::base::{Name, NodeKind, NodeName};
use crate::wire::RevocationPart;

/// A fleet's name, the authorities whose certificates it believes, whose certificates count no more, and how late it is at
/// least: all clones share the last two.
#[derive(Clone, Debug)]
pub struct Fleet {
    name: Name,
    anchors: Vec<TrustAnchor<'static>>,
    grace: Duration,
    revocations: Arc<RwLock<Revocations>>,
    /// Seconds since 1970 that have passed for sure.
    passed_s: Arc<AtomicU64>,
}

/// A node as its verified certificate names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Kind and name.
    pub node: NodeName,
    /// The groups that it is in, in the certificate's order.
    pub groups: Vec<Name>,
    /// The first second at which the certificate is valid.
    pub not_before: UnixTime,
    /// The last second at which the certificate is valid.
    pub not_after: UnixTime,
    /// SHA-256 of the certificate (DER).
    pub fingerprint: [u8; 32],
}

impl Fleet {
    /// The fleet of this name with the certificates (DER) of its authorities; more than one while an authority's key is
    /// being replaced.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`] when an anchor is no X.509 certificate: the file is wrong.
    pub fn new(
        name: Name,
        anchors: Vec<CertificateDer<'static>>,
    ) -> Result<Fleet, CertificateError> {
        let anchors = anchors
            .iter()
            .map(|anchor| webpki::anchor_from_trusted_cert(anchor).map(|anchor| anchor.to_owned()))
            .collect::<Result<_, _>>()
            .map_err(|_| CertificateError::Malformed)?;
        Ok(Fleet {
            name,
            anchors,
            grace: Duration::ZERO,
            revocations: Arc::default(),
            passed_s: Arc::default(),
        })
    }

    /// The same fleet for whoever lets an expired agent reach the authority: its certificate counts during the time of grace. The
    /// peer's `not_after` tells.
    // [WIRE-144]
    #[must_use]
    pub fn with_grace(mut self) -> Fleet {
        self.grace = GRACE;
        self
    }

    /// The fleet's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// It is this late at least, whatever a clock says from now on.
    // [WIRE-149]
    pub fn note_time(&self, passed: UnixTime) {
        self.passed_s.fetch_max(passed.as_secs(), Ordering::Relaxed);
    }

    /// The time for certificates while the wall clock says `clock`.
    // [WIRE-149]
    pub fn time(&self, clock: UnixTime) -> UnixTime {
        let passed_s = self.passed_s.load(Ordering::Relaxed);
        clock.max(UnixTime::since_unix_epoch(Duration::from_secs(passed_s)))
    }

    /// Who the owner of this certificate (DER) is, if an authority of the fleet says so and it is valid while the wall clock
    /// says `clock`.
    ///
    /// # Errors
    /// Why not. `Expired` and `NotYetValid` are said of certificates that are right in everything else.
    pub fn verify(&self, certificate: &[u8], clock: UnixTime) -> Result<Peer, CertificateError> {
        let peer = self.verify_undated(certificate)?;
        let (not_before, not_after) = (peer.not_before, peer.not_after);
        let at = self.time(clock);
        // [WIRE-144]
        let grace = match peer.node.kind {
            NodeKind::Agent => self.grace,
            NodeKind::Controller
            | NodeKind::Service
            | NodeKind::Relay
            | NodeKind::Authority
            | NodeKind::Newcomer => Duration::ZERO,
        };
        // [WIRE-65]
        if at.as_secs() > not_after.as_secs().saturating_add(grace.as_secs()) {
            return Err(CertificateError::Expired { not_after });
        }
        // [WIRE-149] How late it is at most, a clock that is behind does not know.
        if clock == at && at < not_before {
            return Err(CertificateError::NotYetValid { not_before });
        }
        Ok(peer)
    }

    /// As [`Fleet::verify`], whatever the dates of the certificate: for what a wrong clock must not decide.
    ///
    /// # Errors
    /// Why not.
    pub fn verify_undated(&self, certificate: &[u8]) -> Result<Peer, CertificateError> {
        if certificate.len() > CERTIFICATE_BYTES_MAX {
            return Err(CertificateError::Malformed);
        }
        let der = CertificateDer::from(certificate);
        let parsed = EndEntityCert::try_from(&der).map_err(|_| CertificateError::Malformed)?;
        let (not_before, not_after) = (not_before(&parsed), not_after(&parsed)?);
        // [WIRE-65]
        self.verify_chain(&parsed, not_before)?;
        if !has_usable_key(&parsed) {
            return Err(CertificateError::Algorithm);
        }
        let (node, groups) = self.names(parsed.valid_uri_names())?;
        // [WIRE-147]
        if self.revocations().include(&node, not_before) {
            return Err(CertificateError::Revoked);
        }
        Ok(Peer {
            node,
            groups,
            not_before,
            not_after,
            fingerprint: fingerprint(certificate),
        })
    }

    /// Whether the key of this certificate (DER) signed `message`. It says nothing about whose certificate that is: call
    /// [`Fleet::verify`] too.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`] when it is no certificate, [`CertificateError::Algorithm`] when its key is neither Ed25519 nor P-256,
    /// [`CertificateError::Signature`] when the signature is of another key or message.
    pub fn verify_signature(
        &self,
        certificate: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CertificateError> {
        verify_signature(certificate, message, signature)
    }

    /// Whether a node counts no more that was here before the newest list of revocations.
    // [WIRE-147]
    pub fn is_revoked(&self, node: &NodeName, not_before: UnixTime) -> bool {
        self.revocations().include(node, not_before)
    }

    /// Takes a part of a list of revocations. The dates of its signer's certificate count for nothing: a wrong clock must not
    /// keep a stolen key in the fleet.
    // [WIRE-146] [WIRE-147]
    pub fn take_revocations(&self, part: &[u8]) -> RevocationOutcome {
        let Ok(part) = RevocationPart::decode(part) else {
            return RevocationOutcome::Forged;
        };
        if !self.revocations().want(&part.words) {
            return RevocationOutcome::Known;
        }
        let signer = self.verify_undated(&part.certificate);
        let is_authority = signer.is_ok_and(|signer| signer.node.kind == NodeKind::Authority);
        let words = part.words.to_be_signed();
        if !is_authority || verify_signature(&part.certificate, &words, &part.signature).is_err() {
            return RevocationOutcome::Forged;
        }
        self.revocations
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take(part)
    }

    /// The newest list of revocations, in parts for [`Fleet::take_revocations`] of others; none before the first.
    pub fn revocation_parts(&self) -> Vec<Arc<[u8]>> {
        self.revocations().parts()
    }

    /// Number of the newest list of revocations, and when it was made, in seconds since 1970; both are 0 before the first.
    pub fn revocations_made(&self) -> (u64, u64) {
        let revocations = self.revocations();
        (revocations.number(), revocations.made_s())
    }

    fn revocations(&self) -> RwLockReadGuard<'_, Revocations> {
        self.revocations
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn verify_chain(
        &self,
        certificate: &EndEntityCert<'_>,
        at: UnixTime,
    ) -> Result<(), CertificateError> {
        certificate
            .verify_for_usage(ALGORITHMS, &self.anchors, &[], at, AnyTls, None, None)
            .map(|_| ())
            .map_err(CertificateError::from)
    }

    // [WIRE-66]
    fn names<'a>(
        &self,
        uris: impl Iterator<Item = &'a str>,
    ) -> Result<(NodeName, Vec<Name>), CertificateError> {
        let mut node = None;
        let mut groups = Vec::new();
        for uri in uris {
            let (fleet, name) = uri
                .strip_prefix("longrein://")
                .and_then(|rest| rest.split_once('/'))
                .ok_or(CertificateError::Name)?;
            if fleet != self.name.as_str() {
                return Err(CertificateError::WrongFleet);
            }
            match name.strip_prefix("group/") {
                Some(group) => groups.push(group.parse().map_err(|_| CertificateError::Name)?),
                None => {
                    let name = name.parse().map_err(|_| CertificateError::Name)?;
                    if node.replace(name).is_some() {
                        return Err(CertificateError::Name);
                    }
                }
            }
        }
        Ok((node.ok_or(CertificateError::Name)?, groups))
    }
}

/// Whether the key is of an algorithm that nodes sign with.
// [WIRE-64]
fn has_usable_key(certificate: &EndEntityCert<'_>) -> bool {
    let info = certificate.subject_public_key_info();
    ALGORITHMS.iter().any(|algorithm| {
        let id = algorithm.public_key_alg_id();
        // An outer and an inner sequence, both shorter than 128 bytes (RFC 5280 §4.1).
        let begin = match info.as_ref() {
            [SEQUENCE, _, SEQUENCE, length, rest @ ..] => rest.split_at_checked((*length).into()),
            _ => None,
        };
        begin.is_some_and(|(named, _)| named == id.as_ref())
    })
}

/// As [`Fleet::verify_signature`], for whoever knows no fleet.
///
/// # Errors
/// As [`Fleet::verify_signature`].
pub fn verify_signature(
    certificate: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), CertificateError> {
    let der = CertificateDer::from(certificate);
    let certificate = EndEntityCert::try_from(&der).map_err(|_| CertificateError::Malformed)?;
    for algorithm in ALGORITHMS {
        match certificate.verify_signature(*algorithm, message, signature) {
            Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {}
            Ok(()) => return Ok(()),
            Err(_) => return Err(CertificateError::Signature),
        }
    }
    Err(CertificateError::Algorithm)
}

/// SHA-256 of a certificate (DER).
pub(crate) fn fingerprint(certificate: &[u8]) -> [u8; 32] {
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
    fingerprint
}

/// webpki names the end of a certificate's validity only when it refuses the certificate for it, which is what it looks at
/// first.
fn not_after(certificate: &EndEntityCert<'_>) -> Result<UnixTime, CertificateError> {
    let end_of_time = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    match certificate.verify_for_usage(ALGORITHMS, &[], &[], end_of_time, AnyTls, None, None) {
        Err(webpki::Error::CertExpired { not_after, .. }) => Ok(not_after),
        Ok(_) | Err(_) => Err(CertificateError::Malformed),
    }
}

/// As [`not_after`]; a certificate that was valid in 1970 was always.
fn not_before(certificate: &EndEntityCert<'_>) -> UnixTime {
    let begin_of_time = UnixTime::since_unix_epoch(Duration::ZERO);
    match certificate.verify_for_usage(ALGORITHMS, &[], &[], begin_of_time, AnyTls, None, None) {
        Err(webpki::Error::CertNotValidYet { not_before, .. }) => not_before,
        Ok(_) | Err(_) => begin_of_time,
    }
}

/// A certificate's usage, when it names any, is TLS client or server: what a node is stands in its name, and one leaf
/// serves both directions.
struct AnyTls;

impl ExtendedKeyUsageValidator for AnyTls {
    fn validate(&self, usages: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut named = false;
        for usage in usages {
            let usage = usage?;
            if usage == SERVER_AUTH || usage == CLIENT_AUTH {
                return Ok(());
            }
            named = true;
        }
        if named {
            Err(webpki::Error::EmptyEkuExtension)
        } else {
            Ok(())
        }
    }
}

/// Of keys and of authorities' signatures.
const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[ED25519, ECDSA_P256_SHA256];
/// ASN.1's tag (X.690 §8.9).
const SEQUENCE: u8 = 0x30;
/// 1.3.6.1.5.5.7.3.1 (RFC 5280 §4.2.1.12).
const SERVER_AUTH: KeyPurposeId<'static> = KeyPurposeId::new(&[43, 6, 1, 5, 5, 7, 3, 1]);
/// 1.3.6.1.5.5.7.3.2 (RFC 5280 §4.2.1.12).
const CLIENT_AUTH: KeyPurposeId<'static> = KeyPurposeId::new(&[43, 6, 1, 5, 5, 7, 3, 2]);

/// Why a certificate is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not a certificate that can be read, or longer than [`CERTIFICATE_BYTES_MAX`].
    #[error("the certificate cannot be read")]
    Malformed,
    /// Its key or its authority's signature is neither Ed25519 nor P-256.
    #[error("the certificate's key or signature is of an algorithm that is not used here")]
    Algorithm,
    /// No authority of the fleet signed it.
    #[error("the certificate is not of an authority of this fleet")]
    UnknownAuthority,
    /// Right, but too old.
    #[error("the certificate expired at {} s", not_after.as_secs())]
    Expired {
        /// Its last second.
        not_after: UnixTime,
    },
    /// Right, but from the future: this machine's clock may be wrong.
    #[error("the certificate is not valid before {} s", not_before.as_secs())]
    NotYetValid {
        /// Its first second.
        not_before: UnixTime,
    },
    /// It is an authority's, or for something else than TLS.
    #[error("the certificate is for another use")]
    Usage,
    /// It names a node or group of another fleet.
    #[error("the certificate is of another fleet")]
    WrongFleet,
    /// It does not name exactly one node, or names something that is neither node nor group.
    #[error("the certificate does not name one node of a fleet")]
    Name,
    /// The authority has revoked it.
    #[error("the certificate is revoked")]
    Revoked,
    /// The signature is of another key or message.
    #[error("the signature does not match")]
    Signature,
}

impl From<webpki::Error> for CertificateError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "webpki adds errors; all others are about the encoding"
    )]
    fn from(error: webpki::Error) -> CertificateError {
        use webpki::Error as E;
        match error {
            E::CertExpired { not_after, .. } => CertificateError::Expired { not_after },
            E::CertNotValidYet { not_before, .. } => CertificateError::NotYetValid { not_before },
            E::UnknownIssuer
            | E::InvalidSignatureForPublicKey
            | E::NameConstraintViolation
            | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
                CertificateError::UnknownAuthority
            }
            E::UnsupportedSignatureAlgorithmContext(_) => CertificateError::Algorithm,
            E::CaUsedAsEndEntity | E::EmptyEkuExtension => CertificateError::Usage,
            _ => CertificateError::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::ExtendedKeyUsagePurpose;

    use super::*;
    use crate::crypto::test_authority::{KeyType, NOW, TestAuthority, at};

    // [WIRE-65] [WIRE-66]
    #[test]
    fn a_certificate_of_the_fleet_names_its_node_and_groups() {
        for key_type in KeyType::ALL {
            let authority = TestAuthority::new("demo");
            let (certificate, _) = authority.issue_with(key_type, |params| {
                params.uris = ["agent/truck-17", "group/mine", "group/trucks"]
                    .map(|name| format!("longrein://demo/{name}"))
                    .to_vec();
            });

            let peer = authority.fleet().verify(&certificate, NOW).expect("right");

            assert_eq!(peer.node, "agent/truck-17".parse().expect("valid"));
            assert_eq!(format!("{:?}", peer.groups), "[mine, trucks]");
            assert_eq!(peer.not_after, TestAuthority::NOT_AFTER);
            assert_eq!(peer.fingerprint, fingerprint(&certificate));
        }
    }

    // [WIRE-65]
    #[test]
    fn a_certificate_of_another_authority_of_the_same_name_is_refused() {
        let authority = TestAuthority::new("demo");
        let impostor = TestAuthority::new("demo");
        let stranger = TestAuthority::new("other");
        let (certificate, _) = impostor.issue("agent/truck-17", KeyType::Ed25519);

        for fleet in [authority.fleet(), stranger.fleet()] {
            for time in [NOW, at(TestAuthority::NOT_AFTER.as_secs() + 1)] {
                assert_eq!(
                    fleet.verify(&certificate, time),
                    Err(CertificateError::UnknownAuthority)
                );
            }
        }
    }

    // [WIRE-65]
    #[test]
    fn a_certificate_counts_from_its_first_to_its_last_second() {
        let authority = TestAuthority::new("demo");
        let fleet = authority.fleet();
        let (certificate, _) = authority.issue("agent/truck-17", KeyType::P256);
        let (not_before, not_after) = (TestAuthority::NOT_BEFORE, TestAuthority::NOT_AFTER);

        assert!(fleet.verify(&certificate, not_before).is_ok());
        assert!(fleet.verify(&certificate, not_after).is_ok());
        assert_eq!(
            fleet.verify(&certificate, at(not_before.as_secs() - 1)),
            Err(CertificateError::NotYetValid { not_before })
        );
        assert_eq!(
            fleet.verify(&certificate, at(not_after.as_secs() + 1)),
            Err(CertificateError::Expired { not_after })
        );
    }

    // [WIRE-149]
    #[test]
    fn a_clock_of_1970_makes_no_certificate_valid_that_is_over_and_refuses_none_that_is_valid() {
        let authority = TestAuthority::new("demo");
        let (certificate, _) = authority.issue("agent/truck-17", KeyType::Ed25519);
        let (not_before, not_after) = (TestAuthority::NOT_BEFORE, TestAuthority::NOT_AFTER);
        let (begin_s, end_s) = (not_before.as_secs(), not_after.as_secs());
        let valid = Ok(());
        let early = Err(CertificateError::NotYetValid { not_before });
        let over = Err(CertificateError::Expired { not_after });
        for (passed_s, clock_s, expected) in [
            // Nothing is known, and the clock is all there is.
            (0, 0, early),
            // The clock is behind what is known: it begins, is valid, or is over.
            (begin_s - 1, 0, valid),
            (begin_s, 0, valid),
            (end_s, 0, valid),
            (end_s + 1, 0, over),
            (end_s + 1, end_s, over),
            // The clock is right.
            (begin_s - 2, begin_s - 1, early),
            (begin_s - 1, begin_s - 1, early),
            (begin_s, end_s, valid),
            (begin_s, end_s + 1, over),
        ] {
            let fleet = authority.fleet();
            let clone = fleet.clone();
            clone.note_time(at(passed_s));
            // It does not go back.
            clone.note_time(at(passed_s / 2));
            let verified = fleet.verify(&certificate, at(clock_s)).map(|_| ());
            assert_eq!(verified, expected, "{passed_s} {clock_s}");
            assert!(fleet.verify_undated(&certificate).is_ok());
        }
    }

    // [WIRE-66]
    #[test]
    fn a_certificate_names_exactly_one_node_of_the_fleet() {
        let authority = TestAuthority::new("demo");
        for (uris, error) in [
            (vec![], CertificateError::Name),
            (vec!["longrein://demo/group/mine"], CertificateError::Name),
            (vec!["longrein://demo/driver/x"], CertificateError::Name),
            (vec!["longrein://demo/agent/x/y"], CertificateError::Name),
            (vec!["longrein://demo/agent/X"], CertificateError::Name),
            (vec!["longrein://demo"], CertificateError::Name),
            (vec!["https://demo/agent/x"], CertificateError::Name),
            (
                vec!["longrein://demo/agent/x", "longrein://demo/relay/x"],
                CertificateError::Name,
            ),
            (
                vec!["longrein://demo/agent/x", "longrein://demo/group/A"],
                CertificateError::Name,
            ),
            (
                vec!["longrein://other/agent/x"],
                CertificateError::WrongFleet,
            ),
            (
                vec!["longrein://demo/agent/x", "longrein://other/group/g"],
                CertificateError::WrongFleet,
            ),
        ] {
            let (certificate, _) = authority.issue_with(KeyType::Ed25519, |params| {
                params.uris = uris.iter().map(ToString::to_string).collect();
            });

            assert_eq!(
                authority.fleet().verify(&certificate, NOW),
                Err(error),
                "{uris:?}"
            );
        }
    }

    // [WIRE-65]
    #[test]
    fn a_usage_other_than_tls_is_refused() {
        use ExtendedKeyUsagePurpose::{ClientAuth, CodeSigning, ServerAuth};
        let authority = TestAuthority::new("demo");
        for (usages, right) in [
            (vec![], true),
            (vec![ClientAuth, ServerAuth], true),
            (vec![CodeSigning, ClientAuth], true),
            (vec![ServerAuth], true),
            (vec![CodeSigning], false),
        ] {
            let (certificate, _) = authority.issue_with(KeyType::Ed25519, |params| {
                params.usages = usages.clone();
            });

            let verified = authority.fleet().verify(&certificate, NOW);

            assert_eq!(verified.is_ok(), right, "{usages:?}: {verified:?}");
            assert!(right || verified == Err(CertificateError::Usage));
        }
    }

    // [WIRE-65]
    #[test]
    fn the_authority_s_own_certificate_is_no_node_s() {
        let authority = TestAuthority::new("demo");

        assert_eq!(
            authority.fleet().verify(&authority.anchor(), NOW),
            Err(CertificateError::Usage)
        );
    }

    proptest! {
        #[test]
        fn a_damaged_certificate_is_refused_without_panic(
            position in 0..400_usize,
            bit in 0..8_u32,
            length in 0..500_usize,
        ) {
            let authority = TestAuthority::new("demo");
            let (mut certificate, _) = authority.issue("agent/truck-17", KeyType::Ed25519);
            let position = position % certificate.len();
            certificate[position] ^= 1 << bit;
            prop_assert!(authority.fleet().verify(&certificate, NOW).is_err());
            certificate.truncate(length);
            prop_assert!(authority.fleet().verify(&certificate, NOW).is_err());
        }
    }
}
