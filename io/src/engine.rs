//! What all QUIC connections of a drive loop share: the wake-up, the place to read to, and their common end.

use crate::alarm::Alarm;
use crate::endpoint::Endpoint;
use crate::port::Inbox;
use crate::wire_bytes::WireBytes;
use quinn_proto::{EndpointConfig, ServerConfig};
use std::cell::{OnceCell, RefCell};
use std::io;
use std::net::UdpSocket;
use std::rc::{Rc, Weak};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout_at};

/// What is called when something has arrived, before it is read.
pub(crate) type OnArrival = Rc<OnceCell<Box<dyn Fn()>>>;

/// The endpoints of one drive loop. Nothing waits in a channel between a packet that arrives and one that leaves for it.
pub(crate) struct Engine {
    alarm: Rc<Alarm>,
    inbox: Rc<RefCell<Inbox>>,
    on_arrival: OnArrival,
    endpoints: RefCell<Vec<Tended>>,
}

/// An endpoint, and the task that reads its socket while it is used.
struct Tended {
    endpoint: Weak<Endpoint>,
    task: JoinHandle<()>,
}

impl Engine {
    /// # Errors
    /// When the system gives no timer.
    pub(crate) fn new() -> io::Result<Engine> {
        Ok(Engine {
            alarm: Rc::new(Alarm::new()?),
            inbox: Rc::new(RefCell::new(Inbox::new())),
            on_arrival: OnArrival::default(),
            endpoints: RefCell::default(),
        })
    }

    /// Its wake-up.
    pub(crate) fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    /// Has `hook` called whenever something has arrived, before it is read. There is one; a second is not taken.
    pub(crate) fn on_arrival(&self, hook: impl Fn() + 'static) {
        // Whoever comes second is left out, as documented.
        drop(self.on_arrival.set(Box::new(hook)));
    }

    /// Uses a socket until it is released and its last connection is drained; what it carries is counted in `wire`.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub(crate) fn open(
        &self,
        socket: UdpSocket,
        wire: Rc<WireBytes>,
        config: EndpointConfig,
        server: Option<ServerConfig>,
    ) -> io::Result<Rc<Endpoint>> {
        let (alarm, inbox) = (Rc::clone(&self.alarm), Rc::clone(&self.inbox));
        let on_arrival = Rc::clone(&self.on_arrival);
        let endpoint = Endpoint::new((socket, wire), config, server, alarm, inbox, on_arrival)?;
        let mut endpoints = self.endpoints.borrow_mut();
        endpoints.retain(|tended| !tended.task.is_finished());
        endpoints.push(Tended {
            endpoint: Rc::downgrade(&endpoint),
            task: tokio::task::spawn_local(tend(Rc::clone(&endpoint))),
        });
        Ok(endpoint)
    }

    /// Closes all connections and waits, until `deadline` at most, for their far sides to have heard of it.
    pub(crate) async fn close(&self, deadline: Instant) {
        let tended = self.endpoints.take();
        let endpoints: Vec<Rc<Endpoint>> = tended
            .iter()
            .filter_map(|tended| tended.endpoint.upgrade())
            .collect();
        for endpoint in &endpoints {
            endpoint.close();
        }
        for endpoint in &endpoints {
            if timeout_at(deadline, endpoint.unused()).await.is_err() {
                break;
            }
        }
        for tended in tended {
            tended.task.abort();
        }
    }

    /// Closes all connections, and waits for nobody to have heard of it.
    pub(crate) fn abandon(&self) {
        for tended in self.endpoints.take() {
            if let Some(endpoint) = tended.endpoint.upgrade() {
                endpoint.close();
            }
            tended.task.abort();
        }
    }
}

async fn tend(endpoint: Rc<Endpoint>) {
    // Reading is a task of its own, so that a packet wakes nothing else; it ends with the set.
    let mut reading = JoinSet::new();
    reading.spawn_local(Rc::clone(&endpoint).read());
    let calm = Rc::clone(&endpoint);
    reading.spawn_local(async move { calm.tend_calm().await });
    let shaking = Rc::clone(&endpoint);
    reading.spawn_local(async move { shaking.shake_hands().await });
    tokio::select! {
        () = endpoint.unused() => {}
        () = endpoint.port().keep_sending() => {}
    }
}
