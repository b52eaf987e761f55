//! One function in the control thread: its actuation, its device, and the fixed-rate feed between them.

use std::collections::{BTreeMap, VecDeque};

use longrein_proto::base::{Channel, FencingToken, MonoTime, Refusal, Stage};
use longrein_proto::control::{Accepted, Actuation, StageChange};
use longrein_proto::wire::{Body, Command, Drive};
use rustix::event::PollFd;

use super::{ControlOutput, FunctionConfig, Sink};
use crate::adapter::{Adapter, Taken};
use crate::applied_log::{AppliedLog, Journey};
use crate::local::FunctionStanding;

pub struct Function {
    channel: Channel,
    actuation: Actuation,
    adapter: Box<dyn Adapter>,
    feed_due: MonoTime,
    was_up: bool,
    /// Opaque commands that wait for the device, in order.
    waiting: VecDeque<Order>,
    /// Commands that the adapter has, by its numbers, and has not said what became of.
    pending: BTreeMap<u64, Verdict>,
    /// Stages that were entered in this turn.
    changes: VecDeque<StageChange>,
    /// What became of commands in this turn.
    verdicts: VecDeque<Verdict>,
}

/// A command that passed the gate, to be applied.
pub struct Order {
    pub ticket: u64,
    pub accepted: Accepted<Command>,
    pub journey: Journey,
    pub rehearsal: bool,
}

struct Verdict {
    ticket: u64,
    journey: Journey,
    rehearsal: bool,
    /// What the limits left of it, when they changed it.
    limited: Option<Drive>,
    result: Result<(), Refusal>,
    at: MonoTime,
}

impl Function {
    pub fn new(config: FunctionConfig, stopped: bool, now: MonoTime) -> Function {
        Function {
            channel: config.channel,
            actuation: Actuation::new(config.actuation, stopped),
            adapter: config.adapter,
            feed_due: now,
            was_up: false,
            waiting: VecDeque::new(),
            pending: BTreeMap::new(),
            changes: VecDeque::new(),
            verdicts: VecDeque::new(),
        }
    }

    pub fn channel(&self) -> Channel {
        self.channel
    }

    pub fn stage(&self) -> Stage {
        self.actuation.stage()
    }

    /// For the local API.
    pub fn standing(&self) -> FunctionStanding {
        FunctionStanding {
            stage: self.stage(),
            stopped: self.actuation.is_stopped(),
            device_up: self.adapter.is_up(),
        }
    }

    /// Applies a command, or lets it wait for the device when it is opaque (SAFE-63): a typed one is told again and again, and
    /// the newest wins.
    pub fn on_command(&mut self, now: MonoTime, order: Order) {
        if order.rehearsal {
            self.look_at_device(now);
            let result = self.actuation.rehearse(now, &order.accepted);
            self.collect(now);
            self.answer(now, order, result);
            return;
        }
        let opaque = matches!(order.accepted.inner().body, Body::Opaque(_));
        let takes = self.adapter.is_up() && self.stage() <= Stage::Hold;
        let free = self.adapter.is_free() && self.waiting.is_empty();
        if opaque && takes && !free {
            if self.waiting.len() >= OPAQUE_WAITING_MAX {
                self.answer(now, order, Err(Refusal::TooOften));
            } else {
                self.waiting.push_back(order);
            }
            return;
        }
        self.apply(now, order);
    }

    pub fn on_stop(&mut self, now: MonoTime) {
        self.actuation.on_stop(now);
        self.refuse_waiting(now, &Refusal::Stopped);
        self.feed(now);
    }

    /// SAFE-71
    pub fn on_end(&mut self, now: MonoTime) {
        self.actuation.on_end(now);
        self.refuse_waiting(now, &Refusal::AdapterDown);
        self.feed(now);
    }

    /// SAFE-130
    pub fn on_own_request(&mut self, now: MonoTime) -> Result<(), Refusal> {
        self.actuation.on_own_request(now)?;
        self.collect(now);
        self.feed(now);
        Ok(())
    }

    pub fn on_reset(&mut self, now: MonoTime) {
        self.actuation.on_reset(now);
        self.feed(now);
    }

    /// Nothing of the holder before takes effect from now on (SAFE-91).
    pub fn on_handed_over(&mut self, now: MonoTime, token: FencingToken) {
        self.actuation.on_handed_over(token);
        if !self.pending.is_empty() {
            self.adapter.void_before(token);
        }
        for order in std::mem::take(&mut self.waiting) {
            if order.accepted.inner().token < token {
                self.answer(now, order, Err(Refusal::OldToken));
            } else {
                self.waiting.push_back(order);
            }
        }
    }

    pub fn on_lease_end(&mut self, now: MonoTime) {
        self.actuation.on_lease_end(now);
        self.refuse_waiting(now, &Refusal::NotLeased);
        self.feed(now);
    }

    /// Everything that is due: the device, stages, what waits for it, the feed.
    pub fn run(&mut self, now: MonoTime, mut log: Option<&mut AppliedLog>, sink: &mut Sink) {
        let channel = self.channel;
        while let Some(telemetry) = self.adapter.poll(now) {
            sink(ControlOutput::Telemetry {
                channel,
                telemetry,
                at: now,
            });
        }
        self.take_outcomes(now);
        self.look_at_device(now);
        self.actuation.on_timeout(now);
        self.collect(now);
        self.hand_over_waiting(now);
        if !self.changes.is_empty() || self.feed_due <= now {
            self.feed(now);
        }
        while let Some(change) = self.changes.pop_front() {
            if let Some(log) = &mut log {
                log.on_stage(change.at, channel, change.stage);
            }
            sink(ControlOutput::Stage {
                channel,
                stage: change.stage,
                at: change.at,
            });
        }
        while let Some(verdict) = self.verdicts.pop_front() {
            if let (Ok(()), false, Some(log)) = (&verdict.result, verdict.rehearsal, &mut log) {
                log.on_applied(verdict.at, channel, verdict.journey);
            }
            if let Some(drive) = verdict.limited {
                sink(ControlOutput::Limited {
                    ticket: verdict.ticket,
                    drive,
                    at: verdict.at,
                });
            }
            sink(ControlOutput::Verdict {
                ticket: verdict.ticket,
                result: verdict.result,
                at: verdict.at,
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

    fn apply(&mut self, now: MonoTime, order: Order) {
        self.look_at_device(now);
        // Stages that are due void what waits before a command that may end them.
        self.actuation.on_timeout(now);
        self.collect(now);
        let typed = matches!(order.accepted.inner().body, Body::Drive(_));
        let adapter = &mut self.adapter;
        let accepted = order.accepted.clone();
        let mut limited = None;
        let mut number = None;
        let result = self.actuation.on_command(now, accepted, |applied, output| {
            limited = match applied.body() {
                Body::Drive(drive) if applied.is_clamped() => Some(*drive),
                Body::Drive(_) | Body::Opaque(_) => None,
            };
            let taken = adapter.on_command(now, applied, output)?;
            number = match taken {
                Taken::Done => None,
                Taken::Pending(number) => Some(number),
            };
            Ok(())
        });
        self.look_at_device(now);
        if typed && result.is_ok() {
            self.feed(now);
        }
        self.answer(now, order, result);
        if let Some(verdict) = self.verdicts.back_mut() {
            verdict.limited = limited;
        }
        if let Some(number) = number
            && let Some(verdict) = self.verdicts.pop_back()
        {
            self.pending.insert(number, verdict);
        }
    }

    /// What became of the commands that were pending. Of what nobody knows the sender hears nothing.
    fn take_outcomes(&mut self, now: MonoTime) {
        while let Some(outcome) = self.adapter.poll_outcome() {
            let verdict = self.pending.remove(&outcome.number);
            if let (Some(mut verdict), Some(result)) = (verdict, outcome.result) {
                verdict.result = result;
                verdict.at = now;
                self.verdicts.push_back(verdict);
            }
        }
    }

    fn answer(&mut self, now: MonoTime, order: Order, result: Result<(), Refusal>) {
        self.verdicts.push_back(Verdict {
            ticket: order.ticket,
            journey: order.journey,
            rehearsal: order.rehearsal,
            limited: None,
            result,
            at: now,
        });
    }

    /// Hands over what waits, in order, as far as the device takes it; what is over is refused meanwhile.
    fn hand_over_waiting(&mut self, now: MonoTime) {
        for _ in 0..self.waiting.len() {
            let over = |order: &Order| order.accepted.deadline() <= now;
            let free = self.adapter.is_free();
            match self.waiting.pop_front() {
                Some(order) if free || over(&order) => self.apply(now, order),
                Some(order) => self.waiting.push_back(order),
                None => return,
            }
        }
    }

    fn refuse_waiting(&mut self, now: MonoTime, why: &Refusal) {
        if !self.pending.is_empty() {
            self.adapter.void(why);
        }
        while let Some(order) = self.waiting.pop_front() {
            self.answer(now, order, Err(why.clone()));
        }
    }

    /// Passes on whether the device is there.
    fn look_at_device(&mut self, now: MonoTime) {
        let up = self.adapter.is_up();
        self.actuation.on_device(now, up);
        if !up {
            self.refuse_waiting(now, &Refusal::AdapterDown);
        }
        self.collect(now);
    }

    fn collect(&mut self, now: MonoTime) {
        while let Some(change) = self.actuation.poll_event() {
            if change.stage > Stage::Hold {
                self.refuse_waiting(now, &Refusal::NeedsResume);
            }
            self.changes.push_back(change);
        }
    }

    /// SAFE-62
    fn feed(&mut self, now: MonoTime) {
        let output = self.actuation.output(now);
        self.collect(now);
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

/// Opaque commands that wait for a device: a third of a second of 50 Hz.
const OPAQUE_WAITING_MAX: usize = 16;
