//! What a session sends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::compress::Compressor;
use super::fragment::cut;
use super::sender::Sender;
use super::{Dictionaries, Outbound, Receipt, SendError};
use crate::base::limits::{MESSAGE_BYTES_MAX, TRANSMITS_MAX, TTL_MAX};
use crate::base::{Channel, Class, Flow, MonoTime, Name, SessionId};
use crate::crypto::SealKey;
use crate::wire::{Content, DictionaryTag, FlowReport, Parcel, SealedHeader};

/// The sending half of a session: compresses, cuts, numbers and seals, and keeps what has no receipt.
pub(super) struct Outgoing {
    session: SessionId,
    key: SealKey,
    compressor: Compressor,
    /// The dictionary for each channel that has one.
    dictionary_of: BTreeMap<u8, u16>,
    /// Dictionaries that the far end has too.
    shared: BTreeSet<u16>,
    senders: BTreeMap<u8, Sender>,
    transmits: VecDeque<Outbound>,
    receipts: VecDeque<Receipt>,
    pub(super) counts: Counts,
}

/// What the sending half counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub sealed: u64,
    pub compressed: u64,
    pub key_rotations: u64,
    pub false_reports: u64,
}

impl Outgoing {
    pub(super) fn new(session: SessionId, key: SealKey, dictionaries: Dictionaries) -> Outgoing {
        Outgoing {
            session,
            key,
            compressor: Compressor::new(dictionaries),
            dictionary_of: BTreeMap::new(),
            shared: BTreeSet::new(),
            senders: BTreeMap::new(),
            transmits: VecDeque::new(),
            receipts: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    pub(super) fn dictionaries(&self) -> &Dictionaries {
        self.compressor.dictionaries()
    }

    pub(super) fn name_channel(&mut self, channel: Channel, function: &Name) {
        if let Some(id) = self.dictionaries().of_function(function) {
            self.dictionary_of.insert(channel.number(), id);
        }
    }

    pub(super) fn on_dictionaries(&mut self, theirs: &[DictionaryTag]) {
        let mine = self.dictionaries().tags();
        let shared = mine.iter().filter(|tag| theirs.contains(tag));
        self.shared = shared.map(|tag| tag.id).collect();
    }

    // [WIRE-80] [WIRE-87] [WIRE-102]
    pub(super) fn send(
        &mut self,
        now: MonoTime,
        flow: Flow,
        ttl: Duration,
        message: &[u8],
    ) -> Result<u64, SendError> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(SendError::TooLarge);
        }
        let ttl_ms = match u16::try_from(ttl.as_millis()) {
            Ok(ttl_ms) if ttl_ms > 0 && ttl <= TTL_MAX => ttl_ms,
            Ok(_) | Err(_) => return Err(SendError::TtlOutOfRange),
        };
        let (dictionary, packed) = self.pack(flow, message);
        let pieces = cut(packed.as_deref().unwrap_or(message));
        let count = pieces.len();
        if flow.class == Class::Latest && count > 1 {
            return Err(SendError::TooLarge);
        }
        if self.transmits.len() + count > TRANSMITS_MAX {
            return Err(SendError::QueueFull);
        }
        let first = self
            .sender(flow)
            .reserve(u64::try_from(count).unwrap_or(u64::MAX))?;
        let mut outbounds = Vec::with_capacity(count);
        for (number, (fragment, bytes)) in (first..).zip(pieces) {
            let content = Content {
                sent_at_us: clock_reading(now),
                dictionary,
                fragment,
                bytes: bytes.to_vec(),
            };
            outbounds.push(Outbound {
                parcel: self.seal(now, flow, number, ttl_ms, &content)?,
                flow,
                number,
                created: now,
                deadline: now + Duration::from_millis(ttl_ms.into()),
            });
        }
        let last = outbounds.last().map_or(first, |outbound| outbound.number);
        for outbound in outbounds {
            let is_last = outbound.number == last;
            self.sender(flow).keep(outbound.clone(), is_last);
            self.queue(outbound);
        }
        Ok(last)
    }

    pub(super) fn room(&self, flow: Flow) -> u64 {
        let mut senders = self.senders.values();
        let sender = senders.find(|sender| sender.flow() == flow);
        sender.map_or(u64::MAX, Sender::room)
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Outbound> {
        self.transmits.pop_front()
    }

    pub(super) fn poll_receipt(&mut self) -> Option<Receipt> {
        self.receipts.pop_front()
    }

    // [WIRE-84]
    pub(super) fn unresolved(&self) -> impl Iterator<Item = &Outbound> {
        let of = move |class| {
            self.senders
                .values()
                .filter(move |sender| sender.flow().class == class)
        };
        of(Class::Stop)
            .chain(of(Class::Reliable))
            .flat_map(Sender::unresolved)
    }

    /// Flows whose floor belongs into reports.
    pub(super) fn reliable_flows(&self) -> impl Iterator<Item = u8> {
        self.senders
            .iter()
            .filter(|(_, sender)| sender.is_reliable())
            .map(|(&flow, _)| flow)
    }

    /// The flow's send floor; 0 when nothing was sent on it reliably.
    pub(super) fn floor(&self, flow: Flow) -> u64 {
        self.senders
            .get(&flow.to_byte())
            .filter(|sender| sender.is_reliable())
            .map_or(0, Sender::floor)
    }

    pub(super) fn applied(&self, flow: Flow) -> Option<(u64, Option<Duration>)> {
        self.senders.get(&flow.to_byte())?.applied()
    }

    /// Takes what the far end says of a flow. Returns whether the flow's floor rose.
    pub(super) fn on_report(&mut self, report: &FlowReport) -> bool {
        let Some(sender) = self.senders.get_mut(&report.flow.to_byte()) else {
            return false;
        };
        let floor = sender.floor();
        match sender.on_report(report) {
            Some(receipts) => self.receipts.extend(receipts),
            None => self.counts.false_reports += 1,
        }
        sender.floor() > floor
    }

    /// Returns the flows whose floor rose.
    pub(super) fn on_timeout(&mut self, now: MonoTime) -> Vec<Flow> {
        let mut risen = Vec::new();
        for sender in self.senders.values_mut() {
            let floor = sender.floor();
            self.receipts.extend(sender.on_timeout(now));
            if sender.floor() > floor {
                risen.push(sender.flow());
            }
        }
        risen
    }

    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        self.senders.values().filter_map(Sender::next_timeout).min()
    }

    // [WIRE-99]
    pub(super) fn end(&mut self) {
        self.transmits.clear();
        for sender in self.senders.values_mut() {
            self.receipts.extend(sender.end());
        }
    }

    fn sender(&mut self, flow: Flow) -> &mut Sender {
        self.senders
            .entry(flow.to_byte())
            .or_insert_with(|| Sender::new(flow))
    }

    fn pack(&mut self, flow: Flow, message: &[u8]) -> (Option<u16>, Option<Vec<u8>>) {
        // A stop is never held up by anything that can be left out.
        if flow.class == Class::Stop {
            return (None, None);
        }
        let meant = self.dictionary_of.get(&flow.channel.number());
        let shared = meant.filter(|id| self.shared.contains(id));
        let dictionary = shared.copied().unwrap_or(0);
        match self.compressor.compress(dictionary, message) {
            Some(packed) => {
                self.counts.compressed += 1;
                (Some(dictionary), Some(packed))
            }
            None => (None, None),
        }
    }

    // [WIRE-101]
    fn seal(
        &mut self,
        now: MonoTime,
        flow: Flow,
        number: u64,
        ttl_ms: u16,
        content: &Content,
    ) -> Result<Arc<[u8]>, SendError> {
        if self.key.rotate_if_due(now) {
            self.counts.key_rotations += 1;
        }
        let header = SealedHeader {
            key_phase: self.key.phase(),
            session: self.session,
            flow,
            number,
            ttl_ms,
        };
        let ciphertext = self
            .key
            .seal(flow.to_byte(), number, &header.encode(), &content.encode())
            .map_err(|_| SendError::KeyUsedUp)?;
        self.counts.sealed += 1;
        let ciphertext = ciphertext.into();
        Ok(Parcel::Sealed { header, ciphertext }.encode())
    }

    /// Stops go first; the newest of a `latest` flow replaces what still waits.
    // [WIRE-82]
    fn queue(&mut self, outbound: Outbound) {
        match outbound.flow.class {
            Class::Stop => {
                let stops = self.transmits.iter();
                let place = stops.take_while(|o| o.flow.class == Class::Stop).count();
                self.transmits.insert(place, outbound);
            }
            Class::Latest => {
                self.transmits
                    .retain(|waiting| waiting.flow != outbound.flow);
                self.transmits.push_back(outbound);
            }
            Class::Unordered | Class::Reliable => self.transmits.push_back(outbound),
        }
    }
}

/// The local clock as it stands on the wire: 48 bits of microseconds, nine years.
pub(super) fn clock_reading(now: MonoTime) -> u64 {
    now.as_us() & ((1 << 48) - 1)
}
