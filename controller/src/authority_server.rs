//! The fleet's authority, reached through relays: it keeps the signing key, and no relay ever has it.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use longrein_io::config::ConfigError;
use longrein_io::dial::dial;
use longrein_io::drive::Driver;
use longrein_io::entropy::SystemEntropy;
use longrein_io::exit::Exit;
use longrein_io::keys::{Identity, IdentityError};
use longrein_io::sections::{RelaySection, routes};
use longrein_io::shutdown::Shutdown;
use longrein_io::{clock, known_time, runtime};
use longrein_proto::crypto::{Fleet, sign_revocations};
use longrein_proto::role::{Authority, AuthorityEvent};
use rustix::fs::{FlockOperation, flock};
use tokio::time::interval;

use crate::fleet::{Clerk, FleetError, Lives, RevocationList};
use crate::own_node::OwnNode;

/// Where the authority is and how it is reached.
#[derive(Clone, Debug)]
pub struct AuthoritySettings {
    /// The fleet's folder, as `longrein fleet init` makes it.
    pub folder: PathBuf,
    /// The relays through which it is reached.
    pub relays: Vec<RelaySection>,
    /// How long certificates are valid.
    pub lives: Lives,
}

/// Why the authority does not serve.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The fleet's folder cannot be used.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// Its own node cannot be made.
    #[error("identity: {0}")]
    Identity(#[from] IdentityError),
    /// The relays are not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another program serves the same folder.
    #[error("{} is served by another program: end that one first", .0.display())]
    InUse(PathBuf),
    /// Its key is of no use.
    #[error("its key cannot be used: {0}")]
    Key(String),
    /// The system refused something that it always gives.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
}

impl AuthorityError {
    /// The exit code of a program that gives up now.
    pub fn exit(&self) -> Exit {
        match self {
            AuthorityError::Config(error) => error.exit(),
            AuthorityError::Identity(error) => error.exit(),
            AuthorityError::Fleet(_)
            | AuthorityError::InUse(_)
            | AuthorityError::Key(_)
            | AuthorityError::System(_) => Exit::Failed,
        }
    }
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start.
pub fn serve(settings: &AuthoritySettings) -> Result<(), AuthorityError> {
    let clerk = Clerk::open(&settings.folder, settings.lives)?;
    let _locked = lock(settings)?;
    runtime::run(async || attend(settings, clerk).await)?
}

async fn attend(settings: &AuthoritySettings, clerk: Clerk) -> Result<(), AuthorityError> {
    let mut shutdown = Shutdown::new()?;
    let routes = routes(&settings.relays, &[])?;
    let own = OwnNode::new(clerk.folder(), settings.lives.machine_s)?;
    let identity = own.identity();
    let role = Authority::new(
        identity.node().clone(),
        identity.credential(),
        identity.fleet().clone(),
        Box::new(SystemEntropy::new()),
    );
    let clerk = Rc::new(clerk);
    let driver = Driver::start(role, {
        let clerk = Rc::clone(&clerk);
        let fleet = identity.fleet().clone();
        move |driver, event| on_event(driver, &clerk, &fleet, event)
    })?;
    driver.spawn(known_time::keep(
        identity.clone(),
        clerk.folder().authority_directory(),
    ));
    dial(&driver, identity, routes, |_, _| {})
        .map_err(|error| AuthorityError::Key(error.to_string()))?;
    let relays: Vec<&str> = settings.relays.iter().map(|r| r.name.as_str()).collect();
    let fleet = identity.fleet().name();
    tracing::info!(%fleet, relays = relays.join(","), "authority ready");
    let mut poll = interval(LOOK_EVERY);
    let mut told = RevocationList::default();
    let signal = loop {
        tokio::select! {
            signal = shutdown.wait() => break signal,
            _ = poll.tick() => {
                if own.renew_if_due(clerk.folder().authority())? {
                    let credential = identity.credential();
                    driver.with(|authority, now| authority.set_credential(now, credential));
                }
                match newest_list(&clerk, identity.fleet(), &told) {
                    Ok(list) if list.number > told.number => {
                        tell_list(&driver, identity, &list);
                        told = list;
                    }
                    Ok(_) => {}
                    Err(error) => tracing::error!(why = %error, "list of revocations cannot be read"),
                }
            }
        }
    };
    tracing::info!(signal, "authority ends");
    driver.close().await;
    Ok(())
}

/// The list of the folder, which other programs change; dated anew when it is old, so that nodes know of no newer one.
fn newest_list(
    clerk: &Clerk,
    fleet: &Fleet,
    told: &RevocationList,
) -> Result<RevocationList, FleetError> {
    let list = clerk.folder().revocations()?;
    let is_old = now_s(fleet) >= list.made_s.saturating_add(DATE_EVERY_S);
    if list.number == 0 || (is_old && list.number == told.number) {
        return clerk.folder().revoke(&[], now_s(fleet));
    }
    Ok(list)
}

fn tell_list(driver: &Driver<Authority>, identity: &Identity, list: &RevocationList) {
    let credential = identity.credential();
    let (number, revoked) = (list.number, list.revoked.len());
    match sign_revocations(credential.as_ref(), (number, list.made_s), &list.revoked) {
        Some(parts) => {
            driver.with(|authority, now| authority.set_revocations(now, &parts));
            tracing::info!(number, revoked, "list of revocations is passed on");
        }
        None => tracing::error!(
            number,
            revoked,
            "too many nodes are revoked: begin a new fleet"
        ),
    }
}

fn on_event(driver: &Driver<Authority>, clerk: &Clerk, fleet: &Fleet, event: AuthorityEvent) {
    match event {
        AuthorityEvent::RelayUp { relay } => tracing::info!(%relay, "relay is reached"),
        AuthorityEvent::Asked {
            session,
            peer,
            node,
            request,
        } => {
            let answer = clerk.answer(now_s(fleet), &peer, &node, &request);
            driver.with(|authority, now| authority.answer(now, session, &answer));
        }
    }
}

fn lock(settings: &AuthoritySettings) -> Result<File, AuthorityError> {
    let folder = File::open(&settings.folder)?;
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(folder),
        Err(error) if io::Error::from(error).kind() == io::ErrorKind::WouldBlock => {
            Err(AuthorityError::InUse(settings.folder.clone()))
        }
        Err(error) => Err(io::Error::from(error).into()),
    }
}

/// Between looks at the list of revocations, a file of a few kilobytes: a revocation is on its way within this.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Age of a list at which it is dated anew.
const DATE_EVERY_S: u64 = 3_600;

// [WIRE-149]
fn now_s(fleet: &Fleet) -> u64 {
    fleet.time(clock::unix_time()).as_secs()
}
