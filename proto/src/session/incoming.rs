//! What a session receives.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::compress::{Decompressor, Garbled};
use super::fragment::Assemblies;
use super::receiver::{Ready, Receiver};
use super::window::Replay;
use super::{Delivery, Dictionaries, FarClock, FlowStats, Rejection};
use crate::base::limits::{DELIVERIES_MAX, HELD_BACK_BYTES_MAX, NUMBER_MAX};
use crate::base::{Class, Flow, MonoTime, Refusal, SessionId};
use crate::crypto::{OpenError, OpenKey};
use crate::wire::{Content, FlowReport, Outcome, SealedHeader};

/// The receiving half of a session: opens, orders, joins and decompresses.
pub(super) struct Incoming {
    session: SessionId,
    key: OpenKey,
    decompressor: Decompressor,
    receivers: BTreeMap<u8, Receiver>,
    assemblies: Assemblies,
    deliveries: VecDeque<Delivery>,
    pub(super) counts: Counts,
}

/// What the receiving half counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub opened: u64,
    pub garbled: u64,
    pub without_dictionary: u64,
    pub assemblies_dropped: u64,
}

impl Incoming {
    pub(super) fn new(session: SessionId, key: OpenKey, dictionaries: Dictionaries) -> Incoming {
        Incoming {
            session,
            key,
            decompressor: Decompressor::new(dictionaries),
            receivers: BTreeMap::new(),
            assemblies: Assemblies::default(),
            deliveries: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    // [WIRE-80] [WIRE-81]
    pub(super) fn on_sealed(
        &mut self,
        now: MonoTime,
        clock: &FarClock,
        header: SealedHeader,
        ciphertext: &[u8],
    ) -> Result<(), Rejection> {
        let SealedHeader { flow, number, .. } = header;
        if header.session != self.session {
            return Err(Rejection::OtherSession);
        }
        if number > NUMBER_MAX {
            return Err(Rejection::Malformed);
        }
        if self.deliveries.len() >= DELIVERIES_MAX {
            return Err(Rejection::Busy);
        }
        let fresh = match self.receivers.get(&flow.to_byte()) {
            Some(receiver) => receiver.check(number),
            None if number == 0 => Err(Replay::TooOld),
            None => Ok(()),
        };
        fresh.map_err(|replay| match replay {
            Replay::Seen => Rejection::Replayed,
            Replay::TooOld => Rejection::TooOld,
        })?;
        // [WIRE-106]
        if self.is_early(flow, number) && self.held_bytes() + ciphertext.len() > HELD_BACK_BYTES_MAX
        {
            return Err(Rejection::Busy);
        }
        let (phase, clear) = (header.key_phase, header.encode());
        let plaintext = self
            .key
            .open(now, phase, flow.to_byte(), number, &clear, ciphertext)
            .map_err(|error| match error {
                OpenError::UnknownKey => Rejection::UnknownKey,
                OpenError::Forged => Rejection::Forged,
            })?;
        self.counts.opened += 1;
        let taken = self
            .receivers
            .entry(flow.to_byte())
            .or_insert_with(|| Receiver::new(flow))
            .on_opened(
                now,
                clock,
                &mut self.assemblies,
                number,
                Duration::from_millis(header.ttl_ms.into()),
                Content::decode(&plaintext).ok(),
            );
        self.counts.assemblies_dropped += taken.dropped;
        self.deliver(flow, taken.ready);
        if taken.malformed {
            Err(Rejection::Malformed)
        } else {
            Ok(())
        }
    }

    pub(super) fn poll_delivery(&mut self) -> Option<Delivery> {
        self.deliveries.pop_front()
    }

    pub(super) fn on_outcome(&mut self, flow: Flow, number: u64, outcome: Outcome) {
        if let Some(receiver) = self.receivers.get_mut(&flow.to_byte()) {
            receiver.on_outcome(number, outcome);
        }
    }

    /// How many messages of the flow have an outcome.
    pub(super) fn settled(&self, flow: Flow) -> u64 {
        self.receivers
            .get(&flow.to_byte())
            .map_or(0, Receiver::settled)
    }

    pub(super) fn flows(&self) -> impl Iterator<Item = u8> {
        self.receivers.keys().copied()
    }

    pub(super) fn stats(&self) -> impl Iterator<Item = (Flow, FlowStats)> {
        self.receivers.values().map(|r| (r.flow(), r.stats()))
    }

    /// Fills in the receiver's part of a report.
    pub(super) fn report(&self, report: &mut FlowReport, outcome_bytes_max: usize) {
        if let Some(receiver) = self.receivers.get(&report.flow.to_byte()) {
            receiver.report(report, outcome_bytes_max);
        }
    }

    /// The far end will not send numbers of this reliable flow below `floor` (again), also when none of it came yet.
    pub(super) fn on_floor(&mut self, now: MonoTime, clock: &FarClock, flow: Flow, floor: u64) {
        let receiver = self
            .receivers
            .entry(flow.to_byte())
            .or_insert_with(|| Receiver::new(flow));
        let ready = receiver.on_floor(now, clock, floor);
        self.deliver(flow, ready);
    }

    /// Returns the flows in which something is over.
    pub(super) fn on_timeout(&mut self, now: MonoTime, clock: &FarClock) -> Vec<Flow> {
        for flow in self.assemblies.on_timeout(now) {
            if let Some(receiver) = self.receivers.get_mut(&flow.to_byte()) {
                receiver.on_given_up();
            }
        }
        let mut over = Vec::new();
        for receiver in self.receivers.values_mut() {
            if receiver.next_timeout().is_some_and(|at| at <= now) {
                over.push((receiver.flow(), receiver.on_timeout(now, clock)));
            }
        }
        over.into_iter()
            .map(|(flow, ready)| {
                self.deliver(flow, ready);
                flow
            })
            .collect()
    }

    /// Erases keys whose time is over.
    pub(super) fn on_key_timeout(&mut self, now: MonoTime) {
        self.key.on_timeout(now);
    }

    pub(super) fn next_key_timeout(&self) -> Option<MonoTime> {
        self.key.next_timeout()
    }

    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        self.receivers
            .values()
            .filter_map(Receiver::next_timeout)
            .chain(self.assemblies.next_timeout())
            .min()
    }

    pub(super) fn end(&mut self) {
        self.deliveries.clear();
    }

    fn is_early(&self, flow: Flow, number: u64) -> bool {
        match self.receivers.get(&flow.to_byte()) {
            Some(receiver) => receiver.is_early(number),
            None => Receiver::new(flow).is_early(number),
        }
    }

    fn held_bytes(&self) -> usize {
        self.receivers.values().map(Receiver::held_bytes).sum()
    }

    fn deliver(&mut self, flow: Flow, ready: Vec<Ready>) {
        let Some(receiver) = self.receivers.get_mut(&flow.to_byte()) else {
            return;
        };
        for Ready {
            whole,
            age,
            deadline,
        } in ready
        {
            let bytes = match whole.dictionary {
                None => Ok(whole.bytes),
                Some(dictionary) => self.decompressor.decompress(dictionary, &whole.bytes),
            };
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(garbled) => {
                    match garbled {
                        Garbled::NoDictionary => self.counts.without_dictionary += 1,
                        Garbled::NoMessage => self.counts.garbled += 1,
                    }
                    receiver.on_outcome(whole.number, Outcome::Refused(Refusal::Malformed));
                    continue;
                }
            };
            if flow.class == Class::Latest {
                self.deliveries.retain(|waiting| {
                    if waiting.flow == flow {
                        receiver.on_superseded(waiting.number);
                    }
                    waiting.flow != flow
                });
            }
            self.deliveries.push_back(Delivery {
                flow,
                number: whole.number,
                bytes,
                sent_at_us: whole.timing.sent_at_us,
                age,
                deadline,
            });
        }
    }
}
