//! An agent whose certificate is over has it renewed before it does anything else: nothing is driven meanwhile.

use std::time::Duration;

use longrein_io::backoff::Backoff;
use longrein_io::enrol::{EnrolError, renew};
use longrein_io::keys::{Identity, IdentityError};
use longrein_io::service_manager::ServiceManager;
use longrein_io::shutdown::Shutdown;
use longrein_io::{clock, date, runtime};
use longrein_proto::base::NodeKind;
use longrein_proto::base::limits::GRACE;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{interval, sleep};

use crate::config::Config;
use crate::error::AgentError;
use crate::program::load_identity;

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readmission {
    /// The certificate counts: the agent may start.
    Ready,
    /// The configuration is to be read again first, as SIGHUP asks.
    Reload,
    /// The program is to end.
    End,
}

/// Waits until the certificate counts. One that is over is renewed through the agent's relays, in its time of grace; whoever
/// enrols the machine anew ends the waiting too.
///
/// # Errors
/// What is wrong with the identity otherwise, and what to do.
// [WIRE-150]
pub fn readmit(config: &Config, manager: &mut ServiceManager) -> Result<Readmission, AgentError> {
    match load_identity(config) {
        Ok(_) => Ok(Readmission::Ready),
        Err(IdentityError::Expired { .. }) => runtime::run(async || wait(config, manager).await)?,
        Err(error) => Err(error.into()),
    }
}

/// It may take long: the service manager hears that it is meant, and that the program lives.
async fn wait(config: &Config, manager: &mut ServiceManager) -> Result<Readmission, AgentError> {
    let mut shutdown = Shutdown::new()?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut look = interval(manager.look_interval());
    let renewed = until_renewed(config);
    tokio::pin!(renewed);
    manager.ready();
    loop {
        tokio::select! {
            renewed = &mut renewed => return renewed.map(|()| Readmission::Ready),
            _ = look.tick(), if manager.is_there() => manager.look(clock::now(), STATUS.to_string()),
            _ = hangup.recv() => {
                manager.reloading();
                return Ok(Readmission::Reload);
            }
            signal = shutdown.wait() => {
                tracing::info!(signal, "agent ends");
                manager.stopping();
                return Ok(Readmission::End);
            }
        }
    }
}

async fn until_renewed(config: &Config) -> Result<(), AgentError> {
    let mut backoff = Backoff::between(APART_MIN, APART_MAX);
    let mut told = String::new();
    loop {
        match load_identity(config) {
            Err(IdentityError::Expired { .. }) => {}
            Ok(identity) => {
                let certificate_until = date::utc(identity.not_after());
                tracing::info!(certificate_until, "certificate is renewed");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        let directory = &config.identity.directory;
        let identity = Identity::load_undated(directory)?;
        identity.expect_kind(NodeKind::Agent)?;
        if told.is_empty() {
            let certificate_until = date::utc(identity.not_after());
            tracing::warn!(
                certificate_until,
                "certificate is over: nobody can drive before it is renewed"
            );
        }
        let why = match renew(&identity, directory, config.routes()?).await {
            Ok(()) if load_identity(config).is_ok() => continue,
            Ok(()) => "also the new one is over: is this machine's clock right?".to_string(),
            Err(error) => complaint(&identity, &error),
        };
        if why != told {
            tracing::error!(%why, "certificate is over, and cannot be renewed");
        }
        told = why;
        sleep(backoff.pause()).await;
    }
}

fn complaint(identity: &Identity, error: &EnrolError) -> String {
    let now_s = identity.fleet().time(clock::unix_time()).as_secs();
    let over_s = now_s.saturating_sub(identity.not_after().as_secs());
    if over_s > GRACE.as_secs() {
        format!(
            "{error}; it has been over for more than a year: run `longrein-agent enroll --replace` with a new token"
        )
    } else {
        error.to_string()
    }
}

/// For the service manager.
const STATUS: &str = "certificate is over: nobody can drive before it is renewed";
/// After the first attempt, and twice as long after each further one.
const APART_MIN: Duration = Duration::from_secs(5);
/// Between attempts in the end: an authority that was away is found within this.
const APART_MAX: Duration = Duration::from_secs(600);
