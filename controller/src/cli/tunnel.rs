//! `longrein tunnel`: a UDP program here talks to a device there.

mod carrier;

use std::net::SocketAddr;

use clap::ValueEnum;
use longrein_io::exit::Exit;
use longrein_io::shutdown::Shutdown;
use longrein_io::socket::{self, NODE_BUFFER_BYTES, SocketError};
use longrein_proto::base::{Class, Name};
use longrein_proto::wire::FunctionKind;
use tokio::net::UdpSocket;

use self::carrier::Carrier;
use super::claim_args::ClaimArgs;
use super::connection::ConnectionArgs;
use super::failure::Failure;
use super::holder::Holder;
use super::run;
use crate::{Connection, RequestError, Vehicle};

/// Carry UDP datagrams to a function of a vehicle and its telemetry back
///
/// Takes and renews the lease of the function, and takes it again when the way to the vehicle was lost. Each datagram that
/// arrives at the local address becomes one message; telemetry goes back to whoever sent the last one. Without a lease
/// datagrams are dropped, not kept. The agent cannot read the datagrams and so cannot limit what they command.
///
/// Says `tunnel ready on ADDR` on stderr once the lease is held, why a datagram is not sent, and at the end what became of all.
/// A datagram over 980 bytes goes in pieces, and is late when one of them is. Ends on Ctrl-C, and when somebody else takes the
/// lease.
#[derive(Debug, clap::Args)]
#[command(
    after_help = after_help!("Example: longrein tunnel truck-17 --listen 127.0.0.1:14550 --function mavlink \
                        --identity harbour/controller-alice --relay relay-a=192.0.2.1:4433")
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

    /// Print one JSON object when the tunnel is ready and one with counters every second; null is what the vehicle has not
    /// reported. What never arrived is in no counter, unless the class is reliable
    #[arg(long)]
    pub json: bool,

    /// How to come to the lease.
    #[command(flatten)]
    pub claim: ClaimArgs,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// The classes that a tunnel can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TunnelClass {
    /// At most once, on arrival: MAVLink and most protocols that are made for UDP
    Unordered,
    /// Only the newest: a stream in which each datagram, of at most 980 bytes, replaces the one before
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
            Ok(carrier) => carrier.carry(&mut shutdown).await,
            Err(failure) => Err(failure),
        };
        run::farewell(connection).await;
        carried
    })
}

fn bind(listen: SocketAddr) -> Result<UdpSocket, Failure> {
    let socket = socket::open(listen, None, NODE_BUFFER_BYTES)
        .map_err(|error| Failure::new(exit_of(&error), error))?;
    Ok(UdpSocket::from_std(socket)?)
}

/// What another program or the system prevents is no mistake of whoever wrote the command line.
fn exit_of(error: &SocketError) -> Exit {
    match error {
        SocketError::NoSuchAddress { .. } | SocketError::NoSuchInterface { .. } => Exit::Usage,
        SocketError::PortInUse { .. }
        | SocketError::PortNotAllowed { .. }
        | SocketError::NoInterfaceMatches { .. }
        | SocketError::Unusable { .. }
        | SocketError::NoWay { .. }
        | SocketError::Interface { .. }
        | SocketError::Other { .. } => Exit::Failed,
    }
}

/// A tunnel whose lease is held.
async fn dig(
    connection: &Connection,
    args: TunnelArgs,
    socket: UdpSocket,
    shutdown: &mut Shutdown,
) -> Result<Carrier, Failure> {
    let what = format!("opening a session with {}", args.vehicle);
    let opening = run::patiently(&what, connection.open(&args.vehicle));
    let vehicle = run::or_signal(shutdown, opening).await??;
    check_kind(&vehicle, &args.function)?;
    let mut events = vehicle.watch().await?;
    let claiming = args.claim.clone().claim(&args.function, &mut events);
    let claim = run::or_signal(shutdown, claiming).await??;
    let taking = Holder::take(&vehicle, &args.function, claim);
    let holder = run::or_signal(shutdown, taking).await??;
    Ok(Carrier::new(args, socket, vehicle, holder, events))
}

/// Whether a function takes bytes that only its device understands.
pub(super) fn check_kind(vehicle: &Vehicle, function: &Name) -> Result<(), Failure> {
    let functions = vehicle.description().functions;
    let known = functions.iter().find(|known| known.name == *function);
    match known.map(|known| known.kind) {
        Some(FunctionKind::Opaque) => Ok(()),
        Some(FunctionKind::Drive) => {
            let line = format!("function {function} takes typed commands: use `longrein drive`");
            Err(Failure::new(Exit::Usage, line))
        }
        None => {
            let known = functions.into_iter().map(|known| known.name).collect();
            let function = function.clone();
            Err(RequestError::NoSuchFunction { function, known }.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_a_failure_and_an_address_that_is_not_here_a_mistake() {
        let local = "192.0.2.1:1".parse().unwrap();
        assert_eq!(exit_of(&SocketError::PortInUse { local }), Exit::Failed);
        assert_eq!(exit_of(&SocketError::NoSuchAddress { local }), Exit::Usage);
    }
}
