//! Keeps one route's connection up.
//!
//! At 80 % loss one handshake takes seconds, as its timer doubles; so its packets go again and again, and attempts race: the first
//! that is up wins. While nobody answers there are fewer and fewer of them.

use crate::backoff::Backoff;
use crate::clock;
use crate::congestion::Fuse;
use crate::connection::{Attempt, Connection};
use crate::drive::Driver;
use crate::ending::{CertificateFault, Ending};
use crate::endpoint::Endpoint;
use crate::engine::Engine;
use crate::link::{Link, Up};
use crate::link_plan::Presence;
use crate::outcome::{DialOutcome, Route};
use crate::path::{CLOSE_DONE, Path, PathFact};
use crate::repeats::{Effort, UNHEARD_MAX};
use crate::socket::{self, Bind, SocketError};
use crate::tls;
use crate::transport::transport;
use crate::wire_bytes::WireBytes;
use longrein_proto::base::{MonoTime, PathId};
use longrein_proto::crypto::{Fleet, Peer};
use longrein_proto::role::Role;
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{ClientConfig, EndpointConfig, RandomConnectionIdGenerator};
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Keeps one route's connection up.
pub(crate) struct Dialer<R: Role> {
    driver: Driver<R>,
    fleet: Fleet,
    config: ClientConfig,
    route: Route,
    path: Rc<Cell<Option<InUse>>>,
    observe: Rc<RefCell<Observer>>,
    link: Rc<Link>,
    backoff: Backoff,
    /// Rounds in a row in which nobody answered.
    unanswered: u32,
    told: String,
}

/// The connection of a route that is in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InUse {
    pub(crate) path: PathId,
    /// The number of the interface that its socket is bound to.
    pub(crate) interface: Option<u32>,
}

/// Hears what becomes of each route.
pub(crate) type Observer = dyn FnMut(&Route, &DialOutcome);

/// A connection in use, and since when.
struct Current {
    path: Rc<Path>,
    since: MonoTime,
}

/// A connection that won.
struct Found {
    connection: Rc<Connection>,
    peer: Peer,
}

impl<R: Role + 'static> Dialer<R> {
    pub(crate) fn new(
        driver: &Driver<R>,
        (fleet, config): (&Fleet, Arc<QuicClientConfig>),
        (route, link): (Route, Rc<Link>),
        path: Rc<Cell<Option<InUse>>>,
        observe: Rc<RefCell<Observer>>,
    ) -> Dialer<R> {
        let mut config = ClientConfig::new(config);
        config.transport_config(transport(Fuse::default()));
        Dialer {
            driver: driver.clone(),
            fleet: fleet.clone(),
            config,
            route,
            path,
            observe,
            link,
            backoff: Backoff::new(),
            unanswered: 0,
            told: String::new(),
        }
    }

    /// Until it is dropped, or the driver closes.
    pub(crate) async fn keep_up(mut self) {
        let mut current = None;
        loop {
            if let Some(found) = self.find_for(current.as_ref()).await {
                let link = self.route.link.clone();
                let Some(path) = self.driver.attach(found.connection, link, found.peer) else {
                    return;
                };
                let interface = match *self.link.presence() {
                    Presence::Here { index, .. } => Some(index),
                    Presence::Unknown | Presence::Away(_) => None,
                };
                self.path.set(Some(InUse {
                    path: path.id(),
                    interface,
                }));
                self.tell(&DialOutcome::Up {
                    path: path.id(),
                    remote: path.remote(),
                });
                let since = clock::now();
                // The role asked for a new connection, as the old one was silent or made with an older certificate; it stays
                // until the new one carries.
                if let Some(Current { path: old, .. }) = current.replace(Current { path, since }) {
                    self.driver.spawn(async move {
                        sleep(LINGER).await;
                        old.close(CLOSE_DONE);
                    });
                }
            }
            self.unanswered = 0;
            // The link works: who dials another relay over it need not wait.
            self.link.hope.notify_waiters();
            if let Some(used) = current.take() {
                current = self.watch(used).await;
            }
        }
    }

    /// Finds a connection; none when the one that it should replace works again meanwhile.
    async fn find_for(&mut self, old: Option<&Current>) -> Option<Found> {
        let Some(Current { path, .. }) = old else {
            return Some(self.find().await);
        };
        let path = Rc::clone(path);
        tokio::select! {
            found = self.find() => Some(found),
            () = path.recovered() => None,
        }
    }

    /// Waits until another connection is needed; tells what is left of this one.
    async fn watch(&mut self, current: Current) -> Option<Current> {
        let Current { path, since } = &current;
        let up = Up::new(&self.link);
        let fact = path.fact().await;
        drop(up);
        if clock::now().since(*since) >= STABLE {
            self.backoff.reset();
        }
        match fact {
            PathFact::RedialWanted => {
                self.pause_unless_stable(*since).await;
                Some(current)
            }
            PathFact::Ended(why) => {
                let outcome = DialOutcome::Lost {
                    path: path.id(),
                    why,
                };
                self.tell(&outcome);
                if outcome.is_refusal() {
                    sleep(self.backoff.pause_after_refusal()).await;
                } else if why != Ending::LinkGone {
                    self.pause_unless_stable(*since).await;
                }
                None
            }
        }
    }

    async fn pause_unless_stable(&mut self, since: MonoTime) {
        if clock::now().since(since) < STABLE {
            sleep(self.backoff.pause()).await;
        }
    }

    /// Rounds of attempts until one is up.
    async fn find(&mut self) -> Found {
        loop {
            self.wait_for_link().await;
            let link = Rc::clone(&self.link);
            let ended = tokio::select! {
                biased;
                () = link.moved.notified() => continue,
                ended = self.round() => ended,
            };
            match ended {
                Ok(found) => return found,
                Err(outcome) => {
                    self.tell(&outcome);
                    if outcome.is_refusal() {
                        sleep(self.backoff.pause_after_refusal()).await;
                    } else {
                        self.pause().await;
                    }
                }
            }
        }
    }

    /// Waits until packets can leave by the link, and until it may be used.
    async fn wait_for_link(&mut self) {
        let link = Rc::clone(&self.link);
        loop {
            match link.usable_from() {
                Err(absence) => {
                    let why = SocketError::from(&absence);
                    self.tell(&DialOutcome::NoSocket(why));
                    link.moved.notified().await;
                    self.take_heart();
                }
                Ok(from) => {
                    let pause = from.since(clock::now());
                    if pause.is_zero() {
                        return;
                    }
                    tokio::select! {
                        () = sleep(pause) => {}
                        () = link.moved.notified() => {}
                    }
                }
            }
        }
    }

    /// Waits, longer and longer, but not when there is new hope.
    async fn pause(&mut self) {
        let pause = self.backoff.pause();
        tokio::select! {
            () = sleep(pause) => {}
            () = self.link.hope.notified() => self.take_heart(),
            () = self.link.moved.notified() => self.take_heart(),
        }
    }

    fn take_heart(&mut self) {
        self.backoff.reset();
        // Where the link works for others it is the relay that does not answer.
        let least = u32::from(self.link.up() > 0);
        self.unanswered = self.unanswered.min(least);
    }

    /// Attempts that race, each from the start and maybe to another address. They get fewer from round to round while nobody
    /// answers, and are as many as may be when somebody does.
    async fn round(&mut self) -> Result<Found, DialOutcome> {
        let link = Rc::clone(&self.link);
        let addresses = resolve(&self.route, |far| link.presence().speaks(far)).await?;
        let driver = self.driver.clone();
        let engine = driver.engine();
        let mut endpoints = Endpoints::new(engine, &link.wire);
        let mut attempts = JoinSet::new();
        let mut begun: Vec<Rc<Connection>> = Vec::new();
        let mut next = Instant::now();
        // Another address is first in the next round.
        let first = usize::try_from(self.unanswered).unwrap_or_default();
        let mut targets = addresses.iter().cycle().skip(first % addresses.len());
        let mut few = self.attempts();
        loop {
            tokio::select! {
                () = sleep_until(next) => {
                    let answered = begun.iter().any(|connection| connection.datagrams() > 0);
                    if answered {
                        self.unanswered = 0;
                    }
                    let most = if answered { ATTEMPTS_ANSWERED_MAX } else { few };
                    next += if begun.len() < most {
                        gap_after(begun.len() + 1)
                    } else {
                        ATTEMPT_EVERY
                    };
                    if begun.len() < most {
                        let Some(&target) = targets.next() else { continue };
                        let endpoint = endpoints.for_target(target, &self.route.bind)?;
                        let effort = self.effort(begun.is_empty());
                        let connection = endpoint
                            .connect(self.config.clone(), target, tls::SERVER_NAME, effort)
                            .map_err(|error| DialOutcome::Unresolved { why: error.to_string() })?;
                        begun.push(Rc::clone(&connection));
                        let attempt = Attempt::new(connection);
                        attempts.spawn_local(async move {
                            let outcome = timeout(ATTEMPT_LIFE, attempt.established()).await;
                            (outcome, attempt)
                        });
                    } else if attempts.is_empty() {
                        self.unanswered = self.unanswered.saturating_add(u32::from(!answered));
                        return Err(DialOutcome::NoAnswer);
                    }
                }
                () = link.hope.notified() => {
                    self.take_heart();
                    few = self.attempts();
                    next = Instant::now();
                    // The old socket may be bound to what is gone.
                    endpoints = Endpoints::new(engine, &link.wire);
                }
                Some(attempt) = attempts.join_next() => {
                    let Ok((Ok(outcome), attempt)) = attempt else { continue };
                    match outcome {
                        Ok(()) => return self.identify(attempt),
                        Err(why) => {
                            if why.is_refusal() || matches!(why, Ending::Full | Ending::Protocol) {
                                tracing::debug!(link = %self.route.link, relay = %self.route.relay, %why, "attempt was refused");
                                return Err(DialOutcome::Refused(why));
                            }
                        }
                    }
                }
            }
        }
    }

    /// Attempts of a round.
    fn attempts(&self) -> usize {
        if self.is_keen() {
            ATTEMPTS_MAX
        } else {
            (ATTEMPTS_MAX >> self.unanswered.min(ATTEMPTS_MAX.ilog2())).max(1)
        }
    }

    fn effort(&self, is_first: bool) -> Effort {
        match (self.unanswered, is_first) {
            (0, true) => Effort::Patient,
            _ if self.is_keen() => Effort::Keen,
            _ => Effort::Brief,
        }
    }

    /// Whether it is rather the link that gets nothing through than the relay that is not there: of a link that works for
    /// others, commands take what the attempts leave.
    fn is_keen(&self) -> bool {
        self.unanswered == 0 || (self.unanswered < KEEN_ROUNDS && self.link.up() == 0)
    }

    fn identify(&self, attempt: Attempt) -> Result<Found, DialOutcome> {
        let peer = tls::peer(&attempt, &self.fleet, clock::unix_time());
        let peer = peer.ok_or(DialOutcome::Refused(Ending::RefusedThem(
            CertificateFault::NotValidNow,
        )))?;
        Ok(Found {
            connection: attempt.keep(),
            peer,
        })
    }

    /// Tells the program each time, and the log when it is news.
    fn tell(&mut self, outcome: &DialOutcome) {
        let Route { link, relay, .. } = &self.route;
        let what = outcome.describe(&self.route);
        let news = what != self.told;
        // By the path, and by the link.
        let logged_elsewhere = matches!(outcome, DialOutcome::Up { .. } | DialOutcome::Lost { .. })
            || matches!(*self.link.presence(), Presence::Away(_));
        if outcome.is_refusal() && news {
            tracing::error!(%link, %relay, why = %what, "certificate is refused");
        } else if !logged_elsewhere && news {
            tracing::warn!(%link, %relay, why = %what, "relay is not reached");
        } else if !logged_elsewhere {
            tracing::debug!(%link, %relay, why = %what, "relay is still not reached");
        }
        self.told = what;
        (self.observe.borrow_mut())(&self.route, outcome);
    }
}

/// Where a route leads, as its link can reach it and `speaks` their family: at least one address.
pub(crate) async fn resolve(
    route: &Route,
    speaks: impl Fn(IpAddr) -> bool,
) -> Result<Vec<SocketAddr>, DialOutcome> {
    let unresolved = |why: &str| DialOutcome::Unresolved {
        why: why.to_string(),
    };
    let mut addresses: Vec<SocketAddr> = match route.address.parse() {
        Ok(address) => vec![address],
        Err(_) => timeout(RESOLVE_MAX, lookup_host(&route.address))
            .await
            .map_err(|_| unresolved("the name service does not answer"))?
            .map_err(|error| unresolved(&error.to_string()))?
            .collect(),
    };
    let reaches = |far: IpAddr| route.bind.local_for(far).is_some() && speaks(far);
    addresses.retain(|address| reaches(address.ip()));
    addresses.truncate(ADDRESSES_MAX);
    if addresses.is_empty() {
        return Err(unresolved("none of the link's address family"));
    }
    Ok(addresses)
}

/// The sockets of one round: one for each address family. They stay open for the connection that won.
struct Endpoints<'a> {
    engine: &'a Engine,
    wire: &'a Rc<WireBytes>,
    v4: Option<Rc<Endpoint>>,
    v6: Option<Rc<Endpoint>>,
}

impl<'a> Endpoints<'a> {
    fn new(engine: &'a Engine, wire: &'a Rc<WireBytes>) -> Endpoints<'a> {
        Endpoints {
            engine,
            wire,
            v4: None,
            v6: None,
        }
    }

    fn for_target(&mut self, target: SocketAddr, bind: &Bind) -> Result<Rc<Endpoint>, DialOutcome> {
        let slot = if target.is_ipv4() {
            &mut self.v4
        } else {
            &mut self.v6
        };
        if let Some(endpoint) = slot {
            return Ok(Rc::clone(endpoint));
        }
        let local = bind
            .local_for(target.ip())
            .ok_or_else(|| DialOutcome::Unresolved {
                why: "none of the link's address family".to_string(),
            })?;
        let local = match bind.interface() {
            Some(interface) => {
                socket::source_for(target, interface).map_err(DialOutcome::NoSocket)?
            }
            None => local,
        };
        let other = |source| DialOutcome::NoSocket(SocketError::Other { local, source });
        let socket = socket::open(local, bind.interface(), socket::NODE_BUFFER_BYTES)
            .map_err(DialOutcome::NoSocket)?;
        let endpoint = self
            .engine
            .open(socket, Rc::clone(self.wire), endpoint_config(), None)
            .map_err(other)?;
        Ok(Rc::clone(slot.insert(endpoint)))
    }
}

impl Drop for Endpoints<'_> {
    fn drop(&mut self) {
        for endpoint in [&self.v4, &self.v6].into_iter().flatten() {
            endpoint.release();
        }
    }
}

/// Each packet that a relay sends carries the node's connection id: a node has few connections, and needs no long one.
pub(crate) fn endpoint_config() -> EndpointConfig {
    let mut config = EndpointConfig::default();
    config.cid_generator(|| Box::new(RandomConnectionIdGenerator::new(CONNECTION_ID_BYTES)));
    config
}

/// How long after so many attempts of a round the next one begins.
fn gap_after(begun: usize) -> Duration {
    let doublings = u32::try_from(begun.saturating_sub(ATTEMPTS_HASTY)).unwrap_or(u32::MAX);
    ATTEMPT_EVERY
        .saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX))
        .min(ATTEMPT_EVERY_MAX)
}

/// Two bytes tell 65,536 connections apart; no two of a socket are the same.
const CONNECTION_ID_BYTES: usize = 2;
/// Between attempts: one goes on until the next begins.
const ATTEMPT_EVERY: Duration = UNHEARD_MAX;
/// Attempts of a round after which the time between them doubles with each: where so many do not get through, it may be because a
/// thousand other nodes try as well.
const ATTEMPTS_HASTY: usize = 4;
/// The longest time between attempts.
const ATTEMPT_EVERY_MAX: Duration = Duration::from_millis(2_400);
/// After this an attempt only waits for its doubled timers.
const ATTEMPT_LIFE: Duration = Duration::from_secs(2);
/// Attempts of a round: of 40 handshakes at 80 % loss both ways none needed more than 3.
const ATTEMPTS_MAX: usize = 6;
/// Attempts of a round where somebody has answered.
const ATTEMPTS_ANSWERED_MAX: usize = 16;
/// Rounds that are made with all effort on a link over which nobody is reached.
const KEEN_ROUNDS: u32 = 4;
/// How long a connection stays that has a newer one in its place: until that one is welcomed.
const LINGER: Duration = Duration::from_secs(1);
/// Addresses of one relay that are tried.
const ADDRESSES_MAX: usize = 4;
/// For a name lookup.
const RESOLVE_MAX: Duration = Duration::from_secs(5);
/// A connection that lived this long was a good one: the next is dialled at once.
const STABLE: Duration = Duration::from_secs(10);
