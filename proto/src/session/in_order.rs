//! Messages in the order of their numbers, each once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::fragment::Whole;
use super::judge::{Timing, Verdict};
use super::{Age, FarClock};
use crate::base::limits::{NUMBER_MAX, OUTCOMES_PER_FLOW_MAX, RELIABLE_WINDOW};
use crate::base::{Flow, MonoTime, Refusal};
use crate::wire::{Content, FragmentOf, Outcome};

/// Receives a `reliable` or `stop` flow: holds back what arrives early, and keeps what became of each number until the
/// sender knows it.
///
/// A sender stays within [`RELIABLE_WINDOW`] of its oldest unresolved number. So each number also says that those a window
/// below it are resolved, and nothing here grows beyond a window; what a session holds in all is bounded in bytes.
#[derive(Debug)]
pub(super) struct InOrder {
    /// From `floor` on.
    slots: BTreeMap<u64, Slot>,
    /// The next number to deliver.
    cursor: u64,
    /// Numbers below will not come (again), and nobody asks what became of them.
    floor: u64,
    /// Every number up to this one has its outcome.
    resolved: u64,
    /// Of the contents in the slots.
    held_bytes: usize,
}

/// What happened at the front of the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This message is next.
    Deliver {
        whole: Whole,
        age: Option<Age>,
        deadline: MonoTime,
    },
    /// As many messages are over.
    Expired(u64),
    /// A message is refused.
    Refused(Refusal),
}

#[derive(Debug)]
enum Slot {
    Waiting {
        timing: Timing,
        content: Content,
        /// When to judge it even if it is still held back.
        recheck: MonoTime,
    },
    Delivered,
    /// With its outcome, if it is the last of its message.
    Done(Option<Outcome>),
}

/// What begins at a number.
enum Front {
    Whole {
        last: u64,
    },
    /// Fragments are missing.
    Missing,
    /// It can never become whole.
    Broken,
}

impl InOrder {
    pub(super) const fn new() -> InOrder {
        InOrder {
            slots: BTreeMap::new(),
            cursor: 1,
            floor: 1,
            resolved: 0,
            held_bytes: 0,
        }
    }

    /// Takes what opened under `number`. [`InOrder::advance`] follows.
    // [WIRE-85]
    pub(super) fn accept(&mut self, now: MonoTime, number: u64, timing: Timing, content: Content) {
        self.imply_floor(number);
        if number < self.cursor {
            return;
        }
        if let Entry::Vacant(slot) = self.slots.entry(number) {
            self.held_bytes += content.bytes.len();
            slot.insert(Slot::Waiting {
                timing,
                content,
                recheck: now,
            });
        }
    }

    /// Whether this number would be held back now.
    pub(super) const fn is_early(&self, number: u64) -> bool {
        number > self.cursor
    }

    /// Bytes that are held back.
    pub(super) const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Settles a number whose content cannot be read. [`InOrder::advance`] follows.
    pub(super) fn refuse(&mut self, number: u64, refusal: Refusal) {
        self.imply_floor(number);
        if number >= self.cursor {
            self.slots
                .entry(number)
                .or_insert(Slot::Done(Some(Outcome::Refused(refusal))));
        }
    }

    /// Numbers below `floor` will not come (again). [`InOrder::advance`] follows.
    pub(super) fn raise_floor(&mut self, floor: u64) {
        self.floor = self.floor.max(floor.min(NUMBER_MAX));
    }

    /// Goes on to the first number that has to be waited for.
    // [WIRE-84] [WIRE-86]
    pub(super) fn advance(&mut self, now: MonoTime, clock: &FarClock, flow: Flow) -> Vec<Step> {
        let mut steps = Vec::new();
        loop {
            match self.slots.get(&self.cursor) {
                None if self.cursor >= self.floor => break,
                None => {
                    let next = self.slots.range(self.cursor..).next();
                    let next = next.map_or(self.floor, |(&number, _)| number.min(self.floor));
                    steps.push(Step::Expired(next - self.cursor));
                    self.cursor = next;
                }
                Some(Slot::Delivered | Slot::Done(_)) => self.cursor += 1,
                Some(Slot::Waiting { .. }) => match self.front() {
                    Front::Whole { last } => steps.extend(self.take(last, now, clock, flow)),
                    Front::Missing if self.cursor >= self.floor => break,
                    Front::Missing | Front::Broken => steps.extend(self.expire(self.cursor)),
                },
            }
        }
        self.forget();
        steps
    }

    /// Gives up what is over while it is held back; what is behind it may be next then.
    // [WIRE-95]
    pub(super) fn on_timeout(&mut self, now: MonoTime, clock: &FarClock, flow: Flow) -> Vec<Step> {
        let mut over = Vec::new();
        for (&number, slot) in &mut self.slots {
            let Slot::Waiting {
                timing, recheck, ..
            } = slot
            else {
                continue;
            };
            if *recheck > now {
                continue;
            }
            match timing.judge(now, clock, flow) {
                Verdict::Expired => over.push(number),
                Verdict::Deliver { deadline, .. } => *recheck = deadline,
                Verdict::NoClock => *recheck = timing.deadline_by_arrival(),
            }
        }
        let mut steps: Vec<Step> = over.into_iter().filter_map(|n| self.expire(n)).collect();
        steps.extend(self.advance(now, clock, flow));
        steps
    }

    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        self.slots
            .values()
            .filter_map(|slot| match slot {
                Slot::Waiting { recheck, .. } => Some(*recheck),
                Slot::Delivered | Slot::Done(_) => None,
            })
            .min()
    }

    /// What became of a delivered message.
    pub(super) fn on_outcome(&mut self, number: u64, outcome: Outcome) {
        if let Some(slot @ Slot::Delivered) = self.slots.get_mut(&number) {
            *slot = Slot::Done(Some(outcome));
            self.forget();
        }
    }

    /// The highest number up to which all are resolved, and the outcomes that the sender cannot infer, in at most this many
    /// bytes. When they do not fit, fewer are called resolved.
    // [WIRE-98]
    pub(super) fn report(&self, bytes_max: usize) -> (u64, Vec<(u64, Outcome)>) {
        let mut outcomes = Vec::new();
        let mut bytes = 0;
        for (&number, slot) in &self.slots {
            let Slot::Done(Some(outcome)) = slot else {
                continue;
            };
            if number <= self.resolved && *outcome == Outcome::Applied {
                continue;
            }
            bytes += outcome_bytes(outcome);
            if bytes > bytes_max || outcomes.len() == OUTCOMES_PER_FLOW_MAX {
                return (self.resolved.min(number - 1), outcomes);
            }
            outcomes.push((number, outcome.clone()));
        }
        (self.resolved, outcomes)
    }

    fn imply_floor(&mut self, number: u64) {
        self.raise_floor(number.saturating_sub(RELIABLE_WINDOW - 1));
    }

    /// What waits at the cursor.
    fn front(&self) -> Front {
        let Some(Slot::Waiting {
            timing, content, ..
        }) = self.slots.get(&self.cursor)
        else {
            return Front::Broken;
        };
        let (timing, dictionary) = (*timing, content.dictionary);
        let Some(FragmentOf { index: 0, count }) = content.fragment else {
            return match content.fragment {
                None => Front::Whole { last: self.cursor },
                Some(_) => Front::Broken,
            };
        };
        for index in 0..count {
            match self.slots.get(&self.cursor.saturating_add(index.into())) {
                Some(Slot::Waiting {
                    timing: t,
                    content: c,
                    ..
                }) if c.fragment == Some(FragmentOf { index, count })
                    && c.dictionary == dictionary
                    && (t.sent_at_us, t.ttl) == (timing.sent_at_us, timing.ttl) => {}
                Some(_) => return Front::Broken,
                None => return Front::Missing,
            }
        }
        Front::Whole {
            last: self.cursor + u64::from(count) - 1,
        }
    }

    /// Delivers the whole message from the cursor to `last`, if it is still worth it.
    fn take(&mut self, last: u64, now: MonoTime, clock: &FarClock, flow: Flow) -> Option<Step> {
        let (mut bytes, mut about) = (Vec::new(), None);
        for number in self.cursor..=last {
            let Some(Slot::Waiting {
                timing, content, ..
            }) = self.slots.insert(number, Slot::Done(None))
            else {
                continue;
            };
            self.held_bytes -= content.bytes.len();
            let (first, _) = *about.get_or_insert((timing, content.dictionary));
            let arrived = first.arrived.min(timing.arrived);
            about = Some((Timing { arrived, ..first }, content.dictionary));
            if bytes.is_empty() {
                bytes = content.bytes;
            } else {
                bytes.extend(content.bytes);
            }
        }
        self.cursor = last.saturating_add(1);
        let (timing, dictionary) = about?;
        let (slot, step) = match timing.judge(now, clock, flow) {
            Verdict::Deliver { age, deadline } => {
                let whole = Whole {
                    number: last,
                    timing,
                    dictionary,
                    bytes,
                };
                let step = Step::Deliver {
                    whole,
                    age,
                    deadline,
                };
                (Slot::Delivered, step)
            }
            Verdict::Expired => (Slot::Done(Some(Outcome::Expired)), Step::Expired(1)),
            Verdict::NoClock => (
                Slot::Done(Some(Outcome::Refused(Refusal::NoClock))),
                Step::Refused(Refusal::NoClock),
            ),
        };
        self.slots.insert(last, slot);
        Some(step)
    }

    /// Gives up one number. Only the last fragment speaks for its message.
    fn expire(&mut self, number: u64) -> Option<Step> {
        let slot = self.slots.get_mut(&number)?;
        let Slot::Waiting { content, .. } = slot else {
            return None;
        };
        let last = content
            .fragment
            .is_none_or(|place| place.index + 1 >= place.count);
        self.held_bytes -= content.bytes.len();
        *slot = Slot::Done(last.then_some(Outcome::Expired));
        last.then_some(Step::Expired(1))
    }

    /// Drops what nobody asks for any more.
    fn forget(&mut self) {
        self.slots = self.slots.split_off(&self.floor.min(self.cursor));
        self.resolved = self.resolved.max(self.floor.min(self.cursor) - 1);
        while let Some(Slot::Done(_)) = self.slots.get(&(self.resolved + 1)) {
            self.resolved += 1;
        }
    }
}

/// Bytes of one outcome in a flow report, and of the gap before it.
fn outcome_bytes(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Applied | Outcome::Expired => 3,
        Outcome::Refused(Refusal::HeldBy(name)) => 6 + name.name.as_str().len(),
        Outcome::Refused(_) => 4,
    }
}
