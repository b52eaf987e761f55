//! A local UDP address as a device: opaque commands out, telemetry in.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use longrein_proto::base::{MonoTime, Refusal, limits};
use longrein_proto::control::{Applied, Output};
use longrein_proto::wire::{Body, Telemetry};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::config::{AdapterConfigError, UdpConfig};
use super::mavlink::Failsafe;
use super::word::Word;
use super::{Adapter, READS_PER_TURN_MAX, Taken};

/// Sends each opaque command as one datagram, also an empty one (resume). The device learns of the end of commands by silence,
/// by the stage datagrams when it has an address for them (SAFE-65), and by what the fail-safe tells an autopilot (SAFE-136).
///
/// The system says with a later call that a datagram met a closed port. Then the device is lost until it sends something, or
/// an empty datagram to it is not answered so (SAFE-68).
#[derive(Debug)]
pub struct UdpAdapter {
    socket: UdpSocket,
    stage: Option<UdpSocket>,
    failsafe: Option<Failsafe>,
    feed_interval: Duration,
    device: Device,
    reads: usize,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Device {
    There,
    /// To be probed at this time; the pause grows with each probe.
    Lost {
        probe: MonoTime,
        pause: Duration,
    },
    /// Probed, and there unless the system says otherwise until then.
    Probed {
        until: MonoTime,
        pause: Duration,
    },
}

impl UdpAdapter {
    /// Sockets for these addresses; the device counts as there until the system says otherwise.
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
            failsafe: config
                .mavlink
                .clone()
                .map(|mavlink| Failsafe::new(*mavlink)),
            feed_interval: Duration::from_millis(config.feed_ms.into()),
            device: Device::There,
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

    /// Sends, and looks at once what came of it: to a port of this machine the system knows already.
    fn send(&mut self, now: MonoTime, bytes: &[u8]) -> io::Result<()> {
        let result = self.socket.send(bytes).and_then(|_| {
            let refused = self.socket.take_error()?;
            refused.map_or(Ok(()), Err)
        });
        if let Err(error) = &result {
            self.note(now, error);
        }
        result
    }

    fn note(&mut self, now: MonoTime, error: &io::Error) {
        if !is_loss(error) {
            return;
        }
        let pause = match self.device {
            Device::There => PROBE_PAUSE_MIN,
            Device::Lost { pause, .. } => pause,
            Device::Probed { pause, .. } => (pause * 2).min(PROBE_PAUSE_MAX),
        };
        let probe = now + pause;
        self.device = Device::Lost { probe, pause };
    }

    // [SAFE-68]
    fn tend(&mut self, now: MonoTime) {
        match self.device {
            Device::Lost { probe, pause } if probe <= now => {
                let until = now + PROBE_MAX;
                self.device = Device::Probed { until, pause };
                if self.send(now, &[]).is_err() && self.device == (Device::Probed { until, pause })
                {
                    let probe = now + pause;
                    self.device = Device::Lost { probe, pause };
                }
            }
            Device::Probed { until, .. } if until <= now => self.device = Device::There,
            Device::There | Device::Lost { .. } | Device::Probed { .. } => {}
        }
    }
}

impl Adapter for UdpAdapter {
    fn is_up(&self) -> bool {
        self.device == Device::There
    }

    fn on_command(
        &mut self,
        now: MonoTime,
        applied: &Applied,
        _output: &Output,
    ) -> Result<Taken, Refusal> {
        let Body::Opaque(payload) = applied.body() else {
            return Err(Refusal::NoSuchFunction);
        };
        let sent = self.send(now, payload);
        sent.map(|()| Taken::Done).map_err(|_| Refusal::AdapterDown)
    }

    fn on_output(&mut self, now: MonoTime, output: &Output) {
        if let Some(socket) = &self.stage {
            // Without a listener the stage is of no use to anybody; the next one may be.
            let _ = socket.send(Word::new(None, now, output).to_json().as_bytes());
        }
        // A device that is lost is told when it is back.
        if self.is_up()
            && let Some(failsafe) = &mut self.failsafe
        {
            for message in failsafe.on_output(now, output) {
                // Its loss is noted, and what was not told is told again.
                let _ = self.send(now, &message);
            }
        }
    }

    fn poll(&mut self, now: MonoTime) -> Option<Telemetry> {
        if self.reads < READS_PER_TURN_MAX {
            self.reads += 1;
            match self.socket.recv(&mut self.buffer) {
                Ok(length) => {
                    self.device = Device::There;
                    let bytes = self.buffer.get(..length).unwrap_or_default();
                    if let Some(failsafe) = &mut self.failsafe {
                        failsafe.on_datagram(bytes);
                    }
                    return Some(Telemetry::Opaque(bytes.to_vec()));
                }
                // Also after a loss: what came meanwhile is for the next turn, so that nobody overlooks the loss.
                Err(error) => {
                    self.note(now, &error);
                }
            }
        }
        self.reads = 0;
        self.tend(now);
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

/// Whether the error says that nobody is there. In doubt it does: only what is surely about one datagram does not.
fn is_loss(error: &io::Error) -> bool {
    let passing = matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    );
    !passing && Errno::from_io_error(error) != Some(Errno::MSGSIZE)
}

/// A probe that is not refused for this long went through: far above the round trip to a device on the vehicle.
const PROBE_MAX: Duration = Duration::from_millis(100);
/// Between the first loss and its probe.
const PROBE_PAUSE_MIN: Duration = Duration::from_millis(100);
/// Between probes of a device that stays away: one empty datagram a second.
const PROBE_PAUSE_MAX: Duration = Duration::from_secs(1);

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
        let config = UdpConfig {
            send_to,
            bind: None,
            stage_to,
            feed_ms: 20,
            mavlink: None,
        };
        UdpAdapter::open(&config).unwrap()
    }

    fn give(adapter: &mut UdpAdapter, at: MonoTime, bytes: &[u8]) -> Result<(), Refusal> {
        let command = applied(bytes, Duration::from_secs(10));
        let taken = adapter.on_command(at, &command, &OUTPUT)?;
        assert_eq!(taken, Taken::Done);
        Ok(())
    }

    /// The loss is told by a later call.
    fn lost(adapter: &mut UdpAdapter, at: MonoTime) {
        until("lost", || {
            while adapter.poll(at).is_some() {}
            (!adapter.is_up()).then_some(())
        });
    }

    const OUTPUT: Output = Output {
        stage: Stage::Ramp,
        stopped: false,
        drive: None,
        deadline: MonoTime::from_us(1_100_000),
        ttl_left: Duration::from_millis(100),
    };

    #[test]
    fn commands_go_out_unchanged_and_datagrams_come_back_as_telemetry() {
        let device = device();
        let mut adapter = towards(device.local_addr().unwrap(), None);
        assert_eq!(adapter.poll(now()), None);
        give(&mut adapter, now(), &[]).unwrap();
        give(&mut adapter, now(), &[0xfd, 0, 7]).unwrap();
        let mut buffer = [0; 100];
        for expected in [&[][..], &[0xfd, 0, 7]] {
            let (length, from) = device.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], expected, "resume, command; no probe");
            device.send_to(&[1, 2], from).unwrap();
        }
        let telemetry = until("telemetry", || adapter.poll(now()));
        assert_eq!(telemetry, Telemetry::Opaque(vec![1, 2]));
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

    /// SAFE-68
    #[test]
    fn a_port_with_nobody_there_is_lost_and_probed_ever_more_rarely() {
        let address = device().local_addr().unwrap();
        let mut adapter = towards(address, None);
        let mut at = now();
        let _ = give(&mut adapter, at, &[1]);
        let mut pauses = Vec::new();
        while pauses.len() < 6 {
            lost(&mut adapter, at);
            until("refused", || {
                adapter.poll(at);
                matches!(adapter.device, Device::Lost { .. }).then_some(())
            });
            let Device::Lost { probe, pause } = adapter.device else {
                panic!("it is lost")
            };
            if probe > at {
                pauses.push(pause.as_millis());
            }
            at = at.max(probe);
        }
        assert!(!adapter.is_up());
        assert_eq!(pauses, [100, 200, 400, 800, 1_000, 1_000]);
    }

    /// SAFE-68
    #[test]
    fn a_closed_port_is_a_lost_device_until_a_probe_goes_through() {
        let first = device();
        let address = first.local_addr().unwrap();
        let mut adapter = towards(address, None);
        let at = now();
        drop(first);
        // Told at once or a little later, as the system likes.
        let _ = give(&mut adapter, at, &[1]);
        lost(&mut adapter, at);
        for pause in 1..=9 {
            adapter.poll(at + PROBE_PAUSE_MIN / 10 * pause);
            assert!(!adapter.is_up(), "not by time alone");
        }
        let second = UdpSocket::bind(address).unwrap();
        let probed = at + PROBE_PAUSE_MIN;
        adapter.poll(probed);
        assert!(!adapter.is_up(), "it may still be refused");
        adapter.poll(probed + PROBE_MAX);
        assert!(adapter.is_up());
        let mut buffer = [0; 10];
        assert_eq!(second.recv(&mut buffer).unwrap(), 0, "the probe is empty");
    }

    /// SAFE-68
    #[test]
    fn a_device_that_sends_something_is_there_at_once() {
        let ours = device();
        let mut adapter = towards(ours.local_addr().unwrap(), None);
        let (probe, pause) = (now(), PROBE_PAUSE_MIN);
        adapter.device = Device::Lost { probe, pause };
        assert!(!adapter.is_up());
        let address = adapter.local_address().unwrap();
        ours.send_to(&[1], address).unwrap();
        until("telemetry", || adapter.poll(MonoTime::ZERO));
        assert!(adapter.is_up());
    }

    /// SAFE-65
    #[test]
    fn the_stage_goes_to_its_own_address() {
        let (ours, stage) = (device(), device());
        let stage_to = stage.local_addr().unwrap();
        let mut adapter = towards(ours.local_addr().unwrap(), Some(stage_to));
        adapter.on_output(MonoTime::from_us(1_000_000), &OUTPUT);
        let mut buffer = [0; 200];
        let length = stage.recv(&mut buffer).unwrap();
        assert_eq!(
            std::str::from_utf8(&buffer[..length]).unwrap(),
            r#"{"stage":"Ramp","stopped":false,"ttl_ms":100,"deadline_boottime_us":1100000}"#
        );
    }
}
