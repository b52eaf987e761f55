//! One QUIC connection, driven directly: what it has to send goes out within the call that made it.

use crate::alarm::Alarm;
use crate::ending::Ending;
use crate::endpoint::Endpoint;
use crate::path::CLOSE_DONE;
use crate::port::Port;
use crate::repeats::Repeats;
use crate::transport::DATAGRAM_SEND_BUFFER_BYTES;
use quinn_proto::{ConnectionEvent, ConnectionHandle, Event, SendDatagramError, VarInt};
use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::ops::Deref;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A connection of an [`Endpoint`], from its first packet until it is drained.
pub(crate) struct Connection {
    quic: RefCell<quinn_proto::Connection>,
    handle: ConnectionHandle,
    endpoint: Weak<Endpoint>,
    port: Rc<Port>,
    alarm: Rc<Alarm>,
    this: Weak<Connection>,
    reader: OnceCell<Reader>,
    packet: RefCell<Vec<u8>>,
    repeats: RefCell<Repeats>,
    state: Cell<State>,
    heard: Cell<bool>,
    changed: Notify,
    listed: Cell<Option<Instant>>,
    datagrams: Cell<u64>,
    /// When the last one came, and how many before it came in quick succession.
    pace: Cell<(Option<Instant>, u8)>,
    /// Packets of it that wait for their turn.
    pub(crate) waiting: Cell<u8>,
    /// Whether it has a lane, or its endpoint tries to give it one.
    pub(crate) has_lane: Cell<bool>,
}

type Reader = Box<dyn Fn(&[u8])>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Handshake,
    Up,
    Ended(Ending),
}

/// Why a datagram was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendFault {
    /// The congestion controller holds back what was sent before.
    Full,
    /// The path carries no datagram of this size.
    Oversize,
    /// The far side takes no datagrams.
    Unsupported,
}

impl Connection {
    pub(crate) fn new(
        quic: quinn_proto::Connection,
        handle: ConnectionHandle,
        endpoint: Weak<Endpoint>,
        port: Rc<Port>,
        alarm: Rc<Alarm>,
        repeats: Repeats,
    ) -> Rc<Connection> {
        Rc::new_cyclic(|this| Connection {
            quic: RefCell::new(quic),
            handle,
            endpoint,
            port,
            alarm,
            this: Weak::clone(this),
            reader: OnceCell::new(),
            packet: RefCell::default(),
            repeats: RefCell::new(repeats),
            state: Cell::new(State::Handshake),
            heard: Cell::new(false),
            changed: Notify::new(),
            listed: Cell::new(None),
            datagrams: Cell::new(0),
            pace: Cell::new((None, 0)),
            waiting: Cell::new(0),
            has_lane: Cell::new(false),
        })
    }

    /// Whether its handshake is over.
    pub(crate) fn is_up(&self) -> bool {
        self.state.get() != State::Handshake
    }

    /// Whether packets come in quick succession, as those of whoever drives do.
    pub(crate) fn is_busy(&self) -> bool {
        self.pace.get().1 >= QUICK_MIN
    }

    /// A packet comes now.
    pub(crate) fn keep_pace(&self, now: Instant) {
        let (last, quick) = self.pace.get();
        let is_quick = last.is_some_and(|last| now.saturating_duration_since(last) <= QUICK);
        let quick = if is_quick {
            quick.saturating_add(1).min(QUICK_MAX)
        } else {
            quick / 2
        };
        self.pace.set((Some(now), quick));
    }

    /// Waits for the handshake's end.
    pub(crate) async fn established(&self) -> Result<(), Ending> {
        self.wait(|| match self.state.get() {
            State::Handshake => None,
            State::Up => Some(Ok(())),
            State::Ended(why) => Some(Err(why)),
        })
        .await
    }

    /// Waits for the first datagram, which stays to be read.
    pub(crate) async fn spoken(&self) -> Result<(), Ending> {
        self.wait(|| match self.ending() {
            Some(why) => Some(Err(why)),
            None => self.heard.get().then_some(Ok(())),
        })
        .await
    }

    /// Waits for the connection's end.
    pub(crate) async fn ended(&self) -> Ending {
        self.wait(|| self.ending()).await
    }

    /// Why it is over, once it is.
    pub(crate) fn ending(&self) -> Option<Ending> {
        match self.state.get() {
            State::Ended(why) => Some(why),
            State::Handshake | State::Up => None,
        }
    }

    /// What the far side showed of itself in the handshake.
    pub(crate) fn peer_identity(&self) -> Option<Box<dyn Any>> {
        self.quic.borrow().crypto_session().peer_identity()
    }

    /// The far side's address, which changes when it moves.
    pub(crate) fn remote(&self) -> SocketAddr {
        self.quic.borrow().remote_address()
    }

    /// This end's address, as far as its socket is bound to one.
    pub(crate) fn local(&self) -> SocketAddr {
        self.port.address()
    }

    /// UDP datagrams that named this connection, whether or not they opened.
    pub(crate) fn datagrams(&self) -> u64 {
        self.datagrams.get()
    }

    /// Has `reader` called with each datagram, first with those that are there already. There is one reader; a second is
    /// not taken.
    pub(crate) fn read_with(&self, reader: impl Fn(&[u8]) + 'static) {
        if self.reader.set(Box::new(reader)).is_ok() {
            self.deliver();
        }
    }

    /// Queues one datagram; [`Connection::drive`] sends it. What was queued before goes first: datagrams that share a packet
    /// would share its fate, and copies are sent so that they do not.
    pub(crate) fn queue(&self, bytes: Vec<u8>) -> Result<(), SendFault> {
        if !self.is_empty() {
            self.drive();
        }
        let mut quic = self.quic.borrow_mut();
        match quic.datagrams().send(bytes.into(), false) {
            Ok(()) => Ok(()),
            Err(SendDatagramError::Blocked(_)) => Err(SendFault::Full),
            Err(SendDatagramError::TooLarge) => Err(SendFault::Oversize),
            Err(SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled) => {
                Err(SendFault::Unsupported)
            }
        }
    }

    /// Whether what was queued is with the kernel, or never will be.
    pub(crate) fn is_flushed(&self) -> bool {
        self.ending().is_some() || (self.is_empty() && !self.port.is_blocked())
    }

    /// Whether no datagram is queued.
    fn is_empty(&self) -> bool {
        let space = self.quic.borrow_mut().datagrams().send_buffer_space();
        space + ENTRY_BYTES >= DATAGRAM_SEND_BUFFER_BYTES
    }

    /// Whether nothing leaves by its socket any more.
    pub(crate) fn is_stranded(&self) -> bool {
        self.port.is_stranded()
    }

    /// Ends it; the far side is told `code`.
    pub(crate) fn close(&self, code: VarInt) {
        if self.ending().is_some() {
            return;
        }
        self.quic
            .borrow_mut()
            .close(Instant::now(), code, Default::default());
        self.set(State::Ended(Ending::Here));
        self.drive();
    }

    /// Ends it without a word: what it left by is gone, and its socket is not kept for an answer.
    pub(crate) fn lose(&self) {
        self.set(State::Ended(Ending::LinkGone));
        if let Some(endpoint) = self.endpoint.upgrade() {
            endpoint.forget(self.handle);
        }
    }

    /// Sends the first packet.
    pub(crate) fn begin(&self) {
        self.take_news();
        self.drive();
    }

    /// Takes what the endpoint found to be this connection's; what its reader then has to send is sent first, what QUIC
    /// itself has to say after it.
    pub(crate) fn on_event(&self, event: ConnectionEvent, from: SocketAddr, bytes: usize) {
        self.datagrams.set(self.datagrams.get() + 1);
        // What comes from elsewhere says nothing about who is at this address.
        if from == self.remote() {
            self.repeats.borrow_mut().on_received(bytes);
        }
        self.quic.borrow_mut().handle_event(event);
        self.take_news();
        self.finish_handshake();
        self.deliver();
        self.drive();
    }

    /// Nothing of a handshake is repeated any more once the far side is through it too.
    fn finish_handshake(&self) {
        let mut repeats = self.repeats.borrow_mut();
        if repeats.is_over() {
            return;
        }
        let quic = self.quic.borrow();
        let is_through = if quic.side().is_server() {
            // It is through last.
            self.state.get() == State::Up
        } else {
            self.heard.get() || quic.stats().frame_rx.handshake_done > 0
        };
        if is_through {
            repeats.finish();
        }
    }

    /// The deadline `at`, for which it was listed, has come.
    pub(crate) fn on_due(&self, at: Instant, now: Instant) {
        if self.listed.get() != Some(at) {
            return;
        }
        self.listed.set(None);
        self.repeats.borrow_mut().on_timeout();
        self.quic.borrow_mut().handle_timeout(now);
        self.take_news();
        self.drive();
    }

    /// Sends what there is to send, then sees to everything else.
    pub(crate) fn drive(&self) {
        let now = Instant::now();
        let mut more = self.transmit(now);
        while self.answer_endpoint() {
            more = self.transmit(now);
        }
        self.repeats
            .borrow_mut()
            .send_due(now, |transmit, packet| self.port.send(transmit, packet));
        let due = match more {
            More::Yes => Some(now),
            More::No => {
                let timeout = self.quic.borrow_mut().poll_timeout();
                let timeout = timeout.map(|at| match self.state.get() {
                    State::Up => self.alarm.rounded(at),
                    State::Handshake | State::Ended(_) => at,
                });
                let repeat = self.repeats.borrow().next_due();
                timeout.into_iter().chain(repeat).min()
            }
        };
        if let Some(at) = due
            && self.listed.get().is_none_or(|listed| at < listed)
        {
            self.listed.set(Some(at));
            self.alarm.list(at, Weak::clone(&self.this));
        }
    }

    fn transmit(&self, now: Instant) -> More {
        let mut quic = self.quic.borrow_mut();
        let mut packet = self.packet.borrow_mut();
        for _ in 0..PACKETS_MAX {
            packet.clear();
            let Some(transmit) = quic.poll_transmit(now, 1, &mut packet) else {
                return More::No;
            };
            if self.repeats.borrow_mut().on_packet(now, &transmit, &packet) {
                self.port.send(&transmit, &packet);
            }
        }
        More::Yes
    }

    /// Carries words between the connection and its endpoint; whether that gave the connection something to send.
    fn answer_endpoint(&self) -> bool {
        let mut answered = false;
        loop {
            let Some(event) = self.quic.borrow_mut().poll_endpoint_events() else {
                return answered;
            };
            let Some(endpoint) = self.endpoint.upgrade() else {
                return false;
            };
            if let Some(answer) = endpoint.on_connection_event(self.handle, event) {
                self.quic.borrow_mut().handle_event(answer);
                answered = true;
            }
        }
    }

    fn take_news(&self) {
        loop {
            let Some(event) = self.quic.borrow_mut().poll() else {
                return;
            };
            match event {
                Event::Connected => self.set(State::Up),
                Event::ConnectionLost { reason } => self.set(State::Ended(Ending::from(&reason))),
                Event::DatagramReceived => {
                    if !self.heard.replace(true) {
                        self.changed.notify_waiters();
                    }
                }
                // Streams are closed to the far side, and blocked datagrams are dropped.
                Event::HandshakeDataReady | Event::DatagramsUnblocked | Event::Stream(_) => {}
            }
        }
    }

    fn deliver(&self) {
        let Some(reader) = self.reader.get() else {
            return;
        };
        loop {
            let Some(bytes) = self.quic.borrow_mut().datagrams().recv() else {
                return;
            };
            reader(&bytes);
        }
    }

    /// What ended stays ended, with its first reason.
    fn set(&self, state: State) {
        if self.ending().is_none() {
            if matches!(state, State::Ended(_)) {
                self.repeats.borrow_mut().abandon();
            }
            self.state.set(state);
            self.changed.notify_waiters();
        }
    }

    async fn wait<T>(&self, fact: impl Fn() -> Option<T>) -> T {
        loop {
            if let Some(value) = fact() {
                return value;
            }
            self.changed.notified().await;
        }
    }
}

/// Whether there may be more to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    Yes,
    No,
}

/// A connection that is closed unless somebody keeps it: an attempt that lost its race, a guest who is not let in.
pub(crate) struct Attempt {
    connection: Rc<Connection>,
    kept: bool,
}

impl Attempt {
    pub(crate) fn new(connection: Rc<Connection>) -> Attempt {
        Attempt {
            connection,
            kept: false,
        }
    }

    /// The connection, which goes on.
    pub(crate) fn keep(mut self) -> Rc<Connection> {
        self.kept = true;
        Rc::clone(&self.connection)
    }
}

impl Deref for Attempt {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.kept {
            self.connection.close(CLOSE_DONE);
        }
    }
}

/// Between packets in quick succession: a command goes every 20 ms.
const QUICK: Duration = Duration::from_millis(35);
/// So many make a connection a busy one, and so many are counted: a pause or two do not make it a calm one.
const QUICK_MIN: u8 = 4;
const QUICK_MAX: u8 = 32;
/// Packets sent at one go: more than the send buffer or a handshake ever holds. Others come in between then.
const PACKETS_MAX: usize = 32;
/// QUIC reports its send buffer's space less what the next entry itself would take.
const ENTRY_BYTES: usize = 64;
