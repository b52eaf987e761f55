//! The fleet's authority: the key that says who is one of the fleet.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longrein_io::enrol::EnrolmentToken;
use longrein_proto::base::{Name, NodeKind, NodeName};
use longrein_proto::crypto::{Fleet, Token, TokenNames};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, PublicKeyData,
    SanType,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::signing_request::sha256;
use super::{
    FleetError, NodeFiles, PrivateKeyPem, SigningRequest, TokenOrder, Validity, private_file,
};

/// The fleet's authority: an Ed25519 key and its self-signed certificate, which names the fleet.
pub struct Authority {
    fleet: Name,
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority, valid for ten years.
    ///
    /// # Errors
    /// [`FleetError::Certificate`] when the system gives no randomness.
    pub fn new(fleet: Name, now_s: u64) -> Result<Authority, FleetError> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let mut params = params(Validity::days(now_s, Validity::DAYS_MAX));
        params.distinguished_name = subject(&fleet);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate_pem = params.self_signed(&key)?.pem();
        Ok(Authority::with(fleet, certificate_pem, key))
    }

    /// The authority that [`Authority::save`] wrote to this folder.
    ///
    /// # Errors
    /// [`FleetError::NoAuthority`] when the folder is not there, [`FleetError::BadAuthority`] when the files in it do not
    /// fit, [`FleetError::Io`] when they cannot be read.
    pub fn load(folder: &Path) -> Result<Authority, FleetError> {
        if !folder.exists() {
            return Err(FleetError::NoAuthority(parent(folder)));
        }
        let (certificate, key) = (folder.join(Self::CERTIFICATE), folder.join(Self::KEY));
        let read = |path: &Path| {
            fs::read_to_string(path).map_err(|why: io::Error| FleetError::Io {
                path: path.to_path_buf(),
                why,
            })
        };
        let certificate_pem = read(&certificate)?;
        let key_pair = KeyPair::from_pem(&read(&key)?).map_err(|_| FleetError::BadAuthority {
            path: key.clone(),
            why: "not a private key in PEM",
        })?;

        let bad = |why| FleetError::BadAuthority {
            path: certificate.clone(),
            why,
        };
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_| bad("not a certificate in PEM"))?;
        let anchor =
            webpki::anchor_from_trusted_cert(&der).map_err(|_| bad("not a certificate"))?;
        let fleet = fleet_of(&anchor.subject).ok_or_else(|| bad("it names no fleet"))?;
        if !key_pair
            .subject_public_key_info()
            .ends_with(&anchor.subject_public_key_info)
        {
            return Err(bad("of another key"));
        }
        Ok(Authority::with(fleet, certificate_pem, key_pair))
    }

    /// Makes the folder (0700) with the certificate and the private key (0600).
    ///
    /// # Errors
    /// [`FleetError::Exists`] when the folder is there, [`FleetError::Io`] when the system refuses.
    pub fn save(&self, folder: &Path) -> Result<(), FleetError> {
        private_file::make_folder(folder)?;
        private_file::write(&folder.join(Self::CERTIFICATE), &self.certificate_pem)?;
        private_file::write(&folder.join(Self::KEY), &self.issuer.key().serialize_pem())
    }

    /// The fleet's name.
    pub fn fleet(&self) -> &Name {
        &self.fleet
    }

    /// The certificate that every node of the fleet has.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// A new key for the node, and its certificate: one URI `longrein://<fleet>/<kind>/<name>`, one more
    /// `longrein://<fleet>/group/<group>` for each group, good as client and as server of a TLS connection. The subject
    /// stays empty: a certificate has to fit into one flight of a handshake beside everything else.
    ///
    /// # Errors
    /// [`FleetError::SecondAuthority`] for an authority, [`FleetError::TooLarge`] when the groups do not fit,
    /// [`FleetError::Certificate`] when the system gives no randomness.
    pub fn issue(
        &self,
        node: &NodeName,
        groups: &[Name],
        validity: Validity,
    ) -> Result<NodeFiles, FleetError> {
        if matches!(node.kind, NodeKind::Authority | NodeKind::Newcomer) {
            return Err(FleetError::SecondAuthority(node.clone()));
        }
        self.make(node, groups, validity)
    }

    fn make(
        &self,
        node: &NodeName,
        groups: &[Name],
        validity: Validity,
    ) -> Result<NodeFiles, FleetError> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let certificate = self.sign(node, groups, validity, &key)?;
        Ok(NodeFiles {
            node: node.clone(),
            authority_pem: self.certificate_pem.clone(),
            certificate_pem: certificate.pem(),
            key_pem: PrivateKeyPem(key.serialize_pem()),
        })
    }

    fn sign(
        &self,
        node: &NodeName,
        groups: &[Name],
        validity: Validity,
        key: &impl PublicKeyData,
    ) -> Result<Certificate, FleetError> {
        let groups = groups.iter().map(|group| format!("group/{group}"));
        let mut params = params(validity);
        params.subject_alt_names = std::iter::once(node.to_string())
            .chain(groups)
            .map(|path| self.uri(&path))
            .collect::<Result<_, _>>()?;
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        let certificate = params.signed_by(key, &self.issuer)?;
        let bytes = certificate.der().len();
        if bytes > Self::CERTIFICATE_BYTES_MAX {
            return Err(FleetError::TooLarge {
                node: node.clone(),
                bytes,
                max: Self::CERTIFICATE_BYTES_MAX,
            });
        }
        Ok(certificate)
    }

    /// A certificate (DER) of the node for the key of a signing request, as [`Authority::issue`] makes it for a new key.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn certify(
        &self,
        node: &NodeName,
        groups: &[Name],
        validity: Validity,
        request: &SigningRequest,
    ) -> Result<Vec<u8>, FleetError> {
        let certificate = self.sign(node, groups, validity, request.public_key())?;
        Ok(certificate.der().to_vec())
    }

    /// The fleet as whoever believes this authority alone sees it.
    pub fn trust(&self) -> Fleet {
        Fleet::new(self.fleet.clone(), vec![self.certificate()]).expect("loaded or made as one")
    }

    /// The certificate that every node of the fleet has, as DER.
    pub fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate_pem.as_bytes())
            .expect("loaded or made as one")
    }

    /// A new key and certificate of the node that answers for this authority at the relays. It can sign no certificate.
    ///
    /// # Errors
    /// [`FleetError::Certificate`] when the system gives no randomness.
    pub fn own_node(&self, validity: Validity) -> Result<NodeFiles, FleetError> {
        let node = NodeName::new(NodeKind::Authority, self.fleet.clone());
        self.make(&node, &[], validity)
    }

    /// Another certificate of a node for the key that it has.
    ///
    /// # Errors
    /// As [`Authority::own_node`].
    pub fn renew(
        &self,
        files: &NodeFiles,
        validity: Validity,
    ) -> Result<CertificateDer<'static>, FleetError> {
        let key = KeyPair::from_pem(&files.key_pem.0)?;
        let certificate = self.sign(&files.node, &[], validity, &key)?;
        Ok(certificate.der().clone())
    }

    /// A new token, to be passed on, and what to remember of it.
    ///
    /// # Errors
    /// [`FleetError::Certificate`] when the system gives no randomness.
    pub fn token(
        &self,
        order: &TokenOrder,
        now_s: u64,
    ) -> Result<(EnrolmentToken, Token), FleetError> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let id: String = sha256(&key.subject_public_key_info())
            .iter()
            .take(TOKEN_ID_BYTES)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let id: Name = id.parse().expect("hexadecimal digits");
        let validity = Validity {
            not_before_s: now_s.saturating_sub(Validity::EARLY_S),
            not_after_s: order.expires_s,
        };
        let holder = NodeName::new(NodeKind::Newcomer, id.clone());
        let certificate = self.sign(&holder, &[], validity, &key)?;
        let name = order.node.name.clone();
        let names = match order.is_prefix {
            true => TokenNames::Prefix(name),
            false => TokenNames::One(name),
        };
        let token = Token {
            id,
            fingerprint: sha256(certificate.der()),
            kind: order.node.kind,
            names: names.clone(),
            groups: order.groups.clone(),
            expires_s: order.expires_s,
            uses: order.uses,
            used: BTreeSet::new(),
        };
        let text = EnrolmentToken {
            kind: order.node.kind,
            names,
            authority: self.certificate(),
            certificate: certificate.der().clone(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()),
        };
        Ok((text, token))
    }

    fn with(fleet: Name, certificate_pem: String, key: KeyPair) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(&fleet);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Authority {
            fleet,
            certificate_pem,
            issuer: Issuer::new(params, key),
        }
    }

    fn uri(&self, path: &str) -> Result<SanType, rcgen::Error> {
        let uri: Ia5String = format!("longrein://{}/{path}", self.fleet).try_into()?;
        Ok(SanType::URI(uri))
    }

    /// Most bytes of a node's certificate (DER): it shares one step of the session's handshake with everything else.
    pub const CERTIFICATE_BYTES_MAX: usize = 800;

    const CERTIFICATE: &str = "authority.pem";
    const KEY: &str = "authority.key";
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.fleet)
    }
}

fn parent(folder: &Path) -> PathBuf {
    folder.parent().unwrap_or(folder).to_path_buf()
}

fn params(validity: Validity) -> CertificateParams {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = epoch + Duration::from_secs(validity.not_before_s.min(TIME_MAX_S));
    params.not_after = epoch + Duration::from_secs(validity.not_after_s.min(TIME_MAX_S));
    params
}

fn subject(fleet: &Name) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, DnValue::Utf8String(fleet.to_string()));
    name
}

/// The fleet that an authority's subject names: DER of a common name alone, without the outer sequence.
fn fleet_of(subject: &[u8]) -> Option<Name> {
    let (head, name) = subject.split_at_checked(COMMON_NAME.len())?;
    let length = u8::try_from(name.len()).ok()?;
    let mut expected = COMMON_NAME;
    for (at, inner) in [(1, 9), (3, 7), (10, 0)] {
        *expected.get_mut(at)? = length.checked_add(inner)?;
    }
    if head != expected {
        return None;
    }
    std::str::from_utf8(name).ok()?.parse().ok()
}

/// `SET { SEQUENCE { OID 2.5.4.3, UTF8String } }` without lengths and string.
const COMMON_NAME: [u8; 11] = [0x31, 0, 0x30, 0, 0x06, 3, 0x55, 4, 3, 0x0c, 0];

/// Bytes of a token's name, as hexadecimal digits: enough that no two tokens meet.
const TOKEN_ID_BYTES: usize = 8;
/// Last second of the year 9999, the last that X.509 can write (RFC 5280 §4.1.2.5).
const TIME_MAX_S: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use rustls_pki_types::UnixTime;
    use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    fn authority() -> Authority {
        Authority::new("harbour".parse().unwrap(), NOW_S).unwrap()
    }

    fn der(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }

    fn verify(files: &NodeFiles, at_s: u64, usage: KeyUsage) -> Result<(), webpki::Error> {
        let (certificate, anchor) = (der(&files.certificate_pem), der(&files.authority_pem));
        let anchor = anchor_from_trusted_cert(&anchor).unwrap();
        EndEntityCert::try_from(&certificate)?
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &[anchor],
                &[],
                UnixTime::since_unix_epoch(Duration::from_secs(at_s)),
                usage,
                None,
                None,
            )
            .map(|_| ())
    }

    #[test]
    fn a_leaf_is_valid_for_both_ends_of_tls_within_its_time_and_names_its_node_and_groups() {
        let node = "agent/truck-17".parse().unwrap();
        let groups = ["cranes".parse().unwrap()];
        let files = authority()
            .issue(&node, &groups, Validity::days(NOW_S, 30))
            .unwrap();
        for usage in [KeyUsage::client_auth(), KeyUsage::server_auth()] {
            assert_eq!(verify(&files, NOW_S - 299, usage), Ok(()));
            assert_eq!(verify(&files, NOW_S + 30 * 86_400 - 1, usage), Ok(()));
            assert!(verify(&files, NOW_S - 301, usage).is_err());
            assert!(verify(&files, NOW_S + 30 * 86_400 + 1, usage).is_err());
        }
        let der = der(&files.certificate_pem);
        let leaf = EndEntityCert::try_from(&der).unwrap();
        assert_eq!(
            leaf.valid_uri_names().collect::<Vec<_>>(),
            [
                "longrein://harbour/agent/truck-17",
                "longrein://harbour/group/cranes"
            ]
        );
    }

    #[test]
    fn a_leaf_fits_into_450_bytes_with_the_longest_names() {
        let long = "x".repeat(Name::BYTES_MAX);
        let authority = Authority::new(long.parse().unwrap(), NOW_S).unwrap();
        let node = format!("controller/{long}").parse().unwrap();
        let files = authority
            .issue(&node, &[], Validity::days(NOW_S, 30))
            .unwrap();
        let length = der(&files.certificate_pem).len();
        assert!(length <= 450, "{length} bytes");
    }

    #[test]
    fn a_certificate_that_no_handshake_has_room_for_is_not_issued() {
        let node = "agent/truck-17".parse().unwrap();
        let groups: Vec<Name> = (0..20)
            .map(|i| format!("group-number-{i}").parse().unwrap())
            .collect();
        let refused = authority().issue(&node, &groups, Validity::days(NOW_S, 30));
        assert!(matches!(
            refused,
            Err(FleetError::TooLarge { max: 800, .. })
        ));
    }

    #[test]
    fn a_leaf_of_another_authority_of_the_same_name_is_not_valid() {
        let node = "relay/a".parse().unwrap();
        let mut files = authority()
            .issue(&node, &[], Validity::days(NOW_S, 30))
            .unwrap();
        files.authority_pem = authority().certificate_pem().to_string();
        assert!(verify(&files, NOW_S, KeyUsage::client_auth()).is_err());
    }

    #[test]
    fn an_authority_issues_no_authority_and_a_leaf_is_none() {
        let node = "authority/b".parse().unwrap();
        let refused = authority().issue(&node, &[], Validity::days(NOW_S, 30));
        assert!(matches!(refused, Err(FleetError::SecondAuthority(_))));
    }

    #[test]
    fn a_subject_with_anything_but_one_common_name_names_no_fleet() {
        let der = der(authority().certificate_pem());
        let subject = anchor_from_trusted_cert(&der).unwrap().subject.to_vec();
        assert_eq!(
            fleet_of(&subject).map(|n| n.to_string()),
            Some("harbour".to_string())
        );
        for at in 0..COMMON_NAME.len() {
            let mut other = subject.clone();
            other[at] ^= 1;
            assert_eq!(fleet_of(&other), None, "byte {at}");
        }
        assert_eq!(fleet_of(&[]), None);
    }

    #[test]
    fn debug_output_shows_no_key() {
        let node = "relay/a".parse().unwrap();
        let files = authority()
            .issue(&node, &[], Validity::days(NOW_S, 30))
            .unwrap();
        assert!(!format!("{files:?}").contains("PRIVATE KEY"));
    }
}
