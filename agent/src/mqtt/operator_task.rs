//! An operator of MQTT at work: its connection to the broker, and a controller's role with paths of its own.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use longrein_io::dial::{Route, dial};
use longrein_io::drive::Driver;
use longrein_io::enrol::keep_renewed;
use longrein_io::entropy::SystemEntropy;
use longrein_io::keys::Identity;
use longrein_io::revocation_file::RevocationFile;
use longrein_io::{clock, known_time};
use longrein_proto::base::{ApplicationId, Channel, Class, Entropy, Name, NodeKind, NodeName};
use longrein_proto::crypto::Credential;
use longrein_proto::role::{Controller, ControllerEvent, Order, SendCommandError};
use longrein_proto::wire::{Description, FunctionKind};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::client::{Client, ClientEvent};
use super::config::{Qos, Version};
use super::link::{Connection, Fact};
use super::message::Hello;
use super::operator::{NotSent, Operator, OperatorEvent};
use super::sign_of_life::SignOfLife;

/// An operator that has everything it needs.
pub(crate) struct OperatorTask {
    pub(crate) name: Name,
    pub(crate) identity: Identity,
    pub(crate) directory: PathBuf,
    pub(crate) routes: Vec<Route>,
    pub(crate) version: Version,
    pub(crate) hello: Hello,
    pub(crate) filter: String,
    pub(crate) connection: Connection,
    pub(crate) operator: Operator,
}

/// What the role has said and the operator has not heard, with whatever wakes its task.
#[derive(Default)]
struct Heard {
    events: RefCell<VecDeque<ControllerEvent>>,
    news: Notify,
}

impl OperatorTask {
    /// Until the agent ends; its leases end with its session then.
    pub(crate) async fn serve(self, mut ending: watch::Receiver<bool>) {
        let OperatorTask {
            name,
            identity,
            directory,
            routes,
            version,
            hello,
            filter,
            mut connection,
            mut operator,
        } = self;
        let heard = Rc::new(Heard::default());
        let Some(driver) = drive(&name, &identity, directory, routes, &heard) else {
            return;
        };
        let mut client = Client::new(version);
        let mut asks = Asks::default();
        let mut sign = SignOfLife::new(clock::now());
        loop {
            let now = clock::now();
            if sign.on_look(now) && connection.stands() {
                client.ping();
            }
            take_heard(&heard, &mut operator, &mut asks);
            operator.on_timeout(clock::now());
            carry_out(&driver, &mut operator, &mut client, &mut asks);
            let heard_from = (&mut connection, &mut sign);
            if let Some(why) = take_messages(&name, &mut client, &mut operator, &filter, heard_from)
            {
                connection.lose(&why);
                client.on_closed();
                continue;
            }
            carry_out(&driver, &mut operator, &mut client, &mut asks);
            while let Some(bytes) = client.poll_transmit() {
                connection.push(&bytes);
            }
            let now = clock::now();
            if connection.stands() && sign.is_lost(now) {
                connection.lose("the broker does not answer");
                client.on_closed();
                continue;
            }
            let look = sign.next_timeout();
            let next = operator.next_timeout().map_or(look, |at| at.min(look));
            let fact = tokio::select! {
                () = heard.news.notified() => continue,
                () = sleep(next.since(now)) => continue,
                _ = ending.changed() => break,
                fact = connection.step() => fact,
            };
            match fact {
                Fact::Connected => {
                    sign = SignOfLife::new(clock::now());
                    if let Err(error) = client.on_connected(&hello) {
                        connection.lose(&format!("client id or user are none for MQTT: {error:?}"));
                    }
                }
                Fact::Read(count) => client.on_bytes(connection.bytes(count)),
                Fact::Lost => client.on_closed(),
            }
        }
        client.disconnect();
        while let Some(bytes) = client.poll_transmit() {
            connection.push(&bytes);
        }
        connection.end().await;
        driver.close().await;
    }
}

/// A controller with paths over the agent's links, and an identity of its own.
fn drive(
    name: &Name,
    identity: &Identity,
    directory: PathBuf,
    routes: Vec<Route>,
    heard: &Rc<Heard>,
) -> Option<Driver<Controller>> {
    let credential: Arc<dyn Credential> = identity.credential();
    let mut controller = Controller::new(
        identity.node().clone(),
        credential,
        identity.fleet().clone(),
        Box::new(SystemEntropy::new()),
    );
    for route in &routes {
        controller.set_link_budget(route.link.clone(), route.budget_kbit_s);
    }
    let revocations = RevocationFile::open(&directory, identity.fleet());
    let driver = Driver::start(controller, {
        let heard = Rc::clone(heard);
        move |_, event| {
            if matches!(event, ControllerEvent::Revocations { .. }) {
                revocations.keep();
                return;
            }
            if concerns_operator(&event) {
                let mut events = heard.events.borrow_mut();
                if events.len() < HEARD_MAX {
                    events.push_back(event);
                }
                heard.news.notify_one();
            }
        }
    });
    let driver = match driver {
        Ok(driver) => driver,
        Err(error) => {
            tracing::error!(operator = %name, %error, "operator of MQTT cannot run");
            return None;
        }
    };
    driver.spawn(known_time::keep(identity.clone(), directory.clone()));
    driver.spawn(keep_renewed(
        identity.clone(),
        directory,
        {
            let routes = routes.clone();
            move || routes.clone()
        },
        {
            let (driver, identity) = (driver.clone(), identity.clone());
            move || {
                driver.with(|controller, now| controller.set_credential(now, identity.credential()))
            }
        },
    ));
    if let Err(error) = dial(&driver, identity, routes, |_, _| {}) {
        tracing::error!(operator = %name, %error, "operator of MQTT cannot dial");
        return None;
    }
    Some(driver)
}

/// Sessions, leases and receipts; what vehicles tell otherwise is of no interest.
fn concerns_operator(event: &ControllerEvent) -> bool {
    matches!(
        event,
        ControllerEvent::SessionUp { .. }
            | ControllerEvent::Described { .. }
            | ControllerEvent::SessionDown { .. }
            | ControllerEvent::Granted { .. }
            | ControllerEvent::Refused { .. }
            | ControllerEvent::LeaseLost { .. }
            | ControllerEvent::Receipt { .. }
    )
}

/// Leases that were asked for, and what the vehicles' functions are called.
#[derive(Default)]
struct Asks {
    leases: BTreeMap<u32, (Name, Name)>,
    functions: BTreeMap<Name, Vec<(Name, FunctionKind)>>,
}

impl Asks {
    fn function(&self, vehicle: &Name, channel: Channel) -> Option<Name> {
        let place = usize::from(channel.number()).checked_sub(1)?;
        let (name, _) = self.functions.get(vehicle)?.get(place)?;
        Some(name.clone())
    }
}

fn take_heard(heard: &Heard, operator: &mut Operator, asks: &mut Asks) {
    loop {
        let event = heard.events.borrow_mut().pop_front();
        let Some(event) = event else { return };
        let now = clock::now();
        match event {
            ControllerEvent::SessionUp {
                vehicle,
                description,
            }
            | ControllerEvent::Described {
                vehicle,
                description,
            } => {
                let functions = kinds(&description);
                operator.on_session(now, &vehicle.name, &functions);
                asks.functions.insert(vehicle.name, functions);
            }
            ControllerEvent::SessionDown { vehicle, .. } => {
                operator.on_session_lost(&vehicle.name);
                asks.leases.retain(|_, (of, _)| *of != vehicle.name);
            }
            ControllerEvent::Granted { ask, .. } => {
                if let Some((vehicle, function)) = asks.leases.remove(&ask) {
                    operator.on_granted(now, &vehicle, &function);
                }
            }
            ControllerEvent::Refused { ask, why, .. } => {
                if let Some((vehicle, function)) = asks.leases.remove(&ask) {
                    operator.on_no_lease(&vehicle, &function, &why.to_string());
                }
            }
            ControllerEvent::LeaseLost {
                vehicle, channel, ..
            } => {
                if let Some(function) = asks.function(&vehicle.name, channel) {
                    operator.on_no_lease(&vehicle.name, &function, "the lease is lost");
                }
            }
            ControllerEvent::Receipt {
                vehicle,
                channel,
                number,
                outcome,
            } => {
                if let Some(function) = asks.function(&vehicle.name, channel) {
                    operator.on_receipt(&vehicle.name, &function, number, &outcome);
                }
            }
            ControllerEvent::Nodes { .. }
            | ControllerEvent::RelayUp { .. }
            | ControllerEvent::Draining { .. }
            | ControllerEvent::Presence { .. }
            | ControllerEvent::Clock { .. }
            | ControllerEvent::Coming { .. }
            | ControllerEvent::Offered { .. }
            | ControllerEvent::News { .. }
            | ControllerEvent::Done { .. }
            | ControllerEvent::Telemetry { .. }
            | ControllerEvent::Status { .. }
            | ControllerEvent::Stopped { .. }
            | ControllerEvent::StopUnanswered { .. }
            | ControllerEvent::Health { .. }
            | ControllerEvent::Revocations { .. } => {}
        }
    }
}

fn kinds(description: &Description) -> Vec<(Name, FunctionKind)> {
    let functions = description.functions.iter();
    functions
        .map(|function| (function.name.clone(), function.kind))
        .collect()
}

/// Does what the operator wants done.
fn carry_out(
    driver: &Driver<Controller>,
    operator: &mut Operator,
    client: &mut Client,
    asks: &mut Asks,
) {
    let node = |vehicle: &Name| NodeName::new(NodeKind::Agent, vehicle.clone());
    while let Some(event) = operator.poll_event() {
        match event {
            OperatorEvent::Open { vehicle } => {
                driver.with(|controller, now| controller.open(now, &node(&vehicle)));
            }
            OperatorEvent::Close { vehicle } => {
                driver.with(|controller, now| controller.close(now, &node(&vehicle)));
            }
            OperatorEvent::Take { vehicle, function } => {
                let asked = driver.with(|controller, now| {
                    let channel = controller.channel(&node(&vehicle), function.as_str())?;
                    controller.take(now, &node(&vehicle), channel)
                });
                match asked {
                    Some(ask) => drop(asks.leases.insert(ask, (vehicle, function))),
                    None => operator.on_no_lease(&vehicle, &function, "no session"),
                }
            }
            OperatorEvent::Release { vehicle, function } => {
                driver.with(|controller, now| {
                    let channel = controller.channel(&node(&vehicle), function.as_str())?;
                    controller.release(now, &node(&vehicle), channel)
                });
            }
            OperatorEvent::Command {
                vehicle,
                function,
                class,
                ttl,
                body,
                dead_man,
                resume,
                ticket,
            } => {
                let mut id = [0; 8];
                SystemEntropy::new().fill(&mut id);
                let order = Order {
                    class,
                    ttl,
                    dead_man,
                    resume,
                    application_id: (class == Class::Reliable).then_some(ApplicationId(id)),
                    picture_age: None,
                    body,
                };
                let sent = driver.with(|controller, now| {
                    let channel = controller.channel(&node(&vehicle), function.as_str());
                    let channel = channel.ok_or_else(|| NotSent {
                        why: "no such function".to_string(),
                        is_lease_gone: true,
                    })?;
                    let sent = controller.command(now, &node(&vehicle), channel, order);
                    sent.map_err(|error| NotSent {
                        why: error.to_string(),
                        is_lease_gone: !matches!(error, SendCommandError::Session(_)),
                    })
                });
                let numbered = sent.map(|number| (class == Class::Reliable).then_some(number));
                operator.on_sent(&vehicle, &function, ticket, numbered);
            }
            OperatorEvent::Answer(message) => {
                // Whoever asked for an answer over a broker that is gone hears none.
                let _ = client.publish(&message, Qos::AtMostOnce);
            }
        }
    }
}

/// Hands what the broker sent to the operator; why the connection is to be closed, if it is.
fn take_messages(
    name: &Name,
    client: &mut Client,
    operator: &mut Operator,
    filter: &str,
    (connection, sign): (&mut Connection, &mut SignOfLife),
) -> Option<String> {
    let mut close = None;
    while let Some(event) = client.poll_event() {
        match event {
            ClientEvent::Up { .. } => {
                *sign = SignOfLife::new(clock::now());
                connection.on_welcome();
                tracing::info!(operator = %name, "operator of MQTT listens");
                if let Err(error) = client.subscribe(&[filter.to_string()], true) {
                    tracing::warn!(operator = %name, ?error, "topic is none for the broker");
                }
            }
            ClientEvent::Message { message, qos, .. } => {
                // [SAFE-127]
                if sign.is_late(clock::now()) {
                    operator.on_late(&message);
                } else {
                    operator.on_message(clock::now(), clock::unix_ms(), &message, qos);
                }
            }
            ClientEvent::NotSubscribed { why } => {
                tracing::warn!(operator = %name, why, "broker does not let it subscribe");
            }
            ClientEvent::Refused { why } | ClientEvent::Broken { why } => close = Some(why),
            ClientEvent::Alive => sign.on_answer(clock::now()),
            ClientEvent::Published { .. }
            | ClientEvent::NotPublished { .. }
            | ClientEvent::Again { .. } => {}
        }
    }
    close
}

/// What the role may say while the operator's task is busy.
const HEARD_MAX: usize = 1_024;
