//! A program that is started again whenever it ends, as a service manager does.

use std::io::Write;
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use longrein_tests::wan::Node;

use super::arrivals::Arrivals;
use super::contestant::Sender;

/// A running program; it is killed when it is dropped.
#[derive(Debug)]
pub struct Kept {
    signals: Arc<Signals>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Signals {
    end: AtomicBool,
    kill: AtomicBool,
}

/// The standard input of a program, whichever runs now.
#[derive(Clone, Debug, Default)]
pub struct Input(Arc<Mutex<Option<ChildStdin>>>);

impl Kept {
    /// Runs a program on a node; `started` gets its pipes.
    pub fn start(
        node: &Node,
        make: impl Fn() -> Command + Send + 'static,
        started: impl Fn(&mut Child) + Send + 'static,
    ) -> Kept {
        let signals = Arc::new(Signals::default());
        let seen = Arc::clone(&signals);
        let thread = node.enter(|| {
            std::thread::spawn(move || {
                while !seen.end.load(Ordering::Relaxed) {
                    run(&mut make(), &started, &seen);
                    sleep(PAUSE);
                }
            })
        });
        Kept {
            signals,
            thread: Some(thread),
        }
    }

    /// One whose lines are noted.
    pub fn receiver(
        node: &Node,
        arrivals: &Arc<Arrivals>,
        make: impl Fn() -> Command + Send + 'static,
    ) -> Kept {
        let arrivals = Arc::clone(arrivals);
        arrivals.begin();
        let make = move || {
            let mut command = make();
            command.stdout(Stdio::piped());
            command
        };
        Kept::start(node, make, move |child| {
            if let Some(output) = child.stdout.take() {
                arrivals.read_lines(output);
            }
        })
    }

    /// One that sends the lines it is given.
    pub fn sender(node: &Node, make: impl Fn() -> Command + Send + 'static) -> (Kept, Input) {
        let input = Input::default();
        let slot = input.clone();
        let make = move || {
            let mut command = make();
            command.stdin(Stdio::piped());
            command
        };
        let kept = Kept::start(node, make, move |child| {
            let stdin = child.stdin.take();
            // A message that finds the pipe full is lost, so that the next ones are sent in time.
            let taken =
                stdin.filter(|stdin| rustix::io::ioctl_fionbio(stdin.as_fd(), true).is_ok());
            *slot.0.lock().unwrap_or_else(PoisonError::into_inner) = taken;
        });
        (kept, input)
    }

    /// Kills it; it comes back at once.
    pub fn kill(&self) {
        self.signals.kill.store(true, Ordering::Relaxed);
    }

    /// It is to end; dropping waits for that.
    pub fn end(&self) {
        self.signals.end.store(true, Ordering::Relaxed);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.end();
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Sender for Input {
    fn send(&mut self, body: &str) -> bool {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // At most as long as a pipe takes whole.
        let line = format!("{body}\n");
        slot.as_mut()
            .is_some_and(|stdin| stdin.write_all(line.as_bytes()).is_ok())
    }
}

fn run(command: &mut Command, started: &impl Fn(&mut Child), signals: &Signals) {
    if !cfg!(debug_assertions) {
        command.stderr(Stdio::null());
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("cannot start {command:?}: {error}");
            signals.end.store(true, Ordering::Relaxed);
            return;
        }
    };
    started(&mut child);
    loop {
        let over =
            signals.end.load(Ordering::Relaxed) || signals.kill.swap(false, Ordering::Relaxed);
        if over {
            // Fails only when it has ended already.
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        sleep(LOOK_UP);
    }
}

/// Whether there is such a program.
pub fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--help").stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}

/// How soon an end is seen.
const LOOK_UP: Duration = Duration::from_millis(20);
/// Before it is started again.
const PAUSE: Duration = Duration::from_millis(100);
