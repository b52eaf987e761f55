//! What stands between the control thread and a device.
//!
//! An adapter runs on the control thread and never waits (SAFE-66): sockets and pipes are non-blocking, and a device that is
//! slow or gone costs its own function only.

pub mod config;
mod local;
pub mod mavlink;
mod mqtt;
mod pipe;
mod process;
mod sim;
mod sim_vehicle;
mod udp;
pub(crate) mod word;

use std::time::Duration;

use longrein_proto::base::{FencingToken, MonoTime, Refusal};
use longrein_proto::control::{Applied, Output};
use longrein_proto::wire::{FunctionKind, Telemetry};
use rustix::event::PollFd;

use crate::local::seat::Seat;
use crate::mqtt::Line;

pub use config::{AdapterConfig, AdapterConfigError};
pub use local::LocalAdapter;
pub use mqtt::MqttAdapter;
pub use process::ProcessAdapter;
pub use sim::SimAdapter;
pub use sim_vehicle::SimVehicle;
pub use udp::UdpAdapter;

/// The way to one function's device. All calls come from the control thread and return at once.
pub trait Adapter: Send {
    /// Whether the device is there; commands are refused while not. Each loss is seen by whoever asks after every call.
    fn is_up(&self) -> bool;

    /// Whether an opaque command would be handed over now; while not, the next ones wait.
    fn is_free(&self) -> bool {
        true
    }

    /// Hands a command to the device, once, with what the device is told from now on. Typed ones also come with each
    /// [`Adapter::on_output`].
    ///
    /// # Errors
    /// `AdapterDown`, `TooOften` or `NoSuchFunction` when the device does not get it; it is not tried again.
    fn on_command(
        &mut self,
        now: MonoTime,
        applied: &Applied,
        output: &Output,
    ) -> Result<Taken, Refusal>;

    /// What became of a command that was pending. Called in every turn until there is none.
    fn poll_outcome(&mut self) -> Option<Outcome> {
        None
    }

    /// Commands that are pending are void, for this reason, unless the device has them.
    fn void(&mut self, _why: &Refusal) {}

    /// The same of those under earlier tokens: the lease was handed over.
    fn void_before(&mut self, _token: FencingToken) {}

    /// Tells the device stage, stop and typed command: at the fixed rate, and at once when one of them changes (SAFE-62).
    fn on_output(&mut self, now: MonoTime, output: &Output);

    /// Looks after the device, and gives the next telemetry that it sent. Called in every turn until it gives none.
    fn poll(&mut self, now: MonoTime) -> Option<Telemetry>;

    /// Adds what is to wake the control thread. What is added here must be consumed by [`Adapter::poll`].
    fn wake_on<'a>(&'a self, fds: &mut Vec<PollFd<'a>>);

    /// How often [`Adapter::on_output`] is wanted at least.
    fn feed_interval(&self) -> Duration;

    /// Where a client of the local API sits down as the device.
    fn seat(&self) -> Option<Seat> {
        None
    }

    /// Tells the device that no word follows. The adapter is dropped next, and may wait for the device then (SAFE-67).
    fn close(&mut self);
}

/// What an adapter made of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The device has it.
    Done,
    /// It is on its way, under this number of the adapter's; [`Adapter::poll_outcome`] tells what becomes of it.
    Pending(u64),
}

/// What became of a command that was pending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The command's number.
    pub number: u64,
    /// Whether the device has it; none when nobody knows.
    pub result: Option<Result<(), Refusal>>,
}

/// Makes the adapter that the configuration asks for; `line` is its end of the bridge to MQTT, if it is one of those.
///
/// # Errors
/// When the configuration does not fit the function, or a socket cannot be made.
pub(crate) fn open(
    config: &AdapterConfig,
    kind: FunctionKind,
    line: Option<Line>,
    now: MonoTime,
) -> Result<Box<dyn Adapter>, AdapterConfigError> {
    config.check(kind)?;
    Ok(match config {
        AdapterConfig::Mqtt(devices) => match line {
            Some(line) => Box::new(MqttAdapter::new(line)),
            None => {
                let broker = devices.broker.clone();
                return Err(AdapterConfigError::NoBroker { broker });
            }
        },
        AdapterConfig::Sim(sim) => Box::new(SimAdapter::new(sim, now)),
        AdapterConfig::Udp(udp) => Box::new(UdpAdapter::open(udp)?),
        AdapterConfig::Local(local) => Box::new(LocalAdapter::new(local, now)),
        AdapterConfig::Process(process) => Box::new(ProcessAdapter::new(process.clone(), now)),
    })
}

/// Telemetry that one call of a device's pipe or socket may bring at most; the rest waits for the next turn.
const READS_PER_TURN_MAX: usize = 64;
