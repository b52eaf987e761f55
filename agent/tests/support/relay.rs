//! A relay inside the test.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use longrein_io::drive::Driver;
use longrein_io::entropy::SystemEntropy;
use longrein_io::keys::Identity;
use longrein_io::listen::{ListenLimits, ListenSettings, listen};
use longrein_io::runtime;
use longrein_proto::base::NodeName;
use longrein_proto::role::{Relay, RelayConfig, RelayEvent};
use tokio::sync::oneshot;

/// The real role and the real sockets on a thread of the test.
pub struct TestRelay {
    address: SocketAddr,
    events: Receiver<RelayEvent>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestRelay {
    pub fn start(identity: &Path) -> TestRelay {
        let identity = Identity::load(identity).unwrap();
        let (end, ending) = oneshot::channel();
        let (tell_address, address) = channel();
        let (tell, events) = channel();
        let thread = std::thread::spawn(move || {
            runtime::run(async || serve(&identity, &tell_address, tell, ending).await).unwrap();
        });
        TestRelay {
            address: address.recv().unwrap(),
            events,
            end: Some(end),
            thread: Some(thread),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next event of which `look` makes something.
    pub fn expect<T>(&self, fact: &str, mut look: impl FnMut(RelayEvent) -> Option<T>) -> T {
        loop {
            let event = self.events.recv_timeout(PATIENCE);
            let event = event.unwrap_or_else(|_| panic!("never: {fact}"));
            if let Some(found) = look(event) {
                return found;
            }
        }
    }

    pub fn runs_twice(&self, node: &NodeName) {
        self.expect("node runs twice", |event| match event {
            RelayEvent::RunsTwice { node: twin } => (twin == *node).then_some(()),
            _ => None,
        });
    }

    pub fn joined(&self, node: &NodeName) {
        self.expect("node joins", |event| match event {
            RelayEvent::Joined { node: joined } => (joined == *node).then_some(()),
            _ => None,
        });
    }
}

impl Drop for TestRelay {
    fn drop(&mut self) {
        self.end = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

async fn serve(
    identity: &Identity,
    tell_address: &Sender<SocketAddr>,
    tell: Sender<RelayEvent>,
    ending: oneshot::Receiver<()>,
) {
    let role = Relay::new(RelayConfig::default(), Box::new(SystemEntropy::new()));
    let driver = Driver::start(role, move |driver, event| {
        if let RelayEvent::Close { path } = &event {
            driver.hang_up(*path);
        }
        let _ = tell.send(event);
    })
    .unwrap();
    let settings = ListenSettings {
        name: "test".parse().unwrap(),
        address: "127.0.0.1:0".parse().unwrap(),
        interface: None,
        limits: ListenLimits::default(),
    };
    let listener = listen(&driver, identity, settings).unwrap();
    tell_address.send(listener.address()).unwrap();
    let _ = ending.await;
    driver.close().await;
}

const PATIENCE: Duration = Duration::from_secs(60);
