//! Devices behind a broker of MQTT as one device: see [`crate::mqtt`].

use std::time::Duration;

use longrein_proto::base::{FencingToken, MonoTime, Refusal, Stage};
use longrein_proto::control::{Applied, Output};
use longrein_proto::wire::{Body, Telemetry};
use rustix::event::PollFd;

use super::{Adapter, Outcome, Taken};
use crate::mqtt::{Line, Settled};

/// Hands opaque commands, each for one device, to the broker's task, and hears what became of them.
#[derive(Debug)]
pub struct MqttAdapter {
    line: Line,
    next_number: u64,
    up: bool,
    fail_safe: bool,
    /// Why what was handed over last became void.
    void_why: Refusal,
}

impl MqttAdapter {
    /// The broker counts as away until it was there.
    pub(crate) fn new(line: Line) -> MqttAdapter {
        MqttAdapter {
            line,
            next_number: 1,
            up: false,
            fail_safe: false,
            void_why: Refusal::NotLeased,
        }
    }
}

impl Adapter for MqttAdapter {
    fn is_up(&self) -> bool {
        self.up
    }

    fn on_command(
        &mut self,
        _now: MonoTime,
        applied: &Applied,
        _output: &Output,
    ) -> Result<Taken, Refusal> {
        let Body::Opaque(body) = applied.body() else {
            return Err(Refusal::NoSuchFunction);
        };
        // A resume is for the function, not for a device.
        if body.is_empty() {
            return Ok(Taken::Done);
        }
        let number = self.next_number;
        self.line
            .give(number, applied.token(), body.clone(), applied.deadline())?;
        self.next_number += 1;
        Ok(Taken::Pending(number))
    }

    // [SAFE-124]
    fn on_output(&mut self, _now: MonoTime, output: &Output) {
        // Without a watchdog a function is in MinimalRisk too while its broker is away; that is no reason to stop the devices.
        let minimal_risk = output.stage == Stage::MinimalRisk && self.up;
        let fail_safe = output.stopped || minimal_risk;
        if fail_safe != std::mem::replace(&mut self.fail_safe, fail_safe) {
            self.line.set_fail_safe(fail_safe);
        }
    }

    fn poll(&mut self, now: MonoTime) -> Option<Telemetry> {
        self.line.clear();
        self.up = self.line.is_up(now);
        None
    }

    fn poll_outcome(&mut self) -> Option<Outcome> {
        let (number, settled) = self.line.poll()?;
        let result = match settled {
            Settled::Published => Some(Ok(())),
            Settled::Refused(why) => Some(Err(why)),
            Settled::Void => Some(Err(self.void_why.clone())),
            Settled::Unsaid => None,
        };
        Some(Outcome { number, result })
    }

    // [SAFE-122]
    fn void(&mut self, why: &Refusal) {
        self.void_why = why.clone();
        self.line.void();
    }

    // [SAFE-122]
    fn void_before(&mut self, token: FencingToken) {
        self.void_why = Refusal::OldToken;
        self.line.void_before(token);
    }

    fn wake_on<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        fds.push(self.line.wake_on());
    }

    fn feed_interval(&self) -> Duration {
        FEED
    }

    /// The broker's task says farewell to the devices when this is dropped.
    fn close(&mut self) {}
}

/// How often the stage is looked at: it only tells the devices something when it begins or ends to be MinimalRisk.
const FEED: Duration = Duration::from_millis(50);
