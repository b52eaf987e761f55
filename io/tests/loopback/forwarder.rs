//! A way to a relay that loses packets, is cut, and gives its user another port, as a network translator does.

use crate::echo::any_port;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::net::UdpSocket;
use tokio::sync::Notify;

/// Forwards between one user and one relay while it lives.
pub struct Forwarder {
    address: SocketAddr,
    way: Rc<Way>,
    task: tokio::task::JoinHandle<()>,
}

struct Way {
    to: SocketAddr,
    /// Share of the packets that get lost, per cent.
    loss: Cell<u64>,
    dice: Cell<u64>,
    back: RefCell<Rc<UdpSocket>>,
    changed: Notify,
}

impl Forwarder {
    pub async fn start(to: SocketAddr) -> Forwarder {
        let front = UdpSocket::bind(any_port()).await.unwrap();
        let way = Rc::new(Way {
            to,
            loss: Cell::new(0),
            dice: Cell::new(1),
            back: RefCell::new(Rc::new(UdpSocket::bind(any_port()).await.unwrap())),
            changed: Notify::new(),
        });
        Forwarder {
            address: front.local_addr().unwrap(),
            task: tokio::task::spawn_local(forward(front, Rc::clone(&way))),
            way,
        }
    }

    /// Where the user sends to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the relay sees the user.
    pub fn behind(&self) -> SocketAddr {
        self.way.back.borrow().local_addr().unwrap()
    }

    /// Per cent of the packets, each way, that get lost from now on.
    pub fn lose(&self, loss: u64) {
        self.way.loss.set(loss);
    }

    /// The user has another port from now on, and nothing comes by the old one.
    pub async fn rebind(&self) {
        let back = UdpSocket::bind(any_port()).await.unwrap();
        self.way.back.replace(Rc::new(back));
        self.way.changed.notify_one();
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(front: UdpSocket, way: Rc<Way>) {
    let mut user = None;
    let (mut up, mut down) = ([0; 2_048], [0; 2_048]);
    loop {
        let back = Rc::clone(&way.back.borrow());
        tokio::select! {
            Ok((bytes, from)) = front.recv_from(&mut up) => {
                user = Some(from);
                if way.passes() {
                    back.send_to(&up[..bytes], way.to).await.unwrap();
                }
            }
            Ok((bytes, _)) = back.recv_from(&mut down) => {
                if let Some(user) = user.filter(|_| way.passes()) {
                    front.send_to(&down[..bytes], user).await.unwrap();
                }
            }
            () = way.changed.notified() => {}
        }
    }
}

impl Way {
    /// By a linear congruential generator (Knuth, MMIX).
    fn passes(&self) -> bool {
        let next = self
            .dice
            .get()
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.dice.set(next);
        (next >> 33) % 100 >= self.loss.get()
    }
}
