//! Changes of the machine's interfaces, addresses and routes.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use std::io;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Hears of each change from the kernel (rtnetlink). What has changed is of no interest: whoever waits for a link just tries.
pub(crate) struct Interfaces(AsyncFd<OwnedFd>);

impl Interfaces {
    /// From now on.
    ///
    /// # Errors
    /// When the system does not let this process watch them.
    pub(crate) fn watch() -> io::Result<Interfaces> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
            // NETLINK_ROUTE, which is 0.
            None,
        )?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types that do not keep their descriptor; `OwnedFd` keeps it"
        )]
        let socket = AsyncFd::with_interest(socket, Interest::READABLE)?;
        Ok(Interfaces(socket))
    }

    /// Waits for the next change, or tells at once of those since the last time.
    ///
    /// # Errors
    /// When the runtime shuts down.
    pub(crate) async fn changed(&self) -> io::Result<()> {
        let mut ready = self.0.readable().await?;
        for _ in 0..MESSAGES_MAX {
            match recv(self.0.get_ref(), &mut [0; MESSAGE_BYTES], RecvFlags::TRUNC) {
                // The kernel drops what finds no room, and says so: that is a change too.
                Ok(_) | Err(Errno::NOBUFS) => {}
                Err(Errno::AGAIN) => {
                    ready.clear_ready();
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE of `linux/rtnetlink.h`.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
/// Changes that are one to whoever waits.
const MESSAGES_MAX: usize = 256;
/// What is read of each message.
const MESSAGE_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime;
    use rustix::net::{SendFlags, send};

    #[test]
    fn a_message_of_the_kernel_is_heard_and_ends_with_the_last_one() {
        runtime::run(async || {
            let interfaces = Interfaces::watch().unwrap();
            // Asked for all interfaces (RTM_GETLINK with NLM_F_REQUEST and NLM_F_DUMP), the kernel answers at once.
            let mut request = [0; 20];
            request[..8].copy_from_slice(&[20, 0, 0, 0, 18, 0, 0x01, 0x03]);
            send(interfaces.0.get_ref(), &request, SendFlags::empty()).unwrap();
            interfaces.changed().await.unwrap();
        })
        .unwrap();
    }
}
