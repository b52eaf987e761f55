//! The connection to one broker: TCP or TLS, dialled again and again.

use std::sync::Arc;
use std::time::Duration;

use longrein_io::backoff::Backoff;
use longrein_io::files::FileError;
use longrein_proto::base::Name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;

use super::config::{BrokerSection, TlsSection};

/// What makes connections to a broker.
#[derive(Clone)]
pub(crate) struct Dial {
    address: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// A connection of either kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// One connection after the other to a broker, with pauses that grow while it is away.
pub(crate) struct Connection {
    broker: Name,
    dial: Dial,
    state: State,
    /// What the connection has not taken.
    unsent: Vec<u8>,
    /// TLS may hold back what it took until it is flushed.
    held_back: bool,
    read: Vec<u8>,
    backoff: Backoff,
    /// Why it was lost, as it was told, so that each reason is told once.
    told: String,
}

enum State {
    Away { until: Instant },
    Dialling(JoinHandle<Result<Box<dyn Stream>, String>>),
    Up(ReadHalf<Box<dyn Stream>>, WriteHalf<Box<dyn Stream>>),
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// It stands.
    Connected,
    /// Bytes arrived: [`Connection::bytes`].
    Read(usize),
    /// It is lost; another is made.
    Lost,
}

impl Connection {
    /// The first connection is made at the first [`Connection::step`].
    pub(crate) fn new(broker: Name, dial: Dial) -> Connection {
        Connection {
            broker,
            dial,
            state: State::Away {
                until: Instant::now(),
            },
            unsent: Vec::new(),
            held_back: false,
            read: vec![0; READ_BYTES],
            backoff: Backoff::new(),
            told: String::new(),
        }
    }

    /// Whether there is one now.
    pub(crate) fn stands(&self) -> bool {
        matches!(self.state, State::Up(..))
    }

    /// Has these bytes sent, if it stands.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.stands() {
            self.unsent.extend_from_slice(bytes);
        }
    }

    /// The bytes that [`Fact::Read`] tells of.
    pub(crate) fn bytes(&self, count: usize) -> &[u8] {
        self.read.get(..count).unwrap_or_default()
    }

    /// The broker works: the next pause is short.
    pub(crate) fn on_welcome(&mut self) {
        tracing::info!(broker = %self.broker, "broker is reached");
        self.backoff.reset();
        self.told.clear();
    }

    /// Ends the connection that stands, and makes another later.
    pub(crate) fn lose(&mut self, why: &str) {
        if self.told != why {
            tracing::warn!(broker = %self.broker, why, "broker is not reached");
            self.told.clear();
            self.told.push_str(why);
        }
        self.unsent.clear();
        self.held_back = false;
        self.state = State::Away {
            until: Instant::now() + self.backoff.pause(),
        };
    }

    /// The next thing that happens. Dropping the future loses nothing.
    pub(crate) async fn step(&mut self) -> Fact {
        loop {
            let lost = match &mut self.state {
                State::Away { until } => {
                    sleep_until(*until).await;
                    let dialling = tokio::task::spawn_local(self.dial.clone().connect());
                    self.state = State::Dialling(dialling);
                    continue;
                }
                State::Dialling(dialling) => match dialling.await {
                    Ok(Ok(stream)) => {
                        let (reader, writer) = split(stream);
                        self.state = State::Up(reader, writer);
                        return Fact::Connected;
                    }
                    Ok(Err(why)) => why,
                    Err(error) => error.to_string(),
                },
                State::Up(..) if self.unsent.len() > UNSENT_BYTES_MAX => {
                    "the broker takes nothing".to_string()
                }
                State::Up(reader, writer) => tokio::select! {
                    read = reader.read(&mut self.read) => match read {
                        Ok(0) => "the broker has closed the connection".to_string(),
                        Ok(count) => return Fact::Read(count),
                        Err(error) => error.to_string(),
                    },
                    put = put(writer, &self.unsent), if self.held_back || !self.unsent.is_empty() => match put {
                        Ok(count) => {
                            self.unsent.drain(..count.min(self.unsent.len()));
                            self.held_back = count > 0;
                            continue;
                        }
                        Err(error) => error.to_string(),
                    },
                },
            };
            self.lose(&lost);
            return Fact::Lost;
        }
    }

    /// Sends what is left, for a moment, and ends the connection.
    pub(crate) async fn end(self) {
        let State::Up(mut reader, mut writer) = self.state else {
            return;
        };
        let mut rest = self.read;
        let said = async {
            writer.write_all(&self.unsent).await?;
            writer.shutdown().await?;
            // Until the broker has it all and ends its side.
            while reader.read(&mut rest).await? > 0 {}
            Ok::<(), std::io::Error>(())
        };
        if timeout(FAREWELL_MAX, said).await.is_err() {
            tracing::warn!(broker = %self.broker, "broker did not take the farewell");
        }
    }
}

/// Hands over what the connection takes, or has it send what it took when there is nothing more; how many bytes it took.
async fn put(writer: &mut WriteHalf<Box<dyn Stream>>, bytes: &[u8]) -> std::io::Result<usize> {
    if bytes.is_empty() {
        writer.flush().await?;
        return Ok(0);
    }
    writer.write(bytes).await
}

/// Why a broker's section cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file is no certificate or key, or both do not fit together.
    #[error("`tls`: {0}")]
    Tls(String),
}

impl Dial {
    /// Reads the files for TLS, if there are any.
    ///
    /// # Errors
    /// Which file is wrong.
    pub(crate) fn new(section: &BrokerSection) -> Result<Dial, BrokerError> {
        let host = section
            .address
            .rsplit_once(':')
            .map_or("", |(host, _)| host);
        let tls = match &section.tls {
            Some(tls) => {
                let name = tls.server_name.as_deref().unwrap_or(host);
                let name = name.trim_matches(['[', ']']).to_string();
                let name = ServerName::try_from(name)
                    .map_err(|error| BrokerError::Tls(format!("`server_name`: {error}")))?;
                Some((TlsConnector::from(Arc::new(client(tls)?)), name))
            }
            None => None,
        };
        Ok(Dial {
            address: section.address.clone(),
            tls,
        })
    }

    /// A connection, or why there is none.
    pub(crate) async fn connect(self) -> Result<Box<dyn Stream>, String> {
        let connected = timeout(CONNECT_MAX, async {
            let tcp = TcpStream::connect(&self.address).await?;
            tcp.set_nodelay(true)?;
            // What was not sent when the connection is given up must not be sent later by the system.
            tcp.set_zero_linger()?;
            Ok::<Box<dyn Stream>, std::io::Error>(match self.tls {
                Some((connector, name)) => Box::new(connector.connect(name, tcp).await?),
                None => Box::new(tcp),
            })
        });
        match connected.await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer".to_string()),
        }
    }
}

fn client(section: &TlsSection) -> Result<ClientConfig, BrokerError> {
    let wrong = |file: &std::path::Path, error: String| {
        BrokerError::Tls(format!("{}: {error}", file.display()))
    };
    let certificates = |file: &std::path::Path| {
        CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| wrong(file, error.to_string()))
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&section.ca)? {
        let added = roots.add(certificate);
        added.map_err(|error| wrong(&section.ca, error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong(&section.ca, "no certificate in it".to_string()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BrokerError::Tls(error.to_string()))?
        .with_root_certificates(roots);
    match (&section.certificate, &section.key) {
        (Some(certificate), Some(key)) => {
            let own = PrivateKeyDer::from_pem_file(key);
            let own = own.map_err(|error| wrong(key, error.to_string()))?;
            builder
                .with_client_auth_cert(certificates(certificate)?, own)
                .map_err(|error| wrong(certificate, error.to_string()))
        }
        (None, _) | (_, None) => Ok(builder.with_no_client_auth()),
    }
}

/// For a broker on the other side of a mobile network.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;
/// Bytes that wait for a broker; one with which more wait is stuck.
const UNSENT_BYTES_MAX: usize = 1024 * 1024;
/// How long a broker may take to hear the farewell.
const FAREWELL_MAX: Duration = Duration::from_millis(500);
