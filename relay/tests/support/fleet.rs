//! An authority, and identity folders as it makes them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ED25519,
    SanType,
};

/// An authority with a fresh key.
pub struct Fleet {
    name: String,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Fleet {
    pub fn new(name: &str) -> Fleet {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        Fleet {
            name: name.to_string(),
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    /// The identity folder of a node such as `relay/east`.
    pub fn issue(&self, inside: &Path, node: &str) -> PathBuf {
        self.issue_for_years(inside, node, 2025, 4000)
    }

    /// The same, valid from one 1 January to another.
    pub fn issue_for_years(&self, inside: &Path, node: &str, from: i32, to: i32) -> PathBuf {
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        let uri = format!("longrein://{}/{node}", self.name);
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let folder = inside.join(node.replace('/', "-"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("authority.pem"), self.issuer.pem()).unwrap();
        fs::write(folder.join("node.pem"), certificate.pem()).unwrap();
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(folder.join("node.key"))
            .unwrap();
        file.write_all(key.serialize_pem().as_bytes()).unwrap();
        folder
    }

    /// Has a node of this fleet believe another authority too.
    pub fn also_trust(folder: &Path, other: &Fleet) {
        let file = folder.join("authority.pem");
        let own = fs::read_to_string(&file).unwrap();
        fs::write(file, own + &other.issuer.pem()).unwrap();
    }
}
