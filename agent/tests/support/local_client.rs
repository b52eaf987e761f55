//! A client of the local API.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with,
};
use serde_json::Value;

use super::until;

/// A connection; it ends when this is dropped.
pub struct LocalClient(OwnedFd);

impl LocalClient {
    /// Connects as soon as somebody listens there.
    pub fn connect(path: &Path) -> LocalClient {
        until("somebody listens", || LocalClient::try_connect(path).ok())
    }

    pub fn try_connect(path: &Path) -> Result<LocalClient, Errno> {
        let kind = SocketType::SEQPACKET;
        let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(LocalClient(socket))
    }

    /// Says this; false when nobody takes it.
    pub fn say(&self, message: impl AsRef<[u8]>) -> bool {
        send(&self.0, message.as_ref(), SendFlags::NOSIGNAL).is_ok()
    }

    /// The next message; none at the end of the connection.
    pub fn hear(&self) -> Option<Value> {
        let patience = Timespec {
            tv_sec: 60,
            tv_nsec: 0,
        };
        let ready = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&patience));
        assert_eq!(ready, Ok(1), "never: a message");
        let mut buffer = vec![0; 140_000];
        match recv(&self.0, &mut buffer[..], RecvFlags::empty()) {
            Ok((_, 0)) | Err(Errno::CONNRESET) => None,
            Ok((_, length)) => Some(serde_json::from_slice(&buffer[..length]).unwrap()),
            Err(errno) => panic!("cannot hear: {errno}"),
        }
    }

    /// The next message in which `look` finds something.
    pub fn hears<T>(&self, fact: &str, mut look: impl FnMut(&Value) -> Option<T>) -> T {
        loop {
            let message = self.hear();
            let message = message.unwrap_or_else(|| panic!("the end, and never: {fact}"));
            if let Some(found) = look(&message) {
                return found;
            }
        }
    }

    /// The next message that is no state and no word.
    pub fn answer(&self) -> Value {
        self.hears("an answer", |message| {
            let is_answer = message.get("done").is_some() || message.get("error").is_some();
            is_answer.then(|| message.clone())
        })
    }

    /// What this is answered with: `done` or an error's word.
    pub fn ask(&self, message: &str) -> String {
        assert!(self.say(message), "{message}");
        let answer = self.answer();
        let word = answer.get("error").or(answer.get("done"));
        word.and_then(Value::as_str).unwrap().to_string()
    }

    /// The end of the connection, after whatever comes before.
    pub fn ends(&self) {
        while self.hear().is_some() {}
    }
}
