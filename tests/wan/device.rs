//! The device at an interface's end.

use std::io::{ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd};

use tappers::{Interface, Tun};

/// A TUN device: what the node sends by its interface is read here, what is written here the node receives.
pub(super) struct Device(Tun);

impl Device {
    /// Makes an interface of this name in the namespace of the calling thread; it is down and goes with the device.
    pub fn new(name: &str) -> Result<Device> {
        let mut device = Tun::new_named(Interface::new(name)?)?;
        device.set_nonblocking(true)?;
        Ok(Device(device))
    }

    /// The next packet's length; none when there is none now.
    pub fn read(&self, packet: &mut [u8]) -> Result<Option<usize>> {
        match self.0.recv(packet) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hands the node a packet.
    pub fn write(&self, packet: &[u8]) -> Result<()> {
        self.0.send(packet).map(|_| ())
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").finish_non_exhaustive()
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
