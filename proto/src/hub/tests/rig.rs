//! A hub, nodes and a store, on virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::base::{Class, MonoTime, Name};
use crate::hub::{
    Caller, CallerEvent, ClientId, Entry, Hub, HubEffect, HubSettings, JournalHead, Loaded, Moment,
    Page, Query, ReadFrom, StoreOp, Table,
};
use crate::wire::hub::{
    Answer, Bytes, LineMessage, MessageId, Publish, Request, Retention, RoomRole, RoomSettings,
    Start, TopicFrom, Want,
};
use crate::wire::hub::{LeaveReason, Post};

pub(super) struct Rig {
    pub(super) now: MonoTime,
    pub(super) hub: Hub,
    pub(super) store: Memory,
    nodes: BTreeMap<ClientId, Seat>,
    random: u64,
    /// Whether the store takes nothing.
    pub(super) is_broken: bool,
    /// Commits that wait, while the store is slow.
    pub(super) is_slow: bool,
    waiting: VecDeque<HubEffect>,
    last_client: u64,
    runs: u64,
}

struct Seat {
    name: String,
    caller: Caller,
    /// On their way to the hub, and from it.
    up: Vec<Arc<[u8]>>,
    down: Vec<Arc<[u8]>>,
    events: Vec<CallerEvent>,
    /// Nothing reaches it.
    is_mute: bool,
}

/// The next number, and what is there by number.
type Journal = (u64, BTreeMap<u64, Entry>);

/// The revision, and the value.
type Record = (u64, Arc<[u8]>);

/// What is stored.
#[derive(Clone, Default)]
pub(super) struct Memory {
    pub(super) journals: BTreeMap<Arc<str>, Journal>,
    pub(super) records: BTreeMap<(Table, String), Record>,
}

impl Rig {
    pub(super) fn new(seed: u64) -> Rig {
        Rig {
            now: MonoTime::from_us(1_000_000),
            hub: Hub::new(HubSettings::default(), Memory::default().load(), 1),
            store: Memory::default(),
            nodes: BTreeMap::new(),
            random: seed | 1,
            is_broken: false,
            is_slow: false,
            waiting: VecDeque::new(),
            last_client: 0,
            runs: 1,
        }
    }

    pub(super) fn at(&self) -> Moment {
        Moment {
            now: self.now,
            unix_ms: 1_700_000_000_000 + self.now.as_us() / 1_000,
        }
    }

    /// A node comes, whose program has asked nothing yet.
    pub(super) fn add(&mut self, name: &str) -> ClientId {
        self.last_client += 1;
        let client = ClientId(self.last_client);
        let node = name.parse().unwrap();
        self.hub.on_client(self.at(), client, node, &[]);
        let mut caller = Caller::default();
        caller.on_hub();
        let seat = Seat {
            name: name.to_string(),
            caller,
            up: Vec::new(),
            down: Vec::new(),
            events: Vec::new(),
            is_mute: false,
        };
        self.nodes.insert(client, seat);
        client
    }

    /// The hub's program is killed: what it did not store is gone. All nodes come back to its next run.
    pub(super) fn kill_hub(&mut self) -> BTreeMap<ClientId, ClientId> {
        self.runs += 1;
        self.waiting.clear();
        self.hub = Hub::new(HubSettings::default(), self.store.load(), self.runs);
        let mut renamed = BTreeMap::new();
        for (old, mut seat) in std::mem::take(&mut self.nodes) {
            self.last_client += 1;
            let client = ClientId(self.last_client);
            let node = seat.name.parse().unwrap();
            self.hub.on_client(self.at(), client, node, &[]);
            seat.up.clear();
            seat.down.clear();
            seat.caller.on_hub();
            self.nodes.insert(client, seat);
            renamed.insert(old, client);
        }
        renamed
    }

    /// A node's leg brings it nothing any more.
    pub(super) fn mute(&mut self, client: ClientId) {
        self.nodes.get_mut(&client).unwrap().is_mute = true;
    }

    pub(super) fn remove(&mut self, client: ClientId, why: LeaveReason) {
        self.nodes.remove(&client);
        self.hub.on_client_gone(self.at(), client, why);
    }

    pub(super) fn ask(&mut self, client: ClientId, request: Request) -> u32 {
        self.nodes
            .get_mut(&client)
            .unwrap()
            .caller
            .ask(request)
            .unwrap()
    }

    /// Asks without the node's end of the conversation.
    pub(super) fn ask_the_hub(&mut self, client: ClientId, request: Request) {
        let at = self.at();
        self.hub.on_ask(at, client, 1, request);
    }

    /// Asks, and lets everything settle.
    pub(super) fn answer(&mut self, client: ClientId, request: Request) -> Answer {
        let ask = self.ask(client, request);
        self.settle();
        self.answer_to(client, ask).unwrap()
    }

    pub(super) fn answer_to(&mut self, client: ClientId, wanted: u32) -> Option<Answer> {
        let events = &mut self.nodes.get_mut(&client).unwrap().events;
        let is_it = |event: &CallerEvent| matches!(event, CallerEvent::Answered { ask, .. } if *ask == wanted);
        let at = events.iter().position(is_it)?;
        match events.remove(at) {
            CallerEvent::Answered { answer, .. } => Some(answer),
            _ => None,
        }
    }

    pub(super) fn events(&mut self, client: ClientId) -> Vec<CallerEvent> {
        std::mem::take(&mut self.nodes.get_mut(&client).unwrap().events)
    }

    /// Payloads of the messages that came, with the numbers of those that are kept.
    pub(super) fn payloads(&mut self, client: ClientId) -> Vec<(Option<u64>, Vec<u8>)> {
        let payload = |event| match event {
            CallerEvent::Message {
                cursor,
                message: LineMessage::Post(Post { payload, .. }),
                ..
            } => Some((cursor.map(|cursor| cursor.number), payload.0.to_vec())),
            _ => None,
        };
        self.events(client)
            .into_iter()
            .filter_map(payload)
            .collect()
    }

    /// Time passes until nothing is left to do; everything arrives, in any order.
    pub(super) fn settle(&mut self) {
        self.run(Duration::from_millis(200));
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
            self.now = self.now + Duration::from_micros(500);
        }
    }

    fn step(&mut self) {
        let at = self.at();
        if self.hub.next_timeout().is_some_and(|due| due <= self.now) {
            self.hub.on_timeout(at);
        }
        while let Some(effect) = self.hub.poll_effect() {
            self.waiting.push_back(effect);
        }
        if !self.is_slow {
            self.work_store();
        }
        for _ in 0..64 {
            let Some((client, piece)) = self.hub.poll_piece(at) else {
                break;
            };
            if let Some(seat) = self.nodes.get_mut(&client) {
                seat.down.push(piece.parcel);
            }
        }
        let clients: Vec<ClientId> = self.nodes.keys().copied().collect();
        for client in clients {
            self.carry(at, client);
        }
    }

    /// A third of what is on its way arrives, any of it first.
    fn carry(&mut self, at: Moment, client: ClientId) {
        let seat = self.nodes.get_mut(&client).unwrap();
        while let Some(piece) = seat.caller.poll_piece(at.now) {
            seat.up.push(piece.parcel);
        }
        for _ in 0..=seat.up.len() / 3 {
            if seat.up.is_empty() {
                break;
            }
            let parcel = seat.up.swap_remove(next(&mut self.random) % seat.up.len());
            self.hub.on_frame(at, client, &parcel[1..]);
            seat.caller.on_delivered(&parcel);
        }
        for _ in 0..=seat.down.len() / 3 {
            if seat.down.is_empty() || seat.is_mute {
                break;
            }
            let parcel = seat
                .down
                .swap_remove(next(&mut self.random) % seat.down.len());
            seat.caller.on_frame(&parcel[1..]);
            self.hub.on_delivered(at, client, &parcel);
        }
        seat.events
            .extend(std::iter::from_fn(|| seat.caller.poll_event()));
    }

    /// The store does what it was told to.
    pub(super) fn work_store(&mut self) {
        let at = self.at();
        while let Some(effect) = self.waiting.pop_front() {
            match effect {
                HubEffect::Commit { ticket, .. } if self.is_broken => {
                    self.hub.on_commit_failed(at, ticket);
                }
                HubEffect::Commit { ticket, ops, .. } => {
                    let heads = self.store.commit(ops);
                    self.hub.on_committed(at, ticket, &heads);
                }
                HubEffect::Read { ticket, .. } if self.is_broken => self.hub.on_read_failed(ticket),
                HubEffect::Read { ticket, query } => {
                    let page = self.store.read(&query);
                    self.hub.on_page(at, ticket, page);
                }
                HubEffect::Tell { .. } => {}
                HubEffect::Reset { client } => self.remove(client, LeaveReason::Ended),
            }
        }
    }
}

impl Memory {
    fn load(&self) -> Loaded {
        let head = |(next, entries): &(u64, BTreeMap<u64, Entry>)| head(*next, entries);
        Loaded {
            epoch: 77,
            starts: 1,
            records: self
                .records
                .iter()
                .map(|((table, key), (revision, value))| {
                    (*table, key.clone(), *revision, Arc::clone(value))
                })
                .collect(),
            journals: self
                .journals
                .iter()
                .map(|(name, journal)| (Arc::clone(name), head(journal)))
                .collect(),
        }
    }

    fn commit(&mut self, ops: Vec<StoreOp>) -> Vec<(Arc<str>, JournalHead)> {
        let mut heads = Vec::new();
        for op in ops {
            match op {
                StoreOp::Put {
                    table,
                    key,
                    revision,
                    value,
                } => {
                    self.records.insert((table, key), (revision, value));
                }
                StoreOp::Remove { table, key } => {
                    self.records.remove(&(table, key));
                }
                StoreOp::Append { journal, entry } => {
                    let (next, entries) = self.journals.entry(journal).or_default();
                    assert!(entry.number >= *next, "numbers grow");
                    *next = entry.number + 1;
                    entries.insert(entry.number, entry);
                }
                StoreOp::Retain {
                    journal,
                    count_max,
                    bytes_max,
                    not_before_ms,
                } => {
                    let Some((next, entries)) = self.journals.get_mut(&journal) else {
                        continue;
                    };
                    let bytes = |entries: &BTreeMap<u64, Entry>| {
                        entries.values().map(|e| e.bytes.len() as u64).sum::<u64>()
                    };
                    while entries.len() as u64 > count_max
                        || bytes(entries) > bytes_max
                        || entries
                            .values()
                            .next()
                            .is_some_and(|e| e.at_ms < not_before_ms)
                    {
                        entries.pop_first();
                    }
                    heads.push((journal, head(*next, entries)));
                }
                StoreOp::Discard { journal, below } => {
                    if let Some((next, entries)) = self.journals.get_mut(&journal) {
                        entries.retain(|number, _| *number >= below);
                        heads.push((journal, head(*next, entries)));
                    }
                }
                StoreOp::Drop { journal } => {
                    self.journals.remove(&journal);
                }
            }
        }
        heads
    }

    fn read(&self, query: &Query) -> Page {
        let Some((_, entries)) = self.journals.get(&query.journal) else {
            return Page::default();
        };
        let is_in = |entry: &&Entry| match (query.from, query.backwards) {
            (ReadFrom::Number(number), false) => entry.number >= number,
            (ReadFrom::Number(number), true) => entry.number <= number,
            (ReadFrom::Time(at_ms), false) => entry.at_ms >= at_ms,
            (ReadFrom::Time(at_ms), true) => entry.at_ms <= at_ms,
        };
        let mut found: Vec<Entry> = entries.values().filter(is_in).cloned().collect();
        if query.backwards {
            found.reverse();
        }
        let more = found.len() > query.count_max;
        found.truncate(query.count_max);
        Page {
            entries: found,
            more,
        }
    }
}

fn head(next: u64, entries: &BTreeMap<u64, Entry>) -> JournalHead {
    let next = next.max(1);
    JournalHead {
        first: entries.keys().next().copied().unwrap_or(next),
        next,
        count: entries.len() as u64,
        bytes: entries.values().map(|entry| entry.bytes.len() as u64).sum(),
    }
}

/// Xorshift.
fn next(random: &mut u64) -> usize {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    (*random >> 16) as usize
}

pub(super) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(super) fn id(number: u64) -> MessageId {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    MessageId(id)
}

pub(super) fn settings(kept: u64) -> RoomSettings {
    RoomSettings {
        members_max: 1_000,
        retention: Retention {
            count_max: kept,
            bytes_max: 16 * 1024 * 1024,
            age_max_s: 3_600,
        },
        is_transient: false,
        role_max: RoomRole::Dispatcher,
    }
}

/// Joins the room `yard` and reads its topic `talk`.
pub(super) fn join(from: Start, kept: u64) -> Request {
    Request::Join {
        room: name("yard"),
        role: RoomRole::Driver,
        topics: vec![TopicFrom {
            topic: name("talk"),
            from,
        }],
        create: Some(settings(kept)),
    }
}

/// Publishes on the topic `talk` of the room `yard`.
pub(super) fn publish(class: Class, number: u64, payload: &[u8]) -> Request {
    Request::Publish(Publish {
        room: name("yard"),
        topic: name("talk"),
        class,
        ttl_ms: 60_000,
        id: id(number),
        to: Vec::new(),
        want: Want::Nothing,
        payload: Bytes::from(payload),
    })
}
