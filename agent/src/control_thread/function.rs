//! One function in the control thread: its actuation, its device, and the fixed-rate feed between them.

use std::collections::VecDeque;

use longrein_proto::base::{Channel, MonoTime, Refusal, Stage};
use longrein_proto::control::{Accepted, Actuation, StageChange};
use longrein_proto::wire::Command;
use rustix::event::PollFd;

use super::{ControlOutput, FunctionConfig, Sink};
use crate::adapter::Adapter;
use crate::applied_log::AppliedLog;

pub struct Function {
    channel: Channel,
    actuation: Actuation,
    adapter: Box<dyn Adapter>,
    feed_due: MonoTime,
    was_up: bool,
    /// Stages that were entered in this turn.
    changes: VecDeque<StageChange>,
}

impl Function {
    pub fn new(config: FunctionConfig, stopped: bool, now: MonoTime) -> Function {
        Function {
            channel: config.channel,
            actuation: Actuation::new(config.actuation, stopped),
            adapter: config.adapter,
            feed_due: now,
            was_up: false,
            changes: VecDeque::new(),
        }
    }

    pub fn channel(&self) -> Channel {
        self.channel
    }

    pub fn stage(&self) -> Stage {
        self.actuation.stage()
    }

    /// SAFE-64: a device that is down is asked first, so that what cannot reach it does not feed the watchdog.
    pub fn on_command(
        &mut self,
        now: MonoTime,
        accepted: Accepted<Command>,
    ) -> Result<(), Refusal> {
        if !self.adapter.is_up() {
            return Err(Refusal::AdapterDown);
        }
        // Stages that are due void what waits in the adapter before a command that may end them.
        self.actuation.on_timeout(now);
        self.collect();
        let applied = self.actuation.on_command(now, accepted)?;
        let result = self.adapter.on_command(now, &applied);
        self.feed(now);
        result
    }

    pub fn on_stop(&mut self, now: MonoTime) {
        self.actuation.on_stop(now);
        self.adapter.on_void();
        self.feed(now);
    }

    pub fn on_reset(&mut self, now: MonoTime) {
        self.actuation.on_reset(now);
        self.feed(now);
    }

    pub fn on_lease_end(&mut self, now: MonoTime) {
        self.actuation.on_lease_end(now);
        self.adapter.on_void();
        self.feed(now);
    }

    /// Everything that is due: stages, the feed, the device.
    pub fn run(&mut self, now: MonoTime, mut log: Option<&mut AppliedLog>, sink: &mut Sink) {
        self.actuation.on_timeout(now);
        self.collect();
        if !self.changes.is_empty() || self.feed_due <= now {
            self.feed(now);
        }
        while let Some(change) = self.changes.pop_front() {
            if let Some(log) = &mut log {
                log.on_stage(change.at, self.channel, change.stage);
            }
            sink(ControlOutput::Stage {
                channel: self.channel,
                stage: change.stage,
                at: change.at,
            });
        }
        while let Some(telemetry) = self.adapter.poll(now) {
            sink(ControlOutput::Telemetry {
                channel: self.channel,
                telemetry,
                at: now,
            });
        }
        self.tell_adapter(sink);
    }

    pub fn next_timeout(&self) -> MonoTime {
        let stage = self.actuation.next_timeout();
        stage.map_or(self.feed_due, |at| at.min(self.feed_due))
    }

    pub fn wake_on<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        self.adapter.wake_on(fds);
    }

    pub fn close(&mut self) {
        self.adapter.close();
    }

    fn collect(&mut self) {
        while let Some(change) = self.actuation.poll_event() {
            if change.stage > Stage::Hold {
                self.adapter.on_void();
            }
            self.changes.push_back(change);
        }
    }

    /// SAFE-62
    fn feed(&mut self, now: MonoTime) {
        let output = self.actuation.output(now);
        self.collect();
        self.adapter.on_output(now, &output);
        self.feed_due = now + self.adapter.feed_interval();
    }

    fn tell_adapter(&mut self, sink: &mut Sink) {
        let up = self.adapter.is_up();
        if up != std::mem::replace(&mut self.was_up, up) {
            let channel = self.channel;
            sink(if up {
                ControlOutput::AdapterUp { channel }
            } else {
                ControlOutput::AdapterDown { channel }
            });
        }
    }
}
