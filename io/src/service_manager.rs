//! What systemd is told of a service: that it is ready, reloads or stops, how things stand, and that it is alive (`sd_notify(3)`).
//!
//! The thread that says all this carries commands, so that nothing here waits: the libraries for it do, when the manager does not
//! read. What the manager has no room for is said again at the next look.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use longrein_proto::base::MonoTime;
use rustix::time::{ClockId, clock_gettime};

/// The service manager that started this program, if one did that wants to hear from it.
#[derive(Debug, Default)]
pub struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    /// What it should know of the life of the service and has had no room for.
    unsaid: Option<String>,
    status: String,
    fed: Option<MonoTime>,
}

impl ServiceManager {
    /// The one that the environment names (`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`).
    pub fn from_environment() -> ServiceManager {
        let Some(name) = env::var_os("NOTIFY_SOCKET") else {
            return ServiceManager::default();
        };
        let number = |name| env::var(name).ok()?.parse::<u64>().ok();
        let own = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|_| own);
        ServiceManager::at(&name, watchdog.map(Duration::from_micros)).unwrap_or_else(|error| {
            tracing::warn!(why = %error, "service manager cannot be told anything");
            ServiceManager::default()
        })
    }

    /// The one that reads at a socket, a path or an abstract name after `@`, and wants to be fed within `watchdog`.
    ///
    /// # Errors
    /// When it is no name of a socket.
    pub fn at(name: &OsStr, watchdog: Option<Duration>) -> io::Result<ServiceManager> {
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(ServiceManager {
            socket: Some((socket, address)),
            watchdog,
            ..ServiceManager::default()
        })
    }

    /// Whether there is one; without one nothing needs to be told.
    pub fn is_there(&self) -> bool {
        self.socket.is_some()
    }

    /// How often [`ServiceManager::look`] is to be called.
    pub fn look_interval(&self) -> Duration {
        let often = self.watchdog.map_or(LOOK_EVERY, |within| within / 4);
        often.clamp(Duration::from_millis(1), LOOK_EVERY)
    }

    /// The service does what it is for.
    pub fn ready(&mut self) {
        self.say("READY=1".to_string());
    }

    /// The service reads its configuration again; [`ServiceManager::ready`] follows.
    pub fn reloading(&mut self) {
        let now = clock_gettime(ClockId::Monotonic);
        let us = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.say(format!("RELOADING=1\nMONOTONIC_USEC={us}"));
    }

    /// The service ends.
    pub fn stopping(&mut self) {
        self.say("STOPPING=1".to_string());
    }

    /// Tells how things stand when that has changed, and feeds the watchdog when whatever is guarded has moved on since it was
    /// fed last. Whoever calls this shows by it that it runs.
    // [SAFE-72]
    pub fn look(&mut self, progress: MonoTime, status: String) {
        if let Some(unsaid) = self.unsaid.take() {
            self.say(unsaid);
        }
        if status != self.status && self.send(&format!("STATUS={status}")) {
            self.status = status;
        }
        let moved = self.fed.is_none_or(|fed| progress > fed);
        if self.watchdog.is_some() && moved && self.send("WATCHDOG=1") {
            self.fed = Some(progress);
        }
    }

    /// Newer words of the service's life replace those that had no room.
    fn say(&mut self, words: String) {
        self.unsaid = None;
        if !self.send(&words) {
            self.unsaid = Some(words);
        }
    }

    /// False when there is no room for it now.
    fn send(&self, words: &str) -> bool {
        let Some((socket, address)) = &self.socket else {
            return true;
        };
        socket.send_to_addr(words.as_bytes(), address).is_ok()
    }
}

/// Between looks: changes are told at most so often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A manager's end of the socket.
    struct Ear(UnixDatagram);

    impl Ear {
        fn open(test: &str) -> (Ear, ServiceManager) {
            let name = format!("@longrein-{}-{test}", std::process::id());
            let address = SocketAddr::from_abstract_name(&name[1..]).unwrap();
            let socket = UnixDatagram::bind_addr(&address).unwrap();
            socket.set_nonblocking(true).unwrap();
            let within = Some(Duration::from_secs(2));
            let manager = ServiceManager::at(OsStr::new(&name), within).unwrap();
            (Ear(socket), manager)
        }

        fn heard(&self) -> Vec<String> {
            let mut bytes = [0; 256];
            std::iter::from_fn(|| {
                self.0
                    .recv(&mut bytes)
                    .ok()
                    .map(|count| bytes[..count].to_vec())
            })
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .collect()
        }
    }

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_us(ms * 1_000)
    }

    /// [SAFE-72]
    #[test]
    fn what_does_not_move_on_starves_the_watchdog() {
        let (ear, mut manager) = Ear::open("starve");
        manager.look(at(1), String::new());
        assert_eq!(ear.heard(), ["WATCHDOG=1"]);
        for _ in 0..100 {
            manager.look(at(1), String::new());
        }
        assert_eq!(ear.heard(), [""; 0]);
        manager.look(at(2), String::new());
        assert_eq!(ear.heard(), ["WATCHDOG=1"]);
    }

    #[test]
    fn the_status_is_told_when_it_changes() {
        let (ear, mut manager) = Ear::open("status");
        for status in ["a", "a", "b", "b"] {
            manager.look(at(1), status.to_string());
        }
        assert_eq!(ear.heard(), ["STATUS=a", "WATCHDOG=1", "STATUS=b"]);
    }

    #[test]
    fn a_reload_is_told_with_its_time_as_newer_managers_want_it() {
        let (ear, mut manager) = Ear::open("reload");
        manager.reloading();
        manager.ready();
        manager.stopping();
        let heard = ear.heard();
        let us = heard[0]
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .unwrap();
        assert!(us.parse::<u64>().unwrap() > 0);
        assert_eq!(heard[1..], ["READY=1", "STOPPING=1"]);
    }

    #[test]
    fn what_a_manager_had_no_room_for_is_said_when_it_has() {
        let (ear, mut manager) = Ear::open("full");
        while manager.send("x") {}
        manager.reloading();
        manager.ready();
        manager.look(at(1), "fine".to_string());
        assert!(ear.heard().iter().all(|words| words == "x"));
        manager.look(at(1), "fine".to_string());
        assert_eq!(ear.heard(), ["READY=1", "STATUS=fine", "WATCHDOG=1"]);
    }

    #[test]
    fn a_manager_listens_at_a_path_too_and_without_one_nothing_is_said() {
        let path = env::temp_dir().join(format!("longrein-notify-{}", std::process::id()));
        let socket = UnixDatagram::bind(&path).unwrap();
        ServiceManager::at(path.as_os_str(), None).unwrap().ready();
        let mut bytes = [0; 16];
        assert_eq!(socket.recv(&mut bytes).unwrap(), "READY=1".len());
        fs::remove_file(path).unwrap();
        let mut nobody = ServiceManager::default();
        nobody.ready();
        nobody.look(at(1), "fine".to_string());
        assert!(nobody.unsaid.is_none());
    }

    #[test]
    fn it_is_looked_after_often_enough_for_its_watchdog() {
        let (_ear, mut manager) = Ear::open("interval");
        for (within, interval_ms) in [(20_000, 1_000), (2_000, 500), (40, 10), (0, 1)] {
            manager.watchdog = Some(Duration::from_millis(within));
            assert_eq!(manager.look_interval(), Duration::from_millis(interval_ms));
        }
    }
}
