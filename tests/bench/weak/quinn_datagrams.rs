//! Plain quinn: one connection for each node, datagrams, no retries.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use quinn::congestion::BbrConfig;
use quinn::crypto::rustls::HandshakeData;
use quinn::{
    ClientConfig, Connection, Endpoint, IdleTimeout, ServerConfig, TransportConfig, VarInt,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::arrivals::Arrivals;
use super::contestant::{Contestant, Sender};
use super::kept::{Input, Kept};
use super::papers::Papers;
use super::site::Site;

/// A forwarder, and a pair of clients for each vehicle.
pub struct Quinn {
    _clients: Vec<Kept>,
    inputs: Vec<Input>,
    relay: Kept,
    _papers: Papers,
}

pub fn start(site: &Site<'_>, arrivals: &[Arc<Arrivals>]) -> anyhow::Result<Quinn> {
    let address = SocketAddr::new(site.relay_address(0).into(), PORT);
    let papers = papers(address.ip(), site.pairs)?;
    let (this, folder) = (std::env::current_exe()?, papers.folder.path().to_owned());
    let program = move |role: &str, name: &str| {
        let mut command = Command::new(&this);
        command
            .args(["weak-peer", role, &address.to_string(), name])
            .arg(&folder);
        command
    };
    let make = program.clone();
    let relay = move || {
        let mut command = make("quinn-relay", "relay");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    let relay = Kept::start(site.relay(0), relay, |_| {});
    let (mut clients, mut inputs) = (Vec::new(), Vec::new());
    for (pair, arrivals) in arrivals.iter().enumerate() {
        let make = program.clone();
        clients.push(Kept::receiver(site.vehicle(pair), arrivals, move || {
            let mut command = make("quinn-vehicle", &format!("vehicle-{pair}"));
            command.stdin(Stdio::null());
            command
        }));
        let make = program.clone();
        let (sender, input) = Kept::sender(site.controller(pair), move || {
            let mut command = make("quinn-controller", &format!("controller-{pair}"));
            command.stdout(Stdio::null());
            command
        });
        clients.push(sender);
        inputs.push(input);
    }
    Ok(Quinn {
        _clients: clients,
        inputs,
        relay,
        _papers: papers,
    })
}

/// A certificate for every name that a client may call itself.
pub fn papers(address: IpAddr, pairs: usize) -> anyhow::Result<Papers> {
    let names = ["vehicle", "controller"]
        .into_iter()
        .flat_map(|role| (0..pairs).map(move |pair| format!("{role}-{pair}")));
    Papers::new(address, names.collect())
}

impl Contestant for Quinn {
    fn sender(&mut self, pair: usize) -> anyhow::Result<Box<dyn Sender>> {
        let input = self.inputs.get(pair).context("an input for each pair")?;
        Ok(Box::new(input.clone()))
    }

    fn kill_relay(&mut self) {
        self.relay.kill();
    }
}

/// The relay's program: what comes from `controller-n` goes to `vehicle-n`; names are those of the handshake.
/// Called [`DEFAULTS`] it keeps quinn's settings.
pub async fn relay(address: SocketAddr, name: &str, papers: &Path) -> anyhow::Result<()> {
    let chain = vec![certificate(papers)?];
    let key = PrivateKeyDer::from_pem_file(papers.join("key.pem"))?;
    let mut config = ServerConfig::with_single_cert(chain, key)?;
    if name != DEFAULTS {
        config.transport_config(tuned()?);
    }
    let endpoint = Endpoint::server(config, address)?;
    let nodes: Arc<Mutex<BTreeMap<String, Connection>>> = Arc::default();
    while let Some(incoming) = endpoint.accept().await {
        let nodes = Arc::clone(&nodes);
        tokio::spawn(async move {
            let Ok(connection) = incoming.await else {
                return;
            };
            let Some(name) = name_of(&connection) else {
                return;
            };
            let set = |name: String| {
                let mut nodes = nodes.lock().unwrap_or_else(PoisonError::into_inner);
                nodes.insert(name, connection.clone());
            };
            set(name.clone());
            let to = name.replace("controller", "vehicle");
            while let Ok(datagram) = connection.read_datagram().await {
                let nodes = nodes.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(vehicle) = nodes.get(&to).filter(|_| to != name) {
                    // A vehicle that is gone gets nothing.
                    let _ = vehicle.send_datagram(datagram);
                }
            }
        });
    }
    Ok(())
}

/// The vehicle's program: prints each datagram on a line.
pub async fn vehicle(relay: SocketAddr, name: &str, papers: &Path) -> anyhow::Result<()> {
    let endpoint = client(papers)?;
    loop {
        let connection = dial(&endpoint, relay, name).await;
        while let Ok(datagram) = connection.read_datagram().await {
            let mut line = datagram.to_vec();
            line.push(b'\n');
            let mut out = std::io::stdout().lock();
            out.write_all(&line)?;
            out.flush()?;
        }
    }
}

/// The controller's program: sends each line as a datagram.
pub async fn controller(relay: SocketAddr, name: &str, papers: &Path) -> anyhow::Result<()> {
    let endpoint = client(papers)?;
    let (tell, mut lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    loop {
        let connection = dial(&endpoint, relay, name).await;
        loop {
            tokio::select! {
                line = lines.recv() => {
                    let Some(line) = line else { return Ok(()) };
                    // One that is not taken is lost.
                    let _ = connection.send_datagram(line.into_bytes().into());
                }
                _ = connection.closed() => break,
            }
        }
    }
}

/// A client in this process, with quinn's settings.
pub struct Client {
    connection: Connection,
    received: Arc<AtomicU64>,
}

impl Client {
    /// Connects under this name and counts what comes.
    pub async fn connect(relay: SocketAddr, name: &str, papers: &Path) -> anyhow::Result<Client> {
        let mut endpoint = Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into())?;
        endpoint.set_default_client_config(trusting(papers)?);
        let connection = endpoint.connect(relay, name)?.await?;
        let received = Arc::new(AtomicU64::new(0));
        let (coming, count) = (connection.clone(), Arc::clone(&received));
        tokio::spawn(async move {
            while coming.read_datagram().await.is_ok() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(Client {
            connection,
            received,
        })
    }

    /// Sends a datagram; one that is not taken is lost.
    pub fn send(&self, bytes: Vec<u8>) {
        let _ = self.connection.send_datagram(bytes.into());
    }

    /// Datagrams that came since the last call.
    pub fn take_received(&self) -> u64 {
        self.received.swap(0, Ordering::Relaxed)
    }
}

async fn dial(endpoint: &Endpoint, relay: SocketAddr, name: &str) -> Connection {
    loop {
        if let Ok(connecting) = endpoint.connect(relay, name)
            && let Ok(connection) = connecting.await
        {
            return connection;
        }
        sleep(PAUSE).await;
    }
}

fn client(papers: &Path) -> anyhow::Result<Endpoint> {
    let mut config = trusting(papers)?;
    config.transport_config(tuned()?);
    let mut endpoint = Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into())?;
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

fn trusting(papers: &Path) -> anyhow::Result<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate(papers)?)?;
    Ok(ClientConfig::with_root_certificates(Arc::new(roots))?)
}

fn certificate(papers: &Path) -> anyhow::Result<CertificateDer<'static>> {
    Ok(CertificateDer::from_pem_file(
        papers.join("certificate.pem"),
    )?)
}

fn name_of(connection: &Connection) -> Option<String> {
    let data = connection.handshake_data()?;
    data.downcast::<HandshakeData>().ok()?.server_name
}

/// What quinn's documentation offers against loss; see [`CONFIGURATION`].
fn tuned() -> anyhow::Result<Arc<TransportConfig>> {
    let mut config = TransportConfig::default();
    config
        .congestion_controller_factory(Arc::new(BbrConfig::default()))
        .initial_rtt(Duration::from_millis(50))
        .keep_alive_interval(Some(Duration::from_secs(1)))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(60_000))))
        .datagram_send_buffer_size(16 * 1024);
    Ok(Arc::new(config))
}

pub const CONFIGURATION: &str = "quinn 0.11; BBR, initial round trip 50 ms, keep-alive 1 s, idle timeout 60 s, datagram send buffer \
     16 KiB, all else default; dialled again when the connection ends";
/// The relay's name with quinn's own settings.
pub const DEFAULTS: &str = "defaults";
const PORT: u16 = 4_434;
/// Between attempts.
const PAUSE: Duration = Duration::from_millis(100);
