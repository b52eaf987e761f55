//! `longrein tunnel`: a UDP program here talks to a device there.

use std::net::SocketAddr;
use std::time::Duration;

use clap::ValueEnum;
use longrein_io::exit::Exit;
use longrein_io::shutdown::Shutdown;
use longrein_io::socket::{self, NODE_BUFFER_BYTES};
use longrein_proto::base::{Class, Name};
use longrein_proto::role::Order;
use longrein_proto::wire::{Body, FunctionKind, Telemetry};
use serde_json::json;
use tokio::net::UdpSocket;
use tokio::time::{MissedTickBehavior, interval};

use super::connection::ConnectionArgs;
use super::failure::Failure;
use super::holder::{Change, Holder};
use super::output::Reader;
use super::{output, report, run};
use crate::{Connection, Events, LeaseLoss, RemoteError, RequestError, Vehicle, VehicleEvent};

/// Carry UDP datagrams to a function of a vehicle and its telemetry back
///
/// Takes and renews the lease of the function, and takes it again when the way to the vehicle was lost. Each datagram that
/// arrives at the local address becomes one message; telemetry goes back to whoever sent the last one. Without a lease
/// datagrams are dropped, not kept. The agent cannot read the datagrams and so cannot limit what they command.
///
/// Says `tunnel ready on ADDR` on stderr once the lease is held. Ends on Ctrl-C, and when somebody else takes the lease.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: longrein tunnel truck-17 --listen 127.0.0.1:14550 --function mavlink \
                        --identity harbour/controller-alice --relay relay-a=192.0.2.1:4433"
)]
pub struct TunnelArgs {
    /// The vehicle, by the name of its agent
    pub vehicle: Name,

    /// Local UDP address; every program that can send to it drives the function, so keep it on the loopback
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: SocketAddr,

    /// The function of the vehicle
    #[arg(long, value_name = "FUNCTION")]
    pub function: Name,

    /// What is promised for each datagram
    #[arg(long, value_enum, default_value_t = TunnelClass::Unordered)]
    pub class: TunnelClass,

    /// Time to live of each datagram in milliseconds: an older one is dropped, never delivered
    #[arg(long, value_name = "MS", default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=60_000))]
    pub ttl_ms: u16,

    /// Mark each datagram as an explicit resume, for a function with a watchdog. The agent honours that with neutral input
    /// only, and of bytes that it cannot read only an empty datagram is neutral
    #[arg(long)]
    pub resume: bool,

    /// Print one JSON object when the tunnel is ready and one with counters every second
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// The classes that a tunnel can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TunnelClass {
    /// At most once, on arrival: MAVLink and most protocols that are made for UDP
    Unordered,
    /// Only the newest: a stream in which each datagram replaces the one before
    Latest,
    /// Exactly once and in order, until the time to live is over
    Reliable,
}

impl From<TunnelClass> for Class {
    fn from(class: TunnelClass) -> Class {
        match class {
            TunnelClass::Unordered => Class::Unordered,
            TunnelClass::Latest => Class::Latest,
            TunnelClass::Reliable => Class::Reliable,
        }
    }
}

/// Carries datagrams until a signal comes or somebody else takes the lease.
///
/// # Errors
/// When the local address cannot be used, the vehicle is not reached at first, or the lease is another's.
pub fn run(args: TunnelArgs) -> Result<(), Failure> {
    run::steady(|mut shutdown| async move {
        let socket = bind(args.listen)?;
        let connecting = args.connection.connect();
        let connection = run::or_signal(&mut shutdown, connecting).await??;
        let carried = match dig(&connection, args, socket, &mut shutdown).await {
            Ok(tunnel) => tunnel.carry(&mut shutdown).await,
            Err(failure) => Err(failure),
        };
        run::farewell(connection).await;
        carried
    })
}

fn bind(listen: SocketAddr) -> Result<UdpSocket, Failure> {
    let socket = socket::open(listen, None, NODE_BUFFER_BYTES)
        .map_err(|error| Failure::new(Exit::Usage, error))?;
    Ok(UdpSocket::from_std(socket)?)
}

/// A tunnel whose lease is held.
async fn dig(
    connection: &Connection,
    args: TunnelArgs,
    socket: UdpSocket,
    shutdown: &mut Shutdown,
) -> Result<Tunnel, Failure> {
    let what = format!("opening a session with {}", args.vehicle);
    let opening = run::patiently(&what, connection.open(&args.vehicle));
    let vehicle = run::or_signal(shutdown, opening).await??;
    check_kind(&vehicle, &args.function)?;
    let events = vehicle.watch().await?;
    let taking = Holder::take(&vehicle, &args.function);
    let holder = run::or_signal(shutdown, taking).await??;
    Ok(Tunnel {
        args,
        socket,
        holder,
        events,
        peer: None,
        counts: Counts::default(),
        trouble: String::new(),
    })
}

fn check_kind(vehicle: &Vehicle, function: &Name) -> Result<(), Failure> {
    let functions = vehicle.description().functions;
    match functions.iter().find(|(name, _)| name == function) {
        Some((_, FunctionKind::Opaque)) => Ok(()),
        Some((_, FunctionKind::Drive)) => {
            let line = format!("function {function} takes typed commands: use `longrein drive`");
            Err(Failure::new(Exit::Usage, line))
        }
        None => {
            let known = functions.into_iter().map(|(name, _)| name).collect();
            let function = function.clone();
            Err(RequestError::NoSuchFunction { function, known }.into())
        }
    }
}

struct Tunnel {
    args: TunnelArgs,
    socket: UdpSocket,
    holder: Holder,
    events: Events,
    /// Who sent the last datagram.
    peer: Option<SocketAddr>,
    counts: Counts,
    /// What was said last about the lease, so that it is said once.
    trouble: String,
}

/// Datagrams and messages.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    received: u64,
    sent: u64,
    without_lease: u64,
    not_sent: u64,
    applied: u64,
    refused: u64,
    expired: u64,
    unknown: u64,
    returned: u64,
    not_returned: u64,
}

impl Tunnel {
    async fn carry(mut self, shutdown: &mut Shutdown) -> Result<(), Failure> {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        self.drop_waiting(&mut buffer);
        self.say_ready()?;
        let mut report = interval(REPORT_EVERY);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = loop {
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    let (length, from) = received?;
                    self.on_datagram(buffer.get(..length).unwrap_or_default(), from).await;
                }
                event = self.events.next() => match event {
                    Some(event) => self.on_event(event),
                    None => break Err(RemoteError::Ended.into()),
                },
                change = self.holder.change() => if let Err(failure) = self.on_change(change) {
                    break Err(failure);
                },
                _ = report.tick(), if self.args.json => if self.print_counts()? == Reader::Gone {
                    break Ok(());
                },
                _ = shutdown.wait() => break Ok(()),
            }
        };
        if self.args.json {
            self.print_counts()?;
        }
        self.holder.release(RELEASE_MAX).await;
        ended
    }

    /// What arrived before the tunnel was ready is of unknown age.
    fn drop_waiting(&mut self, buffer: &mut [u8]) {
        while self.socket.try_recv_from(buffer).is_ok() {
            self.counts.received += 1;
            self.counts.without_lease += 1;
        }
    }

    fn say_ready(&self) -> Result<(), Failure> {
        let listen = self.socket.local_addr()?;
        eprintln!("tunnel ready on {listen}");
        if self.args.json {
            let ready = json!({
                "event": "ready",
                "listen": listen.to_string(),
                "vehicle": self.args.vehicle.as_str(),
                "function": self.args.function.as_str(),
            });
            output::print([ready.to_string()])?;
        }
        Ok(())
    }

    async fn on_datagram(&mut self, bytes: &[u8], from: SocketAddr) {
        self.counts.received += 1;
        self.peer = Some(from);
        let Some(lease) = self.holder.lease() else {
            self.counts.without_lease += 1;
            return;
        };
        let order = Order {
            class: self.args.class.into(),
            ttl: Duration::from_millis(self.args.ttl_ms.into()),
            dead_man: false,
            resume: self.args.resume,
            application_id: None,
            body: Body::Opaque(bytes.to_vec()),
        };
        match lease.send(order).await {
            Ok(_) => self.counts.sent += 1,
            // A lost lease is told by the holder; too long or too many is counted.
            Err(_) => self.counts.not_sent += 1,
        }
    }

    fn on_event(&mut self, event: VehicleEvent) {
        match event {
            VehicleEvent::Telemetry {
                function,
                telemetry: Telemetry::Opaque(bytes),
                ..
            } if function == self.args.function => {
                let returned = self
                    .peer
                    .is_some_and(|peer| self.socket.try_send_to(&bytes, peer).is_ok());
                self.counts.returned += u64::from(returned);
                self.counts.not_returned += u64::from(!returned);
            }
            VehicleEvent::Receipt {
                function, outcome, ..
            } if function == self.args.function => {
                let count = match report::outcome_word(&outcome) {
                    "applied" => &mut self.counts.applied,
                    "refused" => &mut self.counts.refused,
                    "expired" => &mut self.counts.expired,
                    _ => &mut self.counts.unknown,
                };
                *count += 1;
            }
            VehicleEvent::Up { .. }
            | VehicleEvent::Down
            | VehicleEvent::Presence { .. }
            | VehicleEvent::Draining { .. }
            | VehicleEvent::Status(_)
            | VehicleEvent::Telemetry { .. }
            | VehicleEvent::Receipt { .. }
            | VehicleEvent::LeaseLost { .. } => {}
        }
    }

    fn on_change(&mut self, change: Change) -> Result<(), Failure> {
        match change {
            Change::Taken => {
                self.trouble.clear();
                eprintln!("the lease of {} is held again", self.args.function);
            }
            Change::Lost(loss @ LeaseLoss::Taken { .. }) => {
                return Err(Failure::new(Exit::Refused, loss));
            }
            Change::Lost(loss @ (LeaseLoss::Lapsed | LeaseLoss::SessionEnded)) => {
                self.say(format!("{loss}; taking it again"));
                self.holder.take_later();
            }
            Change::NotGiven(RequestError::Connection(why @ RemoteError::Ended)) => {
                return Err(why.into());
            }
            Change::NotGiven(why) => {
                self.say(format!("the lease is not given: {why}; trying again"));
                self.holder.take_later();
            }
        }
        Ok(())
    }

    fn say(&mut self, trouble: String) {
        if trouble != self.trouble {
            eprintln!("{trouble}");
            self.trouble = trouble;
        }
    }

    fn print_counts(&self) -> Result<Reader, Failure> {
        let counts = &self.counts;
        let object = json!({
            "event": "counters",
            "received": counts.received,
            "sent": counts.sent,
            "without_lease": counts.without_lease,
            "not_sent": counts.not_sent,
            "applied": counts.applied,
            "refused": counts.refused,
            "expired": counts.expired,
            "unknown": counts.unknown,
            "returned": counts.returned,
            "not_returned": counts.not_returned,
            "missed": self.events.missed(),
        });
        Ok(output::print([object.to_string()])?)
    }
}

/// Bytes of the longest UDP datagram.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Between counters.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Of the 500 ms in which the tunnel ends after a signal.
const RELEASE_MAX: Duration = Duration::from_millis(150);
