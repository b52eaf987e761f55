//! The thread that carries packets between devices.

use std::io::Result;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::Errno;

use super::device::Device;
use super::lateness::Lateness;
use super::network::Network;

/// A running forwarder; it ends when it is dropped.
#[derive(Debug)]
pub(super) struct Forwarder {
    state: Arc<Mutex<State>>,
    watch: Arc<Watch>,
    ended: Arc<AtomicBool>,
    realtime: bool,
    thread: Option<JoinHandle<()>>,
}

/// What the thread works on. It holds the lock for some µs at a time.
#[derive(Debug)]
pub(super) struct State {
    pub network: Network,
    pub lateness: Lateness,
    /// By the interfaces' numbers; none of one that is deleted.
    devices: Vec<Option<Device>>,
    /// Packets that a device did not take or give.
    pub refused: u64,
}

impl Forwarder {
    /// Carries packets between the devices, which are the network's interfaces in their order.
    pub fn start(network: Network, devices: Vec<Device>) -> Result<Forwarder> {
        let watch = Arc::new(Watch::new(&devices)?);
        let state = Arc::new(Mutex::new(State {
            network,
            lateness: Lateness::new(),
            devices: devices.into_iter().map(Some).collect(),
            refused: 0,
        }));
        let ended = Arc::new(AtomicBool::new(false));
        let (ready, is_realtime) = sync_channel(1);
        let thread = {
            let (state, ended) = (Arc::clone(&state), Arc::clone(&ended));
            let watch = Arc::clone(&watch);
            std::thread::Builder::new()
                .name("forwarder".into())
                .spawn(move || run(&watch, &state, &ended, &ready))?
        };
        Ok(Forwarder {
            state,
            watch,
            ended,
            realtime: is_realtime.recv().unwrap_or(false),
            thread: Some(thread),
        })
    }

    /// What it works on.
    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Deletes the device of an interface, which deletes the interface. The kernel takes its time for that, and nobody waits.
    pub fn delete(&self, index: usize) {
        let device = self.state().devices[index].take();
        drop(device);
    }

    /// Has an interface, which was deleted, the device that was made in its place.
    pub fn replace(&self, index: usize, device: Device) -> Result<()> {
        let mut state = self.state();
        self.watch.add(index, &device)?;
        state.devices[index] = Some(device);
        Ok(())
    }

    /// Whether the thread runs before all ordinary ones (SCHED_FIFO).
    pub fn is_realtime(&self) -> bool {
        self.realtime
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn run(watch: &Watch, state: &Mutex<State>, ended: &AtomicBool, ready: &SyncSender<bool>) {
    let _ = ready.send(become_realtime());
    let began = Instant::now();
    let mut packet = vec![0; PACKET_BYTES_MAX];
    let mut readable = Vec::with_capacity(READABLE_MAX);
    while !ended.load(Ordering::Relaxed) {
        let next = lock(state).network.next_timeout();
        let wait = next.map_or(LOOK_UP, |at| {
            at.saturating_sub(began.elapsed()).min(LOOK_UP)
        });
        watch.wait(wait, &mut readable);
        let mut state = lock(state);
        for event in &readable {
            let index = usize::try_from(event.data.u64()).expect("an index was put in");
            take_in(index, began, &mut packet, &mut state);
        }
        while let Some(delivery) = state.network.poll(began.elapsed()) {
            let device = state.devices[delivery.to].as_ref();
            match device.map(|device| device.write(&delivery.bytes)) {
                Some(Ok(())) => {
                    let late = began.elapsed().saturating_sub(delivery.at);
                    state.lateness.note(late);
                }
                Some(Err(_)) | None => state.refused += 1,
            }
        }
    }
}

fn take_in(index: usize, began: Instant, packet: &mut [u8], state: &mut State) {
    let State {
        network,
        devices,
        refused,
        ..
    } = state;
    let Some(device) = &devices[index] else {
        return;
    };
    // Others are due meanwhile.
    for _ in 0..BATCH_MAX {
        match device.read(packet) {
            Ok(Some(bytes)) => {
                let now = began.elapsed();
                network.handle(now, index, &packet[..bytes]);
            }
            Ok(None) => return,
            Err(_) => {
                *refused += 1;
                return;
            }
        }
    }
}

/// Tells which devices can be read, however many there are.
#[derive(Debug)]
struct Watch(OwnedFd);

impl Watch {
    fn new(devices: &[Device]) -> Result<Watch> {
        let watch = Watch(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        for (index, device) in devices.iter().enumerate() {
            watch.add(index, device)?;
        }
        Ok(watch)
    }

    /// One more, until it is closed.
    fn add(&self, index: usize, device: &Device) -> Result<()> {
        let index = u64::try_from(index).expect("there are few devices");
        let data = epoll::EventData::new_u64(index);
        Ok(epoll::add(&self.0, device, data, epoll::EventFlags::IN)?)
    }

    /// Waits until some can be read, at most this long.
    fn wait(&self, most: Duration, readable: &mut Vec<epoll::Event>) {
        readable.clear();
        let most = Timespec::try_from(most).expect("a wait of less than a second is a time");
        // epoll alone waits whole milliseconds.
        let waited = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&most));
        let found = waited.and_then(|count| match count {
            0 => Ok(0),
            _ => epoll::wait(&self.0, spare_capacity(readable), Some(&NOW)),
        });
        match found {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => panic!("cannot wait for devices: {error}"),
        }
    }
}

/// Puts the calling thread before all ordinary ones, which also makes its sleeps exact to some 10 µs.
fn become_realtime() -> bool {
    let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
    Command::new("chrt")
        .args(["--fifo", "--pid", PRIORITY, &thread])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

const NOW: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};
/// Devices that are read in one turn.
const READABLE_MAX: usize = 64;
/// How often the thread looks whether it is to end.
const LOOK_UP: Duration = Duration::from_millis(50);
/// Packets from one device before what is due goes out: some 100 µs of work.
const BATCH_MAX: usize = 64;
/// Above ordinary threads, below the kernel's interrupt threads, which have 50.
const PRIORITY: &str = "40";
/// The largest IPv4 packet.
const PACKET_BYTES_MAX: usize = 65_535;
