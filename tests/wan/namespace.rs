//! A network of a node's own.

use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::AsFd;

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace without a name: it goes when nothing runs in it and nobody holds this.
#[derive(Debug)]
pub struct Namespace(File);

impl Namespace {
    /// Makes one, with nothing but a loopback interface that is down.
    ///
    /// # Errors
    /// The system's, without the right to make one.
    pub fn new() -> Result<Namespace> {
        on_own_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            // IPv6 would send router solicitations by itself. A kernel without it has no such file.
            for scope in ["all", "default"] {
                let _ = std::fs::write(setting("ipv6", scope, "disable_ipv6"), "1");
                // Packets of a node with several interfaces may come and go by different ones.
                std::fs::write(setting("ipv4", scope, "rp_filter"), "0")?;
            }
            Ok(Namespace(File::open("/proc/thread-self/ns/net")?))
        })
    }

    /// Does something on a thread inside: sockets that it opens stay inside, and so do processes that it starts.
    ///
    /// # Errors
    /// The system's, without the right to go in.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        on_own_thread(|| {
            setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        })
    }
}

/// A namespace belongs to a thread, so nothing else may be left on it.
fn on_own_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("namespace".into())
            .spawn_scoped(scope, work)
            .map_err(Error::other)?;
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn setting(family: &str, scope: &str, name: &str) -> String {
    format!("/proc/sys/net/{family}/conf/{scope}/{name}")
}
