//! What a node shows of itself: a certificate, which is renewed while it runs, and its key, which stays.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use longrein_proto::crypto::{KeyError, KeyPair};
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};

use crate::tls;

/// A node's key with its newest certificate: connections show it from when it is there, and those that stand stay.
pub(crate) struct Shown {
    key: PrivatePkcs8KeyDer<'static>,
    newest: RwLock<Newest>,
}

/// A certificate with its key, for TLS and for the protocol.
#[derive(Clone)]
struct Newest {
    certified: Arc<CertifiedKey>,
    pair: Arc<KeyPair>,
    dates: Dates,
}

/// The first and the last second of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dates {
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
}

impl Shown {
    /// # Errors
    /// When they do not belong together.
    pub(crate) fn new(
        certificate: CertificateDer<'static>,
        dates: Dates,
        key: PrivatePkcs8KeyDer<'static>,
    ) -> Result<Shown, KeyError> {
        let newest = RwLock::new(Newest::new(certificate, dates, &key)?);
        Ok(Shown { key, newest })
    }

    /// Shows another certificate of the same key from now on.
    ///
    /// # Errors
    /// When it is of another key.
    pub(crate) fn replace(
        &self,
        certificate: CertificateDer<'static>,
        dates: Dates,
    ) -> Result<(), KeyError> {
        let newest = Newest::new(certificate, dates, &self.key)?;
        *self.newest.write().unwrap_or_else(PoisonError::into_inner) = newest;
        Ok(())
    }

    pub(crate) fn dates(&self) -> Dates {
        self.newest().dates
    }

    /// The newest certificate and the key as they are now.
    pub(crate) fn pair(&self) -> Arc<KeyPair> {
        self.newest().pair
    }

    pub(crate) fn key(&self) -> &PrivatePkcs8KeyDer<'static> {
        &self.key
    }

    fn newest(&self) -> Newest {
        let newest = self.newest.read().unwrap_or_else(PoisonError::into_inner);
        newest.clone()
    }
}

impl Newest {
    fn new(
        certificate: CertificateDer<'static>,
        dates: Dates,
        key: &PrivatePkcs8KeyDer<'static>,
    ) -> Result<Newest, KeyError> {
        let pair = KeyPair::from_pkcs8(&certificate, key.secret_pkcs8_der())?;
        let private = PrivateKeyDer::Pkcs8(key.clone_key());
        let signer = tls::signer(private).map_err(|_| KeyError::UnusableKey)?;
        Ok(Newest {
            certified: Arc::new(CertifiedKey::new(vec![certificate], signer)),
            pair: Arc::new(pair),
            dates,
        })
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.newest().certified)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.newest().certified)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown")
            .field("dates", &self.dates())
            .finish_non_exhaustive()
    }
}
