//! A local UDP address as a device: opaque commands out, telemetry in.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use longrein_proto::base::{MonoTime, Refusal, limits};
use longrein_proto::control::{Applied, Output};
use longrein_proto::wire::{Body, Telemetry};
use rustix::event::{PollFd, PollFlags};

use super::config::{AdapterConfigError, UdpConfig};
use super::word::Word;
use super::{Adapter, READS_PER_TURN_MAX};

/// Sends each opaque command as one datagram. The device learns of the end of commands by silence, and by the stage datagrams
/// when it has an address for them (SAFE-65). Empty commands (resume) are not sent.
#[derive(Debug)]
pub struct UdpAdapter {
    socket: UdpSocket,
    stage: Option<UdpSocket>,
    feed_interval: Duration,
    /// Nobody listened there a moment ago.
    down_until: Option<MonoTime>,
    reads: usize,
    buffer: Vec<u8>,
}

impl UdpAdapter {
    /// Sockets for these addresses.
    ///
    /// # Errors
    /// When an address is in use or cannot be reached from here.
    pub fn open(config: &UdpConfig) -> Result<UdpAdapter, AdapterConfigError> {
        let stage = match config.stage_to {
            Some(to) => Some(connected(any_port_towards(to), to)?),
            None => None,
        };
        let bind = config.bind.unwrap_or(any_port_towards(config.send_to));
        Ok(UdpAdapter {
            socket: connected(bind, config.send_to)?,
            stage,
            feed_interval: Duration::from_millis(config.feed_ms.into()),
            down_until: None,
            reads: 0,
            buffer: vec![0; limits::MESSAGE_BYTES_MAX],
        })
    }

    /// Where commands come from, for those who ask before the first one.
    ///
    /// # Errors
    /// As the system says.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn note(&mut self, now: MonoTime, result: &io::Result<usize>) {
        // The system reports with a later call that a datagram met a closed port.
        if let Err(error) = result
            && error.kind() == io::ErrorKind::ConnectionRefused
        {
            self.down_until = Some(now + CLOSED_PORT_PAUSE);
        }
    }
}

impl Adapter for UdpAdapter {
    fn is_up(&self) -> bool {
        self.down_until.is_none()
    }

    fn on_command(&mut self, now: MonoTime, applied: &Applied) -> Result<(), Refusal> {
        let Body::Opaque(payload) = applied.body() else {
            return Err(Refusal::NoSuchFunction);
        };
        if payload.is_empty() {
            return Ok(());
        }
        let result = self.socket.send(payload);
        self.note(now, &result);
        result.map(|_| ()).map_err(|_| Refusal::AdapterDown)
    }

    fn on_output(&mut self, now: MonoTime, output: &Output) {
        if let Some(socket) = &self.stage {
            // Without a listener the stage is of no use to anybody; the next one may be.
            let _ = socket.send(Word::new(None, now, output).to_json().as_bytes());
        }
    }

    fn on_void(&mut self) {}

    fn poll(&mut self, now: MonoTime) -> Option<Telemetry> {
        if self.down_until.is_some_and(|until| until <= now) {
            self.down_until = None;
        }
        while self.reads < READS_PER_TURN_MAX {
            self.reads += 1;
            let result = self.socket.recv(&mut self.buffer);
            self.note(now, &result);
            match result {
                Ok(length) => {
                    self.down_until = None;
                    let bytes = self.buffer.get(..length).unwrap_or_default();
                    return Some(Telemetry::Opaque(bytes.to_vec()));
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => break,
            }
        }
        self.reads = 0;
        None
    }

    fn wake_on<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        fds.push(PollFd::new(&self.socket, PollFlags::IN));
    }

    fn feed_interval(&self) -> Duration {
        self.feed_interval
    }

    fn close(&mut self) {}
}

fn connected(bind: SocketAddr, to: SocketAddr) -> Result<UdpSocket, AdapterConfigError> {
    let failed = |what, address| move |why| AdapterConfigError::Socket { what, address, why };
    let socket = UdpSocket::bind(bind).map_err(failed("cannot bind", bind))?;
    socket
        .connect(to)
        .and_then(|()| socket.set_nonblocking(true))
        .map_err(failed("cannot send to", to))?;
    Ok(socket)
}

fn any_port_towards(to: SocketAddr) -> SocketAddr {
    let ip = match to.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(ip) if ip.is_loopback() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(ip, 0)
}

/// Commands are refused for this long after the port was found closed; then the next one finds out whether it still is.
const CLOSED_PORT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use longrein_proto::base::Stage;

    use super::*;
    use crate::testing::{applied, now, until};

    fn device() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        socket
    }

    fn towards(send_to: SocketAddr, stage_to: Option<SocketAddr>) -> UdpAdapter {
        UdpAdapter::open(&UdpConfig {
            send_to,
            bind: None,
            stage_to,
            feed_ms: 20,
        })
        .unwrap()
    }

    fn command(bytes: &[u8]) -> Applied {
        applied(bytes, Duration::from_secs(10))
    }

    #[test]
    fn commands_go_out_unchanged_and_datagrams_come_back_as_telemetry() {
        let device = device();
        let mut adapter = towards(device.local_addr().unwrap(), None);
        adapter.on_command(now(), &command(&[])).unwrap();
        adapter.on_command(now(), &command(&[0xfd, 0, 7])).unwrap();
        let mut buffer = [0; 100];
        let (length, from) = device.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], [0xfd, 0, 7], "the empty one is not sent");
        device.send_to(&[1, 2], from).unwrap();
        let telemetry = until("telemetry", || adapter.poll(now()));
        assert_eq!(telemetry, Telemetry::Opaque(vec![1, 2]));
        assert_eq!(adapter.poll(now()), None);
    }

    #[test]
    fn a_datagram_from_elsewhere_is_no_telemetry() {
        let (ours, other) = (device(), device());
        let mut adapter = towards(ours.local_addr().unwrap(), None);
        let address = adapter.local_address().unwrap();
        other.send_to(&[6, 6, 6], address).unwrap();
        ours.send_to(&[1], address).unwrap();
        let telemetry = until("telemetry", || adapter.poll(now()));
        assert_eq!(telemetry, Telemetry::Opaque(vec![1]));
    }

    #[test]
    fn a_closed_port_takes_the_adapter_down_for_a_while() {
        let address = device().local_addr().unwrap();
        let mut adapter = towards(address, None);
        assert!(adapter.is_up());
        let _ = adapter.on_command(now(), &command(&[1]));
        let at = now();
        until("refused", || {
            assert_eq!(adapter.poll(at), None);
            (!adapter.is_up()).then_some(())
        });
        adapter.poll(at + CLOSED_PORT_PAUSE);
        assert!(adapter.is_up());
    }

    /// SAFE-65
    #[test]
    fn the_stage_goes_to_its_own_address() {
        let (ours, stage) = (device(), device());
        let stage_to = stage.local_addr().unwrap();
        let mut adapter = towards(ours.local_addr().unwrap(), Some(stage_to));
        let output = Output {
            stage: Stage::Ramp,
            stopped: false,
            drive: None,
            deadline: MonoTime::from_us(1_100_000),
            ttl_left: Duration::from_millis(100),
        };
        adapter.on_output(MonoTime::from_us(1_000_000), &output);
        let mut buffer = [0; 200];
        let length = stage.recv(&mut buffer).unwrap();
        assert_eq!(
            std::str::from_utf8(&buffer[..length]).unwrap(),
            r#"{"stage":"Ramp","stopped":false,"ttl_ms":100,"deadline_boottime_us":1100000}"#
        );
    }
}
