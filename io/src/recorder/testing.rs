//! A node's key, a clock and folders, for the tests of the record.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use longrein_proto::base::MonoTime;
use longrein_proto::crypto::{Credential, KeyPair};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, SanType,
};
use rustls_pki_types::CertificateDer;

use super::log::{Clock, Log};

/// A fleet's authority, which makes nodes.
pub(super) struct Authority(CertifiedIssuer<'static, rcgen::KeyPair>);

impl Authority {
    pub(super) fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        Authority(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(super) fn node(&self, name: &str) -> Arc<dyn Credential> {
        let mut params = CertificateParams::default();
        let uri = format!("longrein://yard/{name}");
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Arc::new(KeyPair::from_pkcs8(certificate.der(), &key.serialize_der()).unwrap())
    }

    pub(super) fn certificates(&self) -> [CertificateDer<'static>; 1] {
        [self.0.der().clone()]
    }
}

/// A clock that goes on by a millisecond whenever somebody looks.
pub(super) fn clock() -> Clock {
    let mut at_us = 5_000_000;
    Box::new(move || {
        at_us += 1_000;
        (MonoTime::from_us(at_us), 1_795_000_000_000 + at_us / 1_000)
    })
}

/// A folder that goes with the test.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new() -> Folder {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("longrein-record-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(super) fn log(&self, credential: &Arc<dyn Credential>) -> Log {
        Log::new(self.0.clone(), ROOM, Arc::clone(credential), clock())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Eight segments of the smallest size.
pub(super) const ROOM: u64 = 1024 * 1024;
