//! A socket that counts what comes in.

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

/// Passes everything on to QUIC's own socket. QUIC drops what it can make nothing of and counts none of it, so this is the
/// only place that sees all that reaches the port.
#[derive(Debug)]
pub(crate) struct Tally {
    socket: Arc<dyn AsyncUdpSocket>,
    received: AtomicU64,
}

impl Tally {
    pub(crate) fn new(socket: Arc<dyn AsyncUdpSocket>) -> Arc<Tally> {
        Arc::new(Tally {
            socket,
            received: AtomicU64::new(0),
        })
    }

    /// Datagrams so far, whatever was in them.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

impl AsyncUdpSocket for Tally {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let polled = self.socket.poll_recv(context, buffers, metas);
        if let Poll::Ready(Ok(filled)) = polled {
            let count = metas.iter().take(filled).map(datagrams).sum();
            self.received.fetch_add(count, Ordering::Relaxed);
        }
        polled
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

/// The kernel hands over datagrams of one length and one sender at once, the last one may be shorter.
fn datagrams(meta: &RecvMeta) -> u64 {
    let count = meta.len.div_ceil(meta.stride.max(1)).max(1);
    u64::try_from(count).unwrap_or(u64::MAX)
}
