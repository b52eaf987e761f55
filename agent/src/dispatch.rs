//! Between the role and the control thread: commands and stops go one way, verdicts, stages and telemetry the other.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use longrein_io::clock;
use longrein_io::drive::Driver;
use longrein_io::revocation_file::RevocationFile;
use longrein_proto::base::limits::{APPLYING_MAX, TTL_MAX};
use longrein_proto::base::{Channel, Class, FencingToken, Flow, MonoTime, Name, Refusal};
use longrein_proto::role::{Agent, AgentEvent, Apply, Asked};
use longrein_proto::wire::Telemetry;
use tokio::sync::mpsc::Receiver;
use tokio::time::sleep;

use crate::applied_log::Journey;
use crate::black_box::BlackBox;
use crate::control_thread::{ControlHandle, ControlInput, ControlOutput};
use crate::hub_desk::HubDesk;
use crate::link_news::{tell_metered, tell_shared};
use crate::mqtt::{Report, Workers};
use crate::store::Store;

/// Carries what the role wants done to whoever does it, and what came of it back.
pub(crate) struct Dispatch {
    control: ControlHandle,
    store: RefCell<Option<Store>>,
    black_box: BlackBox,
    revocations: Arc<RevocationFile>,
    functions: BTreeMap<Channel, Name>,
    /// What the hub says goes there; nowhere when the vehicle has no programs of its own.
    desk: Option<Rc<HubDesk>>,
    /// The class of each function's newest command: a device's answer goes back in the same.
    classes: RefCell<BTreeMap<Channel, Class>>,
    /// The bridges to MQTT, if there are any, and the functions of commands that go there, by ticket.
    bridges: Option<Workers>,
    bridged: RefCell<BTreeMap<u64, Channel>>,
    /// Stops of the vehicle's own software that the role knows of.
    own_stops: Cell<u64>,
}

impl Dispatch {
    pub(crate) fn new(
        control: ControlHandle,
        store: Store,
        black_box: BlackBox,
        revocations: Arc<RevocationFile>,
        functions: BTreeMap<Channel, Name>,
        bridges: Option<Workers>,
    ) -> Dispatch {
        Dispatch {
            control,
            store: RefCell::new(Some(store)),
            black_box,
            revocations,
            functions,
            desk: None,
            classes: RefCell::default(),
            bridges,
            bridged: RefCell::default(),
            own_stops: Cell::new(0),
        }
    }

    /// What the hub says goes there.
    pub(crate) fn with_desk(self, desk: Option<Rc<HubDesk>>) -> Dispatch {
        Dispatch { desk, ..self }
    }

    /// Carries one event of the role.
    pub(crate) fn on_event(self: &Rc<Self>, driver: &Driver<Agent>, event: AgentEvent) {
        self.black_box.on_event(&event);
        match event {
            AgentEvent::Apply(apply) => self.apply(driver, *apply),
            // [SAFE-138]
            AgentEvent::Hub(event) => {
                if let Some(desk) = &self.desk {
                    desk.on_event(driver, *event);
                }
            }
            AgentEvent::Revocations { number, .. } => {
                tracing::info!(number, "list of revocations counts");
                self.revocations.keep();
            }
            AgentEvent::Stop { author, generation } => {
                let operator = author.map_or("before the start".to_string(), |who| who.to_string());
                tracing::warn!(operator, generation, "emergency stop is latched");
                self.give(driver, ControlInput::Stop);
            }
            AgentEvent::StopReset { author, generation } => {
                tracing::warn!(operator = %author, generation, "emergency stop is reset");
                // [SAFE-132]
                let own_stops = self.own_stops.get();
                self.give(driver, ControlInput::Reset { own_stops });
            }
            AgentEvent::LeaseEnded {
                channel,
                holder,
                token: FencingToken(token),
                why,
            } => {
                tracing::info!(function = self.name(channel), operator = %holder, fence = token, %why, "lease has ended");
                self.give(driver, ControlInput::LeaseEnded { channel });
            }
            AgentEvent::LeaseGranted {
                channel,
                holder,
                token,
            } => {
                tracing::info!(function = self.name(channel), operator = %holder, fence = token.0, "lease is granted");
                // [SAFE-4] Also of the holder itself, when it takes the lease once more.
                self.give(driver, ControlInput::HandedOver { channel, token });
            }
            AgentEvent::LeaseHandedOver {
                channel,
                from,
                holder,
                token,
            } => {
                tracing::info!(function = self.name(channel), %from, operator = %holder, fence = token.0, "lease is handed over");
                self.give(driver, ControlInput::HandedOver { channel, token });
            }
            AgentEvent::Clock { peer, difference } => {
                tracing::debug!(operator = %peer, ahead_ms = difference.ahead_ms, "wall clock of a controller");
            }
            AgentEvent::News { to, news } => {
                tracing::debug!(function = self.name(news.channel()), operator = %to, %news, "news of a lease");
            }
            AgentEvent::NotAllowed { peer, right } => {
                tracing::warn!(operator = %peer, right = right.as_str(), "refused by the policy");
            }
            AgentEvent::Persist { ticket, record } => {
                if let Some(store) = self.store.borrow().as_ref() {
                    store.put(ticket, record);
                }
            }
            AgentEvent::SessionUp { session, peer, .. } => {
                tracing::info!(session = session.0, operator = %peer, "session is up");
                if let Some(bridges) = &self.bridges {
                    bridges.on_watcher();
                }
            }
            AgentEvent::SessionRenewed { session, peer, .. } => {
                tracing::info!(session = session.0, operator = %peer, "controller has a newer certificate");
            }
            AgentEvent::SessionDown { session, peer, why } => {
                tracing::info!(session = session.0, operator = %peer, %why, "session is down");
            }
            AgentEvent::Refused { peer, asked, why } => {
                tracing::debug!(operator = %peer, ?asked, %why, "request is refused");
                if let Asked::Command { channel, .. } = asked {
                    self.count_refusal(Some(channel), &why);
                }
            }
            AgentEvent::RelayUp { relay } => {
                tracing::info!(relay = %relay.name, "relay is reached")
            }
            AgentEvent::Draining { relay } => {
                tracing::info!(relay = %relay.name, "relay ends soon")
            }
            AgentEvent::SharedAddress(news) => tell_shared(&news),
            AgentEvent::Metered { link, news } => tell_metered(driver, &link, news),
            AgentEvent::Health { path, health } => {
                let link = driver.path(path).map(|path| path.link().to_string());
                tracing::info!(path = path.0, link, ?health, "path has changed");
            }
        }
    }

    /// Carries what the control thread says, until it ends.
    pub(crate) async fn carry(
        self: Rc<Self>,
        driver: Driver<Agent>,
        mut outputs: Receiver<ControlOutput>,
    ) {
        while let Some(output) = outputs.recv().await {
            self.on_output(&driver, output);
        }
    }

    /// Carries what devices behind brokers say, until their bridges end. Whoever observes gets all of it, as far as it reads: a session
    /// that takes no more is waited for while little waits behind, and for a moment.
    pub(crate) async fn carry_reports(
        self: Rc<Self>,
        driver: Driver<Agent>,
        mut reports: Receiver<Report>,
    ) {
        // Whoever does not read is waited for once, until it reads again.
        let mut patience = REPORT_WAIT;
        while let Some(report) = reports.recv().await {
            let flow = Flow::new(report.channel, report.class);
            let has_room = || driver.with(|agent, _| agent.has_room(flow, REPORT_ENVELOPES));
            while reports.len() < REPORTS_BEHIND_MAX && !patience.is_zero() && !has_room() {
                sleep(INSIST_EVERY).await;
                patience = patience.saturating_sub(INSIST_EVERY);
            }
            if has_room() {
                patience = REPORT_WAIT;
            }
            let telemetry = Telemetry::Opaque(report.lines);
            self.black_box
                .on_telemetry(clock::now(), report.channel, &telemetry);
            driver.with(|agent, now| agent.report(now, flow, REPORT_TTL, &telemetry));
        }
    }

    fn note_bridged(&self, ticket: u64, channel: Channel) {
        if self.bridges.as_ref().is_some_and(|b| b.has(channel)) {
            let mut bridged = self.bridged.borrow_mut();
            bridged.insert(ticket, channel);
            // Of some nobody ever says what became of them.
            while bridged.len() > APPLYING_MAX {
                bridged.pop_first();
            }
        }
    }

    fn count_refusal(&self, channel: Option<Channel>, why: &Refusal) {
        if let (Some(bridges), Some(channel)) = (&self.bridges, channel) {
            bridges.on_refused(channel, why);
        }
    }

    /// Tells the bridges what only the role counts.
    pub(crate) fn tell_counts(&self, driver: &Driver<Agent>) {
        if let Some(bridges) = &self.bridges {
            for channel in bridges.channels() {
                let count = driver.with(|agent, _| agent.replayed(channel));
                bridges.on_replayed(channel, count);
            }
        }
    }

    /// Waits until everything is on disk.
    pub(crate) fn finish(&self) {
        self.store.take();
        self.black_box.finish();
    }

    fn on_output(&self, driver: &Driver<Agent>, output: ControlOutput) {
        self.black_box.on_output(&output);
        self.hear_own_stops(driver);
        match output {
            // Heard already.
            ControlOutput::OwnStop { .. } => {}
            ControlOutput::Verdict { ticket, result, at } => {
                let channel = self.bridged.borrow_mut().remove(&ticket);
                if let Err(why) = &result {
                    tracing::debug!(ticket, %why, "command is refused at the vehicle");
                    self.count_refusal(channel, why);
                }
                driver.with(|agent, _| agent.on_verdict(at, ticket, result));
            }
            ControlOutput::Limited { ticket, .. } => {
                tracing::debug!(ticket, "command is limited");
            }
            ControlOutput::Stage { channel, stage, at } => {
                tracing::info!(function = self.name(channel), %stage, at_us = at.as_us(), "stage is entered");
                driver.with(|agent, now| agent.on_stage(now, channel, stage));
            }
            ControlOutput::Telemetry {
                channel,
                telemetry,
                at,
            } => self.tell(driver, channel, &telemetry, at),
            ControlOutput::AdapterUp { channel } => {
                tracing::info!(function = self.name(channel), "device is up");
            }
            ControlOutput::AdapterDown { channel } => {
                tracing::warn!(
                    function = self.name(channel),
                    "device is down: its commands are refused"
                );
            }
        }
    }

    /// Looked at with every word of the control thread, so that none that was dropped matters.
    // [SAFE-131]
    fn hear_own_stops(&self, driver: &Driver<Agent>) {
        let own_stops = self.control.own_stops();
        if own_stops != self.own_stops.replace(own_stops) {
            driver.with(|agent, now| agent.stop_by_vehicle(now));
        }
    }

    fn apply(&self, driver: &Driver<Agent>, apply: Apply) {
        if !apply.rehearsal {
            self.classes.borrow_mut().insert(apply.channel, apply.class);
        }
        let journey = journey(&apply);
        let ticket = apply.ticket;
        self.note_bridged(ticket, apply.channel);
        let given = self.control.send(ControlInput::Command {
            ticket,
            channel: apply.channel,
            accepted: apply.accepted,
            journey,
            rehearsal: apply.rehearsal,
        });
        if let Err(why) = given {
            self.black_box
                .on_verdict(clock::now(), ticket, &Err(why.clone()));
            let channel = self.bridged.borrow_mut().remove(&ticket);
            self.count_refusal(channel, &why);
            driver.with(|agent, now| agent.on_verdict(now, ticket, Err(why)));
        }
    }

    /// Hands over what must arrive. Only a control thread that is far behind has no room for it.
    fn give(self: &Rc<Self>, driver: &Driver<Agent>, input: ControlInput) {
        let again = match &input {
            ControlInput::Reset { own_stops } => Insist::Reset(*own_stops),
            ControlInput::LeaseEnded { channel } => Insist::LeaseEnded(*channel),
            ControlInput::HandedOver { channel, token } => Insist::HandedOver(*channel, *token),
            // Both always have room.
            ControlInput::Stop | ControlInput::Shutdown | ControlInput::Command { .. } => {
                Insist::Never
            }
        };
        if self.control.send(input) != Err(Refusal::TooOften) {
            return;
        }
        tracing::error!("control thread is behind");
        let dispatch = Rc::clone(self);
        let role = driver.clone();
        driver.spawn(async move {
            loop {
                sleep(INSIST_EVERY).await;
                let input = match again {
                    // A stop that came meanwhile must not be cleared by an older reset.
                    Insist::Reset(_) if role.with(|agent, _| agent.is_stopped()) => return,
                    Insist::Reset(own_stops) => ControlInput::Reset { own_stops },
                    Insist::LeaseEnded(channel) => ControlInput::LeaseEnded { channel },
                    Insist::HandedOver(channel, token) => {
                        ControlInput::HandedOver { channel, token }
                    }
                    Insist::Never => return,
                };
                if dispatch.control.send(input) != Err(Refusal::TooOften) {
                    return;
                }
            }
        });
    }

    /// State of the vehicle is for everybody, bytes of a device for whoever commands it.
    fn tell(&self, driver: &Driver<Agent>, channel: Channel, telemetry: &Telemetry, at: MonoTime) {
        if clock::now().since(at) > STALE {
            tracing::debug!(function = self.name(channel), "telemetry is too old");
            return;
        }
        match telemetry {
            Telemetry::Vehicle(_) => {
                driver.with(|agent, now| agent.telemetry(now, channel, Class::Latest, telemetry));
            }
            Telemetry::Opaque(_) => {
                let class = self.classes.borrow().get(&channel).copied();
                let class = class.unwrap_or(Class::Unordered);
                driver.with(|agent, now| agent.telemetry_to_holder(now, channel, class, telemetry));
            }
        }
    }

    fn name(&self, channel: Channel) -> &str {
        self.functions.get(&channel).map_or("?", Name::as_str)
    }
}

/// What is handed over again when there was no room.
#[derive(Clone, Copy, Debug)]
enum Insist {
    Reset(u64),
    LeaseEnded(Channel),
    HandedOver(Channel, FencingToken),
    Never,
}

/// What records call a class.
pub(crate) fn class_name(class: Class) -> &'static str {
    match class {
        Class::Latest => "latest",
        Class::Unordered => "unordered",
        Class::Reliable => "reliable",
        Class::Stop => "stop",
    }
}

/// For the applied log.
fn journey(apply: &Apply) -> Journey {
    let way = &apply.journey;
    let us = |time: Duration| u32::try_from(time.as_micros()).ok();
    let long_us = |time: Duration| u64::try_from(time.as_micros()).ok();
    let arrived_us = way.arrived.as_us();
    let age_us = way.age.and_then(|age| long_us(age.age));
    Journey {
        number: apply.number,
        sent_at_us: age_us.map(|age| arrived_us.saturating_sub(age)),
        error_us: way.age.and_then(|age| long_us(age.error)),
        sent_there_us: Some(way.sent_at_us),
        received_at_us: Some(arrived_us),
        class: Some(class_name(apply.class)),
        token: Some(apply.accepted.inner().token.0),
        relay: Some(way.relay.name.to_string()),
        link: way.link.as_ref().map(ToString::to_string),
        controller_us: us(way.controller),
        uplink_us: us(way.uplink),
        relay_us: us(way.relay_held),
        downlink_us: us(way.downlink),
    }
}

/// Between attempts to hand over to a control thread that is behind: its tick.
const INSIST_EVERY: Duration = Duration::from_millis(10);
/// How long a session that takes no more is waited for before reports are lost to it.
const REPORT_WAIT: Duration = Duration::from_secs(2);
/// Reports that may wait behind one that waits for a session: a second of the busiest bridge.
const REPORTS_BEHIND_MAX: usize = 50;
/// Envelopes of the longest report but those of one long message: 8 KiB.
const REPORT_ENVELOPES: u64 = 16;
/// What devices say is worth hearing for as long as a message can live.
const REPORT_TTL: Duration = TTL_MAX;
/// Telemetry that waited longer, because the runtime was stuck, is not sent as if it were new.
const STALE: Duration = Duration::from_millis(500);
