//! The network thread: the role, its connections, and what they carry to and from the control thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread::available_parallelism;
use std::time::Duration;

use longrein_io::dial::{Dialers, Route, dial};
use longrein_io::drive::Driver;
use longrein_io::enrol::keep_renewed;
use longrein_io::entropy::SystemEntropy;
use longrein_io::keys::Identity;
use longrein_io::remote::Remote;
use longrein_io::revocation_file::RevocationFile;
use longrein_io::service_manager::ServiceManager;
use longrein_io::shutdown::Shutdown;
use longrein_io::{clock, date, known_time};
use longrein_proto::base::Name;
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
use crate::hub_desk::HubDesk;
use crate::ledger::Ledger;
use crate::local::board::Board;
use crate::local::post::Office;
use crate::metering::{COUNTED_EVERY, Metering, Plans};
use crate::modems::Modems;
use crate::mqtt::{Farewell, Mqtt, Report, Workers};
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
    /// What clients of the local API ask of the hub, and are told.
    pub(crate) office: Option<Office>,
    pub(crate) control: ControlThread,
    pub(crate) outputs: Receiver<ControlOutput>,
    /// The bridges to MQTT, if there are any.
    pub(crate) mqtt: Option<Mqtt>,
    pub(crate) ending: oneshot::Receiver<()>,
    /// Reads the configuration again.
    pub(crate) reread: Reread,
    /// Hears that the agent is ready, and how it is.
    pub(crate) manager: ServiceManager,
}

impl Network {
    /// Who speaks with the hub, if anybody on the vehicle does.
    fn desk(&self) -> Option<Rc<HubDesk>> {
        let me = self.identity.node().clone();
        let office = self.office.as_ref()?;
        Some(Rc::new(HubDesk::new(me, office.shelf.clone())))
    }

    /// Until the end; tells a handle to the role once it runs.
    pub(crate) async fn serve(
        mut self,
        tell: &mpsc::Sender<Remote<Agent>>,
    ) -> Result<(), AgentError> {
        let mut shutdown = Shutdown::new()?;
        let mut hangup = signal(SignalKind::hangup())?;
        let routes = self.config.routes()?;
        let desk = self.desk();
        let (written, on_disk) = watch::channel(0);
        let credential: Arc<dyn Credential> = self.identity.credential();
        let role = self.role(Arc::clone(&credential));
        let mut metering = Metering::open(&self.config.state_directory, &self.config.link);
        let mut modems = Modems::watch(&self.config.link)?;
        let black_box = BlackBox::start(&self.config, &self.identity, credential)?;
        let store = Store::start(self.slots, move |ticket| {
            written.send_replace(ticket);
        })?;
        let functions = self.config.functions();
        let functions = functions.map(|(channel, section)| (channel, section.name.clone()));
        let (bridges, reports, farewell) = split(self.mqtt);
        let dispatch = Dispatch::new(
            self.control.handle().clone(),
            store,
            black_box,
            RevocationFile::open(&self.config.state_directory, self.identity.fleet()),
            functions.collect(),
            bridges,
        );
        let dispatch = Rc::new(dispatch.with_desk(desk.clone()));
        let driver = Driver::start(role, {
            let dispatch = Rc::clone(&dispatch);
            move |driver, event| dispatch.on_event(driver, event)
        })?;
        wake_ahead(&self.control, &driver);
        driver.spawn(tell_persisted(driver.clone(), on_disk));
        if !self.config.local.is_empty() {
            driver.spawn(self.board.keep(driver.clone()));
        }
        if let (Some(desk), Some(office)) = (desk, self.office) {
            desk.open(&driver);
            driver.spawn(desk.serve(driver.clone(), office.asks));
        }
        let control_ended = carry(&driver, &dispatch, self.outputs, reports);
        tell_ready(&self.config, &self.identity, &routes);
        let dialers = keep_paths(
            &driver,
            (&self.identity, &self.config),
            routes,
            metering.plans(),
        )?;
        let mut reload = Reload::new(self.config, self.reread, dialers, metering.plans());
        self.manager.ready();
        // Whoever started the agent may have given up already, and dropping its handle ends it.
        let _ = tell.send(driver.remote());

        let watched = self.control.handle().clone();
        let stuck = watched.stuck();
        tokio::pin!(stuck);
        let mut ledger = Ledger::new(driver.clone());
        let mut minute = interval(COUNTS_EVERY);
        let mut second = interval(COUNTED_EVERY);
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
                    let status = driver.with(|agent, _| status(agent)) + &modems.shown();
                    self.manager.look(self.control.handle().last_turn(), status);
                }
                () = control_ended.notified() => break Err(AgentError::ControlEnded),
                () = &mut stuck => break Err(AgentError::ControlStuck),
                () = modems.news() => {}
                _ = minute.tick() => ledger.tell_news(),
                _ = second.tick() => {
                    dispatch.tell_counts(&driver);
                    if reload.has_plans() {
                        metering.work(&driver, &reload.wire_bytes()).await;
                    }
                }
            }
        };
        self.manager.stopping();
        if matches!(ended, Err(AgentError::ControlStuck)) {
            leave_stuck(self.control, &driver);
        } else {
            close_unless_asked_again(self.control, &driver, &mut shutdown).await;
        }
        if let Some(farewell) = farewell {
            farewell.say().await;
        }
        ledger.tell_all();
        driver.close().await;
        metering.finish(&driver, &reload.wire_bytes()).await;
        dispatch.finish();
        tracing::info!("agent ended");
        ended
    }

    fn role(&mut self, credential: Arc<dyn Credential>) -> Agent {
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
        if self.config.hub.report {
            agent.report_to_hub();
        }
        let max_age = self.config.revocations_max_age();
        agent.set_revocations_max_age(max_age);
        agent.set_dictionaries(std::mem::take(&mut self.dictionaries));
        agent
    }
}

/// Carries what the control thread and the bridges to MQTT say; told when the control thread has ended.
fn carry(
    driver: &Driver<Agent>,
    dispatch: &Rc<Dispatch>,
    outputs: Receiver<ControlOutput>,
    reports: Option<Receiver<Report>>,
) -> Rc<Notify> {
    let control_ended = Rc::new(Notify::new());
    driver.spawn({
        let carried = Rc::clone(dispatch).carry(driver.clone(), outputs);
        let control_ended = Rc::clone(&control_ended);
        async move {
            carried.await;
            control_ended.notify_one();
        }
    });
    if let Some(reports) = reports {
        driver.spawn(Rc::clone(dispatch).carry_reports(driver.clone(), reports));
    }
    control_ended
}

/// Keeps the paths up, and the certificate that they are made with; the role knows what each link may carry.
fn keep_paths(
    driver: &Driver<Agent>,
    (identity, config): (&Identity, &Config),
    routes: Vec<Route>,
    plans: Rc<RefCell<Plans>>,
) -> Result<Dialers<Agent>, AgentError> {
    let renewed_over = Rc::new(RefCell::new(routes.clone()));
    keep_certificate(driver, identity, config, &renewed_over);
    // The dialler logs what becomes of each route.
    let mut dialers = dial(driver, identity, routes, |_, _| {})
        .map_err(|error| AgentError::Key(error.to_string()))?;
    dialers.on_routes({
        let driver = driver.clone();
        move |routes| {
            renewed_over.replace(routes.to_vec());
            set_link_budgets(&driver, routes, &plans.borrow());
        }
    });
    Ok(dialers)
}

/// Nobody waits for the control thread: the devices hear nothing from it, and end of file with the process.
// [SAFE-70]
fn leave_stuck(control: ControlThread, driver: &Driver<Agent>) {
    tracing::error!("control thread is stuck, and the agent ends");
    driver.with(|agent, now| agent.end(now));
    control.abandon();
}

/// Has the control thread wake up when packets arrive, if there is another processor for it while this one opens them.
fn wake_ahead(control: &ControlThread, driver: &Driver<Agent>) {
    if available_parallelism().is_ok_and(|processors| processors.get() > 1) {
        let control = control.handle().clone();
        driver.on_arrival(move || control.wake_ahead(clock::now()));
    }
}

/// Stops the vehicle first, then tells the controllers, then waits for the devices.
async fn close_devices(control: ControlThread, driver: &Driver<Agent>) {
    // A shutdown always arrives, unless the thread has ended already.
    let _ = control.handle().send(ControlInput::Shutdown);
    driver.with(|agent, now| agent.end(now));
    // A panic in there was logged by the thread itself.
    let _ = tokio::task::spawn_blocking(move || drop(control)).await;
}

/// The same; asked to end once more, it waits for nothing.
async fn close_unless_asked_again(
    control: ControlThread,
    driver: &Driver<Agent>,
    shutdown: &mut Shutdown,
) {
    let closed = close_devices(control, driver);
    tokio::select! {
        () = closed => {}
        signal = shutdown.wait() => tracing::info!(signal, "agent ends at once"),
    }
}

/// What of the bridges to MQTT goes where.
fn split(mqtt: Option<Mqtt>) -> (Option<Workers>, Option<Receiver<Report>>, Option<Farewell>) {
    let Some(mqtt) = mqtt else {
        return (None, None, None);
    };
    (Some(mqtt.workers), Some(mqtt.reports), Some(mqtt.farewell))
}

/// What each link may carry; a pattern is as many links as interfaces match.
fn set_link_budgets(driver: &Driver<Agent>, routes: &[Route], plans: &Plans) {
    let links: Vec<Name> = routes.iter().map(|route| route.link.clone()).collect();
    driver.with(|agent, now| {
        agent.keep_link_budgets(&links);
        for route in routes {
            agent.set_link_budget(route.link.clone(), route.budget_kbit_s);
        }
        plans.apply(now, agent, routes);
    });
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
