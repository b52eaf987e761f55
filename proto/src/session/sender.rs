//! Outgoing flows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::limits::{NUMBER_MAX, RECEIPT_GRACE, RELIABLE_WINDOW};
use crate::base::{Class, Flow, MonoTime, Refusal};
use crate::wire::{FlowReport, Outcome};

/// A sealed envelope: the same bytes on every leg and path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// The encoded [`crate::wire::Parcel::Sealed`].
    pub parcel: Arc<[u8]>,
    /// The flow.
    pub flow: Flow,
    /// The envelope's number in its flow.
    pub number: u64,
    /// When the application handed the message over.
    pub created: MonoTime,
    /// When its time to live ends, on the local clock.
    pub deadline: MonoTime,
}

/// What became of an own reliable message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The flow.
    pub flow: Flow,
    /// The message's number, as [`super::Session::send`] returned it.
    pub number: u64,
    /// What became of it.
    pub outcome: Resolution,
}

/// What became of an own reliable message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It took effect.
    Applied,
    /// It did not, and why.
    Refused(Refusal),
    /// The far end says that its time to live was over.
    Expired,
    /// The far end did not say in time, or the session ended: it may have taken effect or not.
    Unknown,
}

/// Why a message is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It is longer than a message may be; on a `latest` flow, than one envelope. Shorten it.
    #[error("message is too long")]
    TooLarge,
    /// The time to live is shorter than 1 ms or longer than [`crate::base::limits::TTL_MAX`].
    #[error("time to live is out of range")]
    TtlOutOfRange,
    /// Too many messages of the flow have no receipt yet. Wait for a receipt.
    #[error("too many unresolved messages")]
    WindowFull,
    /// Too many envelopes wait to be taken by [`super::Session::poll_transmit`].
    #[error("too many envelopes wait for transmission")]
    QueueFull,
    /// The key can seal no more. Open a new session.
    #[error("session key is used up")]
    KeyUsedUp,
    /// The session has ended.
    #[error("session has ended")]
    Ended,
}

/// Numbers of one outgoing flow and, when it is `reliable` or `stop`, what has no receipt yet.
#[derive(Debug)]
pub(super) struct Sender {
    flow: Flow,
    /// The next number; each is used once.
    next: u64,
    pending: BTreeMap<u64, Pending>,
    applied: Option<(u64, Option<Duration>)>,
}

#[derive(Debug)]
struct Pending {
    /// Absent after its deadline, when only a late receipt is waited for.
    outbound: Option<Outbound>,
    /// Whether it is the last envelope of its message.
    last: bool,
    deadline: MonoTime,
}

impl Sender {
    pub(super) const fn new(flow: Flow) -> Sender {
        Sender {
            flow,
            next: 1,
            pending: BTreeMap::new(),
            applied: None,
        }
    }

    pub(super) const fn flow(&self) -> Flow {
        self.flow
    }

    /// Reserves `count` consecutive numbers and returns the first.
    // [WIRE-80] [WIRE-85]
    pub(super) fn reserve(&mut self, count: u64) -> Result<u64, SendError> {
        let first = self.next;
        let end = first.saturating_add(count);
        if end > NUMBER_MAX {
            return Err(SendError::KeyUsedUp);
        }
        if self.is_reliable() && end - self.floor() > RELIABLE_WINDOW {
            return Err(SendError::WindowFull);
        }
        self.next = end;
        Ok(first)
    }

    /// Envelopes that may be sent before another is resolved; of flows without receipts there is no bound.
    pub(super) fn room(&self) -> u64 {
        if self.is_reliable() {
            RELIABLE_WINDOW.saturating_sub(self.next - self.floor())
        } else {
            u64::MAX
        }
    }

    /// Keeps an envelope until its receipt, when the flow has receipts.
    pub(super) fn keep(&mut self, outbound: Outbound, last: bool) {
        if self.is_reliable() {
            let pending = Pending {
                deadline: outbound.deadline,
                last,
                outbound: Some(outbound),
            };
            if let Some(number) = pending.outbound.as_ref().map(|o| o.number) {
                self.pending.insert(number, pending);
            }
        }
    }

    /// The lowest number that is not resolved: those below will not be sent again.
    // [WIRE-86]
    pub(super) fn floor(&self) -> u64 {
        match self.pending.first_key_value() {
            Some((&number, _)) => number,
            None => self.next,
        }
    }

    /// Envelopes without a receipt whose deadline is not over.
    pub(super) fn unresolved(&self) -> impl Iterator<Item = &Outbound> {
        self.pending.values().filter_map(|p| p.outbound.as_ref())
    }

    /// What the far end says of this flow. None when it speaks of numbers that were never sent.
    // [WIRE-98]
    pub(super) fn on_report(&mut self, report: &FlowReport) -> Option<Vec<Receipt>> {
        let newest_named = report
            .outcomes
            .iter()
            .map(|(number, _)| *number)
            .chain([report.resolved, report.applied])
            .max();
        if newest_named >= Some(self.next) {
            return None;
        }
        if report.applied > 0 {
            let age = (report.applied_age_us != AGE_UNKNOWN)
                .then(|| Duration::from_micros(report.applied_age_us.into()));
            self.applied = Some((report.applied, age));
        }
        let listed: BTreeMap<u64, &Outcome> = report
            .outcomes
            .iter()
            .map(|(number, outcome)| (*number, outcome))
            .collect();
        let mut receipts = Vec::new();
        self.pending.retain(|number, pending| {
            let outcome = match listed.get(number) {
                Some(Outcome::Applied) => Resolution::Applied,
                Some(Outcome::Refused(refusal)) => Resolution::Refused(refusal.clone()),
                Some(Outcome::Expired) => Resolution::Expired,
                None if *number <= report.resolved => Resolution::Applied,
                None => return true,
            };
            if pending.last {
                receipts.push(Receipt {
                    flow: self.flow,
                    number: *number,
                    outcome,
                });
            }
            false
        });
        Some(receipts)
    }

    /// Stops offering what is over, and calls unknown what stays without a receipt.
    // [WIRE-99]
    pub(super) fn on_timeout(&mut self, now: MonoTime) -> Vec<Receipt> {
        let mut receipts = Vec::new();
        self.pending.retain(|number, pending| {
            if pending.deadline <= now {
                pending.outbound = None;
            }
            let wait = pending.deadline + RECEIPT_GRACE > now;
            if !wait && pending.last {
                receipts.push(unknown(self.flow, *number));
            }
            wait
        });
        receipts
    }

    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        self.pending
            .values()
            .map(|pending| match pending.outbound {
                Some(_) => pending.deadline,
                None => pending.deadline + RECEIPT_GRACE,
            })
            .min()
    }

    /// All that is unresolved becomes unknown.
    // [WIRE-99]
    pub(super) fn end(&mut self) -> Vec<Receipt> {
        std::mem::take(&mut self.pending)
            .into_iter()
            .filter(|(_, pending)| pending.last)
            .map(|(number, _)| unknown(self.flow, number))
            .collect()
    }

    /// The highest number that the far end says it applied, and its age then, when it was known.
    pub(super) const fn applied(&self) -> Option<(u64, Option<Duration>)> {
        self.applied
    }

    pub(super) const fn is_reliable(&self) -> bool {
        is_reliable(self.flow.class)
    }
}

/// Whether messages of this class have receipts.
pub(super) const fn is_reliable(class: Class) -> bool {
    match class {
        Class::Reliable | Class::Stop => true,
        Class::Latest | Class::Unordered => false,
    }
}

/// An age in a flow report that says: it was not known.
pub(super) const AGE_UNKNOWN: u32 = u32::MAX;

const fn unknown(flow: Flow, number: u64) -> Receipt {
    Receipt {
        flow,
        number,
        outcome: Resolution::Unknown,
    }
}
