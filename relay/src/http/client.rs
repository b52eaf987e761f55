//! A small client: one request, one connection, one answer. It follows nobody elsewhere.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Asks other servers; clones share the certificates that they believe.
#[derive(Clone)]
pub(super) struct HttpClient {
    tls: Arc<ClientConfig>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// It is nothing that is asked.
    #[error("the address is none of https, or of http to this machine")]
    Address,
    /// The server is not reached.
    #[error("{0}")]
    Connect(#[from] io::Error),
    /// It does not speak HTTP.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// Its answer is too long, or breaks off.
    #[error("the answer is too long, or breaks off")]
    Body,
    /// It says that something is wrong.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// It takes too long.
    #[error("no answer within 10 s")]
    Slow,
}

impl HttpClient {
    /// One that believes the certificates that this machine believes.
    pub(super) fn new() -> Result<HttpClient, rustls::Error> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(HttpClient {
            tls: Arc::new(config),
        })
    }

    /// What is there.
    ///
    /// # Errors
    /// It is not reached, or says no, or more than this.
    pub(super) async fn get(&self, uri: &Uri, bytes_max: usize) -> Result<Vec<u8>, ClientError> {
        let (status, body) = self
            .ask(Method::GET, uri, HeaderMap::new(), Bytes::new(), bytes_max)
            .await?;
        match status {
            StatusCode::OK => Ok(body),
            status => Err(ClientError::Status(status)),
        }
    }

    /// Status and body of the answer to a request.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn ask(
        &self,
        method: Method,
        uri: &Uri,
        headers: HeaderMap,
        body: Bytes,
        bytes_max: usize,
    ) -> Result<(StatusCode, Vec<u8>), ClientError> {
        let asked = async {
            let answer = self.send(method, uri, headers, body).await?;
            let status = answer.response.status();
            let body = Limited::new(Body::new(answer.response.into_body()), bytes_max);
            let body = body.collect().await.map_err(|_| ClientError::Body)?;
            Ok((status, body.to_bytes().to_vec()))
        };
        timeout(PATIENCE, asked)
            .await
            .map_err(|_| ClientError::Slow)?
    }

    /// The head of the answer to what is posted; nothing of its body is read.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn post(
        &self,
        uri: &Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(StatusCode, HeaderMap), ClientError> {
        let answer = timeout(PATIENCE, self.send(Method::POST, uri, headers, body)).await;
        let answer = answer.map_err(|_| ClientError::Slow)??;
        let (head, _) = answer.response.into_parts();
        Ok((head.status, head.headers))
    }

    async fn send(
        &self,
        method: Method,
        uri: &Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, ClientError> {
        let host = uri.host().ok_or(ClientError::Address)?;
        let authority = uri.authority().ok_or(ClientError::Address)?.as_str();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, authority)
            .header(header::USER_AGENT, USER_AGENT)
            .body(Full::new(body))
            .map_err(|_| ClientError::Address)?;
        request.headers_mut().extend(headers);
        let is_tls = expect_safe(uri)?;
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((bare, port)).await?;
        if !is_tls {
            return talk(stream, request).await;
        }
        let name = ServerName::try_from(bare.to_string()).map_err(|_| ClientError::Address)?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        talk(connector.connect(name, stream).await?, request).await
    }
}

/// Whether it is asked over TLS.
///
/// # Errors
/// It would be asked in the clear over a network.
pub(super) fn expect_safe(uri: &Uri) -> Result<bool, ClientError> {
    let host = uri.host().ok_or(ClientError::Address)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(true),
        Some("http") if is_here => Ok(false),
        _ => Err(ClientError::Address),
    }
}

/// An answer whose body may still come; with it the connection ends.
struct Answer {
    response: Response<Incoming>,
    _connection: Connected,
}

/// Drives a connection until it is dropped, also when whoever asked gave up.
struct Connected(JoinHandle<Result<(), hyper::Error>>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Answer, ClientError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = Connected(tokio::spawn(connection));
    Ok(Answer {
        response: sender.send_request(request).await?,
        _connection: connection,
    })
}

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(10);
const USER_AGENT: &str = concat!("longrein-relay/", env!("CARGO_PKG_VERSION"));
