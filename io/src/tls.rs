//! TLS 1.3 between nodes: each side shows its certificate of the fleet.

use crate::connection::Connection;
use crate::keys::Identity;
use longrein_proto::base::{Name, NodeKind, NodeName};
use longrein_proto::crypto::{CertificateError, Fleet, Peer};
use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::SigningKey;
use rustls::{
    CertificateError as TlsCertificateError, DigitallySignedStruct, DistinguishedName, Error,
    PeerIncompatible, SignatureScheme, version,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use std::sync::Arc;

/// The protocol's name in the handshake (ALPN).
pub const ALPN: &[u8] = b"longrein/1";
/// The name in the handshake's clear part: all relays share it, so that it says nothing about the fleet.
pub const SERVER_NAME: &str = "longrein";

/// TLS of a node that dials the relay `relay`, with the certificate that is newest at each connection; no other node is accepted in its place. A newcomer knows no relay's name, and any
/// of the fleet is as good: none of them learns what it asks.
///
/// # Errors
/// When the identity's key cannot sign.
pub fn client(identity: &Identity, relay: &Name) -> Result<Arc<QuicClientConfig>, Error> {
    let provider = provider();
    let verifier = Verifier {
        fleet: identity.fleet().clone(),
        expected: (identity.node().kind != NodeKind::Newcomer)
            .then(|| NodeName::new(NodeKind::Relay, relay.clone())),
        algorithms: provider.signature_verification_algorithms,
    };
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(identity.shown());
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session would skip the check of the certificate.
    config.resumption = Resumption::disabled();
    quic(QuicClientConfig::try_from(config))
}

/// TLS of a relay: any node of the fleet may come, and an expired agent during its time of grace.
///
/// # Errors
/// When the identity's key cannot sign.
pub fn server(identity: &Identity) -> Result<Arc<QuicServerConfig>, Error> {
    let provider = provider();
    let verifier = Verifier {
        fleet: identity.fleet().clone().with_grace(),
        expected: None,
        algorithms: provider.signature_verification_algorithms,
    };
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(identity.shown());
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    quic(QuicServerConfig::try_from(config))
}

/// What signs for TLS with a node's key.
///
/// # Errors
/// When the key is of no use.
pub(crate) fn signer(key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
    provider().key_provider.load_private_key(key)
}

/// Who is at the other end of an established connection.
pub(crate) fn peer(connection: &Connection, fleet: &Fleet, now: UnixTime) -> Option<Peer> {
    let chain = connection
        .peer_identity()?
        .downcast::<Vec<CertificateDer<'static>>>()
        .ok()?;
    fleet.verify(chain.first()?, now).ok()
}

/// Accepts certificates of the fleet, and of one node only when it expects one.
#[derive(Debug)]
struct Verifier {
    fleet: Fleet,
    expected: Option<NodeName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    // [WIRE-65]
    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if !more.is_empty() {
            return Err(Error::InvalidCertificate(TlsCertificateError::BadEncoding));
        }
        let peer = self
            .fleet
            .verify(certificate, now)
            .map_err(|error| Error::InvalidCertificate(fault(&error)))?;
        match &self.expected {
            Some(expected) if *expected != peer.node => Err(Error::InvalidCertificate(
                TlsCertificateError::ApplicationVerificationFailure,
            )),
            Some(_) | None => Ok(()),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls12_signature(self, message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn quic<T, E>(config: Result<T, E>) -> Result<Arc<T>, Error> {
    config
        .map(Arc::new)
        .map_err(|_| Error::General("no cipher suite for QUIC".to_string()))
}

/// The TLS error, and with it the alert that the far side gets, for a certificate that is not believed.
fn fault(error: &CertificateError) -> TlsCertificateError {
    match error {
        CertificateError::Malformed | CertificateError::Algorithm => {
            TlsCertificateError::BadEncoding
        }
        CertificateError::UnknownAuthority => TlsCertificateError::UnknownIssuer,
        CertificateError::Expired { .. } => TlsCertificateError::Expired,
        CertificateError::NotYetValid { .. } => TlsCertificateError::NotValidYet,
        CertificateError::Revoked => TlsCertificateError::Revoked,
        CertificateError::Usage => TlsCertificateError::InvalidPurpose,
        CertificateError::WrongFleet | CertificateError::Name => {
            TlsCertificateError::ApplicationVerificationFailure
        }
        CertificateError::Signature => TlsCertificateError::BadEncoding,
    }
}
