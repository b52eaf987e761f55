//! The control: datagrams through a forwarder, without anything else. It shows what the network and the machine themselves do.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;

use super::arrivals::{Arrivals, Device};
use super::contestant::{Contestant, Sender};
use super::site::Site;

/// A forwarding thread and two sockets for each pair.
pub struct RawUdp {
    forwarders: Vec<JoinHandle<()>>,
    ended: Arc<AtomicBool>,
    sockets: Vec<UdpSocket>,
    _devices: Vec<Device>,
}

pub fn start(site: &Site<'_>, arrivals: &[Arc<Arrivals>]) -> anyhow::Result<RawUdp> {
    let ended = Arc::new(AtomicBool::new(false));
    let (mut forwarders, mut sockets, mut devices) = (Vec::new(), Vec::new(), Vec::new());
    for (pair, arrivals) in arrivals.iter().enumerate() {
        let open = |node: &longrein_tests::wan::Node| {
            let link = node
                .interfaces()
                .next()
                .context("a node has an interface")?;
            let at = SocketAddr::new(node.address(link).into(), 0);
            Ok::<_, anyhow::Error>(node.enter(|| UdpSocket::bind(at))?)
        };
        let (vehicle, relay) = (open(site.vehicle(pair))?, open(site.relay(0))?);
        let controller = open(site.controller(pair))?;
        controller.connect(relay.local_addr()?)?;
        relay.set_read_timeout(Some(LOOK_UP))?;
        let (to, over) = (vehicle.local_addr()?, Arc::clone(&ended));
        forwarders.push(std::thread::spawn(move || forward(&relay, to, &over)));
        arrivals.begin();
        devices.push(Device::start(vehicle, arrivals)?);
        sockets.push(controller);
    }
    Ok(RawUdp {
        forwarders,
        ended,
        sockets,
        _devices: devices,
    })
}

fn forward(relay: &UdpSocket, to: SocketAddr, ended: &AtomicBool) {
    let mut body = [0; 2_048];
    while !ended.load(Ordering::Relaxed) {
        match relay.recv(&mut body) {
            Ok(bytes) => {
                // What is lost here is seen in the table.
                let _ = relay.send_to(body.get(..bytes).unwrap_or_default(), to);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

impl Contestant for RawUdp {
    fn sender(&mut self, pair: usize) -> anyhow::Result<Box<dyn Sender>> {
        let socket = self.sockets.get(pair).context("a socket for each pair")?;
        Ok(Box::new(Wire(socket.try_clone()?)))
    }

    fn kill_relay(&mut self) {}
}

impl Drop for RawUdp {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.forwarders.drain(..) {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

struct Wire(UdpSocket);

impl Sender for Wire {
    fn send(&mut self, body: &str) -> bool {
        self.0.send(body.as_bytes()).is_ok()
    }
}

pub const CONFIGURATION: &str = "datagrams over the first link, through a thread that only receives and sends; its relay is never killed";
/// How often a thread looks whether it is to end.
const LOOK_UP: Duration = Duration::from_millis(100);
