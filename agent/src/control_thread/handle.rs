//! How the rest of the program speaks to the control thread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::Duration;

use longrein_proto::base::{Channel, MonoTime, Refusal, Stage};
use longrein_proto::control::Progress;

use super::waker::Waker;
use super::{COMMANDS_WAITING_MAX, ControlInput};

/// The control thread itself; it ends when this is dropped.
#[derive(Debug)]
pub struct ControlThread {
    handle: ControlHandle,
    thread: Option<JoinHandle<()>>,
}

impl ControlThread {
    pub(super) fn new(handle: ControlHandle, thread: JoinHandle<()>) -> ControlThread {
        ControlThread {
            handle,
            thread: Some(thread),
        }
    }

    /// A handle for anybody who needs one.
    pub fn handle(&self) -> &ControlHandle {
        &self.handle
    }

    /// Leaves a thread that is stuck to itself: the process is to end without waiting for it.
    pub fn abandon(mut self) {
        self.thread = None;
    }
}

impl Drop for ControlThread {
    /// Closes the devices, and waits until they are, as long as their configuration allows.
    fn drop(&mut self) {
        let _ = self.handle.send(ControlInput::Shutdown);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was logged by itself.
            let _ = thread.join();
        }
    }
}

/// Sends to the control thread without ever waiting.
#[derive(Clone, Debug)]
pub struct ControlHandle {
    sender: SyncSender<Numbered>,
    shared: Arc<Shared>,
}

impl ControlHandle {
    pub(super) fn new(sender: SyncSender<Numbered>, shared: Arc<Shared>) -> ControlHandle {
        ControlHandle { sender, shared }
    }

    /// Hands an input over. A command that is handed over gets a verdict; a stop and a shutdown always arrive.
    ///
    /// # Errors
    /// `TooOften` when the queue is full: the control thread is behind, and the command would be old. `AdapterDown` when the
    /// thread has ended.
    pub fn send(&self, input: ControlInput) -> Result<(), Refusal> {
        let shared = &self.shared;
        if shared.ended.load(Ordering::Acquire) {
            return Err(Refusal::AdapterDown);
        }
        let is_command = matches!(input, ControlInput::Command { .. });
        if is_command {
            shared.reserve_command()?;
        }
        let number = shared.inputs.fetch_add(1, Ordering::AcqRel) + 1;
        let overtakes = match &input {
            ControlInput::Stop => {
                shared.newest_stop.fetch_max(number, Ordering::AcqRel);
                true
            }
            ControlInput::Shutdown => {
                shared.shutdown.store(true, Ordering::Release);
                true
            }
            ControlInput::Command { .. }
            | ControlInput::Reset { .. }
            | ControlInput::HandedOver { .. }
            | ControlInput::LeaseEnded { .. } => false,
        };
        let sent = overtakes || self.sender.try_send(Numbered { number, input }).is_ok();
        if !sent && is_command {
            shared.command_taken();
        }
        shared.waker.wake();
        if sent { Ok(()) } else { Err(Refusal::TooOften) }
    }

    /// Has the thread make a turn, as a command may follow: it is awake when that comes, and does not have to wake up while the
    /// command waits. While nobody drives it is left to sleep.
    pub fn wake_ahead(&self, now: MonoTime) {
        if !self.shared.is_at_rest() && now.since(self.last_turn()) >= AWAKE {
            self.shared.waker.wake();
        }
    }

    /// The function's stage as of the thread's last turn.
    pub fn stage(&self, channel: Channel) -> Option<Stage> {
        let (_, stage) = self.shared.stages.iter().find(|(c, _)| *c == channel)?;
        let number = stage.load(Ordering::Acquire);
        Stage::ALL.into_iter().find(|s| *s as u8 == number)
    }

    /// Waits until the thread is stuck, as [`Progress`] says. Then the process is to end (SAFE-70).
    pub async fn stuck(&self) {
        let mut progress = Progress::default();
        while progress.on_look(self.last_turn()) {
            tokio::time::sleep(Progress::LOOK_INTERVAL).await;
        }
    }

    /// When the thread last looked at its timeouts.
    pub fn last_turn(&self) -> MonoTime {
        MonoTime::from_us(self.shared.last_turn_us.load(Ordering::Acquire))
    }

    /// How often the vehicle's own software has latched the emergency stop; the role is to hear of each (SAFE-131).
    pub fn own_stops(&self) -> u64 {
        self.shared.own_stops()
    }

    #[cfg(test)]
    pub(super) fn shared_commands_waiting(&self) -> usize {
        self.shared.commands_waiting.load(Ordering::Acquire)
    }

    /// Whether the thread runs.
    pub fn is_running(&self) -> bool {
        !self.shared.ended.load(Ordering::Acquire)
    }
}

/// An input with its place in the order of all inputs.
#[derive(Debug)]
pub struct Numbered {
    pub number: u64,
    pub input: ControlInput,
}

/// What both sides see.
#[derive(Debug)]
pub struct Shared {
    pub waker: Waker,
    inputs: AtomicU64,
    newest_stop: AtomicU64,
    own_stops: AtomicU64,
    shutdown: AtomicBool,
    ended: AtomicBool,
    commands_waiting: AtomicUsize,
    last_turn_us: AtomicU64,
    stages: Vec<(Channel, AtomicU8)>,
}

impl Shared {
    pub fn new(
        channels: impl Iterator<Item = Channel>,
        stopped: bool,
        now: MonoTime,
    ) -> io::Result<Shared> {
        let stage = || AtomicU8::new(Stage::MinimalRisk as u8);
        Ok(Shared {
            waker: Waker::new()?,
            inputs: AtomicU64::new(u64::from(stopped)),
            newest_stop: AtomicU64::new(u64::from(stopped)),
            own_stops: AtomicU64::new(0),
            shutdown: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            commands_waiting: AtomicUsize::new(0),
            last_turn_us: AtomicU64::new(now.as_us()),
            stages: channels.map(|channel| (channel, stage())).collect(),
        })
    }

    pub fn newest_stop(&self) -> u64 {
        self.newest_stop.load(Ordering::Acquire)
    }

    /// The vehicle's own software latches the emergency stop.
    pub fn stop_by_vehicle(&self) {
        let number = self.inputs.fetch_add(1, Ordering::AcqRel) + 1;
        self.newest_stop.fetch_max(number, Ordering::AcqRel);
        self.own_stops.fetch_add(1, Ordering::AcqRel);
    }

    pub fn own_stops(&self) -> u64 {
        self.own_stops.load(Ordering::Acquire)
    }

    /// Whether every function was in MinimalRisk at the thread's last turn.
    pub fn is_at_rest(&self) -> bool {
        let mut stages = self.stages.iter();
        stages.all(|(_, stage)| stage.load(Ordering::Acquire) == Stage::MinimalRisk as u8)
    }

    pub fn is_shut_down(&self) -> bool {
        self.shutdown.load(Ordering::Acquire)
    }

    pub fn command_taken(&self) {
        self.commands_waiting.fetch_sub(1, Ordering::AcqRel);
    }

    pub fn note_turn(&self, now: MonoTime) {
        self.last_turn_us.store(now.as_us(), Ordering::Release);
    }

    pub fn note_stage(&self, channel: Channel, stage: Stage) {
        if let Some((_, cell)) = self.stages.iter().find(|(c, _)| *c == channel) {
            cell.store(stage as u8, Ordering::Release);
        }
    }

    pub fn note_end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    fn reserve_command(&self) -> Result<(), Refusal> {
        let before = self.commands_waiting.fetch_add(1, Ordering::AcqRel);
        if before >= COMMANDS_WAITING_MAX {
            self.command_taken();
            return Err(Refusal::TooOften);
        }
        Ok(())
    }
}

/// A thread that made a turn within this is still awake, or so soon asleep that it wakes quickly. Also bounds how often a flood
/// of packets wakes it.
const AWAKE: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    #[test]
    fn a_thread_is_woken_ahead_while_somebody_drives_unless_it_made_a_turn_just_before() {
        let turned = MonoTime::from_us(5_000_000);
        let channel = Channel::new(1).unwrap();
        let shared = Arc::new(Shared::new([channel].into_iter(), false, turned).unwrap());
        let control = ControlHandle::new(sync_channel(1).0, Arc::clone(&shared));
        let is_woken = || {
            let mut fds = [PollFd::new(&shared.waker, PollFlags::IN)];
            let at_once = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            poll(&mut fds, Some(&at_once)).unwrap() == 1
        };
        control.wake_ahead(turned + AWAKE);
        assert!(!is_woken(), "nobody drives");
        shared.note_stage(channel, Stage::Nominal);
        control.wake_ahead(turned + (AWAKE - Duration::from_micros(1)));
        assert!(!is_woken());
        control.wake_ahead(turned + AWAKE);
        assert!(is_woken());
    }
}
