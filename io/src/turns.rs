//! Packets that are not urgent: they wait in order, and lose nobody else's place.

use crate::connection::Connection;
use quinn_proto::ConnectionEvent;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::sync::Notify;

/// A packet of a connection, to be handled in its turn.
pub(crate) struct Waiting {
    pub(crate) connection: Rc<Connection>,
    pub(crate) event: ConnectionEvent,
    pub(crate) from: SocketAddr,
    pub(crate) bytes: usize,
}

impl Waiting {
    /// Handles it.
    pub(crate) fn work(self) {
        self.connection.on_event(self.event, self.from, self.bytes);
    }
}

/// Packets that wait.
#[derive(Default)]
pub(crate) struct Turns {
    waiting: RefCell<VecDeque<Waiting>>,
    came: Notify,
    dropped: Cell<u64>,
}

impl Turns {
    /// One more; over a bound it is lost, as on the way, and counted.
    pub(crate) fn push(&self, waiting: Waiting) {
        let mut queue = self.waiting.borrow_mut();
        let of_connection = &waiting.connection.waiting;
        let own = of_connection.get();
        if queue.len() < WAITING_MAX && own < WAITING_OF_ONE_MAX {
            of_connection.set(own + 1);
            queue.push_back(waiting);
            self.came.notify_one();
        } else {
            self.dropped.set(self.dropped.get() + 1);
        }
    }

    /// The next, if one waits.
    pub(crate) fn pop(&self) -> Option<Waiting> {
        let next = self.waiting.borrow_mut().pop_front()?;
        let of_connection = &next.connection.waiting;
        of_connection.set(of_connection.get().saturating_sub(1));
        Some(next)
    }

    /// The next, once there is one.
    pub(crate) async fn next(&self) -> Waiting {
        loop {
            if let Some(next) = self.pop() {
                return next;
            }
            self.came.notified().await;
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// How many were lost, as too many waited.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.get()
    }
}

/// Packets that wait: the heartbeats of all nodes that a relay takes, or those of a thousand handshakes (12 MB at most, of full packets).
const WAITING_MAX: usize = 8_192;
/// Of these, of one connection: nobody takes the others' places.
const WAITING_OF_ONE_MAX: u8 = 16;
