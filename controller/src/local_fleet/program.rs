//! A program that was started, with its log in a file.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A running program; it is killed when it is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it with its words on stderr in the file `log`.
    ///
    /// # Errors
    /// The system's, when there is no such program or no such place.
    pub fn start(program: &Path, arguments: &[&OsStr], log: &Path) -> Result<Program> {
        let stderr = File::create(log)?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()?;
        Ok(Program {
            child,
            log: log.to_owned(),
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until its log has this text; false when it ends or `patience` is over first.
    pub fn wait_for(&mut self, text: &str, patience: Duration) -> bool {
        let began = Instant::now();
        loop {
            if self.log().contains(text) {
                return true;
            }
            if began.elapsed() >= patience || self.has_ended() {
                return self.log().contains(text);
            }
            sleep(POLL);
        }
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let id = id.ok_or_else(|| Error::from(ErrorKind::NotFound))?;
        Ok(kill_process(id, signal)?)
    }

    /// Kills it now; whoever drives meanwhile does not wait for its end.
    pub fn kill(mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        // Without a thread the end is waited for right here.
        let _ = std::thread::Builder::new()
            .name("reaper".into())
            .spawn(move || drop(self));
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Errors
    /// When it takes more than 5 s; it is killed then.
    pub fn terminate(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let began = Instant::now();
        while began.elapsed() < END_MAX {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            sleep(POLL);
        }
        Err(Error::new(
            ErrorKind::TimedOut,
            "the program did not end when asked",
        ))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const POLL: Duration = Duration::from_millis(10);
const END_MAX: Duration = Duration::from_secs(5);
