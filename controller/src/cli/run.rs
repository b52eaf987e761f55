//! Runs a verb that connects: on this thread's runtime, until it is done or a signal comes.

use std::future::Future;
use std::time::Duration;

use longrein_io::runtime;
use longrein_io::shutdown::Shutdown;
use tokio::time::{sleep, timeout};

use super::connection::ConnectionArgs;
use super::failure::Failure;
use crate::Connection;
use crate::hub::Hub;

/// Runs a verb that takes care of signals itself.
///
/// # Errors
/// As the verb.
pub fn steady<F>(verb: impl FnOnce(Shutdown) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    runtime::run(|| async move { verb(Shutdown::new()?).await })?
}

/// Runs a verb that a signal ends unfinished.
///
/// # Errors
/// As the verb, and when a signal comes.
pub fn brief<F>(verb: impl FnOnce() -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    steady(|mut shutdown| async move { or_signal(&mut shutdown, verb()).await? })
}

/// Runs a verb that asks the hub something, and that a signal ends unfinished.
///
/// # Errors
/// As the verb, when no relay is reached, and when a signal comes.
pub fn at_hub(
    connection: &ConnectionArgs,
    verb: impl AsyncFnOnce(&Hub) -> Result<(), Failure>,
) -> Result<(), Failure> {
    brief(|| async {
        let connection = connection.connect().await?;
        let done = patiently("asking the hub", verb(&connection.hub())).await;
        farewell(connection).await;
        done
    })
}

/// Runs a verb that listens to the hub until a signal comes or nobody reads what it prints.
///
/// # Errors
/// As the verb, and when no relay is reached.
pub fn by_hub(
    connection: &ConnectionArgs,
    verb: impl AsyncFnOnce(&Hub, &mut Shutdown) -> Result<(), Failure>,
) -> Result<(), Failure> {
    steady(|mut shutdown| async move {
        let connecting = connection.connect();
        let connection = or_signal(&mut shutdown, connecting).await??;
        let done = verb(&connection.hub(), &mut shutdown).await;
        farewell(connection).await;
        done
    })
}

/// Waits for a step of a verb, or for the signal that ends it.
///
/// # Errors
/// When a signal comes first.
pub async fn or_signal<T>(
    shutdown: &mut Shutdown,
    step: impl Future<Output = T>,
) -> Result<T, Failure> {
    tokio::select! {
        done = step => Ok(done),
        signal = shutdown.wait() => Err(Failure::interrupted(signal)),
    }
}

/// Waits for a step, and says on stderr what is waited for when it takes over a second.
pub async fn patiently<T>(what: &str, step: impl Future<Output = T>) -> T {
    tokio::pin!(step);
    tokio::select! {
        done = &mut step => done,
        () = sleep(Duration::from_secs(1)) => {
            eprintln!("{what} ...");
            step.await
        }
    }
}

/// Closes a connection, within what is left of [`FAREWELL_MAX`].
pub async fn farewell(connection: Connection) {
    // Whoever does not hear the farewell finds out by silence.
    timeout(FAREWELL_MAX, connection.close()).await.ok();
}

/// Of the 500 ms in which a verb ends after a signal.
const FAREWELL_MAX: Duration = Duration::from_millis(250);
