//! A relay's side: takes connections of the fleet's nodes, few enough that strangers cannot exhaust it.

use crate::clock;
use crate::congestion::Fuse;
use crate::connection::Attempt;
use crate::drive::Driver;
use crate::ending::Ending;
use crate::endpoint::Endpoint;
use crate::keys::Identity;
use crate::path::{CLOSE_DONE, CLOSE_PROTOCOL};
use crate::repeats::UNHEARD_MAX;
use crate::socket::{self, SocketError};
pub use crate::sources::ListenLimits;
use crate::sources::{Sources, Verdict, source};
use crate::sparse::Sparse;
use crate::tls;
use crate::transport::transport;
use longrein_proto::base::{MonoTime, Name, NodeName};
use longrein_proto::crypto::Fleet;
use longrein_proto::role::Role;
use quinn_proto::{EndpointConfig, HashedConnectionIdGenerator, Incoming, ServerConfig};
use ring::hmac;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::timeout;

/// Where a relay listens and how much it takes.
#[derive(Clone, Debug)]
pub struct ListenSettings {
    /// The paths' link name at this end.
    pub name: Name,
    /// Address and port.
    pub address: SocketAddr,
    /// Only this interface, when given.
    pub interface: Option<String>,
    /// Bounds.
    pub limits: ListenLimits,
}

/// What a listener counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenCounts {
    /// UDP datagrams at the port, whatever was in them.
    pub datagrams: u64,
    /// Those of them that no connection took: garbage, connections that are not known here.
    pub unclaimed: u64,
    /// Those of connections that were lost here, as too many waited for their turn.
    pub overflowed: u64,
    /// Packets that never left, as the kernel took none and enough of them waited.
    pub unsent: u64,
    /// First packets of connections.
    pub offered: u64,
    /// Connections that became paths.
    pub accepted: u64,
    /// Sent back to prove their address.
    pub retried: u64,
    /// Refused for the bounds in all.
    pub refused_full: u64,
    /// Refused for the bounds of their address.
    pub refused_source: u64,
    /// Not answered, as they had waited too long.
    pub late: u64,
    /// Handshakes that failed, by reason.
    pub failed: BTreeMap<Ending, u64>,
    /// Handshakes that took too long, or were up and then said nothing.
    pub silent: u64,
    /// Closed in favour of a newer connection of the same node.
    pub replaced: u64,
}

/// A listening relay endpoint.
#[derive(Clone)]
pub struct Listener {
    endpoint: Rc<Endpoint>,
    counts: Rc<RefCell<ListenCounts>>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

impl Listener {
    /// Where it listens; the port is the real one when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.endpoint.address()
    }

    /// What it counted so far.
    pub fn counts(&self) -> ListenCounts {
        ListenCounts {
            datagrams: self.endpoint.port().received(),
            unclaimed: self.endpoint.unclaimed(),
            overflowed: self.endpoint.overflowed(),
            unsent: self.endpoint.port().dropped(),
            ..self.counts.borrow().clone()
        }
    }
}

/// Listens until the driver closes; each connection of a node of the fleet becomes a path of the driver with its first
/// datagram. So a node speaks first, and an attempt that lost its race never becomes a path.
///
/// # Errors
/// When the port or address cannot be used, or the identity's key cannot sign.
pub fn listen<R: Role + 'static>(
    driver: &Driver<R>,
    identity: &Identity,
    settings: ListenSettings,
) -> Result<Listener, ListenError> {
    let socket = socket::open(
        settings.address,
        settings.interface.as_deref(),
        socket::RELAY_BUFFER_BYTES,
    )?;
    let mut config = ServerConfig::with_crypto(tls::server(identity)?);
    config
        .transport_config(transport(Fuse::default()))
        .max_incoming(INCOMING_MAX + settings.limits.half_open)
        .incoming_buffer_size(INCOMING_BYTES)
        .incoming_buffer_size_total(INCOMING_BYTES_TOTAL);
    let other = |source| SocketError::Other {
        local: settings.address,
        source,
    };
    let endpoint = driver
        .engine()
        .open(
            socket,
            Rc::default(),
            endpoint_config(identity),
            Some(config),
        )
        .map_err(other)?;
    let listener = Listener {
        endpoint: Rc::clone(&endpoint),
        counts: Rc::default(),
    };
    tracing::info!(local = %listener.address(), "listening");
    let reception = Rc::new(Reception {
        driver: driver.clone(),
        fleet: identity.fleet().clone().with_grace(),
        endpoint,
        name: settings.name,
        limits: settings.limits,
        counts: Rc::clone(&listener.counts),
        sources: RefCell::default(),
        refusals: RefCell::default(),
    });
    let (admitted, waiting) = mpsc::channel(reception.limits.half_open.max(1));
    driver.spawn(Rc::clone(&reception).receive(admitted));
    driver.spawn(reception.begin_in_turn(waiting));
    Ok(listener)
}

/// Why a relay does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// No socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The identity cannot be used for TLS.
    #[error("this identity cannot be used: {0}")]
    Identity(#[from] rustls::Error),
}

/// Takes what comes and watches the bounds.
struct Reception<R: Role> {
    driver: Driver<R>,
    fleet: Fleet,
    endpoint: Rc<Endpoint>,
    name: Name,
    limits: ListenLimits,
    counts: Rc<RefCell<ListenCounts>>,
    sources: RefCell<Sources>,
    refusals: RefCell<Sparse>,
}

impl<R: Role + 'static> Reception<R> {
    async fn receive(self: Rc<Self>, admitted: mpsc::Sender<Admitted<R>>) {
        while let Some(incoming) = self.endpoint.incoming().await {
            self.counts.borrow_mut().offered += 1;
            let source = source(incoming.remote_address().ip());
            let (now, proved) = (clock::now(), incoming.remote_address_validated());
            let mut sources = self.sources.borrow_mut();
            let verdict = sources.admit(now, source, proved, &self.limits);
            if verdict == Verdict::Admit {
                sources.begin(now, source, proved, &self.limits);
            }
            drop(sources);
            match verdict {
                Verdict::Admit => {
                    let place = Place::take(Rc::clone(&self), source);
                    // There is room for as many as may be half open; whoever is too many is dropped, and ignored by that.
                    drop(admitted.try_send(Admitted {
                        at: now,
                        incoming: Some(incoming),
                        place: Some(place),
                        endpoint: Rc::clone(&self.endpoint),
                    }));
                }
                Verdict::ProveAddress => {
                    self.counts.borrow_mut().retried += 1;
                    self.endpoint.retry(incoming);
                }
                Verdict::Full => {
                    self.counts.borrow_mut().refused_full += 1;
                    self.say("too many connections", incoming.remote_address());
                    self.endpoint.refuse(incoming);
                }
                Verdict::SourceFull => {
                    self.counts.borrow_mut().refused_source += 1;
                    self.say(
                        "too many connections from one address",
                        incoming.remote_address(),
                    );
                    self.endpoint.refuse(incoming);
                }
            }
        }
    }

    /// Begins handshakes, one at a time, so that what arrives on paths meanwhile goes first. Whoever has waited for so long that most nodes
    /// have begun another attempt since is not answered: under the storm of a thousand nodes that come back at once, the relay would
    /// be busy with attempts that nobody waits for.
    async fn begin_in_turn(self: Rc<Self>, mut admitted: mpsc::Receiver<Admitted<R>>) {
        while let Some(mut next) = admitted.recv().await {
            self.endpoint.handshake_turn().await;
            if clock::now().since(next.at) >= UNHEARD_MAX {
                self.counts.borrow_mut().late += 1;
                continue;
            }
            let (Some(incoming), Some(place)) = (next.incoming.take(), next.place.take()) else {
                continue;
            };
            let remote = incoming.remote_address();
            match self.endpoint.accept(incoming) {
                Ok(connection) => {
                    let attempt = Attempt::new(connection);
                    tokio::task::spawn_local(Rc::clone(&self).welcome(attempt, place));
                }
                Err(why) => self.on_failed(why, remote),
            }
            yield_now().await;
        }
    }

    /// From the answer to the first packet of a connection to its end.
    async fn welcome(self: Rc<Self>, attempt: Attempt, mut place: Place<R>) {
        let remote = attempt.remote();
        match timeout(HANDSHAKE_MAX, attempt.established()).await {
            Ok(Ok(())) => place.open(),
            Ok(Err(why)) => {
                if let Ending::RefusedThem(_) = why {
                    let mut sources = self.sources.borrow_mut();
                    sources.refused(clock::now(), source(remote.ip()), &self.limits);
                }
                return self.on_failed(why, remote);
            }
            Err(_) => return self.on_silent(),
        }
        match timeout(FIRST_WORD_MAX, attempt.spoken()).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return self.on_failed(why, remote),
            Err(_) => return self.on_silent(),
        }
        let Some(peer) = tls::peer(&attempt, &self.fleet, clock::unix_time()) else {
            // Valid in the handshake and not now: it expired in between.
            attempt.close(CLOSE_PROTOCOL);
            return;
        };
        self.make_room(&peer.node);
        let path = self.driver.attach(attempt.keep(), self.name.clone(), peer);
        let Some(path) = path else { return };
        self.counts.borrow_mut().accepted += 1;
        path.connection().ended().await;
    }

    fn on_silent(&self) {
        self.counts.borrow_mut().silent += 1;
    }

    fn on_failed(&self, why: Ending, remote: SocketAddr) {
        *self.counts.borrow_mut().failed.entry(why).or_default() += 1;
        match why {
            Ending::RefusedThem(_) | Ending::RefusedUs(_) | Ending::Protocol => {
                self.say(&why.to_string(), remote);
            }
            // Attempts that lost their race end like this.
            Ending::Here
            | Ending::LinkGone
            | Ending::There
            | Ending::Restarted
            | Ending::Silent
            | Ending::Full => {
                tracing::debug!(%remote, why = %why, "attempt ended");
            }
        }
    }

    /// Strangers must not fill the log.
    fn say(&self, why: &str, remote: SocketAddr) {
        if let Some(unsaid) = self.refusals.borrow_mut().allow(clock::now()) {
            tracing::warn!(%remote, why, unsaid, "connection is refused");
        }
    }

    /// An old connection of a node that is cut off counts as up until its idle timeout: it gives way.
    fn make_room(&self, node: &NodeName) {
        let paths = self.driver.paths_to(node);
        if paths.len() >= self.limits.connections_per_node
            && let Some(silent) = paths.iter().min_by_key(|path| path.heard())
        {
            self.counts.borrow_mut().replaced += 1;
            silent.close(CLOSE_DONE);
        }
    }
}

/// Somebody whose handshake is to begin.
struct Admitted<R: Role> {
    at: MonoTime,
    incoming: Option<Incoming>,
    place: Option<Place<R>>,
    endpoint: Rc<Endpoint>,
}

impl<R: Role> Drop for Admitted<R> {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take() {
            self.endpoint.ignore(incoming);
        }
    }
}

/// A connection's place within the bounds, given back when it is dropped.
struct Place<R: Role> {
    reception: Rc<Reception<R>>,
    source: IpAddr,
    half_open: bool,
}

impl<R: Role> Place<R> {
    fn take(reception: Rc<Reception<R>>, source: IpAddr) -> Place<R> {
        let mut sources = reception.sources.borrow_mut();
        sources.change(clock::now(), source, |held| {
            held.connections += 1;
            held.half_open += 1;
        });
        drop(sources);
        Place {
            reception,
            source,
            half_open: true,
        }
    }

    /// The connection is up.
    fn open(&mut self) {
        if std::mem::take(&mut self.half_open) {
            let mut sources = self.reception.sources.borrow_mut();
            sources.change(clock::now(), self.source, |held| held.half_open -= 1);
        }
    }
}

impl<R: Role> Drop for Place<R> {
    fn drop(&mut self) {
        self.open();
        let mut sources = self.reception.sources.borrow_mut();
        sources.change(clock::now(), self.source, |held| held.connections -= 1);
    }
}

/// Keys that stay the same over restarts: a relay that was restarted tells its nodes at once, by QUIC's stateless reset,
/// that it does not know their connections any more (RFC 9000 §10.3).
fn endpoint_config(identity: &Identity) -> EndpointConfig {
    let reset = identity.derive(b"longrein quic stateless reset");
    let marks = identity.derive(b"longrein quic connection id");
    let mark = marks
        .as_ref()
        .first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let mut config =
        EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, reset.as_ref())));
    // A relay with thousands of nodes tells them all within seconds; a reset is shorter than the packet it answers.
    config.min_reset_interval(Duration::from_millis(1));
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(mark)));
    config
}

/// A handshake: a node gives an attempt up after 2 s.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// The first datagram: of 5 a second that each get through at 90 % loss with a chance of a tenth, none in 20 s is rarer
/// than one in 10,000.
const FIRST_WORD_MAX: Duration = Duration::from_secs(20);
/// First packets that wait to be looked at, which takes microseconds.
const INCOMING_MAX: usize = 256;
/// Bytes after the first packet that one of them may hold.
const INCOMING_BYTES: u64 = 8 * 1024;
/// The same for all of them.
const INCOMING_BYTES_TOTAL: u64 = 1024 * 1024;
