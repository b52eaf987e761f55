//! TLS of the HTTP server.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{HttpError, HttpSection};

/// TLS 1.3 with certificate and key of files, which are read again when they have changed.
#[derive(Clone)]
pub(super) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    newest: Arc<Mutex<Newest>>,
}

struct Newest {
    config: Arc<ServerConfig>,
    read_at: (Option<SystemTime>, Option<SystemTime>),
    looked: Instant,
}

impl Tls {
    /// What the configuration names; none without files.
    pub(super) fn of(section: &HttpSection) -> Result<Option<Tls>, HttpError> {
        let (Some(certificate), Some(key)) = (&section.certificate, &section.key) else {
            return Ok(None);
        };
        let newest = Newest {
            read_at: changed_at(certificate, key),
            config: load(certificate, key)?,
            looked: Instant::now(),
        };
        Ok(Some(Tls {
            certificate: certificate.clone(),
            key: key.clone(),
            newest: Arc::new(Mutex::new(newest)),
        }))
    }

    /// A connection that is encrypted.
    ///
    /// # Errors
    /// When the other end speaks something else, or does not believe the certificate.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = self.config();
        TlsAcceptor::from(config).accept(stream).await
    }

    fn config(&self) -> Arc<ServerConfig> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.looked.elapsed() >= LOOK_EVERY {
            newest.looked = Instant::now();
            let changed = changed_at(&self.certificate, &self.key);
            if changed != newest.read_at {
                match load(&self.certificate, &self.key) {
                    Ok(config) => {
                        (newest.config, newest.read_at) = (config, changed);
                        tracing::info!("http has a newer certificate");
                    }
                    Err(error) => {
                        tracing::error!(%error, "http keeps its old certificate, as the new one cannot be used");
                    }
                }
            }
        }
        Arc::clone(&newest.config)
    }
}

fn load(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, HttpError> {
    let wrong = |file: &Path, what: String| HttpError::Tls {
        file: file.to_path_buf(),
        what,
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(certificate, error.to_string()))?;
    let own = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(certificate, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, own)
        .map_err(|error| wrong(certificate, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// When certificate and key were written.
fn changed_at(certificate: &Path, key: &Path) -> (Option<SystemTime>, Option<SystemTime>) {
    let changed = |file: &Path| std::fs::metadata(file).and_then(|it| it.modified()).ok();
    (changed(certificate), changed(key))
}

/// Between looks at the files: a certificate is renewed days before its end.
const LOOK_EVERY: Duration = Duration::from_secs(60);
