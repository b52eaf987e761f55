//! The thread that serves, and the bounds of its connections.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use super::api::KeyError;
use super::problem::Problem;
use super::tls::Tls;
use super::webhooks::{WebhookError, Webhooks};
use super::{Access, HttpSection, router};
use crate::hub::AnnexLoaded;

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address cannot be listened on.
    #[error("{address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Certificate and key cannot be used.
    #[error("{file}: {what}")]
    Tls {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The keys of tokens cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Nobody can be asked over TLS.
    #[error("no TLS for requests of its own: {0}")]
    Client(String),
    /// Webhooks cannot be posted.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// The system gives no thread.
    #[error("the system gives no thread: {0}")]
    Thread(io::Error),
}

/// The server that runs; ends when it is told, or dropped.
pub(crate) struct HttpServer {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    ended: oneshot::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

/// What every connection is served with.
#[derive(Clone)]
struct Service {
    router: Router,
    head_timeout: Duration,
}

impl HttpServer {
    /// Listens and serves on a thread of its own; none when no address is configured.
    ///
    /// # Errors
    /// Why it does not.
    pub(crate) fn start(
        section: &HttpSection,
        access: Access,
        beside: AnnexLoaded,
    ) -> Result<Option<HttpServer>, HttpError> {
        let Some(wanted) = section.listen else {
            return Ok(None);
        };
        let on_listen = |source| HttpError::Listen {
            address: wanted,
            source,
        };
        let tls = Tls::of(section)?;
        let listener = StdListener::bind(wanted).map_err(on_listen)?;
        listener.set_nonblocking(true).map_err(on_listen)?;
        let address = listener.local_addr().map_err(on_listen)?;
        let beside = access.annex.clone().map(|annex| (annex, beside));
        let webhooks = Webhooks::new(&section.webhooks, beside)?;
        let service = Service {
            router: router(access.clone(), section, &webhooks)?,
            head_timeout: section.head_timeout(),
        };
        let (places, (end, told), (done, ended)) = (
            Arc::new(Semaphore::new(section.connections)),
            oneshot::channel(),
            oneshot::channel(),
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(HttpError::Thread)?;
        let serve = move || {
            runtime.block_on(async {
                webhooks.start(&access);
                drop((webhooks, access));
                serve(listener, tls, service, places, told).await;
            });
            // Whoever waits for it may have gone.
            done.send(()).ok();
        };
        let thread = std::thread::Builder::new()
            .name("http".to_string())
            .spawn(serve)
            .map_err(HttpError::Thread)?;
        Ok(Some(HttpServer {
            address,
            end: Some(end),
            ended,
            thread: Some(thread),
        }))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, answers what was asked, and ends; takes [`END_MAX`] at most.
    pub(crate) async fn end(mut self) {
        self.end = None;
        let in_time = timeout(2 * END_MAX, &mut self.ended).await.is_ok();
        if let Some(thread) = self.thread.take().filter(|_| in_time) {
            // A panic ends the program.
            drop(thread.join());
        }
    }
}

async fn serve(
    listener: StdListener,
    tls: Option<Tls>,
    service: Service,
    places: Arc<Semaphore>,
    mut told: oneshot::Receiver<()>,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "http is not served");
            return;
        }
    };
    let connections = GracefulShutdown::new();
    loop {
        let accepted = async {
            // Who comes when all places are taken waits in the kernel's queue.
            let place = Arc::clone(&places).acquire_owned().await.ok()?;
            Some((place, listener.accept().await))
        };
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            _ = &mut told => break,
        };
        match accepted {
            Some((place, Ok((stream, _)))) => {
                let watcher = connections.watcher();
                tokio::spawn(welcome(
                    stream,
                    tls.clone(),
                    service.clone(),
                    watcher,
                    place,
                ));
            }
            Some((_, Err(error))) => {
                tracing::warn!(%error, "http connection is not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
            None => break,
        }
    }
    drop(listener);
    // Who is not answered by then loses its connection.
    drop(timeout(END_MAX, connections.shutdown()).await);
}

/// One connection, with its place among those that may be.
async fn welcome(
    stream: TcpStream,
    tls: Option<Tls>,
    service: Service,
    watcher: Watcher,
    place: OwnedSemaphorePermit,
) {
    let _place = place;
    // Who reads nothing loses its place. A system that does not know this keeps the connection.
    let unread_max_ms = u32::try_from(service.head_timeout.as_millis()).unwrap_or(u32::MAX);
    set_tcp_user_timeout(&stream, unread_max_ms).ok();
    stream.set_nodelay(true).ok();
    match tls {
        None => talk(stream, service, watcher).await,
        Some(tls) => match timeout(service.head_timeout, tls.accept(stream)).await {
            Ok(Ok(stream)) => talk(stream, service, watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, "http: no TLS"),
            Err(_) => tracing::debug!("http: no TLS in time"),
        },
    }
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: Service,
    watcher: Watcher,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(service.head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(
            TokioIo::new(stream),
            TowerToHyperService::new(service.router),
        );
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "http connection is over");
    }
}

/// The answer to a request, or that it took too long.
pub(super) async fn within(patience: Duration, request: Request, next: Next) -> Response {
    match timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::too_slow().into_response(),
    }
}

/// What is answered after the relay has drained.
const END_MAX: Duration = Duration::from_millis(300);
/// Before another connection is accepted when the system gave none, as it has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of a request's head: a token of a few KiB fits.
const HEAD_BYTES_MAX: usize = 32 * 1024;
