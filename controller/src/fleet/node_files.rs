//! What a node needs to be one of its fleet.

use std::fmt;
use std::fs;
use std::path::Path;

use longrein_io::keys::{Identity, IdentityError};
use longrein_proto::base::NodeName;
use longrein_proto::crypto::CertificateError;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::{FleetError, private_file};

/// What a node needs to be one of its fleet.
#[derive(Clone, Debug)]
pub struct NodeFiles {
    /// Which node.
    pub node: NodeName,
    /// The authority's certificate, by which the node knows the others.
    pub authority_pem: String,
    /// The node's own certificate.
    pub certificate_pem: String,
    /// The node's private key.
    pub key_pem: PrivateKeyPem,
}

/// A private key: PKCS#8 in PEM. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct PrivateKeyPem(pub(super) String);

impl NodeFiles {
    /// Name of the authority's certificate in a node's folder.
    pub const AUTHORITY: &'static str = "authority.pem";
    /// Name of the node's certificate in its folder.
    pub const CERTIFICATE: &'static str = "node.pem";
    /// Name of the node's private key in its folder.
    pub const KEY: &'static str = "node.key";

    /// Makes the folder (0700) and the three files in it (0600). Leaves nothing behind when one of them fails.
    ///
    /// # Errors
    /// [`FleetError::Exists`] when the folder is there, [`FleetError::Io`] when the system refuses.
    pub fn write(&self, folder: &Path) -> Result<(), FleetError> {
        private_file::make_folder(folder)?;
        let written = [
            (Self::AUTHORITY, &self.authority_pem),
            (Self::CERTIFICATE, &self.certificate_pem),
            (Self::KEY, &self.key_pem.0),
        ]
        .into_iter()
        .try_for_each(|(name, text)| private_file::write(&folder.join(name), text));
        if written.is_err() {
            // The first failure is what the caller has to know.
            fs::remove_dir_all(folder).ok();
        }
        written
    }
}

impl NodeFiles {
    /// The same as an identity in memory.
    ///
    /// # Errors
    /// Never of what the authority has issued.
    pub fn identity(&self) -> Result<Identity, IdentityError> {
        let certificate = |text: &str| CertificateDer::from_pem_slice(text.as_bytes());
        let key = PrivatePkcs8KeyDer::from_pem_slice(self.key_pem.0.as_bytes());
        let parts = (
            certificate(&self.authority_pem),
            certificate(&self.certificate_pem),
            key,
        );
        let (Ok(authority), Ok(own), Ok(key)) = parts else {
            let source = CertificateError::Malformed;
            return Err(IdentityError::Parts { source });
        };
        Identity::from_parts(authority, own, key)
    }
}

impl fmt::Debug for PrivateKeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKeyPem")
    }
}
