//! The network thread: the role, its connections, and what they carry to and from the control thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread::available_parallelism;
use std::time::Duration;

use longrein_io::dial::{Route, dial};
use longrein_io::drive::Driver;
use longrein_io::enrol::keep_renewed;
use longrein_io::entropy::SystemEntropy;
use longrein_io::keys::Identity;
use longrein_io::remote::Remote;
use longrein_io::revocation_file::RevocationFile;
use longrein_io::service_manager::ServiceManager;
use longrein_io::shutdown::Shutdown;
use longrein_io::{clock, date, known_time};
use longrein_proto::crypto::Credential;
use longrein_proto::role::{Agent, AgentConfig, AgentRecord};
use longrein_proto::session::Dictionaries;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc::Receiver, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::black_box::BlackBox;
use crate::config::Config;
use crate::control_thread::{ControlInput, ControlOutput, ControlThread};
use crate::dispatch::Dispatch;
use crate::error::AgentError;
use crate::ledger::Ledger;
use crate::local::board::Board;
use crate::program::Reread;
use crate::reload::Reload;
use crate::slots::Slots;
use crate::state::State;
use crate::status::status;
use crate::store::Store;

/// What the network thread is given.
pub(crate) struct Network {
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) dictionaries: Dictionaries,
    /// Locked until the end.
    pub(crate) _state: State,
    pub(crate) record: AgentRecord,
    pub(crate) slots: Slots,
    /// Where the local API reads of leases and paths.
    pub(crate) board: Board,
    pub(crate) control: ControlThread,
    pub(crate) outputs: Receiver<ControlOutput>,
    pub(crate) ending: oneshot::Receiver<()>,
    /// Reads the configuration again.
    pub(crate) reread: Reread,
    /// Hears that the agent is ready, and how it is.
    pub(crate) manager: ServiceManager,
}

impl Network {
    /// Until the end; tells a handle to the role once it runs.
    pub(crate) async fn serve(
        mut self,
        tell: &mpsc::Sender<Remote<Agent>>,
    ) -> Result<(), AgentError> {
        let mut shutdown = Shutdown::new()?;
        let mut hangup = signal(SignalKind::hangup())?;
        let routes = self.config.routes()?;
        let (written, on_disk) = watch::channel(0);
        let credential: Arc<dyn Credential> = self.identity.credential();
        let role = self.role(&routes, Arc::clone(&credential));
        let black_box = BlackBox::start(&self.config, &self.identity, credential)?;
        let store = Store::start(self.slots, move |ticket| {
            written.send_replace(ticket);
        })?;
        let functions: BTreeMap<_, _> = self
            .config
            .functions()
            .map(|(channel, section)| (channel, section.name.clone()))
            .collect();
        let dispatch = Rc::new(Dispatch::new(
            self.control.handle().clone(),
            store,
            black_box,
            RevocationFile::open(&self.config.state_directory, self.identity.fleet()),
            functions,
        ));
        let driver = Driver::start(role, {
            let dispatch = Rc::clone(&dispatch);
            move |driver, event| dispatch.on_event(driver, event)
        })?;
        if available_parallelism().is_ok_and(|processors| processors.get() > 1) {
            // On another processor the control thread wakes up while this one opens the packet.
            let control = self.control.handle().clone();
            driver.on_arrival(move || control.wake_ahead(clock::now()));
        }
        driver.spawn(tell_persisted(driver.clone(), on_disk));
        if !self.config.local.is_empty() {
            driver.spawn(self.board.keep(driver.clone()));
        }
        let control_ended = Rc::new(Notify::new());
        driver.spawn({
            let carried = Rc::clone(&dispatch).carry(driver.clone(), self.outputs);
            let control_ended = Rc::clone(&control_ended);
            async move {
                carried.await;
                control_ended.notify_one();
            }
        });
        let renewed_over = Rc::new(RefCell::new(routes.clone()));
        keep_certificate(&driver, &self.identity, &self.config, &renewed_over);
        tell_ready(&self.config, &self.identity, &routes);
        // The dialler logs what becomes of each route.
        let dialers = dial(&driver, &self.identity, routes, |_, _| {})
            .map_err(|error| AgentError::Key(error.to_string()))?;
        let mut reload = Reload::new(self.config, self.reread, dialers, renewed_over);
        self.manager.ready();
        // Whoever started the agent may have given up already, and dropping its handle ends it.
        let _ = tell.send(driver.remote());

        let watched = self.control.handle().clone();
        let stuck = watched.stuck();
        tokio::pin!(stuck);
        let mut ledger = Ledger::new(driver.clone());
        let mut minute = interval(COUNTS_EVERY);
        let mut look = interval(self.manager.look_interval());
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = loop {
            tokio::select! {
                signal = shutdown.wait() => {
                    tracing::info!(signal, "agent ends");
                    break Ok(());
                }
                _ = &mut self.ending => break Ok(()),
                _ = hangup.recv() => reload.reload(&driver, &self.identity, &mut self.manager),
                _ = look.tick(), if self.manager.is_there() => {
                    let status = driver.with(|agent, _| status(agent));
                    self.manager.look(self.control.handle().last_turn(), status);
                }
                () = control_ended.notified() => break Err(AgentError::ControlEnded),
                () = &mut stuck => break Err(AgentError::ControlStuck),
                _ = minute.tick() => ledger.tell_news(),
            }
        };
        self.manager.stopping();
        if matches!(ended, Err(AgentError::ControlStuck)) {
            leave_stuck(self.control, &driver);
        } else {
            let closed = close_devices(self.control, &driver);
            tokio::select! {
                () = closed => {}
                signal = shutdown.wait() => tracing::info!(signal, "agent ends at once"),
            }
        }
        ledger.tell_all();
        driver.close().await;
        dispatch.finish();
        tracing::info!("agent ended");
        ended
    }

    fn role(&mut self, routes: &[Route], credential: Arc<dyn Credential>) -> Agent {
        let config = AgentConfig {
            me: self.identity.node().clone(),
            functions: self
                .config
                .functions()
                .map(|(_, section)| section.role())
                .collect(),
            policy: self.config.policy(),
        };
        let mut agent = Agent::new(
            config,
            credential,
            self.identity.fleet().clone(),
            Box::new(SystemEntropy::new()),
            std::mem::take(&mut self.record),
        );
        let max_age = self.config.revocations_max_age();
        agent.set_revocations_max_age(max_age);
        agent.set_dictionaries(std::mem::take(&mut self.dictionaries));
        for route in routes {
            agent.set_link_budget(route.link.clone(), route.budget_kbit_s);
        }
        agent
    }
}

/// Nobody waits for the control thread: the devices hear nothing from it, and end of file with the process.
// [SAFE-70]
fn leave_stuck(control: ControlThread, driver: &Driver<Agent>) {
    tracing::error!("control thread is stuck, and the agent ends");
    driver.with(|agent, now| agent.end(now));
    control.abandon();
}

/// Stops the vehicle first, then tells the controllers, then waits for the devices.
async fn close_devices(control: ControlThread, driver: &Driver<Agent>) {
    // A shutdown always arrives, unless the thread has ended already.
    let _ = control.handle().send(ControlInput::Shutdown);
    driver.with(|agent, now| agent.end(now));
    // A panic in there was logged by the thread itself.
    let _ = tokio::task::spawn_blocking(move || drop(control)).await;
}

/// Keeps the time for certificates, and has the role go on with a renewed certificate.
fn keep_certificate(
    driver: &Driver<Agent>,
    identity: &Identity,
    config: &Config,
    routes: &Rc<RefCell<Vec<Route>>>,
) {
    let routes = Rc::clone(routes);
    let routes = move || routes.borrow().clone();
    let directory = &config.identity.directory;
    driver.spawn(known_time::keep(identity.clone(), directory.clone()));
    driver.spawn(keep_renewed(identity.clone(), directory.clone(), routes, {
        let (driver, identity) = (driver.clone(), identity.clone());
        move || driver.with(|agent, now| agent.set_credential(now, identity.credential()))
    }));
}

async fn tell_persisted(driver: Driver<Agent>, mut on_disk: watch::Receiver<u64>) {
    while on_disk.changed().await.is_ok() {
        let ticket = *on_disk.borrow_and_update();
        driver.persisted(ticket);
    }
}

fn tell_ready(config: &Config, identity: &Identity, routes: &[Route]) {
    let functions: Vec<&str> = config.function.iter().map(|f| f.name.as_str()).collect();
    let relays: Vec<&str> = config.relay.iter().map(|r| r.name.as_str()).collect();
    let mut links: Vec<&str> = routes.iter().map(|route| route.link.as_str()).collect();
    links.dedup();
    tracing::info!(
        vehicle = %identity.node().name,
        fleet = %identity.fleet().name(),
        functions = functions.join(","),
        links = links.join(","),
        relays = relays.join(","),
        certificate_until = date::utc(identity.not_after()),
        "agent ready"
    );
}

/// How often counters are logged, when they changed.
const COUNTS_EVERY: Duration = Duration::from_secs(60);
