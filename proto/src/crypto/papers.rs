//! Newer certificates, shown in a session that stands.

use super::credential::Credential;
use super::fleet::{CertificateError, Fleet, Peer, verify_signature};
use crate::wire::Papers;

/// Papers for the far end of the session with this handshake hash; none when the key cannot be used now.
// [WIRE-161]
pub fn sign_papers(credential: &dyn Credential, handshake_hash: &[u8; 32]) -> Option<Papers> {
    let certificate = credential.certificate();
    let signature = credential.sign(&Papers::to_be_signed(handshake_hash, certificate));
    (!signature.is_empty()).then(|| Papers {
        certificate: certificate.to_vec(),
        signature,
    })
}

/// Who the far end is by the papers that it shows, where it was `known` by an earlier certificate, which must not have ended before
/// they begin. No clock is asked: how long they count is their lead over the earlier one.
///
/// # Errors
/// Why they do not count: the session goes on under the earlier certificate.
// [WIRE-162]
pub fn verify_papers(
    papers: &Papers,
    handshake_hash: &[u8; 32],
    known: &Peer,
    fleet: &Fleet,
) -> Result<Peer, PapersError> {
    let peer = fleet.verify_undated(&papers.certificate)?;
    if peer.not_before > known.not_after {
        let not_before = peer.not_before;
        return Err(CertificateError::NotYetValid { not_before }.into());
    }
    if peer.node != known.node {
        return Err(PapersError::OtherNode);
    }
    if peer.not_after <= known.not_after {
        return Err(PapersError::NotNewer);
    }
    let signed = Papers::to_be_signed(handshake_hash, &papers.certificate);
    verify_signature(&papers.certificate, &signed, &papers.signature)?;
    Ok(peer)
}

/// Why papers do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PapersError {
    /// The certificate is not believed, or its key did not sign.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The certificate is another node's.
    #[error("the certificate is of another node")]
    OtherNode,
    /// The certificate ends no later than the one that counts.
    #[error("the certificate is no newer than the one that counts")]
    NotNewer,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::test_authority::{KeyType, NOW, TestAuthority, at};
    use crate::crypto::{KeyPair, sign_revocations};

    const HASH: [u8; 32] = [7; 32];
    const NODE: &str = "controller/anna";

    struct Scene {
        authority: TestAuthority,
        fleet: Fleet,
        known: Peer,
    }

    impl Scene {
        /// Anna is known by a certificate that ends a minute from now.
        fn new() -> Scene {
            let authority = TestAuthority::new("demo");
            let fleet = authority.fleet();
            let (certificate, _) = authority.issue(NODE, KeyType::Ed25519);
            let mut known = fleet.verify(&certificate, NOW).unwrap();
            known.not_after = at(NOW.as_secs() + 60);
            Scene {
                authority,
                fleet,
                known,
            }
        }

        fn credential(&self, node: &str) -> KeyPair {
            self.authority.credential(node, KeyType::P256)
        }

        fn verify(&self, papers: &Papers) -> Result<Peer, PapersError> {
            verify_papers(papers, &HASH, &self.known, &self.fleet)
        }

        fn error(&self, papers: &Papers) -> PapersError {
            self.verify(papers).expect_err("not right")
        }
    }

    // [WIRE-161] [WIRE-162]
    #[test]
    fn a_newer_certificate_of_the_same_node_counts() {
        let scene = Scene::new();
        let papers = sign_papers(&scene.credential(NODE), &HASH).unwrap();
        let peer = scene.verify(&papers).unwrap();
        assert_eq!(peer.node, scene.known.node);
        assert_eq!(peer.not_after, TestAuthority::NOT_AFTER);
        // Also one that begins as the earlier one ends, and none that begins later.
        let mut scene = scene;
        let not_before = TestAuthority::NOT_BEFORE;
        scene.known.not_after = not_before;
        assert!(scene.verify(&papers).is_ok());
        scene.known.not_after = at(not_before.as_secs() - 1);
        assert_eq!(
            scene.error(&papers),
            CertificateError::NotYetValid { not_before }.into()
        );
    }

    // [WIRE-162]
    #[test]
    fn papers_that_are_not_right_in_everything_count_nothing() {
        let scene = Scene::new();
        let right = sign_papers(&scene.credential(NODE), &HASH).unwrap();
        let other_node = sign_papers(&scene.credential("controller/otto"), &HASH).unwrap();
        assert_eq!(scene.error(&other_node), PapersError::OtherNode);
        let other_session = sign_papers(&scene.credential(NODE), &[8; 32]).unwrap();
        let unsigned = CertificateError::Signature.into();
        assert_eq!(scene.error(&other_session), unsigned);
        // Whoever has seen the certificate, and has an older key of the same node.
        let older_key = Papers {
            signature: sign_papers(&scene.credential(NODE), &HASH)
                .unwrap()
                .signature,
            ..right.clone()
        };
        assert_eq!(scene.error(&older_key), unsigned);
        let stranger = TestAuthority::new("demo").credential(NODE, KeyType::Ed25519);
        let stranger = sign_papers(&stranger, &HASH).unwrap();
        let unknown = CertificateError::UnknownAuthority.into();
        assert_eq!(scene.error(&stranger), unknown);
        let mut scene = scene;
        scene.known.not_after = TestAuthority::NOT_AFTER;
        assert_eq!(scene.error(&right), PapersError::NotNewer);
    }

    // [WIRE-162]
    #[test]
    fn papers_of_a_revoked_node_count_nothing() {
        let scene = Scene::new();
        let since_s = u32::try_from(NOW.as_secs()).unwrap();
        let revoked = [(scene.known.node.clone(), since_s)].into();
        let authority = scene.credential("authority/demo");
        for part in sign_revocations(&authority, (1, 7), &revoked).unwrap() {
            scene.fleet.take_revocations(&part);
        }
        let papers = sign_papers(&scene.credential(NODE), &HASH).unwrap();
        assert_eq!(scene.error(&papers), CertificateError::Revoked.into());
    }
}
