//! Who has no business at a relay: garbage, first packets of connections that nobody goes on with, and handshakes with papers of
//! another fleet.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use longrein_io::tls::{ALPN, SERVER_NAME};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint};
use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::time::{interval, timeout};

/// What strangers have with them.
pub struct Strangers {
    tls: ClientConfig,
    /// First packets, each of a connection of its own.
    first_packets: Arc<Vec<Vec<u8>>>,
}

/// A flood that goes on until it is stopped.
pub struct Flood {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Strangers {
    pub async fn new() -> anyhow::Result<Strangers> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::default().self_signed(&key)?;
        let private_key =
            PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let mut tls = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_client_auth_cert(vec![certificate.der().clone()], private_key)?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let tls = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        let first_packets = Arc::new(first_packets(&tls).await?);
        Ok(Strangers { tls, first_packets })
    }

    /// Pours all of it on an address.
    pub fn pour(&self, at: SocketAddr) -> Flood {
        let over = Arc::new(AtomicBool::new(false));
        let (garbage, packets, knocks) = (over.clone(), over.clone(), over.clone());
        let (first_packets, tls) = (self.first_packets.clone(), self.tls.clone());
        Flood {
            over,
            threads: vec![
                thread::spawn(move || pour_garbage(at, &garbage)),
                thread::spawn(move || pour_first_packets(at, &first_packets, &packets)),
                thread::spawn(move || knock(at, &tls, &knocks)),
            ],
        }
    }
}

impl Flood {
    pub fn stop(self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            // What one of them could not send is no matter of the measurement.
            let _ = thread.join();
        }
    }
}

/// Dials a socket that only notes what comes.
async fn first_packets(tls: &ClientConfig) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut noted = Vec::new();
    for _ in 0..FIRST_PACKETS {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        let to = socket.local_addr()?;
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        let endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let connecting = endpoint.connect_with(tls.clone(), to, SERVER_NAME)?;
        let mut bytes = vec![0; 2_048];
        let length = socket.recv(&mut bytes).await?;
        bytes.truncate(length);
        noted.push(bytes);
        drop(connecting);
    }
    Ok(noted)
}

fn pour_garbage(at: SocketAddr, over: &AtomicBool) -> anyhow::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let mut bytes = vec![0_u8; 1_200];
    let mut state = 1_u32;
    while !over.load(Ordering::Relaxed) {
        for _ in 0..GARBAGE_EACH {
            for byte in bytes.iter_mut().step_by(7) {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = state.to_be_bytes()[0];
            }
            let _ = socket.send_to(&bytes, at);
        }
        thread::sleep(TICK);
    }
    Ok(())
}

fn pour_first_packets(
    at: SocketAddr,
    packets: &[Vec<u8>],
    over: &AtomicBool,
) -> anyhow::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let mut packets = packets.iter().cycle();
    while !over.load(Ordering::Relaxed) {
        for packet in packets.by_ref().take(FIRST_PACKETS_EACH) {
            let _ = socket.send_to(packet, at);
        }
        thread::sleep(TICK);
    }
    Ok(())
}

fn knock(at: SocketAddr, tls: &ClientConfig, over: &AtomicBool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let mut ticks = interval(TICK);
        while !over.load(Ordering::Relaxed) {
            ticks.tick().await;
            for _ in 0..KNOCKS_EACH {
                let connecting = endpoint.connect_with(tls.clone(), at, SERVER_NAME)?;
                tokio::spawn(timeout(PATIENCE, async move {
                    if let Ok(connection) = connecting.await {
                        connection.closed().await;
                    }
                }));
            }
        }
        Ok(())
    })
}

/// Believes every certificate.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// All of it a second, for people.
pub const LOAD: &str = "5,000 datagrams of garbage, 1,000 first packets of connections, and 200 handshakes with papers of another authority a second";
const TICK: Duration = Duration::from_millis(10);
const GARBAGE_EACH: usize = 50;
const FIRST_PACKETS_EACH: usize = 10;
const KNOCKS_EACH: usize = 2;
const FIRST_PACKETS: usize = 200;
const PATIENCE: Duration = Duration::from_millis(300);
