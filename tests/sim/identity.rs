//! A fleet for tests, with keys made on the spot.

use std::collections::BTreeMap;
use std::sync::Arc;

use longrein_proto::base::{Entropy, NodeName};
use longrein_proto::crypto::{Credential, Fleet, KeyPair, Peer};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa,
    KeyPair as Key, SanType, date_time_ymd,
};

use crate::Chance;

/// An authority that issues on demand.
pub struct TestFleet {
    chance: Chance,
    authority: CertifiedIssuer<'static, Key>,
    issued: BTreeMap<NodeName, Arc<KeyPair>>,
}

impl TestFleet {
    /// The wall clock of every world: 2030-01-01.
    pub const UNIX_MS: u64 = 1_893_456_000_000;

    /// A fleet called `test`, with the keys of a seed.
    pub fn new(seed: u64) -> TestFleet {
        let mut chance = Chance::new(seed);
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2040, 1, 1);
        let key = key(&mut chance);
        let authority =
            CertifiedIssuer::self_signed(params, key).expect("the parameters are valid");
        TestFleet {
            chance,
            authority,
            issued: BTreeMap::new(),
        }
    }

    /// What a node trusts.
    pub fn fleet(&self) -> Fleet {
        let anchor = self.authority.der().clone();
        Fleet::new("test".parse().expect("a valid name"), vec![anchor]).expect("a valid anchor")
    }

    /// A node's certificate and key; the same at each call.
    pub fn credential(&mut self, node: &NodeName) -> Arc<dyn Credential> {
        self.key_pair(node)
    }

    /// What others see of a node.
    pub fn peer(&mut self, node: &NodeName) -> Peer {
        let certificate = self.key_pair(node).certificate().to_vec();
        let at = rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_millis(
            Self::UNIX_MS,
        ));
        self.fleet().verify(&certificate, at).expect("just issued")
    }

    fn key_pair(&mut self, node: &NodeName) -> Arc<KeyPair> {
        if let Some(known) = self.issued.get(node) {
            return known.clone();
        }
        let mut params = CertificateParams::default();
        let uri = format!("longrein://test/{node}")
            .try_into()
            .expect("plain characters");
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2040, 1, 1);
        let key = key(&mut self.chance);
        let certificate = params
            .signed_by(&key, &self.authority)
            .expect("the parameters are valid");
        let pair = KeyPair::from_pkcs8(certificate.der(), &key.serialize_der())
            .expect("they belong together");
        let pair = Arc::new(pair);
        self.issued.insert(node.clone(), pair.clone());
        pair
    }
}

/// An Ed25519 key, so that a seed gives the same bytes each time.
fn key(chance: &mut Chance) -> Key {
    let mut pkcs8 = PKCS8_ED25519.to_vec();
    let mut private = [0; 32];
    chance.fill(&mut private);
    pkcs8.extend(private);
    Key::try_from(pkcs8).expect("any 32 bytes are a key")
}

/// What stands before the 32 bytes of a private key (RFC 8410 §7).
const PKCS8_ED25519: [u8; 16] = [
    0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
];
