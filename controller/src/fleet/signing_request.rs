//! What somebody asks the authority to sign.

use std::fmt;

use rcgen::{
    CertificateSigningRequestParams, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKey, PublicKeyData,
};
use ring::digest;
use rustls_pki_types::CertificateSigningRequestDer;

/// The key of a signing request (PKCS#10) that the same key signed: who sent it has it. What else it asks for counts for nothing.
pub struct SigningRequest(PublicKey);

impl SigningRequest {
    /// The request that these bytes (DER) are; none when they are no request, its signature is wrong, or its key is neither
    /// Ed25519 nor P-256.
    pub fn parse(der: &[u8]) -> Option<SigningRequest> {
        let der = CertificateSigningRequestDer::from(der);
        let request = CertificateSigningRequestParams::from_der(&der).ok()?;
        let key = request.public_key;
        let algorithm = PublicKeyData::algorithm(&key);
        let is_used_here = algorithm == &PKCS_ED25519 || algorithm == &PKCS_ECDSA_P256_SHA256;
        is_used_here.then_some(SigningRequest(key))
    }

    /// SHA-256 of the public key.
    pub fn key_sha256(&self) -> [u8; 32] {
        sha256(&self.0.subject_public_key_info())
    }

    pub(super) fn public_key(&self) -> &PublicKey {
        &self.0
    }
}

impl fmt::Debug for SigningRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningRequest").field(&self.0).finish()
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    sum
}
