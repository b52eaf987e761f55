//! The socket of a connection on which much comes: the kernel has its packets wait there, behind nobody else's.

use crate::connection::Connection;
use crate::endpoint::Endpoint;
use crate::port::{Port, Received};
use quinn_udp::RecvMeta;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

/// The lanes of an endpoint. They end with it.
#[derive(Default)]
pub(crate) struct Lanes(RefCell<JoinSet<()>>);

impl Lanes {
    /// A lane beside `main` for a connection of which this packet is, if it has none and there is room.
    pub(crate) fn open(
        &self,
        endpoint: &Weak<Endpoint>,
        main: &Port,
        connection: &Rc<Connection>,
        meta: &RecvMeta,
    ) {
        let mut lanes = self.0.borrow_mut();
        while lanes.try_join_next().is_some() {}
        // The kernel takes port 0 for any.
        if connection.has_lane.get() || lanes.len() >= LANES_MAX || meta.addr.port() == 0 {
            return;
        }
        let lane = Lane::of(endpoint, connection);
        match main.beside(local_of(main.address(), meta), meta.addr) {
            Ok(port) => lanes.spawn_local(lane.read(port)),
            Err(error) => {
                tracing::debug!(remote = %meta.addr, why = %error, "no socket of its own for a busy connection");
                lanes.spawn_local(lane.rest())
            }
        };
    }

    /// Closes them all.
    pub(crate) fn close(&self) {
        self.0.borrow_mut().abort_all();
    }
}

struct Lane {
    endpoint: Weak<Endpoint>,
    connection: Weak<Connection>,
}

impl Lane {
    fn of(endpoint: &Weak<Endpoint>, connection: &Rc<Connection>) -> Lane {
        connection.has_lane.set(true);
        Lane {
            endpoint: Weak::clone(endpoint),
            connection: Rc::downgrade(connection),
        }
    }

    /// Reads as long as much comes.
    async fn read(self, port: Port) {
        let mut busy_at = Instant::now();
        while let Ok(Ok(())) = timeout(IDLE, port.readable()).await {
            let received = self.receive(&port);
            let connection = self.connection.upgrade();
            match connection.filter(|connection| connection.ending().is_none()) {
                Some(connection) if connection.is_busy() => busy_at = Instant::now(),
                Some(_) if busy_at.elapsed() < IDLE => {}
                Some(_) | None => break,
            }
            if received == Received::More {
                yield_now().await;
            }
        }
        for _ in 0..ROUNDS_AT_END {
            if self.receive(&port) == Received::All {
                break;
            }
        }
    }

    fn receive(&self, port: &Port) -> Received {
        match self.endpoint.upgrade() {
            Some(endpoint) => endpoint.receive(port, AT_ONCE),
            None => Received::All,
        }
    }

    /// Does without for a while.
    async fn rest(self) {
        sleep(IDLE).await;
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.upgrade() {
            connection.has_lane.set(false);
        }
    }
}

/// Where here a packet went to.
fn local_of(bound: SocketAddr, meta: &RecvMeta) -> SocketAddr {
    let mut local = bound;
    if let Some(ip) = meta.dst_ip.filter(|_| bound.ip().is_unspecified()) {
        let ip = match (bound, ip) {
            (SocketAddr::V6(_), IpAddr::V4(ip)) => ip.to_ipv6_mapped().into(),
            (SocketAddr::V4(_) | SocketAddr::V6(_), ip) => ip,
        };
        local.set_ip(ip);
    }
    // An address that is one of a link's only means nothing without the link.
    if let (SocketAddr::V6(local), SocketAddr::V6(far)) = (&mut local, meta.addr) {
        local.set_scope_id(far.scope_id());
    }
    local
}

/// Lanes of one endpoint: the kernel looks through them for each packet.
const LANES_MAX: usize = 64;
/// Without much on it, until a lane is closed.
const IDLE: Duration = Duration::from_secs(2);
/// Datagrams of one lane before others have their turn: 64 nodes that send as fast as they can take 6 ms.
const AT_ONCE: usize = 8;
/// What is left in a lane that is closed: more than its buffer holds.
const ROUNDS_AT_END: usize = 128;
