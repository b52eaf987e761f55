//! UDP sockets, bound to an address or to an interface.

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// What the packets of a link leave by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Bind {
    /// Whatever the routing table says.
    #[default]
    Any,
    /// The interface of this name (`SO_BINDTODEVICE`, open to everyone since Linux 5.7).
    Interface(String),
    /// Each interface whose name matches, as a link of its own.
    Pattern {
        /// In which `*` stands for any characters and `?` for one.
        pattern: String,
        /// So many interfaces at most.
        count_max: usize,
    },
    /// This address of the machine.
    Address(IpAddr),
}

impl Bind {
    /// The local address for talking to `far`, any port; none when the families differ.
    pub fn local_for(&self, far: IpAddr) -> Option<SocketAddr> {
        let address = match self {
            Bind::Any | Bind::Interface(_) | Bind::Pattern { .. } if far.is_ipv4() => {
                Ipv4Addr::UNSPECIFIED.into()
            }
            Bind::Any | Bind::Interface(_) | Bind::Pattern { .. } => Ipv6Addr::UNSPECIFIED.into(),
            Bind::Address(address) if address.is_ipv4() == far.is_ipv4() => *address,
            Bind::Address(_) => return None,
        };
        Some(SocketAddr::new(address, 0))
    }

    /// The interface's name, when bound to one.
    pub fn interface(&self) -> Option<&str> {
        match self {
            Bind::Interface(name) => Some(name),
            Bind::Any | Bind::Pattern { .. } | Bind::Address(_) => None,
        }
    }
}

/// Opens a non-blocking UDP socket on `local`, on one interface only when `interface` is given.
///
/// # Errors
/// When the port is taken, or the address or the interface is not on this machine.
pub fn open(
    local: SocketAddr,
    interface: Option<&str>,
    buffer_bytes: usize,
) -> Result<UdpSocket, SocketError> {
    let failed = |source| SocketError::Other { local, source };
    let socket = new(local, interface)?;
    // The kernel cuts these to net.core.rmem_max and wmem_max; less only means that a burst may lose packets.
    socket.set_recv_buffer_size(buffer_bytes).map_err(failed)?;
    socket.set_send_buffer_size(buffer_bytes).map_err(failed)?;
    match socket.bind(&local.into()) {
        Ok(()) => Ok(socket.into()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(SocketError::PortInUse { local }),
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
            Err(SocketError::NoSuchAddress { local })
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(SocketError::PortNotAllowed { local })
        }
        Err(source) => Err(SocketError::Other { local, source }),
    }
}

/// Opens a socket beside `main`, for what `far` sends to `local`, which is an address of `main`: the kernel has it wait there and no more
/// behind what all others send. Until both are bound it may get packets of others, and others that were on their way come by `main`: who
/// reads one reads both.
///
/// # Errors
/// When the port needs a privilege that the program has no more, or no descriptor is left.
pub(crate) fn beside(
    main: &UdpSocket,
    local: SocketAddr,
    far: SocketAddr,
) -> io::Result<UdpSocket> {
    let main = SockRef::from(main);
    let socket = Socket::new(
        Domain::for_address(local),
        Type::DGRAM.nonblocking().cloexec(),
        Some(Protocol::UDP),
    )?;
    if let Some(interface) = main.device()? {
        socket.bind_device(Some(&interface))?;
    }
    // Of `main` only now: a second program that wants the port is still refused, as it binds without.
    main.set_reuse_port(true)?;
    socket.set_reuse_port(true)?;
    socket.set_recv_buffer_size(NODE_BUFFER_BYTES)?;
    socket.bind(&local.into())?;
    socket.connect(&far.into())?;
    Ok(socket.into())
}

/// The address that packets to `far` have when they leave by an interface, any port. A socket that is bound to it never changes it:
/// when the address goes, the connection goes, and no other machine has to find out.
///
/// # Errors
/// When the interface is not on this machine, or does not lead there.
pub fn source_for(far: SocketAddr, interface: &str) -> Result<SocketAddr, SocketError> {
    let unspecified = match far {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::from(new(SocketAddr::new(unspecified, 0), Some(interface))?);
    let connected = socket.connect(far).and_then(|()| socket.local_addr());
    let source = connected.map_err(|source| SocketError::NoWay {
        interface: interface.to_string(),
        far: far.ip(),
        source,
    })?;
    Ok(SocketAddr::new(source.ip(), 0))
}

/// Of the family of `local`, on one interface only when one is given.
fn new(local: SocketAddr, interface: Option<&str>) -> Result<Socket, SocketError> {
    let failed = |source| SocketError::Other { local, source };
    let socket = Socket::new(
        Domain::for_address(local),
        Type::DGRAM.nonblocking().cloexec(),
        Some(Protocol::UDP),
    )
    .map_err(failed)?;
    if let Some(interface) = interface {
        socket
            .bind_device(Some(interface.as_bytes()))
            .map_err(|source| match source.raw_os_error() {
                Some(ENODEV | EINVAL) => SocketError::NoSuchInterface {
                    interface: interface.to_string(),
                },
                _ => SocketError::Interface {
                    interface: interface.to_string(),
                    source,
                },
            })?;
    }
    Ok(socket)
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another program has the port.
    #[error("UDP port {} is in use on {}: stop the other program or choose another port", .local.port(), .local.ip())]
    PortInUse {
        /// Where it should have listened.
        local: SocketAddr,
    },
    /// The machine does not have the address.
    #[error("this machine has no address {}: see `ip address`", .local.ip())]
    NoSuchAddress {
        /// Where it should have listened.
        local: SocketAddr,
    },
    /// The port needs a privilege.
    #[error("UDP port {} needs a privilege: choose one above 1023", .local.port())]
    PortNotAllowed {
        /// Where it should have listened.
        local: SocketAddr,
    },
    /// The machine does not have the interface, or not now.
    #[error("no interface {interface:?}: see `ip link`")]
    NoSuchInterface {
        /// Its name.
        interface: String,
    },
    /// No interface is one that the configuration means.
    #[error("no interface matches {pattern:?}: see `ip link`")]
    NoInterfaceMatches {
        /// What the names of interfaces are compared with.
        pattern: String,
    },
    /// The interface is there, and nothing can leave by it now.
    #[error("interface {interface:?} is of no use now: {why}; see `ip address show {interface}`")]
    Unusable {
        /// Its name.
        interface: String,
        /// Why.
        why: &'static str,
    },
    /// The interface does not lead there.
    #[error(
        "interface {interface:?} has no route to {far}: {source}; see `ip route show dev {interface}`"
    )]
    NoWay {
        /// Its name.
        interface: String,
        /// Where to.
        far: IpAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The socket could not be bound to the interface.
    #[error("cannot bind to interface {interface:?}: {source}")]
    Interface {
        /// Its name.
        interface: String,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else.
    #[error("no UDP socket on {local}: {source}")]
    Other {
        /// Where it should have been.
        local: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Bytes of kernel buffer for a socket of one node: 200 packets, more than any burst of one link.
pub const NODE_BUFFER_BYTES: usize = 256 * 1024;
/// Bytes of kernel buffer for a relay's socket that all its nodes send to: 20 ms at 100,000 packets a second.
pub const RELAY_BUFFER_BYTES: usize = 4 * 1024 * 1024;

const ENODEV: i32 = 19;
const EINVAL: i32 = 22;

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> SocketAddr {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)
    }

    #[test]
    fn a_port_in_use_is_named() {
        let first = open(loopback(), None, NODE_BUFFER_BYTES).unwrap();
        let taken = first.local_addr().unwrap();
        let error = open(taken, None, NODE_BUFFER_BYTES).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "UDP port {} is in use on 127.0.0.1: stop the other program or choose another port",
                taken.port()
            )
        );
    }

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        let error = open(loopback(), Some("modem9"), NODE_BUFFER_BYTES).unwrap_err();
        assert_eq!(error.to_string(), "no interface \"modem9\": see `ip link`");
    }

    #[test]
    fn a_socket_can_be_bound_to_an_interface() {
        assert!(open(loopback(), Some("lo"), NODE_BUFFER_BYTES).is_ok());
    }

    #[test]
    fn an_address_of_another_machine_is_named() {
        let far = "192.0.2.1:0".parse().unwrap();
        let error = open(far, None, NODE_BUFFER_BYTES).unwrap_err();
        assert_eq!(
            error.to_string(),
            "this machine has no address 192.0.2.1: see `ip address`"
        );
    }

    #[test]
    fn a_link_with_an_address_talks_to_its_own_family_only() {
        let link = Bind::Address(Ipv4Addr::LOCALHOST.into());
        assert_eq!(link.local_for(Ipv6Addr::LOCALHOST.into()), None);
        assert_eq!(link.local_for(Ipv4Addr::LOCALHOST.into()), Some(loopback()));
    }
}
