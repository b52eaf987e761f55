//! What arrives at a vehicle.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use longrein_io::clock;

/// Messages that arrived at one vehicle.
#[derive(Debug, Default)]
pub struct Arrivals {
    began_us: Mutex<Option<u64>>,
    seen: Mutex<Vec<Arrival>>,
}

/// A message that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub number: u64,
    pub at_us: u64,
}

impl Arrivals {
    /// The vehicle's program starts now.
    pub fn begin(&self) {
        lock(&self.began_us).get_or_insert(clock::now().as_us());
    }

    /// When the vehicle's program started.
    pub fn began_us(&self) -> Option<u64> {
        *lock(&self.began_us)
    }

    /// A body has arrived; anything else is passed over.
    pub fn note(&self, body: &[u8]) {
        let at_us = clock::now().as_us();
        if let Some(number) = number(body) {
            lock(&self.seen).push(Arrival { number, at_us });
        }
    }

    /// Everything so far.
    pub fn all(&self) -> Vec<Arrival> {
        lock(&self.seen).clone()
    }

    /// How many so far.
    pub fn count(&self) -> usize {
        lock(&self.seen).len()
    }

    /// Notes each line of a program's output until it ends.
    pub fn read_lines(self: &Arc<Arrivals>, output: impl Read + Send + 'static) {
        let arrivals = Arc::clone(self);
        std::thread::spawn(move || {
            let mut lines = BufReader::new(output);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                arrivals.note(&line);
                line.clear();
            }
        });
    }
}

/// A socket whose datagrams are noted.
#[derive(Debug)]
pub struct Device {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Device {
    /// Notes what this socket receives.
    pub fn start(socket: UdpSocket, arrivals: &Arc<Arrivals>) -> std::io::Result<Device> {
        socket.set_read_timeout(Some(LOOK_UP))?;
        let ended = Arc::new(AtomicBool::new(false));
        let (over, arrivals) = (Arc::clone(&ended), Arc::clone(arrivals));
        let thread = std::thread::spawn(move || {
            let mut body = [0; 2_048];
            while !over.load(Ordering::Relaxed) {
                match socket.recv(&mut body) {
                    Ok(bytes) => arrivals.note(body.get(..bytes).unwrap_or_default()),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
        });
        Ok(Device {
            ended,
            thread: Some(thread),
        })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// A message: its number, and text up to its size.
pub fn body(number: u64) -> String {
    let mut body = format!("{number:0NUMBER_BYTES$}");
    body.extend(std::iter::repeat_n('x', BODY_BYTES - NUMBER_BYTES));
    body
}

fn number(body: &[u8]) -> Option<u64> {
    let digits = body.get(..NUMBER_BYTES)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of a message.
pub const BODY_BYTES: usize = 100;
const NUMBER_BYTES: usize = 12;
/// How often a thread looks whether it is to end.
const LOOK_UP: Duration = Duration::from_millis(100);
