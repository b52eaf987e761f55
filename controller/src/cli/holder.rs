//! Holds the lease of a function for a verb, and takes it again when it is lost.

use std::future::{Future, pending};
use std::pin::Pin;
use std::time::Duration;

use longrein_io::backoff::Backoff;
use longrein_io::exit::Exit;
use longrein_proto::base::Name;
use tokio::time::sleep;

use super::failure::Failure;
use crate::{Claim, Lease, LeaseLoss, RemoteError, RequestError, Vehicle};

/// Holds the lease of a function, and takes it again when its verb wants that.
pub struct Holder {
    vehicle: Vehicle,
    function: Name,
    state: State,
    backoff: Backoff,
    /// What `insist` said last.
    trouble: String,
}

enum State {
    Held(Lease),
    Taking(Pin<Box<dyn Future<Output = Result<Lease, RequestError>>>>),
    Free,
}

/// What became of the lease.
#[derive(Debug)]
pub enum Change {
    /// It is held again.
    Taken,
    /// It is lost.
    Lost(LeaseLoss),
    /// It was not given.
    NotGiven(RequestError),
}

impl Holder {
    /// Takes the lease for the first time.
    ///
    /// # Errors
    /// As [`Vehicle::claim`].
    pub async fn take(
        vehicle: &Vehicle,
        function: &Name,
        claim: Claim,
    ) -> Result<Holder, RequestError> {
        let lease = vehicle.claim(function, claim).await?;
        Ok(Holder {
            vehicle: vehicle.clone(),
            function: function.clone(),
            state: State::Held(lease),
            backoff: Backoff::new(),
            trouble: String::new(),
        })
    }

    /// The lease, while it is held.
    pub fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Held(lease) => Some(lease),
            State::Taking(_) | State::Free => None,
        }
    }

    /// Whether it is neither held nor being taken.
    pub fn is_free(&self) -> bool {
        matches!(self.state, State::Free)
    }

    /// Waits for the next change; dropping the future loses nothing. Waits for ever while the lease is free.
    pub async fn change(&mut self) -> Change {
        match &mut self.state {
            State::Held(lease) => {
                let loss = lease.lost().await;
                self.state = State::Free;
                Change::Lost(loss)
            }
            State::Taking(taking) => match taking.await {
                Ok(lease) => {
                    self.backoff.reset();
                    self.state = State::Held(lease);
                    Change::Taken
                }
                Err(why) => {
                    self.state = State::Free;
                    Change::NotGiven(why)
                }
            },
            State::Free => pending().await,
        }
    }

    /// Takes it now.
    pub fn take_now(&mut self) {
        self.take_after(Duration::ZERO);
    }

    /// Takes it after a pause that grows from try to try.
    pub fn take_later(&mut self) {
        let pause = self.backoff.pause();
        self.take_after(pause);
    }

    /// Takes it again after a change that took it away, and says on standard error why, each trouble once.
    ///
    /// # Errors
    /// Somebody else has it, the function is gone, or the connection has ended.
    pub fn insist(&mut self, change: Change) -> Result<(), Failure> {
        match change {
            Change::Taken => self.trouble.clear(),
            Change::Lost(loss @ (LeaseLoss::Taken { .. } | LeaseLoss::Removed(_))) => {
                return Err(Failure::new(Exit::Refused, loss));
            }
            Change::Lost(loss @ (LeaseLoss::Lapsed | LeaseLoss::SessionEnded)) => {
                self.say(format!("{loss}; taking it again"));
                self.take_later();
            }
            Change::NotGiven(RequestError::Connection(why @ RemoteError::Ended)) => {
                return Err(why.into());
            }
            Change::NotGiven(why) => {
                self.say(format!("the lease is not given: {why}; trying again"));
                self.take_later();
            }
        }
        Ok(())
    }

    fn say(&mut self, trouble: String) {
        if trouble != self.trouble {
            eprintln!("{trouble}");
            self.trouble = trouble;
        }
    }

    fn take_after(&mut self, pause: Duration) {
        let (vehicle, function) = (self.vehicle.clone(), self.function.clone());
        self.state = State::Taking(Box::pin(async move {
            sleep(pause).await;
            vehicle.take(&function).await
        }));
    }

    /// Gives the lease back; what is not confirmed within this time lapses by itself.
    pub async fn release(self, patience: Duration) {
        if let State::Held(lease) = self.state {
            tokio::time::timeout(patience, lease.release()).await.ok();
        }
    }
}
