//! One socket with its QUIC connections: what arrives is handled to the end, up to what goes out for it, before the next.

use crate::alarm::Alarm;
use crate::connection::Connection;
use crate::ending::Ending;
use crate::engine::OnArrival;
use crate::lane::Lanes;
use crate::path::CLOSE_DONE;
use crate::port::{Inbox, Port, Received, ecn};
use crate::repeats::{Effort, Repeats};
use crate::turns::{Turns, Waiting};
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
    /// What came for connections that say little, and waits until the busy ones had their turn; at an end that listens.
    calm: Turns,
    is_listening: bool,
    lanes: Lanes,
    /// What came for handshakes, and waits until all paths had their turn.
    handshakes: Turns,
    /// How many went on since the last began.
    went_on: Cell<u32>,
    has_turn: Notify,
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
        let is_listening = server.is_some();
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
            calm: Turns::default(),
            is_listening,
            lanes: Lanes::default(),
            handshakes: Turns::default(),
            went_on: Cell::new(0),
            has_turn: Notify::new(),
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

    /// Datagrams of connections that were lost here, as too many waited for their turn.
    pub(crate) fn overflowed(&self) -> u64 {
        self.calm.dropped() + self.handshakes.dropped()
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

    /// Says nothing at all.
    pub(crate) fn ignore(&self, incoming: Incoming) {
        self.quic.borrow_mut().ignore(incoming);
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
        self.lanes.close();
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
            if self.receive(&self.port, AT_ONCE) == Received::More {
                yield_now().await;
            }
        }
    }

    /// Handles what came for connections that say little, some packets at a time, so that what comes for busy ones is read in between: a
    /// command does not wait for the heartbeats of thousands. Never ends.
    pub(crate) async fn tend_calm(&self) {
        loop {
            let first = self.calm.next().await;
            let at_once = CALM_AT_ONCE.max(self.calm.len() / CALM_TURNS);
            first.work();
            for _ in 1..at_once {
                let Some(waiting) = self.calm.pop() else {
                    break;
                };
                waiting.work();
            }
            yield_now().await;
        }
    }

    /// Goes on with handshakes, one packet at a time: each may cost as much as twenty packets of paths, which are read in between. Never
    /// ends.
    pub(crate) async fn shake_hands(&self) {
        loop {
            self.handshakes.next().await.work();
            self.went_on.set(self.went_on.get().saturating_add(1));
            self.has_turn.notify_one();
            yield_now().await;
        }
    }

    /// Waits until a new handshake may begin: those that have begun go first, though not for ever.
    pub(crate) async fn handshake_turn(&self) {
        while self.handshakes.len() > 0 && self.went_on.get() < GO_ON_MAX {
            self.has_turn.notified().await;
        }
        self.went_on.set(0);
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

    /// Handles what is there at one of its ports, until it was so many datagrams.
    pub(crate) fn receive(&self, port: &Port, at_once: usize) -> Received {
        if let Some(hook) = self.on_arrival.get() {
            hook();
        }
        let mut inbox = self.inbox.borrow_mut();
        let mut handled = 0;
        // What the network says of packets that left comes as a batch without any.
        for _ in 0..at_once {
            let received = port.receive(&mut inbox);
            let now = Instant::now();
            for (meta, datagram) in inbox.datagrams() {
                self.on_datagram(now, meta, datagram);
                handled += 1;
            }
            if received == Received::All {
                return Received::All;
            }
            if handled >= at_once {
                break;
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
                let Some(connection) = connection else {
                    return;
                };
                let waiting = Waiting {
                    connection,
                    event,
                    from: meta.addr,
                    bytes: datagram.len(),
                };
                if !waiting.connection.is_up() {
                    self.handshakes.push(waiting);
                    return;
                }
                waiting.connection.keep_pace(now);
                if self.is_listening && !waiting.connection.is_busy() {
                    self.calm.push(waiting);
                } else {
                    self.work_at_once(waiting, meta);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => self.on_incoming(incoming),
            Some(DatagramEvent::Response(transmit)) => self.on_stray(Some((transmit, answer))),
            None => self.on_stray(None),
        }
    }

    fn work_at_once(&self, waiting: Waiting, meta: &RecvMeta) {
        let connection = Rc::clone(&waiting.connection);
        waiting.work();
        // It is there only when a packet from there has opened: nobody gets a socket in another's name.
        if self.is_listening && connection.remote() == meta.addr {
            self.lanes.open(&self.this, &self.port, &connection, meta);
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

/// Datagrams that are read before others have their turn: a quarter of a millisecond when they are put off.
const AT_ONCE: usize = 64;
/// Packets of calm connections that are handled at one go: a quarter of a millisecond.
const CALM_AT_ONCE: usize = 16;
/// More where more wait, so that none waits for more turns than this: a stop may be among them.
const CALM_TURNS: usize = 32;
/// Packets of handshakes that have begun before another one begins.
const GO_ON_MAX: u32 = 8;
