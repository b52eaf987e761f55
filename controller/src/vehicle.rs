//! A vehicle with which a session is kept.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use longrein_io::remote::RemoteError;
use longrein_proto::base::{Channel, FencingToken, Name, NodeKind, NodeName, OfferId, Reason};
use longrein_proto::role::VehicleStatus;
use longrein_proto::wire::{Description, Request};
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::desk::SessionState;
use crate::events::Feed;
use crate::lease::answer_within;
use crate::{
    Claim, Connection, Events, Lease, OpenError, Quality, RequestError, StopError, Stopped,
};

/// A vehicle with which a session is kept, and opened again whenever it is lost, until the last handle is dropped.
#[derive(Clone)]
pub struct Vehicle(Arc<Inner>);

struct Inner {
    connection: Connection,
    node: NodeName,
    session: watch::Receiver<SessionState>,
    alive: Option<Arc<()>>,
}

impl Vehicle {
    /// Opens a session and waits until it stands.
    pub(crate) async fn open(connection: &Connection, name: &Name) -> Result<Vehicle, OpenError> {
        let node = NodeName::new(NodeKind::Agent, name.clone());
        let asked = node.clone();
        let (alive, session) = connection
            .desk()
            .ask(move |desk, now| desk.open(now, &asked))
            .await?;
        let vehicle = Vehicle(Arc::new(Inner {
            connection: connection.clone(),
            node,
            session,
            alive: Some(alive),
        }));
        if vehicle.is_up_within(ABSENCE_GRACE).await? {
            return Ok(vehicle);
        }
        let asked = vehicle.node().clone();
        let present = connection
            .desk()
            .ask(move |desk, _| desk.is_present(&asked))
            .await?;
        if !present {
            return Err(OpenError::Absent {
                vehicle: name.clone(),
            });
        }
        if vehicle.is_up_within(ANSWER_MAX).await? {
            return Ok(vehicle);
        }
        Err(OpenError::NoAnswer {
            vehicle: name.clone(),
        })
    }

    async fn is_up_within(&self, patience: Duration) -> Result<bool, RemoteError> {
        let mut session = self.0.session.clone();
        match timeout(patience, session.wait_for(|session| session.up)).await {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(_)) => Err(RemoteError::Ended),
            Err(_) => Ok(false),
        }
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.0.node.name
    }

    pub(crate) fn node(&self) -> &NodeName {
        &self.0.node
    }

    /// The connection that it is reached by.
    pub fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// What it said last that it is and does.
    pub fn description(&self) -> Description {
        let session = self.0.session.borrow();
        session.description.clone().unwrap_or_default()
    }

    /// Whether the session stands now.
    pub fn is_up(&self) -> bool {
        self.0.session.borrow().up
    }

    /// Takes the lease of a function.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with the holder when somebody else has it, and the others.
    pub async fn take(&self, function: &Name) -> Result<Lease, RequestError> {
        self.claim(function, Claim::Take).await
    }

    /// Comes to the lease of a function in one of several ways. Dropping the future gives up.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with the holder when somebody else has it and keeps it, and the others.
    pub async fn claim(&self, function: &Name, claim: Claim) -> Result<Lease, RequestError> {
        let (answer, answered) = oneshot::channel();
        let (vehicle, function) = (self.clone(), function.clone());
        let patience = claim.patience();
        let desk = self.connection().desk();
        desk.call(move |desk, now| desk.claim(now, vehicle, function, claim, answer))?;
        answer_within(patience, answered).await
    }

    /// Offers a lease that this controller's identity holds, in whichever of its programs, to another operator, who is asked
    /// for 15 s; the token stands in the vehicle's status. [`VehicleEvent::News`] says what becomes of it.
    ///
    /// # Errors
    /// [`RequestError::Refused`] when the lease is not this identity's, or nobody of that name is there.
    ///
    /// [`VehicleEvent::News`]: crate::VehicleEvent::News
    pub async fn offer(
        &self,
        function: &Name,
        token: FencingToken,
        to: &NodeName,
    ) -> Result<OfferId, RequestError> {
        let (answer, answered) = oneshot::channel();
        let (node, function, to) = (self.node().clone(), function.clone(), to.clone());
        let desk = self.connection().desk();
        desk.call(move |desk, now| desk.offer(now, &node, (&function, token), to, answer))?;
        answer_within(REQUEST_MAX, answered).await
    }

    /// Takes an offer back.
    ///
    /// # Errors
    /// [`RequestError::Refused`] when it is over, or another's.
    pub async fn cancel(&self, function: &Name, offer: OfferId) -> Result<(), RequestError> {
        self.ask(function, move |channel| Request::Cancel { channel, offer })
            .await
    }

    /// Declines an offer; `busy` says that something else is being driven.
    ///
    /// # Errors
    /// [`RequestError::Refused`] when it is over, or another's.
    pub async fn decline(
        &self,
        function: &Name,
        offer: OfferId,
        busy: bool,
    ) -> Result<(), RequestError> {
        let request = move |channel| Request::Decline {
            channel,
            offer,
            busy,
        };
        self.ask(function, request).await
    }

    /// Ends the lease of whoever holds it, as a supervisor; its holder gets none for a while.
    ///
    /// # Errors
    /// [`RequestError::Refused`] when this controller may not, or nobody holds it.
    pub async fn revoke(&self, function: &Name, reason: Reason) -> Result<(), RequestError> {
        self.ask(function, move |channel| Request::Revoke { channel, reason })
            .await
    }

    /// Gives back the lease of a function that another program with this controller's identity holds; its token stands in
    /// the vehicle's status. A lease of this program is given back by [`Lease::release`].
    ///
    /// # Errors
    /// [`RequestError::Refused`] when that is not the newest token, or another identity's.
    pub async fn release_other(
        &self,
        function: &Name,
        token: FencingToken,
    ) -> Result<(), RequestError> {
        self.ask(function, move |channel| Request::Release { channel, token })
            .await
    }

    async fn ask(
        &self,
        function: &Name,
        request: impl FnOnce(Channel) -> Request + Send + 'static,
    ) -> Result<(), RequestError> {
        let (answer, answered) = oneshot::channel();
        let (node, function) = (self.node().clone(), function.clone());
        let desk = self.connection().desk();
        desk.call(move |desk, now| desk.ask_plain(now, &node, &function, request, answer))?;
        answer_within(REQUEST_MAX, answered).await
    }

    /// Its events from now on, beginning with its state, if that is known already.
    ///
    /// # Errors
    /// When the connection is closed, or far behind.
    pub async fn watch(&self) -> Result<Events, RemoteError> {
        let feed = Feed::default();
        let events = feed.events(self.clone());
        let node = self.node().clone();
        let desk = self.connection().desk();
        desk.ask(move |desk, _| desk.watch(&node, feed)).await?;
        Ok(events)
    }

    /// Its newest state; waits for the first one after the session has come up.
    ///
    /// # Errors
    /// [`RequestError::NoAnswer`] when none comes.
    pub async fn status(&self) -> Result<VehicleStatus, RequestError> {
        let poll = async {
            loop {
                let node = self.node().clone();
                let desk = self.connection().desk();
                if let Some(status) = desk.ask(move |desk, _| desk.status(&node)).await? {
                    return Ok(status);
                }
                sleep(STATUS_EVERY).await;
            }
        };
        timeout(REQUEST_MAX, poll)
            .await
            .unwrap_or(Err(RequestError::NoAnswer))
    }

    /// How good the way to it is now.
    ///
    /// # Errors
    /// When the connection is closed, or far behind.
    pub async fn quality(&self) -> Result<Quality, RemoteError> {
        let node = self.node().clone();
        let desk = self.connection().desk();
        desk.ask(move |desk, now| desk.quality(now, &node)).await
    }

    /// Stops it at once and keeps it stopped; needs no lease. See [`Connection::stop`].
    ///
    /// # Errors
    /// As [`Connection::stop`].
    pub async fn stop(&self, patience: Duration) -> Result<Stopped, StopError> {
        self.connection().stop(self.name(), patience).await
    }

    /// Clears the emergency stop that is latched now; the new stop generation. A vehicle that is not stopped stays as it is.
    ///
    /// # Errors
    /// [`RequestError::Refused`] when another stop came in between.
    pub async fn reset_stop(&self) -> Result<u32, RequestError> {
        let generation = self.status().await?.beat.stop_generation;
        let (answer, answered) = oneshot::channel();
        let node = self.node().clone();
        let desk = self.connection().desk();
        desk.call(move |desk, now| desk.reset_stop(now, &node, generation, answer))?;
        answer_within(REQUEST_MAX, answered).await?;
        let cleared = async {
            loop {
                let status = self.status().await?;
                if !status.beat.stopped || status.beat.stop_generation != generation {
                    return Ok(status.beat.stop_generation);
                }
                sleep(STATUS_EVERY).await;
            }
        };
        timeout(REQUEST_MAX, cleared)
            .await
            .unwrap_or(Err(RequestError::NoAnswer))
    }
}

impl fmt::Debug for Vehicle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Vehicle").field(&self.0.node).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.alive = None;
        // When the drive loop is behind, it finds the abandoned vehicle by itself.
        self.connection.desk().call(super::desk::Desk::sweep).ok();
    }
}

/// A vehicle between two connections is not absent: this long is waited for it.
const ABSENCE_GRACE: Duration = Duration::from_secs(2);
/// For a vehicle that is there: two handshakes.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// For a request that waits for nobody.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// Between looks at the newest status; beats come once to ten times a second.
const STATUS_EVERY: Duration = Duration::from_millis(20);
