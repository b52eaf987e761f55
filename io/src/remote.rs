//! Calls into the drive loop from other threads.

use crate::drive::call_here;
use longrein_proto::base::MonoTime;
use longrein_proto::role::Role;
use tokio::sync::{mpsc, oneshot};

/// A handle to a role that may go to other threads; the calls run on the drive loop's own. Made there, they run before
/// they return, and what they have to send is with the kernel then.
#[derive(Debug)]
pub struct Remote<R> {
    calls: mpsc::Sender<Call<R>>,
}

pub(crate) type Call<R> = Box<dyn FnOnce(&mut R, MonoTime) -> Option<Afterwards> + Send>;

/// What is done when all that a call led to is sent.
pub(crate) type Afterwards = Box<dyn FnOnce()>;

impl<R> Clone for Remote<R> {
    fn clone(&self) -> Self {
        Remote {
            calls: self.calls.clone(),
        }
    }
}

impl<R: Role + 'static> Remote<R> {
    pub(crate) fn new(calls: mpsc::Sender<Call<R>>) -> Remote<R> {
        Remote { calls }
    }

    /// Has `act` run on the role soon; does not wait.
    ///
    /// # Errors
    /// When the drive loop has ended or is far behind: the call is dropped, and the caller counts it.
    pub fn call(
        &self,
        act: impl FnOnce(&mut R, MonoTime) + Send + 'static,
    ) -> Result<(), RemoteError> {
        self.post(Box::new(move |role, now| {
            act(role, now);
            None
        }))
    }

    /// Has `act` run on the role and waits for its answer.
    ///
    /// # Errors
    /// When the drive loop has ended or is far behind.
    pub async fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut R, MonoTime) -> T + Send + 'static,
    ) -> Result<T, RemoteError> {
        self.question(act)?.await.map_err(|_| RemoteError::Ended)
    }

    /// As [`Remote::ask`], for threads that are not async; never on the drive loop's own thread.
    ///
    /// # Errors
    /// When the drive loop has ended or is far behind.
    pub fn ask_blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut R, MonoTime) -> T + Send + 'static,
    ) -> Result<T, RemoteError> {
        self.question(act)?
            .blocking_recv()
            .map_err(|_| RemoteError::Ended)
    }

    /// Has `act` run on the role; the answer comes once what the role had to send for it is sent, so that waking whoever
    /// asked does not hold that up.
    ///
    /// # Errors
    /// When the drive loop has ended or is far behind.
    pub fn question<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut R, MonoTime) -> T + Send + 'static,
    ) -> Result<oneshot::Receiver<T>, RemoteError> {
        let (answer, answered) = oneshot::channel();
        self.post(Box::new(move |role, now| {
            let output = act(role, now);
            Some(Box::new(move || {
                // Whoever asked may have given up.
                drop(answer.send(output));
            }))
        }))?;
        Ok(answered)
    }

    fn post(&self, call: Call<R>) -> Result<(), RemoteError> {
        let Some(call) = call_here(&self.calls, call) else {
            return Ok(());
        };
        self.calls.try_send(call).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => RemoteError::Busy,
            mpsc::error::TrySendError::Closed(_) => RemoteError::Ended,
        })
    }
}

/// Why a call did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// Too many calls wait.
    #[error("the drive loop is behind: too many calls wait")]
    Busy,
    /// The drive loop has ended.
    #[error("the drive loop has ended")]
    Ended,
}
