//! A hostile place in the network between a node and a relay: it passes every packet, and remembers some.

use std::collections::BTreeMap;
use std::io::Result;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Passes packets to an address and back.
pub struct Tap {
    address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    ended: AtomicBool,
    seen: Mutex<Vec<Seen>>,
}

/// A packet on its way to the relay, and the socket that passed it on.
#[derive(Clone)]
pub struct Seen {
    /// What it said.
    pub bytes: Vec<u8>,
    /// Sends from the address that the relay knows the node by.
    pub way: Arc<UdpSocket>,
}

impl Tap {
    /// Passes packets to this address from now on.
    pub fn start(to: SocketAddr) -> Tap {
        let front = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = front.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || pass(&front, to, &shared).unwrap());
        Tap {
            address,
            state,
            thread: Some(thread),
        }
    }

    /// Where the node sends to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Packets that went to the relay: the first ones, with the handshakes, and later ones.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn pass(front: &UdpSocket, to: SocketAddr, state: &Arc<State>) -> Result<()> {
    front.set_read_timeout(Some(LOOK_UP))?;
    let mut ways: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
    let mut packet = [0; 2_048];
    while !state.ended.load(Ordering::Relaxed) {
        let Ok((length, sender)) = front.recv_from(&mut packet) else {
            continue;
        };
        let way = match ways.get(&sender) {
            Some(way) => Arc::clone(way),
            None => {
                let way = new_way(front, to, sender, state)?;
                ways.insert(sender, Arc::clone(&way));
                way
            }
        };
        way.send(&packet[..length])?;
        let mut seen = state.seen.lock().unwrap();
        if seen.len() < SEEN_MAX {
            seen.push(Seen {
                bytes: packet[..length].to_vec(),
                way,
            });
        }
    }
    Ok(())
}

/// Each sender gets a socket of its own, as a network translator gives it.
fn new_way(
    front: &UdpSocket,
    to: SocketAddr,
    sender: SocketAddr,
    state: &Arc<State>,
) -> Result<Arc<UdpSocket>> {
    let way = Arc::new(UdpSocket::bind("127.0.0.1:0")?);
    way.connect(to)?;
    way.set_read_timeout(Some(LOOK_UP))?;
    let (back, front, state) = (Arc::clone(&way), front.try_clone()?, Arc::clone(state));
    std::thread::spawn(move || pass_back(&back, &front, sender, &state));
    Ok(way)
}

fn pass_back(back: &UdpSocket, front: &UdpSocket, sender: SocketAddr, state: &State) {
    let mut packet = [0; 2_048];
    while !state.ended.load(Ordering::Relaxed) {
        if let Ok(length) = back.recv(&mut packet) {
            let _ = front.send_to(&packet[..length], sender);
        }
    }
}

const LOOK_UP: Duration = Duration::from_millis(50);
const SEEN_MAX: usize = 200;
