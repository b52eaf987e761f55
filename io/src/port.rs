//! A UDP socket as QUIC uses it: what arrives is read in batches, what is sent goes to the kernel at once.

use crate::backlog::Backlog;
use crate::clock;
use crate::socket;
use crate::sparse::Sparse;
use crate::wire_bytes::WireBytes;
use quinn_proto::{EcnCodepoint, Transmit};
use quinn_udp::{RecvMeta, UdpSocketState};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::time::sleep;

/// One socket.
#[derive(Debug)]
pub(crate) struct Port {
    /// Watched for what arrives only: else each packet that leaves the kernel would wake this thread once more.
    socket: AsyncFd<UdpSocket>,
    quic: UdpSocketState,
    address: SocketAddr,
    backlog: RefCell<Backlog>,
    blocked: Notify,
    received: Rc<Cell<u64>>,
    /// Nothing leaves by it any more.
    stranded: Cell<bool>,
    failures: RefCell<Sparse>,
    /// Of its link.
    wire: Rc<WireBytes>,
}

impl Port {
    /// What it carries is counted in `wire`.
    ///
    /// # Errors
    /// When the socket cannot be watched, or lacks the options that QUIC needs.
    pub(crate) fn new(socket: UdpSocket, wire: Rc<WireBytes>) -> io::Result<Port> {
        let quic = UdpSocketState::new((&socket).into())?;
        let address = socket.local_addr()?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types that do not keep their descriptor; `UdpSocket` keeps it"
        )]
        let socket = AsyncFd::with_interest(socket, Interest::READABLE)?;
        Ok(Port {
            address,
            socket,
            quic,
            backlog: RefCell::default(),
            blocked: Notify::new(),
            received: Rc::default(),
            stranded: Cell::new(false),
            failures: RefCell::default(),
            wire,
        })
    }

    /// A port of its own for what `far` sends to `local` here, as if by this one: what arrives there is counted here.
    ///
    /// # Errors
    /// When the system gives no such socket.
    pub(crate) fn beside(&self, local: SocketAddr, far: SocketAddr) -> io::Result<Port> {
        let socket = socket::beside(self.socket.get_ref(), local, far)?;
        let mut port = Port::new(socket, Rc::clone(&self.wire))?;
        port.received = Rc::clone(&self.received);
        Ok(port)
    }

    /// Where it is bound.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the network might cut packets into pieces, as this system cannot forbid it.
    pub(crate) fn may_fragment(&self) -> bool {
        self.quic.may_fragment()
    }

    /// Datagrams so far, whatever was in them.
    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Packets that never left, as the kernel took none and enough of them waited.
    pub(crate) fn dropped(&self) -> u64 {
        self.backlog.borrow().dropped()
    }

    /// Whether packets wait until the kernel takes them.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.backlog.borrow().is_empty()
    }

    /// Waits until something arrived.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        poll_fn(|context| self.socket.poll_read_ready(context).map_ok(drop)).await
    }

    /// Reads what is there, up to a batch of messages.
    pub(crate) fn receive(&self, inbox: &mut Inbox) -> Received {
        let mut slices: [IoSliceMut<'_>; BATCH] = {
            let mut slots = inbox.bytes.chunks_mut(SLOT_BYTES);
            std::array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()))
        };
        let mut filled = Ok(0);
        let metas = &mut inbox.metas;
        // The socket counts as empty after less than a whole batch: what comes later makes it readable anew, and nobody
        // has to ask the kernel a second time.
        let attempt = self.socket.try_io(Interest::READABLE, |socket| {
            filled = self
                .quic
                .recv(socket.into(), &mut slices, metas.as_mut_slice());
            match &filled {
                Ok(BATCH) => Ok(()),
                // The network said something about what was sent before. That is told once, and ahead of what has arrived.
                Err(error) if error.kind() != ErrorKind::WouldBlock => Ok(()),
                Ok(_) | Err(_) => Err(ErrorKind::WouldBlock.into()),
            }
        });
        inbox.filled = filled.unwrap_or(0);
        for meta in inbox.metas() {
            let count = datagrams(meta);
            self.received.set(self.received.get() + count);
            self.wire.add(count, meta.len, meta.addr.ip());
        }
        match attempt {
            Ok(()) => Received::More,
            Err(_) => Received::All,
        }
    }

    /// Gives a packet to the kernel. While that takes none, a few wait, and what comes after them is dropped: QUIC and the
    /// legs repeat what matters.
    pub(crate) fn send(&self, transmit: &Transmit, bytes: &[u8]) {
        let bytes = bytes.get(..transmit.size).unwrap_or(bytes);
        if !self.is_blocked() && self.give(transmit, bytes) {
            return;
        }
        self.backlog.borrow_mut().push(transmit, bytes);
        self.blocked.notify_one();
    }

    /// Sends what waits once the kernel takes it; never ends.
    pub(crate) async fn keep_sending(&self) {
        loop {
            while !self.is_blocked() {
                self.blocked.notified().await;
            }
            sleep(BLOCKED_PAUSE).await;
            let mut backlog = self.backlog.borrow_mut();
            while let Some((transmit, bytes)) = backlog.first()
                && self.give(transmit, bytes)
            {
                backlog.pop();
            }
        }
    }

    /// Whether the last packet could not leave as the socket's address or interface is gone: another socket is needed.
    pub(crate) fn is_stranded(&self) -> bool {
        self.stranded.get()
    }

    /// Whether the kernel took it. What it refuses for good is lost, as on the way.
    fn give(&self, transmit: &Transmit, bytes: &[u8]) -> bool {
        let transmit = quinn_udp::Transmit {
            destination: transmit.destination,
            ecn: transmit.ecn.map(to_udp),
            contents: bytes,
            segment_size: None,
            src_ip: transmit.src_ip,
        };
        let sent = self.quic.try_send(self.socket.get_ref().into(), &transmit);
        let stranded = match &sent {
            Ok(()) => {
                self.wire.add(1, bytes.len(), transmit.destination.ip());
                false
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => {
                if let Some(unsaid) = self.failures.borrow_mut().allow(clock::now()) {
                    let local = self.address;
                    let remote = transmit.destination;
                    tracing::warn!(%local, %remote, why = %error, unsaid, "packet is not sent");
                }
                matches!(
                    error.raw_os_error(),
                    Some(ENXIO | ENODEV | EINVAL | EADDRNOTAVAIL)
                )
            }
        };
        self.stranded.set(stranded);
        true
    }
}

/// Whether a socket may hold more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// The batch was full, or something came before it.
    More,
    /// It is empty.
    All,
}

/// Where datagrams are read to: one for all sockets of a thread.
#[derive(Debug)]
pub(crate) struct Inbox {
    bytes: Box<[u8]>,
    metas: [RecvMeta; BATCH],
    filled: usize,
}

impl Inbox {
    /// An empty one.
    pub(crate) fn new() -> Inbox {
        Inbox {
            bytes: vec![0; BATCH * SLOT_BYTES].into(),
            metas: [RecvMeta::default(); BATCH],
            filled: 0,
        }
    }

    /// The datagrams of the last batch.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = (&RecvMeta, &[u8])> {
        let slots = self.bytes.chunks(SLOT_BYTES);
        self.metas().zip(slots).flat_map(|(meta, slot)| {
            let message = slot.get(..meta.len).unwrap_or(slot);
            message
                .chunks(meta.stride.max(1))
                .map(move |datagram| (meta, datagram))
        })
    }

    fn metas(&self) -> impl Iterator<Item = &RecvMeta> {
        self.metas.iter().take(self.filled)
    }
}

/// What the network did to a datagram on its way, as QUIC's rules take it.
pub(crate) fn ecn(meta: &RecvMeta) -> Option<EcnCodepoint> {
    meta.ecn.map(|ecn| match ecn {
        quinn_udp::EcnCodepoint::Ect0 => EcnCodepoint::Ect0,
        quinn_udp::EcnCodepoint::Ect1 => EcnCodepoint::Ect1,
        quinn_udp::EcnCodepoint::Ce => EcnCodepoint::Ce,
    })
}

fn to_udp(ecn: EcnCodepoint) -> quinn_udp::EcnCodepoint {
    match ecn {
        EcnCodepoint::Ect0 => quinn_udp::EcnCodepoint::Ect0,
        EcnCodepoint::Ect1 => quinn_udp::EcnCodepoint::Ect1,
        EcnCodepoint::Ce => quinn_udp::EcnCodepoint::Ce,
    }
}

/// The kernel hands over datagrams of one length and one sender as one message; the last may be shorter.
fn datagrams(meta: &RecvMeta) -> u64 {
    let count = meta.len.div_ceil(meta.stride.max(1)).max(1);
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Messages read at once: a burst of a few nodes. More make the buffer larger and save next to nothing.
const BATCH: usize = 8;
/// Bytes of one message: the kernel may join as many datagrams as a UDP length can count. Memory that is never written to
/// is never taken.
const SLOT_BYTES: usize = 65_536;

/// Until a socket that took no packet is tried again: its buffer holds many times what leaves meanwhile.
const BLOCKED_PAUSE: Duration = Duration::from_millis(1);

/// The interface is gone, or its address (Linux says so of a source address that no interface has).
const ENXIO: i32 = 6;
const ENODEV: i32 = 19;
const EINVAL: i32 = 22;
const EADDRNOTAVAIL: i32 = 99;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime;
    use std::net::Ipv4Addr;

    fn port() -> Port {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Port::new(socket, Rc::default()).unwrap()
    }

    #[test]
    fn a_burst_is_read_in_batches_until_all_of_it_was_there() {
        runtime::run(async || {
            let port = port();
            let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let sent: Vec<Vec<u8>> = (0..BATCH + 3).map(|n| vec![n as u8; n]).collect();
            for datagram in &sent {
                stranger.send_to(datagram, port.address()).unwrap();
            }

            let mut inbox = Inbox::new();
            let mut got = Vec::new();
            port.readable().await.unwrap();
            for expected in [Received::More, Received::All] {
                assert_eq!(port.receive(&mut inbox), expected);
                for (meta, datagram) in inbox.datagrams() {
                    assert_eq!(meta.addr, stranger.local_addr().unwrap());
                    got.push(datagram.to_vec());
                }
            }

            assert_eq!(port.received(), BATCH as u64 + 3);
            let bytes: usize = sent.iter().map(|datagram| 28 + datagram.len()).sum();
            assert_eq!(port.wire.total(), bytes as u64);
            // An empty datagram is counted, and nobody else has to look at it.
            assert_eq!(got, sent[1..]);
        })
        .unwrap();
    }

    #[test]
    fn what_comes_for_a_port_beside_another_waits_behind_nobody_else() {
        runtime::run(async || {
            let main = port();
            let [driver, stranger] =
                [(); 2].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
            let far = driver.local_addr().unwrap();
            driver.send_to(&[1], main.address()).unwrap();

            let lane = main.beside(main.address(), far).unwrap();
            for _ in 0..BATCH * 3 {
                stranger.send_to(&[2], main.address()).unwrap();
            }
            driver.send_to(&[3], main.address()).unwrap();

            let mut inbox = Inbox::new();
            lane.readable().await.unwrap();
            assert_eq!(lane.receive(&mut inbox), Received::All);
            let got: Vec<u8> = inbox.datagrams().map(|(_, bytes)| bytes[0]).collect();
            assert_eq!(got, [3]);

            let mut got = Vec::new();
            main.readable().await.unwrap();
            while main.receive(&mut inbox) == Received::More {
                got.extend(inbox.datagrams().map(|(_, bytes)| bytes[0]));
            }
            got.extend(inbox.datagrams().map(|(_, bytes)| bytes[0]));
            let mut sent = vec![2; BATCH * 3 + 1];
            sent[0] = 1;
            assert_eq!(got, sent, "nobody else's goes there, and nothing is lost");
            assert_eq!(main.received(), BATCH as u64 * 3 + 2, "both are counted");

            drop(lane);
            driver.send_to(&[4], main.address()).unwrap();
            main.readable().await.unwrap();
            assert_eq!(main.receive(&mut inbox), Received::All);
            assert_eq!(inbox.datagrams().count(), 1, "it comes here again");
        })
        .unwrap();
    }

    #[test]
    fn what_the_network_says_of_packets_that_left_hides_none_that_arrived() {
        runtime::run(async || {
            let main = port();
            let far = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = far.local_addr().unwrap();
            let lane = main.beside(main.address(), address).unwrap();
            drop(far);
            // Nobody is there any more, and the machine says so.
            let transmit = Transmit {
                destination: address,
                ecn: None,
                size: 1,
                segment_size: None,
                src_ip: None,
            };
            lane.send(&transmit, &[1]);
            let far = UdpSocket::bind(address).unwrap();
            far.send_to(&[2], main.address()).unwrap();

            let mut inbox = Inbox::new();
            lane.readable().await.unwrap();
            let mut got = Vec::new();
            while lane.receive(&mut inbox) == Received::More {
                got.extend(inbox.datagrams().map(|(_, bytes)| bytes[0]));
            }
            got.extend(inbox.datagrams().map(|(_, bytes)| bytes[0]));
            assert_eq!(got, [2]);
        })
        .unwrap();
    }

    #[test]
    fn a_port_with_others_beside_it_is_still_taken_for_everybody_else() {
        runtime::run(async || {
            let main = port();
            let far = (Ipv4Addr::LOCALHOST, 9).into();
            let lane = main.beside(main.address(), far).unwrap();
            let second = socket::open(main.address(), None, socket::NODE_BUFFER_BYTES);
            assert!(matches!(
                second,
                Err(socket::SocketError::PortInUse { local }) if local == main.address()
            ));
            drop(lane);
        })
        .unwrap();
    }

    #[test]
    fn a_socket_by_which_nothing_leaves_is_known_until_something_does() {
        runtime::run(async || {
            let port = port();
            let to = |destination| Transmit {
                destination,
                ecn: None,
                size: 1,
                segment_size: None,
                src_ip: None,
            };
            // Linux says of port 0 what it says of a source address that is gone.
            for (number, stranded) in [
                (port.address().port(), false),
                (0, true),
                (port.address().port(), false),
            ] {
                port.send(&to((Ipv4Addr::LOCALHOST, number).into()), &[1]);
                assert_eq!(port.is_stranded(), stranded);
            }
            assert_eq!(port.wire.total(), 2 * 29, "what never left costs nothing");
        })
        .unwrap();
    }
}
