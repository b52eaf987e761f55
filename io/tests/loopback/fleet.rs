//! A fleet for one test: an authority, and identity directories in a temporary place.

use longrein_io::files::make_private_directory;
use longrein_io::keys::{AUTHORITY_FILE, CERTIFICATE_FILE, Identity, KEY_FILE};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls_pki_types::CertificateDer;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub struct Fleet {
    issuer: CertifiedIssuer<'static, KeyPair>,
    place: PathBuf,
}

impl Fleet {
    pub fn new() -> Fleet {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("longrein-loopback-{}-{number}", std::process::id());
        let place = std::env::temp_dir().join(name);
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        Fleet {
            issuer: CertifiedIssuer::self_signed(params, key()).unwrap(),
            place,
        }
    }

    /// A certificate that this authority signs, as a test wants it, and its key.
    pub fn issue(
        &self,
        key: KeyPair,
        choose: impl FnOnce(&mut CertificateParams),
    ) -> (CertificateDer<'static>, KeyPair) {
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2100, 1, 1);
        choose(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), key)
    }

    /// The authority's own certificate.
    pub fn anchor(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// The identity of `relay/east` and the like.
    pub fn identity(&self, node: &str) -> Identity {
        Identity::load(&self.directory(node, 2100)).unwrap()
    }

    /// An identity directory whose certificate is valid from 2026 to the first day of `until_year`.
    pub fn directory(&self, node: &str, until_year: i32) -> PathBuf {
        let directory = self.place.join(node);
        make_private_directory(&directory).unwrap();
        write(&directory, AUTHORITY_FILE, &self.issuer.pem());
        write(&directory, KEY_FILE, &key().serialize_pem());
        self.certify(&directory, node, (2026, until_year));
        directory
    }

    /// Puts another certificate for the key that is there into an identity directory, valid from the first day of a year to that
    /// of another.
    pub fn certify(&self, directory: &Path, node: &str, (from_year, until_year): (i32, i32)) {
        let key = KeyPair::from_pem(&fs::read_to_string(directory.join(KEY_FILE)).unwrap());
        let (certificate, _) = self.issue(key.unwrap(), |params| {
            params.not_before = rcgen::date_time_ymd(from_year, 1, 1);
            params.not_after = rcgen::date_time_ymd(until_year, 1, 1);
            params.subject_alt_names = vec![uri(&format!("longrein://demo/{node}"))];
        });
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        let pem = pem::Pem::new("CERTIFICATE", certificate.as_ref());
        write(
            directory,
            CERTIFICATE_FILE,
            &pem::encode_config(&pem, config),
        );
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.place));
    }
}

pub fn write(directory: &Path, file: &str, content: &str) {
    let file = directory.join(file);
    fs::write(&file, content).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A subject's alternative name.
pub fn uri(uri: &str) -> SanType {
    SanType::URI(uri.try_into().unwrap())
}

pub fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}
