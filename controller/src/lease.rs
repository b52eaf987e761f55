//! The right to command one function of a vehicle.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use longrein_io::remote::RemoteError;
use longrein_proto::base::{Channel, Class, FencingToken, Name, NodeName};
use longrein_proto::role::Order;
use longrein_proto::session::Resolution;
use longrein_proto::wire::{Body, Drive, Removal};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::{RequestError, SendError, Vehicle};

/// The exclusive right to command one function of a vehicle. It is renewed by itself until it is released or dropped, the
/// vehicle says that it is over, or the session is lost.
#[derive(Debug)]
pub struct Lease {
    vehicle: Vehicle,
    function: Name,
    channel: Channel,
    token: FencingToken,
    lost: watch::Receiver<Option<LeaseLoss>>,
}

/// Why a lease is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseLoss {
    /// It lapsed, as its renewals did not arrive in time, or another program of the same identity gave it back.
    Lapsed,
    /// It was taken anew.
    Taken {
        /// By whom.
        by: NodeName,
    },
    /// It was taken away.
    Removed(Removal),
    /// The session with the vehicle ended.
    SessionEnded,
}

impl fmt::Display for LeaseLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeaseLoss::Lapsed => f.write_str("the lease lapsed"),
            LeaseLoss::Taken { by } => write!(f, "the lease was taken by {by}"),
            LeaseLoss::Removed(how) => write!(f, "the lease is lost: {how}"),
            LeaseLoss::SessionEnded => f.write_str("the session with the vehicle is lost"),
        }
    }
}

impl Lease {
    pub(crate) fn new(
        vehicle: Vehicle,
        function: Name,
        channel: Channel,
        token: FencingToken,
        lost: watch::Receiver<Option<LeaseLoss>>,
    ) -> Lease {
        Lease {
            vehicle,
            function,
            channel,
            token,
            lost,
        }
    }

    /// The vehicle.
    pub fn vehicle(&self) -> &Vehicle {
        &self.vehicle
    }

    /// The function.
    pub fn function(&self) -> &Name {
        &self.function
    }

    /// The fencing token: a later lease of the function has a larger one.
    pub fn token(&self) -> FencingToken {
        self.token
    }

    /// Sends a command. It is on its way when this returns, also when the answer is dropped; the answer is its number.
    ///
    /// A reliable command without an application id gets a random one.
    pub fn send(&self, order: Order) -> Sent {
        let node = self.vehicle.node().clone();
        let under = (self.channel, self.token);
        let desk = self.vehicle.connection().desk();
        Sent(desk.question(move |desk, now| desk.command(now, &node, under, order)))
    }

    /// Sends a typed drive command of class `latest` with a time to live of [`Lease::DRIVE_TTL`].
    ///
    /// Motion needs `dead_man`. `resume` is honoured with neutral input only, and needed after the vehicle has stopped by
    /// itself, as it has at first.
    pub fn drive(&self, drive: Drive, dead_man: bool, resume: bool) -> Sent {
        self.send(Order {
            class: Class::Latest,
            ttl: Self::DRIVE_TTL,
            dead_man,
            resume,
            application_id: None,
            picture_age: None,
            body: Body::Drive(drive),
        })
    }

    /// Sends a reliable command, which is applied at most once and retried until its time to live is over.
    ///
    /// # Errors
    /// [`SendError`]: nothing was sent.
    pub async fn send_reliable(&self, body: Body, ttl: Duration) -> Result<Receipt, SendError> {
        let order = Order {
            class: Class::Reliable,
            ttl,
            dead_man: false,
            resume: false,
            application_id: None,
            picture_age: None,
            body,
        };
        let node = self.vehicle.node().clone();
        let under = (self.channel, self.token);
        let (outcome, resolved) = oneshot::channel();
        let desk = self.vehicle.connection().desk();
        let number = desk
            .ask(move |desk, now| desk.command_for_receipt(now, &node, under, order, outcome))
            .await??;
        Ok(Receipt {
            number,
            outcome: resolved,
        })
    }

    /// Why it is over, once it is.
    pub fn loss(&self) -> Option<LeaseLoss> {
        self.lost.borrow().clone()
    }

    /// Waits until it is over; dropping the future changes nothing.
    pub async fn lost(&self) -> LeaseLoss {
        let mut lost = self.lost.clone();
        let loss = lost.wait_for(Option::is_some).await;
        // Without a sender the connection has ended, and every session with it.
        loss.ok()
            .and_then(|loss| loss.clone())
            .unwrap_or(LeaseLoss::SessionEnded)
    }

    /// Gives it back and waits until the vehicle has it. Dropping a lease gives it back too.
    ///
    /// # Errors
    /// [`RequestError`] when the vehicle does not confirm it: the lease is not renewed any more and lapses by itself.
    pub async fn release(self) -> Result<(), RequestError> {
        let (answer, answered) = oneshot::channel();
        self.give_back(answer)?;
        answer_within(Self::RELEASE_MAX, answered).await
    }

    fn give_back(
        &self,
        answer: oneshot::Sender<Result<(), RequestError>>,
    ) -> Result<(), RemoteError> {
        let node = self.vehicle.node().clone();
        let (channel, token) = (self.channel, self.token);
        let desk = self.vehicle.connection().desk();
        desk.call(move |desk, now| desk.release(now, &node, channel, token, answer))
    }

    /// Time to live of a drive command: the first limit of the watchdog, after which it would be of no use anyway.
    pub const DRIVE_TTL: Duration = Duration::from_millis(200);
    /// A release that is not confirmed by then does not matter: the lease lapses sooner.
    const RELEASE_MAX: Duration = Duration::from_secs(2);
}

impl Drop for Lease {
    fn drop(&mut self) {
        // When the drive loop is behind, it finds the abandoned lease by itself.
        self.give_back(oneshot::channel().0).ok();
    }
}

/// A command on its way; the future gives its number in its flow.
#[derive(Debug)]
pub struct Sent(Result<oneshot::Receiver<Result<u64, SendError>>, RemoteError>);

impl Future for Sent {
    type Output = Result<u64, SendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok(sent) => Pin::new(sent)
                .poll(context)
                .map(|sent| sent.unwrap_or(Err(SendError::Connection(RemoteError::Ended)))),
            Err(why) => Poll::Ready(Err(SendError::Connection(*why))),
        }
    }
}

/// A reliable command that is on its way.
#[derive(Debug)]
pub struct Receipt {
    number: u64,
    outcome: oneshot::Receiver<Resolution>,
}

impl Receipt {
    /// The command's number in its flow.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What became of it, by the vehicle's own word; unknown when its time is over or the session ended without one.
    pub async fn outcome(self) -> Resolution {
        self.outcome.await.unwrap_or(Resolution::Unknown)
    }
}

pub(crate) async fn answer_within<T>(
    patience: Duration,
    answered: oneshot::Receiver<Result<T, RequestError>>,
) -> Result<T, RequestError> {
    match timeout(patience, answered).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(RequestError::NoSession),
        Err(_) => Err(RequestError::NoAnswer),
    }
}
