//! Certificates and randomness for tests.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    SanType,
};
use ring::hmac;
use rustls_pki_types::UnixTime;

use super::{Fleet, KeyPair};
use crate::base::Entropy;

/// A time at which the certificates of a [`TestAuthority`] are valid: 2026-06-01.
pub(crate) const NOW: UnixTime = at(1_780_272_000);

/// Seconds since 1970.
pub(crate) const fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// Kind of a node's key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyType {
    Ed25519,
    P256,
}

impl KeyType {
    pub(crate) const ALL: [KeyType; 2] = [KeyType::Ed25519, KeyType::P256];

    fn generate(self) -> rcgen::KeyPair {
        rcgen::KeyPair::generate_for(match self {
            KeyType::Ed25519 => &rcgen::PKCS_ED25519,
            KeyType::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        })
        .expect("generated")
    }
}

/// What a test may choose in a certificate.
pub(crate) struct Choices {
    pub(crate) uris: Vec<String>,
    pub(crate) usages: Vec<ExtendedKeyUsagePurpose>,
}

/// An authority with a fresh key.
pub(crate) struct TestAuthority {
    fleet: String,
    issuer: CertifiedIssuer<'static, rcgen::KeyPair>,
}

impl TestAuthority {
    /// 2026-01-01.
    pub(crate) const NOT_BEFORE: UnixTime = at(1_767_225_600);
    /// 2027-01-01.
    pub(crate) const NOT_AFTER: UnixTime = at(1_798_761_600);

    pub(crate) fn new(fleet: &str) -> TestAuthority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params
            .distinguished_name
            .push(DnType::CommonName, format!("{fleet} authority"));
        TestAuthority {
            fleet: fleet.to_string(),
            issuer: CertifiedIssuer::self_signed(params, KeyType::P256.generate())
                .expect("self-signed"),
        }
    }

    pub(crate) fn fleet(&self) -> Fleet {
        let name = self.fleet.parse().expect("valid");
        Fleet::new(name, vec![self.issuer.der().clone()]).expect("a certificate")
    }

    /// The authority's own certificate (DER).
    pub(crate) fn anchor(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// Certificate and private key of a node such as `agent/truck-17`.
    pub(crate) fn credential(&self, node: &str, key_type: KeyType) -> KeyPair {
        let (certificate, key) = self.issue(node, key_type);
        KeyPair::from_pkcs8(&certificate, &key).expect("they belong together")
    }

    /// Certificate (DER) and private key (PKCS#8) of a node.
    pub(crate) fn issue(&self, node: &str, key_type: KeyType) -> (Vec<u8>, Vec<u8>) {
        let uri = format!("longrein://{}/{node}", self.fleet);
        self.issue_with(key_type, |choices| choices.uris = vec![uri.clone()])
    }

    /// As [`TestAuthority::issue`], of `agent/x` if the test does not choose otherwise.
    pub(crate) fn issue_with(
        &self,
        key_type: KeyType,
        choose: impl FnOnce(&mut Choices),
    ) -> (Vec<u8>, Vec<u8>) {
        let mut choices = Choices {
            uris: vec![format!("longrein://{}/agent/x", self.fleet)],
            usages: Vec::new(),
        };
        choose(&mut choices);
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        params.extended_key_usages = choices.usages;
        params.subject_alt_names = choices
            .uris
            .into_iter()
            .map(|uri| SanType::URI(uri.try_into().expect("ASCII")))
            .collect();
        let key = key_type.generate();
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        (certificate.der().to_vec(), key.serialize_der())
    }
}

/// Random bytes that depend on the seed only.
pub(crate) struct SeededEntropy {
    key: hmac::Key,
    blocks: u64,
}

impl SeededEntropy {
    pub(crate) fn new(seed: u64) -> SeededEntropy {
        SeededEntropy {
            key: hmac::Key::new(hmac::HMAC_SHA256, &seed.to_be_bytes()),
            blocks: 0,
        }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let block = hmac::sign(&self.key, &self.blocks.to_be_bytes());
            self.blocks += 1;
            chunk.copy_from_slice(&block.as_ref()[..chunk.len()]);
        }
    }
}
