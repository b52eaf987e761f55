//! A fleet for tests, with keys made on the spot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

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
    groups: BTreeMap<NodeName, Vec<String>>,
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
            groups: BTreeMap::new(),
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
        let at = rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_millis(Self::UNIX_MS));
        self.fleet().verify(&certificate, at).expect("just issued")
    }

    /// Gives a node a new key and a certificate of this length, from [`TestFleet::UNIX_MS`] on.
    pub fn certify(&mut self, node: &NodeName, life: Duration) {
        let pair = self.issue(node, life);
        self.issued.insert(node.clone(), pair);
    }

    /// The certificates of a node name this group from now on.
    pub fn put_into_group(&mut self, node: &NodeName, group: &str) {
        let groups = self.groups.entry(node.clone()).or_default();
        groups.push(format!("longrein://test/group/{group}"));
    }

    fn key_pair(&mut self, node: &NodeName) -> Arc<KeyPair> {
        if let Some(known) = self.issued.get(node) {
            return known.clone();
        }
        let pair = self.issue(node, TEN_YEARS);
        self.issued.insert(node.clone(), pair.clone());
        pair
    }

    fn issue(&mut self, node: &NodeName, life: Duration) -> Arc<KeyPair> {
        let mut params = CertificateParams::default();
        let groups = self.groups.get(node).cloned().unwrap_or_default();
        let uris = [format!("longrein://test/{node}")]
            .into_iter()
            .chain(groups);
        params.subject_alt_names = uris
            .map(|uri| SanType::URI(uri.try_into().expect("plain characters")))
            .collect();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2030, 1, 1) + life;
        let key = key(&mut self.chance);
        let certificate = params
            .signed_by(&key, &self.authority)
            .expect("the parameters are valid");
        let pair = KeyPair::from_pkcs8(certificate.der(), &key.serialize_der())
            .expect("they belong together");
        Arc::new(pair)
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

/// Life of certificates that no scenario looks at: until 2040.
const TEN_YEARS: Duration = Duration::from_secs(3_652 * 86_400);
/// What stands before the 32 bytes of a private key (RFC 8410 §7).
const PKCS8_ED25519: [u8; 16] = [
    0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
];
