//! A connection to a fleet: over every link to every relay at once.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use longrein_io::dictionaries::dictionaries;
use longrein_io::keys::Identity;
use longrein_io::remote::{Remote, RemoteError};
use longrein_io::sections::routes;
use longrein_proto::base::{Name, NodeKind, NodeName};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::contact::Contact;
use crate::desk::Desk;
use crate::engine::{Engine, Place};
use crate::hub::Hub;
use crate::{ConnectError, OpenError, QueryError, Settings, StopError, Vehicle};

/// A connection to a fleet: over every link to every relay at once, kept up by a thread of its own or by the caller's. Clones
/// are handles to the same one, which ends with the last of them and of the vehicles opened by it.
///
/// Its methods need a tokio runtime with timers, of any kind.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    me: NodeName,
    relays: BTreeSet<NodeName>,
    contact: watch::Receiver<Contact>,
    engine: Engine,
}

/// A vehicle that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VehicleInfo {
    /// Its name.
    pub name: Name,
    /// The relays that it is connected to.
    pub relays: Vec<Name>,
}

/// A vehicle's answer to a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The vehicle's stop generation, which grows with each reset.
    pub generation: u32,
    /// Whether it is stopped now.
    pub latched: bool,
}

impl Connection {
    /// Connects to the relays of the settings and waits until the first one is reached; the others follow.
    ///
    /// # Errors
    /// [`ConnectError`]: what is wrong with the identity, the settings or every relay, on one line that says what to do.
    pub async fn connect(settings: Settings) -> Result<Connection, ConnectError> {
        Connection::start(settings, Place::OwnThread).await
    }

    /// As [`Connection::connect`], kept up by the thread and the runtime of the caller: a command that is sent there is with
    /// the kernel when the call returns, and no other thread has to wake up for it.
    ///
    /// For programs that keep this thread free: while it is blocked, nothing is sent and no lease renewed, and the
    /// connection ends with the runtime.
    ///
    /// # Errors
    /// As [`Connection::connect`].
    ///
    /// # Panics
    /// Outside of a `tokio::runtime::LocalRuntime` or `tokio::task::LocalSet`, as `tokio::task::spawn_local` does.
    pub async fn connect_local(settings: Settings) -> Result<Connection, ConnectError> {
        Connection::start(settings, Place::Here).await
    }

    async fn start(settings: Settings, place: Place) -> Result<Connection, ConnectError> {
        let identity = Identity::load(&settings.identity)?;
        identity.expect_kind(NodeKind::Controller)?;
        let routes = routes(&settings.relays, &settings.links)?;
        for link in &settings.links {
            link.expect_unmetered()?;
        }
        let dictionaries = dictionaries(&settings.dictionaries)?;
        if let Some(section) = &settings.record {
            section.check()?;
        }
        let relays = routes
            .iter()
            .map(|route| NodeName::new(NodeKind::Relay, route.relay.clone()))
            .collect();
        let (contact, seen) = watch::channel(Contact::new(routes.len()));
        let me = identity.node().clone();
        let engine = Engine::start(
            place,
            (identity, settings.identity),
            routes,
            (dictionaries, settings.record),
            Arc::new(contact),
        )
        .await?;
        let connection = Connection(Arc::new(Inner {
            me,
            relays,
            contact: seen.clone(),
            engine,
        }));
        connection.wait_for_relay(seen, settings.patience).await?;
        Ok(connection)
    }

    async fn wait_for_relay(
        &self,
        mut contact: watch::Receiver<Contact>,
        patience: Duration,
    ) -> Result<(), ConnectError> {
        let settled = contact.wait_for(|contact| contact.is_up() || contact.is_hopeless());
        // Whether it took too long or ended, what is known says why.
        timeout(patience, settled).await.ok();
        let contact = self.0.contact.borrow();
        if contact.is_up() {
            return Ok(());
        }
        let (line, exit) = contact.complaint();
        Err(ConnectError::NoRelay { line, exit })
    }

    /// Who this controller is.
    pub fn me(&self) -> &NodeName {
        &self.0.me
    }

    /// The relays that are reached now.
    pub fn relays(&self) -> Vec<Name> {
        let relays = self.0.contact.borrow().relays();
        relays.into_iter().map(|relay| relay.name).collect()
    }

    /// The vehicles that are connected to any of the relays, by name. A relay that is not reached within a second is left
    /// out.
    ///
    /// # Errors
    /// [`QueryError::NoAnswer`] when no relay answers.
    pub async fn vehicles(&self) -> Result<Vec<VehicleInfo>, QueryError> {
        self.count(None).await
    }

    /// As [`Connection::vehicles`], those of a group, as relays see it: vehicles know it themselves.
    ///
    /// # Errors
    /// As [`Connection::vehicles`].
    pub async fn members(&self, group: &Name) -> Result<Vec<VehicleInfo>, QueryError> {
        self.count(Some(group.clone())).await
    }

    async fn count(&self, group: Option<Name>) -> Result<Vec<VehicleInfo>, QueryError> {
        let (done, mut answered) = oneshot::channel();
        let relays = self.0.relays.clone();
        self.desk()
            .call(move |desk, now| desk.count(now, relays, group, done))?;
        for _ in 0..QUERY_ROUNDS_MAX {
            if let Ok(answer) = timeout(QUERY_ROUND, &mut answered).await {
                let vehicles = answer.map_err(|_| RemoteError::Ended)?;
                let info = |(node, relays): (NodeName, BTreeSet<NodeName>)| VehicleInfo {
                    name: node.name,
                    relays: relays.into_iter().map(|relay| relay.name).collect(),
                };
                return Ok(vehicles.into_iter().map(info).collect());
            }
            self.desk().call(|desk, _| desk.end_count())?;
        }
        Err(QueryError::NoAnswer)
    }

    /// Opens a session with a vehicle and waits until it stands.
    ///
    /// # Errors
    /// [`OpenError`]: no relay knows it, or it does not answer.
    pub async fn open(&self, vehicle: &Name) -> Result<Vehicle, OpenError> {
        Vehicle::open(self, vehicle).await
    }

    /// Stops a vehicle at once and keeps it stopped until a reset. Needs no session and no lease. The stop is repeated over
    /// all relays until the vehicle answers or `patience` is over.
    ///
    /// # Errors
    /// [`StopError::Unanswered`]: it may be stopped or not.
    pub async fn stop(&self, vehicle: &Name, patience: Duration) -> Result<Stopped, StopError> {
        self.say_stop(vehicle, None, patience).await
    }

    /// As [`Connection::stop`], but only if the vehicle is in this group; one that is not answers, and is not stopped.
    ///
    /// # Errors
    /// As [`Connection::stop`].
    pub async fn stop_if_in_group(
        &self,
        vehicle: &Name,
        group: &Name,
        patience: Duration,
    ) -> Result<Stopped, StopError> {
        self.say_stop(vehicle, Some(group.clone()), patience).await
    }

    async fn say_stop(
        &self,
        vehicle: &Name,
        group: Option<Name>,
        patience: Duration,
    ) -> Result<Stopped, StopError> {
        let (answer, answered) = oneshot::channel();
        let node = NodeName::new(NodeKind::Agent, vehicle.clone());
        self.desk()
            .call(move |desk, now| desk.stop(now, &node, group, patience, answer))?;
        match answered.await {
            Ok(Some(stopped)) => Ok(stopped),
            Ok(None) => Err(StopError::Unanswered {
                vehicle: vehicle.clone(),
            }),
            Err(_) => Err(RemoteError::Ended.into()),
        }
    }

    /// The fleet's hub; it need not be there yet.
    pub fn hub(&self) -> Hub {
        Hub::new(self.clone())
    }

    /// Ends all sessions and connections, which takes half a second at most; other handles to it are of no use afterwards.
    pub async fn close(self) {
        self.0.engine.end.notify_one();
        let mut running = self.0.engine.running.clone();
        // Ends with an error when the thread has ended.
        while running.changed().await.is_ok() {}
    }

    pub(crate) fn desk(&self) -> &Remote<Desk> {
        &self.0.engine.desk
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("me", &self.0.me)
            .field("relays", &self.0.relays)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.engine.end.notify_one();
    }
}

/// A relay that answers does so within this; one that does not is left out.
const QUERY_ROUND: Duration = Duration::from_secs(1);
/// Rounds in which at least one relay must answer.
const QUERY_ROUNDS_MAX: usize = 5;
