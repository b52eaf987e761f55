//! The sockets of the local API. `SOCK_SEQPACKET` keeps messages whole, so that nothing is half written and there is no frame
//! to get wrong; its connection ends with the client's process, however that ends.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use longrein_proto::base::limits::MESSAGE_BYTES_MAX;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType,
    accept_with, bind, connect, listen, recv, send as send_to, shutdown, socket_with,
};

use crate::config::LocalSection;

/// A socket that listens; its file goes when this is dropped.
#[derive(Debug)]
pub struct Door {
    pub socket: OwnedFd,
    path: PathBuf,
}

/// What a socket holds next.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A message of so many bytes, which are in the buffer.
    Message(usize),
    /// A message that is longer than any may be.
    TooLong,
    /// Nothing for now.
    Nothing,
    /// The end of the connection.
    End,
}

impl Door {
    /// A socket that listens at the section's path, with its group and permissions. A file that an agent before left is
    /// replaced; nobody can connect before the permissions are right.
    ///
    /// # Errors
    /// As the system says, also when another program listens there.
    pub fn open(section: &LocalSection) -> io::Result<Door> {
        let path = section.path().to_path_buf();
        remove_left(&path)?;
        let socket = new_socket()?;
        bind(&socket, &SocketAddrUnix::new(&path)?)?;
        let door = Door { socket, path };
        if let Some(group) = &section.group {
            chown(&door.path, None, Some(group_id(group)?))?;
        }
        fs::set_permissions(&door.path, fs::Permissions::from_mode(section.mode.0))?;
        listen(&door.socket, BACKLOG)?;
        Ok(door)
    }

    /// The next client that waits at the door.
    pub fn accept(&self) -> Option<OwnedFd> {
        accept_with(&self.socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC).ok()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Who has removed it already is right.
        let _ = fs::remove_file(&self.path);
    }
}

/// Sends one message; false when the client does not take it: it is gone, or has not read for long.
pub fn send(socket: &OwnedFd, message: &str) -> bool {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    loop {
        match send_to(socket, message.as_bytes(), flags) {
            Ok(sent) => return sent == message.len(),
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Reads one message.
pub fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Heard {
    let room = buffer.len();
    loop {
        match recv(socket, &mut *buffer, RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
            Ok((_, 0)) => return Heard::End,
            Ok((_, length)) if length > room => return Heard::TooLong,
            Ok((_, length)) => return Heard::Message(length),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Heard::Nothing,
            Err(_) => return Heard::End,
        }
    }
}

/// Ends a connection. Its client still reads all that it was told, and then the end: a socket that is closed with unread
/// messages would have the client's next call fail instead.
pub fn end(socket: &OwnedFd) {
    // Nothing comes in any more. That it fails means that the client has gone.
    let _ = shutdown(socket, Shutdown::Both);
    for _ in 0..UNREAD_MAX {
        if matches!(receive(socket, &mut []), Heard::End | Heard::Nothing) {
            break;
        }
    }
}

fn new_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let kind = SocketType::SEQPACKET;
    Ok(socket_with(AddressFamily::UNIX, kind, flags, None)?)
}

/// Removes a socket at which nobody listens any more.
fn remove_left(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            match connect(new_socket()?, &SocketAddrUnix::new(path)?) {
                Err(Errno::CONNREFUSED) => fs::remove_file(path),
                Ok(()) | Err(Errno::AGAIN) => Err(io::Error::new(
                    ErrorKind::AddrInUse,
                    "another program listens there",
                )),
                Err(errno) => Err(errno.into()),
            }
        }
        Ok(_) => Err(io::Error::new(
            ErrorKind::AlreadyExists,
            "there is a file that is no socket",
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The number of a group of this machine.
fn group_id(group: &str) -> io::Result<u32> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let groups = fs::read_to_string("/etc/group")?;
    let found = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(group);
        fields.nth(1).filter(|_| is_it)?.parse().ok()
    });
    found.ok_or_else(|| {
        let what = format!("there is no group {group} in /etc/group");
        io::Error::new(ErrorKind::NotFound, what)
    })
}

/// Clients that may wait at a door for the next turn.
const BACKLOG: i32 = 8;
/// Messages that can wait in a connection: a socket takes 212,992 bytes by default, and a message costs at least 256 of them.
const UNREAD_MAX: usize = 1_024;
/// Bytes of the longest message of a client: the largest telemetry as hexadecimal text, and what stands around it.
pub const MESSAGE_MAX: usize = 2 * MESSAGE_BYTES_MAX + 256;

#[cfg(test)]
mod tests {
    use rustix::net::socketpair;

    use super::*;

    #[test]
    fn who_is_told_why_and_let_go_reads_it_although_more_was_said() {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        while send(&theirs, "unread") {}
        assert!(send(&ours, "why"));
        end(&ours);
        drop(ours);
        let mut buffer = [0; 16];
        assert_eq!(receive(&theirs, &mut buffer), Heard::Message(3));
        assert_eq!(buffer.get(..3), Some(b"why".as_slice()));
        assert_eq!(receive(&theirs, &mut buffer), Heard::End);
        assert!(!send(&theirs, "more"));
    }

    #[test]
    fn a_group_is_found_by_its_name_or_number() {
        assert_eq!(group_id("root").unwrap(), 0);
        assert_eq!(group_id("4711").unwrap(), 4_711);
        let error = group_id("no-such-group").unwrap_err().to_string();
        assert_eq!(error, "there is no group no-such-group in /etc/group");
    }
}
