//! A certificate for the relays of the other peers.

use std::net::IpAddr;
use std::path::PathBuf;

use longrein::local_fleet::Folder;
use rcgen::{CertificateParams, KeyPair, SanType};

/// A certificate that is its own authority, and its key, in files.
pub struct Papers {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub folder: Folder,
}

impl Papers {
    /// For this address and these names.
    pub fn new(address: IpAddr, names: Vec<String>) -> anyhow::Result<Papers> {
        let folder = Folder::new()?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.subject_alt_names.push(SanType::IpAddress(address));
        let certificate = params.self_signed(&key)?;
        let papers = Papers {
            certificate: folder.path().join("certificate.pem"),
            key: folder.path().join("key.pem"),
            folder,
        };
        std::fs::write(&papers.certificate, certificate.pem())?;
        std::fs::write(&papers.key, key.serialize_pem())?;
        Ok(papers)
    }
}
