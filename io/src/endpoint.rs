//! One socket with its QUIC connections: what arrives is handled to the end, up to what goes out for it, before the next.

use crate::alarm::Alarm;
use crate::connection::Connection;
use crate::ending::Ending;
use crate::engine::OnArrival;
use crate::path::CLOSE_DONE;
use crate::port::{Inbox, Port, Received, ecn};
use crate::repeats::{Effort, Repeats};
use crate::wire_bytes::WireBytes;
use quinn_proto::{
    ClientConfig, ConnectError, ConnectionEvent, ConnectionHandle, DatagramEvent, EndpointConfig,
    EndpointEvent, Incoming, ServerConfig, Transmit,
};
use quinn_udp::RecvMeta;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;
use tokio::task::yield_now;

/// A socket that dials, listens, or both.
pub(crate) struct Endpoint {
    quic: RefCell<quinn_proto::Endpoint>,
    port: Rc<Port>,
    alarm: Rc<Alarm>,
    inbox: Rc<RefCell<Inbox>>,
    on_arrival: OnArrival,
    this: Weak<Endpoint>,
    connections: RefCell<BTreeMap<ConnectionHandle, Rc<Connection>>>,
    incoming: RefCell<VecDeque<Incoming>>,
    /// Somebody still dials or listens with it.
    wanted: Cell<bool>,
    changed: Notify,
    unclaimed: Cell<u64>,
}

impl Endpoint {
    /// # Errors
    /// When the socket cannot be used.
    pub(crate) fn new(
        (socket, wire): (UdpSocket, Rc<WireBytes>),
        config: EndpointConfig,
        server: Option<ServerConfig>,
        alarm: Rc<Alarm>,
        inbox: Rc<RefCell<Inbox>>,
        on_arrival: OnArrival,
    ) -> io::Result<Rc<Endpoint>> {
        let port = Rc::new(Port::new(socket, wire)?);
        let quic = quinn_proto::Endpoint::new(
            Arc::new(config),
            server.map(Arc::new),
            !port.may_fragment(),
            None,
        );
        Ok(Rc::new_cyclic(|this| Endpoint {
            quic: RefCell::new(quic),
            port,
            alarm,
            inbox,
            on_arrival,
            this: Weak::clone(this),
            connections: RefCell::default(),
            incoming: RefCell::default(),
            wanted: Cell::new(true),
            changed: Notify::new(),
            unclaimed: Cell::new(0),
        }))
    }

    /// Where it is bound.
    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its socket.
    pub(crate) fn port(&self) -> &Port {
        &self.port
    }

    /// Datagrams that no connection took: garbage, connections that are not known here, and new ones that QUIC refused.
    pub(crate) fn unclaimed(&self) -> u64 {
        self.unclaimed.get()
    }

    /// Begins a connection; its first packet is sent.
    pub(crate) fn connect(
        &self,
        config: ClientConfig,
        remote: SocketAddr,
        server_name: &str,
        effort: Effort,
    ) -> Result<Rc<Connection>, ConnectError> {
        let now = Instant::now();
        let begun = self
            .quic
            .borrow_mut()
            .connect(now, config, remote, server_name);
        let (handle, quic) = begun?;
        let repeats = Repeats::of_client(now, effort);
        Ok(self.add(handle, quic, repeats))
    }

    /// The next who wants a connection; none when it takes no more. The answer is one of [`Endpoint::accept`],
    /// [`Endpoint::refuse`] and [`Endpoint::retry`].
    pub(crate) async fn incoming(&self) -> Option<Incoming> {
        loop {
            if let Some(incoming) = self.incoming.borrow_mut().pop_front() {
                return Some(incoming);
            }
            if !self.wanted.get() {
                return None;
            }
            self.changed.notified().await;
        }
    }

    /// Begins the handshake.
    pub(crate) fn accept(&self, incoming: Incoming) -> Result<Rc<Connection>, Ending> {
        let mut answer = Vec::new();
        let now = Instant::now();
        let accepted = self
            .quic
            .borrow_mut()
            .accept(incoming, now, &mut answer, None);
        match accepted {
            Ok((handle, quic)) => {
                let repeats = Repeats::of_server(now);
                Ok(self.add(handle, quic, repeats))
            }
            Err(error) => {
                if let Some(transmit) = error.response {
                    self.port.send(&transmit, &answer);
                }
                Err(Ending::from(&error.cause))
            }
        }
    }

    /// Says that there is no place.
    pub(crate) fn refuse(&self, incoming: Incoming) {
        let mut answer = Vec::new();
        let transmit = self.quic.borrow_mut().refuse(incoming, &mut answer);
        self.port.send(&transmit, &answer);
    }

    /// Has the address prove itself first; one that did is refused.
    pub(crate) fn retry(&self, incoming: Incoming) {
        let mut answer = Vec::new();
        let retried = self.quic.borrow_mut().retry(incoming, &mut answer);
        match retried {
            Ok(transmit) => self.port.send(&transmit, &answer),
            Err(proved) => self.refuse(proved.into_incoming()),
        }
    }

    /// Closes all connections and takes no more.
    pub(crate) fn close(&self) {
        self.release();
        let connections: Vec<Rc<Connection>> =
            self.connections.borrow().values().cloned().collect();
        for connection in connections {
            connection.close(CLOSE_DONE);
        }
        let waiting = self.incoming.take();
        for incoming in waiting {
            self.refuse(incoming);
        }
    }

    /// Says that nobody dials or listens with it any more; its connections go on.
    pub(crate) fn release(&self) {
        self.wanted.set(false);
        self.changed.notify_waiters();
    }

    /// Waits until it is released and its last connection is drained.
    pub(crate) async fn unused(&self) {
        while self.wanted.get() || !self.connections.borrow().is_empty() {
            self.changed.notified().await;
        }
    }

    /// Reads its socket until that fails.
    pub(crate) async fn read(self: Rc<Self>) {
        while self.port.readable().await.is_ok() {
            if let Some(hook) = self.on_arrival.get() {
                hook();
            }
            if self.receive() == Received::More {
                yield_now().await;
            }
        }
    }

    /// A connection is of no use any more.
    pub(crate) fn forget(&self, handle: ConnectionHandle) {
        self.connections.borrow_mut().remove(&handle);
        self.changed.notify_waiters();
    }

    /// A word of a connection; what the connection has to know in return.
    pub(crate) fn on_connection_event(
        &self,
        handle: ConnectionHandle,
        event: EndpointEvent,
    ) -> Option<ConnectionEvent> {
        if event.is_drained() {
            self.connections.borrow_mut().remove(&handle);
            self.changed.notify_waiters();
        }
        self.quic.borrow_mut().handle_event(handle, event)
    }

    fn add(
        &self,
        handle: ConnectionHandle,
        quic: quinn_proto::Connection,
        repeats: Repeats,
    ) -> Rc<Connection> {
        let connection = Connection::new(
            quic,
            handle,
            Weak::clone(&self.this),
            Rc::clone(&self.port),
            Rc::clone(&self.alarm),
            repeats,
        );
        self.connections
            .borrow_mut()
            .insert(handle, Rc::clone(&connection));
        connection.begin();
        connection
    }

    /// Handles what is there, up to a bound.
    fn receive(&self) -> Received {
        let mut inbox = self.inbox.borrow_mut();
        for _ in 0..BATCHES_MAX {
            let received = self.port.receive(&mut inbox);
            let now = Instant::now();
            for (meta, datagram) in inbox.datagrams() {
                self.on_datagram(now, meta, datagram);
            }
            if received == Received::All {
                return Received::All;
            }
        }
        Received::More
    }

    fn on_datagram(&self, now: Instant, meta: &RecvMeta, datagram: &[u8]) {
        let mut answer = Vec::new();
        let event = self.quic.borrow_mut().handle(
            now,
            meta.addr,
            meta.dst_ip,
            ecn(meta),
            datagram.into(),
            &mut answer,
        );
        match event {
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                let connection = self.connections.borrow().get(&handle).cloned();
                if let Some(connection) = connection {
                    connection.on_event(event, meta.addr, datagram.len());
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => self.on_incoming(incoming),
            Some(DatagramEvent::Response(transmit)) => self.on_stray(Some((transmit, answer))),
            None => self.on_stray(None),
        }
    }

    fn on_incoming(&self, incoming: Incoming) {
        if self.wanted.get() {
            self.incoming.borrow_mut().push_back(incoming);
            self.changed.notify_waiters();
        } else {
            self.refuse(incoming);
        }
    }

    /// A datagram for nobody. QUIC may know an answer: a stateless reset, another version, a refusal.
    fn on_stray(&self, answer: Option<(Transmit, Vec<u8>)>) {
        self.unclaimed.set(self.unclaimed.get() + 1);
        if let Some((transmit, bytes)) = answer {
            self.port.send(&transmit, &bytes);
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        for incoming in self.incoming.take() {
            self.quic.get_mut().ignore(incoming);
        }
    }
}

/// Full batches that are handled before others have their turn.
const BATCHES_MAX: usize = 4;
