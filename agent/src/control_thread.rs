//! The thread that owns actuations and adapters. Nothing in it waits for the network, the disk or the async runtime (SAFE-28).
//!
//! It sleeps until a word for it, a device or the next timeout, and at most one [`TICK`], or 50 ms while every function is in
//! MinimalRisk, which time does not change. Inputs come through a bounded queue: a command that finds it full is refused; an
//! emergency stop does not queue at all. Outputs leave through a function that must not wait; [`bounded_outputs`] makes one.

mod function;
mod handle;
mod outputs;
mod waker;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use longrein_io::priority;
use longrein_proto::base::{Channel, FencingToken, MonoTime, Refusal, Stage};
use longrein_proto::control::{Accepted, ActuationConfig, TICK};
use longrein_proto::wire::{Command, Drive, Telemetry};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::error;

use crate::adapter::Adapter;
use crate::applied_log::{AppliedLog, Journey};
use crate::local::{Server, Wish};
use function::{Function, Order};
use handle::{Numbered, Shared};

pub use handle::{ControlHandle, ControlThread};
pub use outputs::bounded_outputs;
pub(crate) use waker::Waker;

/// What the control thread guards and drives.
pub struct ControlConfig {
    /// The functions, each with its device.
    pub functions: Vec<FunctionConfig>,
    /// Whether the emergency stop is latched at the start.
    pub stopped: bool,
    /// Where the vehicle's own software is heard; its functions are those above, in their order.
    pub local: Option<Server>,
    /// Where applied commands and stages are recorded.
    pub applied_log: Option<AppliedLog>,
    /// The clock of all deadlines: `CLOCK_BOOTTIME`.
    pub clock: fn() -> MonoTime,
}

/// One function of the vehicle.
pub struct FunctionConfig {
    /// Its number.
    pub channel: Channel,
    /// Its watchdog and limits.
    pub actuation: ActuationConfig,
    /// Its device.
    pub adapter: Box<dyn Adapter>,
}

/// A word to the control thread.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every input is a command, and a box would only add an allocation"
)]
pub enum ControlInput {
    /// Apply this.
    Command {
        /// Named by the verdict.
        ticket: u64,
        /// The function.
        channel: Channel,
        /// What passed the gate.
        accepted: Accepted<Command>,
        /// For the applied log.
        journey: Journey,
        /// Only judge it: its lease is about to be handed over.
        rehearsal: bool,
    },
    /// The emergency stop is latched. Overtakes everything that waits.
    Stop,
    /// The emergency stop is cleared. Has no effect on a stop that was sent after it, or that the role did not know of.
    Reset {
        /// How many stops of the vehicle's own software the role had heard of when it reset.
        own_stops: u64,
    },
    /// The function's lease was handed over: what was sent under an earlier token is void.
    HandedOver {
        /// The function.
        channel: Channel,
        /// The token in force.
        token: FencingToken,
    },
    /// The function's lease has ended.
    LeaseEnded {
        /// The function.
        channel: Channel,
    },
    /// Enter MinimalRisk, close the devices and end.
    Shutdown,
}

/// A word from the control thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlOutput {
    /// What became of a command.
    Verdict {
        /// The command's ticket.
        ticket: u64,
        /// Applied, or why not.
        result: Result<(), Refusal>,
        /// When.
        at: MonoTime,
    },
    /// A limit changed a drive command; its verdict follows.
    Limited {
        /// The command's ticket.
        ticket: u64,
        /// What is left of it.
        drive: Drive,
        /// When.
        at: MonoTime,
    },
    /// A function entered a stage.
    Stage {
        /// The function.
        channel: Channel,
        /// The stage.
        stage: Stage,
        /// When.
        at: MonoTime,
    },
    /// The vehicle's own software has latched the emergency stop, which is in effect: [`ControlHandle::own_stops`] has grown.
    OwnStop {
        /// When.
        at: MonoTime,
    },
    /// A device sent something.
    Telemetry {
        /// The function.
        channel: Channel,
        /// What.
        telemetry: Telemetry,
        /// When it arrived.
        at: MonoTime,
    },
    /// Commands reach the device (again).
    AdapterUp {
        /// The function.
        channel: Channel,
    },
    /// Commands do not reach the device and are refused.
    AdapterDown {
        /// The function.
        channel: Channel,
    },
}

/// Takes the control thread's outputs; called on that thread, so it must not wait.
pub type Sink = Box<dyn FnMut(ControlOutput) + Send>;

/// Starts the control thread.
///
/// # Errors
/// When the system gives no thread or no event descriptor.
pub fn spawn(config: ControlConfig, sink: Sink) -> io::Result<ControlThread> {
    let now = (config.clock)();
    let channels = config.functions.iter().map(|f| f.channel);
    let shared = Arc::new(Shared::new(channels, config.stopped, now)?);
    let (sender, inputs) = sync_channel(QUEUE);
    let functions = config
        .functions
        .into_iter()
        .map(|f| Function::new(f, config.stopped, now))
        .collect();
    let runner = Runner {
        functions,
        local: config.local,
        inputs,
        shared: Arc::clone(&shared),
        stops_done: 0,
        log: config.applied_log,
        clock: config.clock,
        sink,
    };
    let thread = std::thread::Builder::new()
        .name("control".to_string())
        .spawn(move || runner.run())?;
    Ok(ControlThread::new(
        ControlHandle::new(sender, shared),
        thread,
    ))
}

struct Runner {
    functions: Vec<Function>,
    local: Option<Server>,
    inputs: Receiver<Numbered>,
    shared: Arc<Shared>,
    /// Number of the last stop that was carried out.
    stops_done: u64,
    log: Option<AppliedLog>,
    clock: fn() -> MonoTime,
    sink: Sink,
}

impl Runner {
    fn run(mut self) {
        priority::go_first("control", NICE);
        while !self.shared.is_shut_down() {
            self.turn();
            self.wait();
        }
        for function in &mut self.functions {
            let now = (self.clock)();
            function.on_end(now);
            function.run(now, self.log.as_mut(), &mut self.sink);
            self.shared.note_stage(function.channel(), function.stage());
            function.close();
        }
    }

    fn turn(&mut self) {
        self.shared.note_turn((self.clock)());
        // No more than what can wait: devices and timeouts get their turn however much arrives.
        for _ in 0..QUEUE {
            self.carry_out_stop();
            let Ok(input) = self.inputs.try_recv() else {
                break;
            };
            self.on_input(input);
        }
        self.carry_out_stop();
        self.hear_own_software();
        for function in &mut self.functions {
            let now = (self.clock)();
            function.run(now, self.log.as_mut(), &mut self.sink);
            self.shared.note_stage(function.channel(), function.stage());
        }
        if let Some(local) = &mut self.local {
            let standings = self.functions.iter().map(Function::standing);
            local.tell((self.clock)(), standings);
        }
    }

    fn hear_own_software(&mut self) {
        let Some(mut local) = self.local.take() else {
            return;
        };
        let now = (self.clock)();
        local.turn(now, &mut |wish| self.on_wish(now, wish));
        self.local = Some(local);
    }

    fn on_wish(&mut self, now: MonoTime, wish: Wish) -> Result<(), Refusal> {
        match wish {
            // [SAFE-131] In effect before anybody else hears of it.
            Wish::Stop => {
                self.shared.stop_by_vehicle();
                self.carry_out_stop();
                (self.sink)(ControlOutput::OwnStop { at: now });
                Ok(())
            }
            // [SAFE-130]
            Wish::MinimalRisk(channel) => {
                let mut functions = self.functions.iter_mut();
                let function = functions.find(|f| f.channel() == channel);
                function.ok_or(Refusal::NoSuchFunction)?.on_own_request(now)
            }
            Wish::Telemetry(channel, telemetry) => {
                (self.sink)(ControlOutput::Telemetry {
                    channel,
                    telemetry,
                    at: now,
                });
                Ok(())
            }
        }
    }

    fn on_input(&mut self, Numbered { number, input }: Numbered) {
        let now = (self.clock)();
        match input {
            ControlInput::Command {
                ticket,
                channel,
                accepted,
                journey,
                rehearsal,
            } => {
                self.shared.command_taken();
                let order = Order {
                    ticket,
                    accepted,
                    journey,
                    rehearsal,
                };
                match self.functions.iter_mut().find(|f| f.channel() == channel) {
                    Some(function) => function.on_command(now, order),
                    None => (self.sink)(ControlOutput::Verdict {
                        ticket,
                        result: Err(Refusal::NoSuchFunction),
                        at: now,
                    }),
                }
            }
            // [SAFE-132]
            ControlInput::Reset { own_stops } => {
                if number > self.stops_done && own_stops == self.shared.own_stops() {
                    for function in &mut self.functions {
                        function.on_reset(now);
                    }
                }
            }
            ControlInput::HandedOver { channel, token } => {
                for function in self.functions.iter_mut().filter(|f| f.channel() == channel) {
                    function.on_handed_over(now, token);
                }
            }
            ControlInput::LeaseEnded { channel } => {
                for function in self.functions.iter_mut().filter(|f| f.channel() == channel) {
                    function.on_lease_end(now);
                }
            }
            // Both are carried out by what the handle shares, and only wake the thread.
            ControlInput::Stop | ControlInput::Shutdown => {}
        }
    }

    /// SAFE-33: looked at before every input, so that a stop overtakes commands that wait.
    fn carry_out_stop(&mut self) {
        let number = self.shared.newest_stop();
        if number > self.stops_done {
            self.stops_done = number;
            let now = (self.clock)();
            for function in &mut self.functions {
                function.on_stop(now);
            }
        }
    }

    fn wait(&self) {
        let now = (self.clock)();
        let longest = if self.shared.is_at_rest() { REST } else { TICK };
        let until = self
            .functions
            .iter()
            .map(Function::next_timeout)
            .chain([now + longest])
            .min()
            .unwrap_or(now);
        let timeout = Timespec::try_from(until.since(now)).unwrap_or(Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        });
        let mut fds = vec![PollFd::new(&self.shared.waker, PollFlags::IN)];
        for function in &self.functions {
            function.wake_on(&mut fds);
        }
        if let Some(local) = &self.local {
            local.wake_on(now, &mut fds);
        }
        // An interruption is as good as a wake-up: the next turn looks at everything.
        let _ = poll(&mut fds, Some(&timeout));
        self.shared.waker.clear();
    }
}

impl Drop for Runner {
    /// Also when the thread panics: nobody must believe that it still guards anything.
    fn drop(&mut self) {
        self.shared.note_end();
        if std::thread::panicking() {
            error!("control thread panicked; every device is closed");
        }
    }
}

/// The longest sleep while nothing can be late: half of what [`longrein_proto::control::Progress`] looks for.
const REST: Duration = Duration::from_millis(50);
/// Nice value of the control thread. Not `SCHED_FIFO`: an adapter with a fault must not starve the machine.
pub(crate) const NICE: i32 = -15;
/// Commands that may wait: five seconds of 50 Hz, of which the deadlines will have refused most.
const COMMANDS_WAITING_MAX: usize = 256;
/// Places of the queue, of which commands leave some to resets and ends of leases.
const QUEUE: usize = COMMANDS_WAITING_MAX + 128;

#[cfg(test)]
mod tests;
