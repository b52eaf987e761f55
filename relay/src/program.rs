//! The relay's program: sockets, signals and logs around the role.

use std::cell::OnceCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use longrein_io::config::ConfigError;
use longrein_io::drive::Driver;
use longrein_io::enrol::{EnrolError, keep_renewed};
use longrein_io::entropy::SystemEntropy;
use longrein_io::exit::Exit;
use longrein_io::files::FileError;
use longrein_io::keys::{Identity, IdentityError};
use longrein_io::listen::{ListenError, Listener, listen};
use longrein_io::revocation_file::RevocationFile;
use longrein_io::service_manager::ServiceManager;
use longrein_io::shutdown::Shutdown;
use longrein_io::{clock, date, known_time, log, priority, runtime};
use longrein_proto::base::NodeKind;
use longrein_proto::role::{Relay, RelayEvent};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::config::Config;
use crate::counts::Counts;
use crate::http::{Access, HttpError, HttpServer, now_s};
use crate::hub::{Host, HubError, Opened};
use crate::ledger::Ledger;
use crate::renewal::own_routes;
use crate::store::BackupError;
use crate::token_verb::TokenError;

/// Why a relay does not run.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The identity cannot be used.
    #[error("identity: {0}")]
    Identity(#[from] IdentityError),
    /// The identity that systemd hands over cannot be kept.
    #[error("identity: {0}")]
    Credentials(#[from] FileError),
    /// It cannot become a node.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// The hub's store cannot be copied or restored.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// There is no token or key.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The hub does not start.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// It cannot listen.
    #[error("[[listen]] {name}: {source}")]
    Listen {
        /// The listener.
        name: String,
        /// Why not.
        source: ListenError,
    },
    /// It cannot serve HTTP.
    #[error("[http]: {0}")]
    Http(#[from] HttpError),
    /// The system refused something that it always gives.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
}

impl RelayError {
    /// The program's exit code.
    pub fn exit(&self) -> Exit {
        match self {
            RelayError::Config(error) => error.exit(),
            RelayError::Identity(error) => error.exit(),
            RelayError::Enrol(error) => error.exit(),
            RelayError::Backup(error) => error.exit(),
            RelayError::Token(error) => error.exit(),
            RelayError::Hub(HubError::Open(error)) => error.exit(),
            RelayError::Hub(HubError::Keep(_))
            | RelayError::Credentials(_)
            | RelayError::Listen { .. }
            | RelayError::Http(_)
            | RelayError::System(_) => Exit::Failed,
        }
    }
}

/// The identity that the configuration names, when it is a relay's.
///
/// # Errors
/// What is wrong with it and what to do.
pub fn load_identity(config: &Config) -> Result<Identity, IdentityError> {
    let identity = Identity::load(&config.identity.directory)?;
    identity.expect_kind(NodeKind::Relay)?;
    Ok(identity)
}

/// Reads the configuration again, on SIGHUP.
pub type Reread<'a> = dyn Fn() -> Result<Config, ConfigError> + 'a;

/// Runs a relay until SIGTERM or SIGINT; `manager` hears that it is ready, and how it is.
///
/// # Errors
/// When it cannot start.
pub fn run(
    config: &Config,
    reread: &Reread<'_>,
    manager: ServiceManager,
) -> Result<(), RelayError> {
    let identity = load_identity(config)?;
    runtime::run(async || serve(config, &identity, reread, manager).await)?
}

async fn serve(
    config: &Config,
    identity: &Identity,
    reread: &Reread<'_>,
    mut manager: ServiceManager,
) -> Result<(), RelayError> {
    let mut shutdown = Shutdown::new()?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut role = Relay::new(config.relay(), Box::new(SystemEntropy::new()));
    let revocations = RevocationFile::open(&config.identity.directory, identity.fleet());
    role.believe(identity.fleet().clone());
    let mut opened = match config.hub.enabled {
        true => Some(Opened::new(&config.hub)?),
        false => None,
    };
    let left = Rc::new(Notify::new());
    let hub: Rc<OnceCell<Host>> = Rc::default();
    let driver = Driver::start(role, {
        let (left, hub) = (Rc::clone(&left), Rc::clone(&hub));
        move |driver, event| {
            if let RelayEvent::Hub(effect) = event {
                if let Some(host) = hub.get() {
                    host.on_effect(driver, effect);
                }
            } else {
                on_event(driver, &event, &left, &revocations);
            }
        }
    })?;
    let beside = opened.as_mut().map(Opened::take_beside).unwrap_or_default();
    if let Some(opened) = opened {
        // It is set once.
        let _ = hub.set(Host::start(opened, &driver)?);
    }
    let listeners = match open(config, identity, &driver) {
        Ok(listeners) => listeners,
        Err(error) => {
            driver.close().await;
            return Err(error);
        }
    };
    let directory = &config.identity.directory;
    driver.spawn(known_time::keep(identity.clone(), directory.clone()));
    let routes = own_routes(&identity.node().name, config, &listeners);
    driver.spawn(keep_renewed(
        identity.clone(),
        directory.clone(),
        move || routes.clone(),
        || {},
    ));
    let access = Access {
        relay: driver.remote(),
        counts: Counts::tell_others(&driver, &listeners),
        desk: hub.get().map(|host| host.desk(&driver)),
        annex: hub.get().map(Host::annex),
        identity: identity.clone(),
        nodes_in_metrics: config.http.nodes_in_metrics,
        started_s: now_s(),
    };
    let http = match HttpServer::start(&config.http, access, beside) {
        Ok(http) => http,
        Err(error) => {
            driver.close().await;
            return Err(error.into());
        }
    };
    if let Some(http) = &http {
        tracing::info!(address = %http.address(), "http is served");
    }
    // After the threads of the store and of HTTP were started: they need not hurry.
    priority::go_first("drive loop", NICE);
    tell_ready(identity, &listeners);
    manager.ready();
    let mut ledger = Ledger::new(driver.clone(), listeners);
    let mut minute = interval(COUNTS_EVERY);
    let mut look = interval(manager.look_interval());
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let signal = loop {
        tokio::select! {
            signal = shutdown.wait() => break signal,
            _ = minute.tick() => ledger.tell_news(),
            _ = hangup.recv() => {
                manager.reloading();
                reload(config, reread);
                manager.ready();
            }
            _ = look.tick(), if manager.is_there() => {
                let nodes = driver.with(|relay, _| relay.nodes().count());
                let paths = driver.paths().len();
                // That it comes here is the progress that the watchdog is fed with.
                manager.look(clock::now(), format!("{nodes} nodes over {paths} paths"));
            }
        }
    };
    tracing::info!(signal, "relay drains");
    manager.stopping();
    drain(&driver, &left, &mut shutdown).await;
    ledger.tell_all();
    if let Some(http) = http {
        http.end().await;
    }
    driver.close().await;
    // The store's threads end with it, when what waits is stored.
    drop(driver);
    drop(hub);
    tracing::info!("relay ended");
    Ok(())
}

/// Asks all nodes to leave, and waits until they have.
async fn drain(driver: &Driver<Relay>, left: &Notify, shutdown: &mut Shutdown) {
    driver.with(|relay, now| relay.drain(now));
    let all_left = async {
        while driver.with(|relay, _| relay.nodes().next().is_some()) {
            left.notified().await;
        }
    };
    tokio::select! {
        // Who has not left by then loses its connections; all nodes have other relays.
        _ = timeout(GRACE, all_left) => {}
        signal = shutdown.wait() => tracing::info!(signal, "relay ends at once"),
    }
}

fn open(
    config: &Config,
    identity: &Identity,
    driver: &Driver<Relay>,
) -> Result<Vec<(String, Listener)>, RelayError> {
    let open = |settings: longrein_io::listen::ListenSettings| {
        let name = settings.name.to_string();
        match listen(driver, identity, settings) {
            Ok(listener) => Ok((name, listener)),
            Err(source) => Err(RelayError::Listen { name, source }),
        }
    };
    config.listeners().map(open).collect()
}

/// Reads the configuration again; of a relay only the log's level can change while it runs.
fn reload(running: &Config, reread: &Reread<'_>) {
    let read = reread().and_then(|new| new.check().map(|()| new));
    let new = match read {
        Ok(new) => new,
        Err(error) => {
            tracing::error!(%error, "configuration is wrong, and everything stays as it is");
            return;
        }
    };
    log::set_level(new.log.level);
    tracing::info!(
        log_level = new.log.level.as_str(),
        "configuration is reloaded"
    );
    let as_before = Config {
        log: running.log.clone(),
        ..new
    };
    if as_before != *running {
        tracing::warn!(
            "more than the log's level has changed: the rest needs a restart of the relay"
        );
    }
}

fn tell_ready(identity: &Identity, listeners: &[(String, Listener)]) {
    let addresses: Vec<SocketAddr> = listeners
        .iter()
        .map(|(_, listener)| listener.address())
        .collect();
    let address = addresses
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",");
    tracing::info!(
        relay = %identity.node().name,
        fleet = %identity.fleet().name(),
        address,
        certificate_until = date::utc(identity.not_after()),
        "relay ready"
    );
}

fn on_event(
    driver: &Driver<Relay>,
    event: &RelayEvent,
    left: &Notify,
    revocations: &Arc<RevocationFile>,
) {
    match event {
        RelayEvent::Joined { node } => tracing::info!(%node, "node is here"),
        RelayEvent::Left { node } => {
            tracing::info!(%node, "node is gone");
            left.notify_one();
        }
        RelayEvent::RunsTwice { node } => {
            tracing::error!(%node, "node runs twice: one of its programs is refused while the other is here");
        }
        RelayEvent::PathJoined { node, path, link } => {
            tracing::info!(%node, path = path.0, %link, "path carries its leg");
        }
        RelayEvent::Close { path } => driver.hang_up(*path),
        // It has been taken.
        RelayEvent::Hub(_) => {}
        RelayEvent::Revocations { .. } => {
            tracing::info!("newer list of revocations counts");
            revocations.keep();
        }
    }
}

/// Nice value of the thread that forwards: behind an agent's control thread, should both share a machine.
const NICE: i32 = -10;
/// How often counters are logged, when they changed.
const COUNTS_EVERY: Duration = Duration::from_secs(60);
/// Between telling the nodes and closing: two round trips of a slow mobile network.
const GRACE: Duration = Duration::from_millis(500);
