//! Incoming flows.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::fragment::{Assemblies, Whole};
use super::in_order::{InOrder, Step};
use super::judge::{Timing, Verdict};
use super::sender::AGE_UNKNOWN;
use super::window::{Replay, ReplayWindow};
use super::{Age, FarClock};
use crate::base::limits::OUTCOMES_AWAITED_MAX;
use crate::base::{Class, Flow, MonoTime, Refusal};
use crate::wire::{Content, FlowCounts, FlowReport, Outcome};

/// A message of the far end, in time and in the order that its class promises.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The flow.
    pub flow: Flow,
    /// The message's number in its flow; names it to [`super::Session::on_outcome`].
    pub number: u64,
    /// The message.
    pub bytes: Vec<u8>,
    /// When it was handed over at the far end, on the far clock.
    pub sent_at_us: u64,
    /// Its age when it was queued for delivery. None while the far clock is unknown.
    pub age: Option<Age>,
    /// When its time to live ends, on the local clock, as early as it can be.
    pub deadline: MonoTime,
}

/// What became of the messages of one incoming flow. A number that never came is in none of these, except below a send
/// floor, where it is expired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowStats {
    /// The highest number that opened.
    pub highest: u64,
    /// Numbers that opened, each once; a message in fragments has several.
    pub received: u64,
    /// Messages that were delivered.
    pub delivered: u64,
    /// Messages that took effect.
    pub applied: u64,
    /// Messages that were refused, by the session (no clock, malformed) or by whom they were delivered to.
    pub refused: u64,
    /// Messages whose time to live was over.
    pub expired: u64,
    /// Messages of a `latest` flow that arrived behind a newer one.
    pub superseded: u64,
    /// The highest number that took effect; 0 before the first.
    pub applied_number: u64,
    /// Its age when it was delivered, if that was known.
    pub applied_age: Option<Age>,
}

/// Without the message: what is sealed is not for logs.
impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("flow", &self.flow)
            .field("number", &self.number)
            .field("bytes", &self.bytes.len())
            .field("age", &self.age)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// One incoming flow.
#[derive(Debug)]
pub(super) struct Receiver {
    flow: Flow,
    window: ReplayWindow,
    order: Order,
    /// Delivered messages and their ages, until their outcomes are told.
    awaited: BTreeMap<u64, Option<Age>>,
    stats: FlowStats,
}

#[derive(Debug)]
enum Order {
    /// The newest number that was delivered.
    Latest(u64),
    Unordered,
    InOrder(InOrder),
}

/// A message that is due, perhaps still compressed.
#[derive(Debug)]
pub(super) struct Ready {
    pub whole: Whole,
    pub age: Option<Age>,
    pub deadline: MonoTime,
}

/// What became of an envelope that opened.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub ready: Vec<Ready>,
    /// The content is none, or does not fit its flow or message.
    pub malformed: bool,
    /// Other messages that were given up for want of room.
    pub dropped: u64,
}

impl Receiver {
    pub(super) const fn new(flow: Flow) -> Receiver {
        let order = match flow.class {
            Class::Latest => Order::Latest(0),
            Class::Unordered => Order::Unordered,
            Class::Reliable | Class::Stop => Order::InOrder(InOrder::new()),
        };
        Receiver {
            flow,
            window: ReplayWindow::new(),
            order,
            awaited: BTreeMap::new(),
            stats: FlowStats {
                highest: 0,
                received: 0,
                delivered: 0,
                applied: 0,
                refused: 0,
                expired: 0,
                superseded: 0,
                applied_number: 0,
                applied_age: None,
            },
        }
    }

    pub(super) const fn flow(&self) -> Flow {
        self.flow
    }

    pub(super) fn check(&self, number: u64) -> Result<(), Replay> {
        self.window.check(number)
    }

    /// Whether this number would be held back now.
    pub(super) const fn is_early(&self, number: u64) -> bool {
        match &self.order {
            Order::InOrder(order) => order.is_early(number),
            Order::Latest(_) | Order::Unordered => false,
        }
    }

    /// Bytes that are held back.
    pub(super) const fn held_bytes(&self) -> usize {
        match &self.order {
            Order::InOrder(order) => order.held_bytes(),
            Order::Latest(_) | Order::Unordered => 0,
        }
    }

    /// Takes the content of an envelope that opened; None when it is no content.
    // [WIRE-81] [WIRE-82] [WIRE-83]
    pub(super) fn on_opened(
        &mut self,
        now: MonoTime,
        clock: &FarClock,
        assemblies: &mut Assemblies,
        number: u64,
        ttl: Duration,
        content: Option<Content>,
    ) -> Taken {
        self.window.mark(number);
        self.stats.received += 1;
        self.stats.highest = self.window.highest();
        let Some(content) = content else {
            return self.on_malformed(now, clock, number);
        };
        let timing = Timing {
            sent_at_us: content.sent_at_us,
            ttl,
            arrived: now,
        };
        let mut taken = Taken::default();
        let whole = match (&mut self.order, content.fragment) {
            (Order::InOrder(order), _) => {
                order.accept(now, number, timing, content);
                let steps = order.advance(now, clock, self.flow);
                taken.ready = self.settle(steps);
                return taken;
            }
            (Order::Latest(_), Some(_)) => return self.on_malformed(now, clock, number),
            (Order::Latest(newest), None) if number < *newest => {
                self.stats.superseded += 1;
                return taken;
            }
            (Order::Unordered, Some(place)) => {
                let assembled = assemblies.add(self.flow, number, place, timing, content);
                taken.dropped = assembled.dropped;
                taken.malformed = assembled.malformed;
                assembled.whole
            }
            (Order::Latest(_) | Order::Unordered, None) => Some(Whole {
                number,
                timing,
                dictionary: content.dictionary,
                bytes: content.bytes,
            }),
        };
        let Some(whole) = whole else { return taken };
        let step = match whole.timing.judge(now, clock, self.flow) {
            Verdict::Deliver { age, deadline } => Step::Deliver {
                whole,
                age,
                deadline,
            },
            Verdict::Expired => Step::Expired(1),
            Verdict::NoClock => Step::Refused(Refusal::NoClock),
        };
        if let (Order::Latest(newest), Step::Deliver { .. }) = (&mut self.order, &step) {
            *newest = number;
        }
        taken.ready = self.settle(vec![step]);
        taken
    }

    /// The far end will not send numbers below `floor` (again).
    // [WIRE-86]
    pub(super) fn on_floor(&mut self, now: MonoTime, clock: &FarClock, floor: u64) -> Vec<Ready> {
        let Order::InOrder(order) = &mut self.order else {
            return Vec::new();
        };
        order.raise_floor(floor);
        let steps = order.advance(now, clock, self.flow);
        self.settle(steps)
    }

    pub(super) fn on_timeout(&mut self, now: MonoTime, clock: &FarClock) -> Vec<Ready> {
        let Order::InOrder(order) = &mut self.order else {
            return Vec::new();
        };
        let steps = order.on_timeout(now, clock, self.flow);
        self.settle(steps)
    }

    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        match &self.order {
            Order::InOrder(order) => order.next_timeout(),
            Order::Latest(_) | Order::Unordered => None,
        }
    }

    /// What became of a delivered message. The first word counts.
    pub(super) fn on_outcome(&mut self, number: u64, outcome: Outcome) {
        let Some(age) = self.awaited.remove(&number) else {
            return;
        };
        match outcome {
            Outcome::Applied => {
                self.stats.applied += 1;
                if number > self.stats.applied_number {
                    self.stats.applied_number = number;
                    self.stats.applied_age = age;
                }
            }
            Outcome::Refused(_) => self.stats.refused += 1,
            Outcome::Expired => self.stats.expired += 1,
        }
        if let Order::InOrder(order) = &mut self.order {
            order.on_outcome(number, outcome);
        }
    }

    /// A delivered message was replaced by a newer one before anyone took it.
    pub(super) fn on_superseded(&mut self, number: u64) {
        if self.awaited.remove(&number).is_some() {
            self.stats.delivered -= 1;
            self.stats.superseded += 1;
        }
    }

    /// A message in fragments was given up.
    pub(super) fn on_given_up(&mut self) {
        self.stats.expired += 1;
    }

    /// Fills in the receiver's part of the flow's report.
    // [WIRE-98]
    pub(super) fn report(&self, report: &mut FlowReport, outcome_bytes_max: usize) {
        if let Order::InOrder(order) = &self.order {
            (report.resolved, report.outcomes) = order.report(outcome_bytes_max);
        }
        report.applied = self.stats.applied_number;
        report.applied_age_us = match self.stats.applied_age {
            Some(age) => u32::try_from(age.age.as_micros()).unwrap_or(AGE_UNKNOWN - 1),
            None if report.applied == 0 => 0,
            None => AGE_UNKNOWN,
        };
        report.counts = FlowCounts {
            superseded: self.stats.superseded,
            expired: self.stats.expired,
            refused: self.stats.refused,
        };
    }

    /// How many messages have an outcome.
    pub(super) const fn settled(&self) -> u64 {
        self.stats
            .applied
            .saturating_add(self.stats.refused)
            .saturating_add(self.stats.expired)
    }

    pub(super) const fn stats(&self) -> FlowStats {
        self.stats
    }

    fn on_malformed(&mut self, now: MonoTime, clock: &FarClock, number: u64) -> Taken {
        self.stats.refused += 1;
        let mut ready = Vec::new();
        if let Order::InOrder(order) = &mut self.order {
            order.refuse(number, Refusal::Malformed);
            let steps = order.advance(now, clock, self.flow);
            ready = self.settle(steps);
        }
        Taken {
            ready,
            malformed: true,
            dropped: 0,
        }
    }

    fn settle(&mut self, steps: Vec<Step>) -> Vec<Ready> {
        let mut ready = Vec::new();
        for step in steps {
            match step {
                Step::Deliver {
                    whole,
                    age,
                    deadline,
                } => {
                    self.stats.delivered += 1;
                    self.awaited.insert(whole.number, age);
                    if self.awaited.len() > OUTCOMES_AWAITED_MAX {
                        self.awaited.pop_first();
                    }
                    ready.push(Ready {
                        whole,
                        age,
                        deadline,
                    });
                }
                Step::Expired(count) => {
                    self.stats.expired = self.stats.expired.saturating_add(count);
                }
                Step::Refused(_) => self.stats.refused += 1,
            }
        }
        ready
    }
}
