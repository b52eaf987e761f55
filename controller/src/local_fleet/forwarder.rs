//! A forwarder of UDP packets that can be cut: a link without a modem.

use std::collections::BTreeMap;
use std::io::Result;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Passes packets between whoever sends to it and one address, on threads of its own.
#[derive(Debug)]
pub struct Forwarder {
    address: SocketAddr,
    state: Arc<State>,
    front: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    cut: AtomicBool,
    ended: AtomicBool,
}

impl Forwarder {
    /// Forwards to `to` from now on.
    ///
    /// # Errors
    /// The system's, when there is no socket or thread.
    pub fn start(to: SocketAddr) -> Result<Forwarder> {
        let front = UdpSocket::bind("127.0.0.1:0")?;
        front.set_read_timeout(Some(LOOK_UP))?;
        let address = front.local_addr()?;
        let state = Arc::new(State::default());
        let thread = {
            let state = Arc::clone(&state);
            std::thread::Builder::new()
                .name("forwarder".into())
                .spawn(move || forward(&front, to, &state))?
        };
        Ok(Forwarder {
            address,
            state,
            front: Some(thread),
        })
    }

    /// Where to send to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on packets of both directions vanish, or no longer do.
    pub fn cut(&self, cut: bool) {
        self.state.cut.store(cut, Ordering::Relaxed);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        if let Some(front) = self.front.take() {
            // A thread that panicked has nothing more to do.
            let _ = front.join();
        }
    }
}

/// A sender's socket behind, as a network translator gives it.
struct Flow {
    socket: UdpSocket,
    /// When it was last sent to, as a number of packets.
    used: u64,
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Each sender gets a flow of its own; the one that was silent longest gives way.
fn forward(front: &UdpSocket, to: SocketAddr, state: &Arc<State>) {
    let mut flows: BTreeMap<SocketAddr, Flow> = BTreeMap::new();
    let mut packet = [0; PACKET_BYTES_MAX];
    let mut packets = 0;
    while !state.ended.load(Ordering::Relaxed) {
        let Ok((bytes, sender)) = front.recv_from(&mut packet) else {
            continue;
        };
        if state.cut.load(Ordering::Relaxed) {
            continue;
        }
        packets += 1;
        if !flows.contains_key(&sender) {
            let Ok(flow) = Flow::begin(front, sender, to, state) else {
                continue;
            };
            if flows.len() >= SENDERS_MAX
                && let Some(silent) = flows.iter().min_by_key(|(_, flow)| flow.used)
            {
                let silent = *silent.0;
                drop(flows.remove(&silent).map(Flow::end));
            }
            flows.insert(sender, flow);
        }
        if let (Some(flow), Some(packet)) = (flows.get_mut(&sender), packet.get(..bytes)) {
            flow.used = packets;
            // A packet that cannot be sent is lost, as on any link.
            let _ = flow.socket.send(packet);
        }
    }
    for flow in flows.into_values() {
        // A thread that panicked has nothing more to do.
        let _ = flow.end().join();
    }
}

impl Flow {
    /// Brings what comes back to the sender, on a thread of its own.
    fn begin(
        front: &UdpSocket,
        sender: SocketAddr,
        to: SocketAddr,
        state: &Arc<State>,
    ) -> Result<Flow> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(LOOK_UP))?;
        let over = Arc::new(AtomicBool::new(false));
        let (back, front) = (socket.try_clone()?, front.try_clone()?);
        let (state, done) = (Arc::clone(state), Arc::clone(&over));
        let thread = std::thread::Builder::new()
            .name("forwarder".into())
            .spawn(move || {
                let mut packet = [0; PACKET_BYTES_MAX];
                while !done.load(Ordering::Relaxed) {
                    let Ok(bytes) = back.recv(&mut packet) else {
                        continue;
                    };
                    if let (false, Some(packet)) =
                        (state.cut.load(Ordering::Relaxed), packet.get(..bytes))
                    {
                        let _ = front.send_to(packet, sender);
                    }
                }
            })?;
        Ok(Flow {
            socket,
            used: 0,
            over,
            thread,
        })
    }

    /// Its thread ends within [`LOOK_UP`].
    fn end(self) -> JoinHandle<()> {
        self.over.store(true, Ordering::Relaxed);
        self.thread
    }
}

/// How often a thread looks whether it is to end.
const LOOK_UP: Duration = Duration::from_millis(50);
const PACKET_BYTES_MAX: usize = 2_048;
const SENDERS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_sender_is_served_however_many_there_were() {
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let forwarder = Forwarder::start(far.local_addr().unwrap()).unwrap();
        for number in 0..=SENDERS_MAX {
            let near = UdpSocket::bind("127.0.0.1:0").unwrap();
            let bytes = number.to_be_bytes();
            near.send_to(&bytes, forwarder.address()).unwrap();
            let mut packet = [0; 16];
            let (length, _) = far.recv_from(&mut packet).unwrap();
            assert_eq!(&packet[..length], &bytes);
        }
    }

    #[test]
    fn packets_pass_both_ways_until_the_cut_and_again_after_it() {
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        let near = UdpSocket::bind("127.0.0.1:0").unwrap();
        for socket in [&far, &near] {
            socket
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
        }
        let forwarder = Forwarder::start(far.local_addr().unwrap()).unwrap();
        let mut packet = [0; 16];
        near.send_to(b"there", forwarder.address()).unwrap();
        let (bytes, back) = far.recv_from(&mut packet).unwrap();
        assert_eq!(&packet[..bytes], b"there");
        far.send_to(b"back", back).unwrap();
        assert_eq!(near.recv(&mut packet).unwrap(), 4);

        forwarder.cut(true);
        near.send_to(b"lost", forwarder.address()).unwrap();
        // One socket after the other is read in order: what came after the cut shows that the rest was dropped.
        far.send_to(b"lost", back).unwrap();
        std::thread::yield_now();
        far.set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        assert!(far.recv(&mut packet).is_err());

        forwarder.cut(false);
        far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        near.send_to(b"again", forwarder.address()).unwrap();
        assert_eq!(far.recv(&mut packet).unwrap(), 5);
    }
}
