//! One path: a connection that the drive loop reads and writes.

use crate::clock;
use crate::connection::{Connection, SendFault};
use crate::ending::Ending;
use longrein_proto::base::{MonoTime, Name, NodeName, PathId};
use quinn_proto::VarInt;
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use tokio::sync::Notify;

/// A connection in use, with what was counted on it.
pub struct Path {
    id: PathId,
    link: Name,
    peer: NodeName,
    connection: Rc<Connection>,
    heard: Cell<MonoTime>,
    counts: Cell<PathCounts>,
    ended: Cell<Option<Ending>>,
    redial: Cell<bool>,
    changed: Notify,
    /// The other end's address as the role knows it.
    told: Cell<Option<IpAddr>>,
}

/// Datagrams of one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathCounts {
    /// Given to QUIC.
    pub sent: u64,
    /// Read from QUIC.
    pub received: u64,
    /// Dropped, as QUIC's small send buffer was full: the fuse is on.
    pub dropped_full: u64,
    /// Dropped, as the path carries no datagram of this size.
    pub dropped_oversize: u64,
}

/// What the owner of a path acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathFact {
    /// The connection is over.
    Ended(Ending),
    /// The role wants another connection in its place.
    RedialWanted,
}

impl Path {
    pub(crate) fn new(id: PathId, link: Name, peer: NodeName, connection: Rc<Connection>) -> Path {
        Path {
            id,
            link,
            peer,
            connection,
            heard: Cell::new(clock::now()),
            counts: Cell::default(),
            ended: Cell::new(None),
            redial: Cell::new(false),
            changed: Notify::new(),
            told: Cell::new(None),
        }
    }

    /// The driver's number for it.
    pub fn id(&self) -> PathId {
        self.id
    }

    /// The link it uses; at a relay, the name of the listener.
    pub fn link(&self) -> &Name {
        &self.link
    }

    /// The node at the other end.
    pub fn peer(&self) -> &NodeName {
        &self.peer
    }

    /// The other end's address, which changes when it moves.
    pub fn remote(&self) -> SocketAddr {
        self.connection.remote()
    }

    /// This end's address; of a listener, what it is bound to.
    pub(crate) fn local(&self) -> SocketAddr {
        self.connection.local()
    }

    /// The other end's address, if the role is to be told of it.
    pub(crate) fn untold_address(&self) -> Option<IpAddr> {
        let address = self.remote().ip();
        (self.told.replace(Some(address)) != Some(address)).then_some(address)
    }

    /// What was sent, received and dropped.
    pub fn counts(&self) -> PathCounts {
        self.counts.get()
    }

    /// When the last datagram arrived.
    pub fn heard(&self) -> MonoTime {
        self.heard.get()
    }

    /// UDP datagrams that named this connection, whether or not they opened: QUIC does not tell which did.
    pub(crate) fn datagrams(&self) -> u64 {
        self.connection.datagrams()
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn on_received(&self, now: MonoTime) {
        self.heard.set(now);
        self.count(|counts| counts.received += 1);
    }

    /// Gives one datagram to QUIC, or drops it: what waits is the leg's business, and QUIC would drop an older one
    /// without a word. [`Path::flush`] sends it.
    pub(crate) fn send(&self, bytes: Vec<u8>) {
        match self.connection.queue(bytes) {
            Ok(()) => self.count(|counts| counts.sent += 1),
            Err(SendFault::Full) => self.count(|counts| counts.dropped_full += 1),
            Err(SendFault::Oversize) => self.count(|counts| counts.dropped_oversize += 1),
            // The far side cannot do what this protocol needs.
            Err(SendFault::Unsupported) => self.close(CLOSE_PROTOCOL),
        }
    }

    /// Hands what was given to QUIC to the kernel. A socket whose interface is gone is replaced at once: it stays silent whatever
    /// the network does.
    pub(crate) fn flush(&self) {
        self.connection.drive();
        if self.connection.is_stranded() && !self.redial.get() {
            self.set_redial(true);
        }
    }

    pub(crate) fn close(&self, code: VarInt) {
        self.connection.close(code);
    }

    /// Ends it without a word, as none would leave.
    pub(crate) fn lose(&self) {
        self.connection.lose();
    }

    pub(crate) fn on_ended(&self, ending: Ending) {
        self.ended.set(Some(ending));
        self.changed.notify_one();
    }

    pub(crate) fn set_redial(&self, wanted: bool) {
        self.redial.set(wanted);
        self.changed.notify_one();
    }

    /// Waits for what its one owner acts on.
    pub(crate) async fn fact(&self) -> PathFact {
        loop {
            if let Some(ending) = self.ended.get() {
                return PathFact::Ended(ending);
            }
            if self.redial.get() {
                return PathFact::RedialWanted;
            }
            self.changed.notified().await;
        }
    }

    /// Waits until it need not be replaced any more, while another connection is dialled: it works again.
    pub(crate) async fn recovered(&self) {
        while self.redial.get() || self.ended.get().is_some() {
            self.changed.notified().await;
        }
    }

    fn count(&self, add: impl FnOnce(&mut PathCounts)) {
        let mut counts = self.counts.get();
        add(&mut counts);
        self.counts.set(counts);
    }
}

/// This end shuts down, or has a newer connection in its place.
pub(crate) const CLOSE_DONE: VarInt = VarInt::from_u32(0);
/// The far end does not do what the protocol needs.
pub(crate) const CLOSE_PROTOCOL: VarInt = VarInt::from_u32(1);
