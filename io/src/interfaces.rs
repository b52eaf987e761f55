//! Hears from the kernel of the machine's interfaces, addresses and routes (rtnetlink).

use crate::interface_table::{InterfaceTable, News, Question, question};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};
use std::io;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The machine's interfaces as they are, and each change of them.
pub(crate) struct Interfaces {
    socket: AsyncFd<OwnedFd>,
    table: InterfaceTable,
    message: Box<[u8]>,
}

impl Interfaces {
    /// Those that are there now.
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
        let mut interfaces = Interfaces {
            socket,
            table: InterfaceTable::default(),
            message: vec![0; MESSAGE_BYTES].into(),
        };
        interfaces.read_all()?;
        Ok(interfaces)
    }

    /// As far as it was read.
    pub(crate) fn table(&self) -> &InterfaceTable {
        &self.table
    }

    /// Waits for the next changes.
    ///
    /// # Errors
    /// When the runtime shuts down, or the kernel tells nothing any more.
    pub(crate) async fn changed(&mut self) -> io::Result<News> {
        let mut ready = self.socket.readable().await?;
        let mut all = News::default();
        for _ in 0..MESSAGES_MAX {
            match recv(
                self.socket.get_ref(),
                &mut *self.message,
                RecvFlags::empty(),
            ) {
                Ok((length, _)) => {
                    let message = self.message.get(..length).unwrap_or_default();
                    let news = self.table.handle(message);
                    all.interfaces |= news.interfaces;
                    all.other |= news.other;
                }
                // The kernel drops what finds no room, and says so.
                Err(Errno::NOBUFS) => {
                    drop(ready);
                    self.read_all()?;
                    all.interfaces = true;
                    return Ok(all);
                }
                Err(Errno::AGAIN) => {
                    ready.clear_ready();
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(all)
    }

    /// Asks for everything. The kernel answers while it is read from, so that nobody waits.
    fn read_all(&mut self) -> io::Result<()> {
        for _ in 0..READINGS_MAX {
            self.table = InterfaceTable::default();
            let interrupted = self.ask(Question::Interfaces)? || self.ask(Question::Addresses)?;
            if !interrupted {
                return Ok(());
            }
        }
        // Something changes all the time; each change is told of.
        Ok(())
    }

    /// Whether something changed while the kernel answered.
    fn ask(&mut self, about: Question) -> io::Result<bool> {
        let socket = self.socket.get_ref();
        send(socket, &question(about), SendFlags::empty())?;
        let mut interrupted = false;
        for _ in 0..ANSWERS_MAX {
            match recv(socket, &mut *self.message, RecvFlags::empty()) {
                Ok((length, _)) => {
                    let message = self.message.get(..length).unwrap_or_default();
                    let news = self.table.handle(message);
                    interrupted |= news.interrupted;
                    if news.answered {
                        return Ok(interrupted);
                    }
                }
                Err(Errno::NOBUFS) => interrupted = true,
                Err(Errno::AGAIN) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

/// RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE of `linux/rtnetlink.h`.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
/// Datagrams of changes that are handled together.
const MESSAGES_MAX: usize = 256;
/// Datagrams of an answer: each is of a few interfaces or addresses at least, and other changes come in between.
const ANSWERS_MAX: usize = 4_096;
/// Questions until one is answered while nothing changes.
const READINGS_MAX: usize = 4;
/// The kernel writes at most 32 KiB at once (`NLMSG_GOODSIZE` and what a reader has room for).
const MESSAGE_BYTES: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime;

    #[test]
    fn the_loopback_interface_is_there_with_its_address() {
        runtime::run(async || {
            let interfaces = Interfaces::watch().unwrap();
            let loopback = interfaces.table().named("lo").unwrap();
            assert!(loopback.is_loopback());
            assert_eq!(loopback.fault(), None);
            assert!(loopback.addresses.contains(&"127.0.0.1".parse().unwrap()));
        })
        .unwrap();
    }

    #[test]
    fn everything_can_be_read_again_while_changes_are_told() {
        runtime::run(async || {
            let mut interfaces = Interfaces::watch().unwrap();
            let before: Vec<_> = interfaces.table().iter().cloned().collect();
            interfaces.read_all().unwrap();
            let after: Vec<_> = interfaces.table().iter().cloned().collect();
            assert_eq!(before, after);
        })
        .unwrap();
    }
}
