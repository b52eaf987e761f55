//! An operator's program inside the test.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use longrein_io::dial::{Route, dial};
use longrein_io::drive::Driver;
use longrein_io::entropy::SystemEntropy;
use longrein_io::keys::Identity;
use longrein_io::remote::Remote;
use longrein_io::runtime;
use longrein_io::socket::Bind;
use longrein_proto::base::{Channel, Class, FencingToken, MonoTime, NodeName};
use longrein_proto::role::{Controller, ControllerEvent, Order};
use longrein_proto::wire::{Body, Drive};
use tokio::sync::oneshot;

/// The real role and the real sockets on a thread of the test.
pub struct Operator {
    remote: Remote<Controller>,
    events: Receiver<ControllerEvent>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Operator {
    /// An operator who uses the relay `east` at this address.
    pub fn start(identity: &Path, relay: SocketAddr) -> Operator {
        let identity = Identity::load(identity).unwrap();
        let (end, ending) = oneshot::channel();
        let (tell_remote, remote) = channel();
        let (tell, events) = channel();
        let thread = std::thread::spawn(move || {
            runtime::run(async || serve(&identity, relay, &tell_remote, tell, ending).await)
                .unwrap();
        });
        Operator {
            remote: remote.recv().unwrap(),
            events,
            end: Some(end),
            thread: Some(thread),
        }
    }

    pub fn call<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Controller, MonoTime) -> T + Send + 'static,
    ) -> T {
        self.remote.ask_blocking(act).unwrap()
    }

    /// The next event of which `look` makes something.
    pub fn expect<T>(&self, fact: &str, mut look: impl FnMut(ControllerEvent) -> Option<T>) -> T {
        loop {
            let event = self.events.recv_timeout(PATIENCE);
            let event = event.unwrap_or_else(|_| panic!("never: {fact}"));
            if let Some(found) = look(event) {
                return found;
            }
        }
    }

    /// Opens a session and waits for it.
    pub fn open(&self, vehicle: &NodeName) {
        let name = vehicle.clone();
        self.call(move |controller, now| controller.open(now, &name));
        self.session_up(vehicle);
    }

    pub fn session_up(&self, of: &NodeName) {
        self.expect("session", |event| match event {
            ControllerEvent::SessionUp { vehicle, .. } => (vehicle == *of).then_some(()),
            _ => None,
        });
    }

    /// Takes the lease of the first function; its token.
    pub fn take(&self, vehicle: &NodeName) -> FencingToken {
        let name = vehicle.clone();
        let ask = self
            .call(move |controller, now| controller.take(now, &name, DRIVE))
            .unwrap();
        self.expect("lease", |event| match event {
            ControllerEvent::Granted { ask: a, token, .. } => (a == ask).then_some(token),
            ControllerEvent::Refused { ask: a, why, .. } if a == ask => panic!("refused: {why}"),
            _ => None,
        })
    }

    /// Sends a drive command; one of speed 0 asks for motion again.
    pub fn drive(&self, vehicle: &NodeName, speed_mm_s: i16) -> u64 {
        let name = vehicle.clone();
        let order = Order {
            class: Class::Latest,
            ttl: Duration::from_secs(2),
            dead_man: true,
            resume: speed_mm_s == 0,
            application_id: None,
            picture_age: None,
            body: Body::Drive(Drive {
                speed_mm_s,
                curvature_per_km: 0,
            }),
        };
        self.call(move |controller, now| controller.command(now, &name, DRIVE, order))
            .unwrap()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.end = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

async fn serve(
    identity: &Identity,
    relay: SocketAddr,
    tell_remote: &Sender<Remote<Controller>>,
    tell: Sender<ControllerEvent>,
    ending: oneshot::Receiver<()>,
) {
    let role = Controller::new(
        identity.node().clone(),
        identity.credential(),
        identity.fleet().clone(),
        Box::new(SystemEntropy::new()),
    );
    let driver = Driver::start(role, move |_, event| {
        let _ = tell.send(event);
    })
    .unwrap();
    let route = Route {
        budget_kbit_s: 1_000,
        link: "desk".parse().unwrap(),
        bind: Bind::Any,
        relay: "east".parse().unwrap(),
        address: relay.to_string(),
    };
    dial(&driver, identity, vec![route], |_, _| {}).unwrap();
    tell_remote.send(driver.remote()).unwrap();
    let _ = ending.await;
    driver.close().await;
}

/// The agent's first function.
pub const DRIVE: Channel = match Channel::new(1) {
    Some(channel) => channel,
    None => Channel::SESSION,
};

const PATIENCE: Duration = Duration::from_secs(60);
