//! The hub.

mod attributes;
mod commits;
mod fleet_documents;
mod messages;
mod pump;
mod rooms;
mod watching;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use self::attributes::Bonds;
use self::commits::{Asker, Pending, Reading};
use super::client::Client;
use super::documents::Documents;
use super::feed::Feed;
use super::locks::Locks;
use super::room::Room;
use super::sends::Sends;
use super::{
    ClientId, HubPolicy, HubRights, JournalHead, Loaded, Moment, Presence, PresenceWatches, Query,
    StoreOp, Table,
};
use crate::base::limits::RETENTION_EVERY;
use crate::base::{Class, MonoTime, Name, NodeName};
use crate::wire::hub::{
    Answer, Ask, Frame, HubRefusal, Journal, LeaveReason, Line, Request, Retention, RoomSettings,
    Tell, decode, encode,
};

/// What a hub is set to.
#[derive(Clone, Debug)]
pub struct HubSettings {
    /// Who may do what.
    pub policy: HubPolicy,
    /// Of rooms that somebody makes by joining, at most.
    pub retention_max: Retention,
}

impl Default for HubSettings {
    /// A topic keeps 100,000 messages, 256 MiB and 30 days at most.
    fn default() -> HubSettings {
        HubSettings {
            policy: HubPolicy::default(),
            retention_max: Retention {
                count_max: 100_000,
                bytes_max: 256 * 1024 * 1024,
                age_max_s: 30 * 86_400,
            },
        }
    }
}

/// What a hub has its program do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HubEffect {
    /// Store these, all or none, and say so by [`Hub::on_committed`] or [`Hub::on_commit_failed`], in the order of tickets. After one
    /// that failed, all that have its generation fail too.
    Commit {
        /// Grows.
        ticket: u64,
        /// Grows after a failure.
        generation: u64,
        /// What to store.
        ops: Vec<StoreOp>,
    },
    /// Read these, and say what there is by [`Hub::on_page`] or [`Hub::on_read_failed`].
    Read {
        /// Names it.
        ticket: u64,
        /// What to read.
        query: Query,
    },
    /// Tell somebody who speaks by this program.
    Tell {
        /// Whom.
        client: ClientId,
        /// What.
        what: LocalTell,
    },
    /// A node takes nothing, and as much waits for it as may: it is to begin anew, with another leg.
    Reset {
        /// Which one.
        client: ClientId,
    },
}

/// What a client is told that is no node at a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalTell {
    /// What it alone is told.
    Own(Tell),
    /// A message of a line that it reads: an encoded [`crate::wire::hub::LineMessage`].
    Line {
        /// The line.
        line: Line,
        /// The message's number, of those that are kept or of the others.
        number: u64,
        /// Whether it has a place in the journal.
        is_kept: bool,
        /// Its bytes.
        message: Arc<[u8]>,
    },
}

/// What a hub counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubCounters {
    /// Requests.
    pub asks: u64,
    /// Of these, refused.
    pub refused: u64,
    /// Frames and messages that could not be decoded or that no client sends.
    pub malformed: u64,
    /// Messages that were published on topics.
    pub published: u64,
    /// Messages that were sent to nodes, one for each target.
    pub sent: u64,
    /// Pieces of messages that went to legs.
    pub pieces: u64,
    /// Messages of topics that went to readers whole.
    pub deliveries: u64,
    /// Clients that had to begin anew.
    pub resets: u64,
    /// Writes that the store did not take.
    pub failed_commits: u64,
    /// Records of the store that could not be read.
    pub unreadable_records: u64,
}

/// The hub of a fleet.
#[derive(Debug)]
pub struct Hub {
    settings: HubSettings,
    /// Of the store; and of what is in memory only, another one with each run.
    epoch: u64,
    run: u64,
    clients: BTreeMap<ClientId, Client>,
    /// The programs of each node.
    programs: BTreeMap<NodeName, BTreeSet<ClientId>>,
    rooms: BTreeMap<Name, Room>,
    feeds: BTreeMap<Line, Feed>,
    /// The feed of each node's mailbox.
    mailboxes: BTreeMap<NodeName, Line>,
    last_line: u32,
    sends: Sends,
    documents: Documents<ClientId>,
    presence: Presence,
    watches: PresenceWatches<ClientId>,
    /// Documents of many nodes, by who watches them.
    fleet_watches: BTreeMap<ClientId, fleet_documents::FleetWatch>,
    locks: Locks<Asker>,
    /// The nodes whose sessions hold leases, by vehicle.
    leased: BTreeMap<NodeName, BTreeSet<NodeName>>,
    /// Clients for which there may be something.
    queue: VecDeque<ClientId>,
    /// When the carriers of clients want to be asked.
    timeouts: BTreeSet<(MonoTime, ClientId)>,
    /// When rooms tell their members.
    room_timeouts: BTreeSet<(MonoTime, Name)>,
    pending: VecDeque<Pending>,
    reading: BTreeMap<u64, Reading>,
    /// Requests that wait for a journal's newest messages.
    deferred: BTreeMap<Line, Vec<(ClientId, u32, Request)>>,
    ticket: u64,
    generation: u64,
    is_degraded: bool,
    retain_at: MonoTime,
    effects: VecDeque<HubEffect>,
    counters: HubCounters,
}

impl Hub {
    /// A hub with what its store holds. `run` is random.
    pub fn new(settings: HubSettings, loaded: Loaded, run: u64) -> Hub {
        let mut hub = Hub {
            settings,
            epoch: loaded.epoch,
            run,
            clients: BTreeMap::new(),
            programs: BTreeMap::new(),
            rooms: BTreeMap::new(),
            feeds: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            last_line: 0,
            sends: Sends::default(),
            documents: Documents::new(),
            presence: Presence::new(u64::from(loaded.starts) << PRESENCE_REVISION_BITS),
            watches: PresenceWatches::default(),
            fleet_watches: BTreeMap::new(),
            locks: Locks::new(loaded.starts),
            leased: BTreeMap::new(),
            queue: VecDeque::new(),
            timeouts: BTreeSet::new(),
            room_timeouts: BTreeSet::new(),
            pending: VecDeque::new(),
            reading: BTreeMap::new(),
            deferred: BTreeMap::new(),
            ticket: 0,
            generation: 1,
            is_degraded: false,
            retain_at: MonoTime::ZERO,
            effects: VecDeque::new(),
            counters: HubCounters::default(),
        };
        hub.load(loaded);
        hub
    }

    fn load(&mut self, loaded: Loaded) {
        for (table, key, revision, value) in &loaded.records {
            if *table != Table::Rooms {
                continue;
            }
            match (key.parse::<Name>(), decode::<RoomSettings>(value)) {
                (Ok(name), Ok(settings)) => {
                    self.rooms.insert(name, Room::new(settings, *revision));
                }
                _ => self.counters.unreadable_records += 1,
            }
        }
        let documents = loaded
            .records
            .iter()
            .filter(|(table, ..)| *table == Table::Documents);
        let documents =
            documents.map(|(_, key, revision, value)| (key.clone(), *revision, value.clone()));
        let unread = self.documents.load(documents);
        self.counters.unreadable_records += unread as u64;
        for (journal, head) in &loaded.journals {
            if self.load_journal(journal, *head).is_none() {
                self.counters.unreadable_records += 1;
            }
        }
        for (table, journal, revision, names) in &loaded.records {
            if *table == Table::Taken && self.load_taken(journal, *revision, names).is_none() {
                self.counters.unreadable_records += 1;
            }
        }
    }

    /// Takes the names of what was taken out of a mailbox; none when there is no such mailbox, or it says nothing.
    fn load_taken(&mut self, journal: &str, revision: u64, names: &[u8]) -> Option<()> {
        let line = self.line_of(journal)?;
        let feed = self.feeds.get_mut(&line)?;
        let names = decode(names);
        let is_read = names.is_ok();
        // What follows it is written by its revision, whatever it says.
        feed.load_taken(revision, names.unwrap_or_default());
        is_read.then_some(())
    }

    /// The line of a journal, by its name in the store.
    fn line_of(&self, journal: &str) -> Option<Line> {
        match named(journal)? {
            Journal::Mailbox { node } => self.mailboxes.get(&node).copied(),
            Journal::Topic { room, topic } => self.rooms.get(&room)?.topics.get(&topic).copied(),
        }
    }

    /// Takes a journal of the store; none when its name says nothing.
    fn load_journal(&mut self, journal: &Arc<str>, head: JournalHead) -> Option<()> {
        let (room, topic) = match named(journal)? {
            Journal::Mailbox { node } => {
                self.open_mailbox(&node, Some(head));
                return Some(());
            }
            Journal::Topic { room, topic } => (room, topic),
        };
        let retention = self.rooms.get(&room)?.settings.retention;
        let line = self.new_line();
        let feed = Feed::stored(line, self.epoch, Arc::clone(journal), Some(head), retention);
        self.feeds.insert(line, feed);
        self.rooms.get_mut(&room)?.topics.insert(topic, line);
        Some(())
    }

    /// A node's program is here and knows of hubs. Its number is never used again.
    pub fn on_client(&mut self, at: Moment, client: ClientId, node: NodeName, groups: &[Name]) {
        let rights = self.settings.policy.rights(&node, groups);
        self.add_client(client, Client::new(at.now, node, rights));
    }

    /// Somebody speaks by the hub's program, in the name of a node and with these rights.
    pub fn on_local_client(
        &mut self,
        at: Moment,
        client: ClientId,
        node: NodeName,
        rights: HubRights,
    ) {
        let mut local = Client::new(at.now, node, rights);
        local.is_local = true;
        self.add_client(client, local);
    }

    /// Somebody asks by the hub's program in the name of a node, and takes nothing for it: the node is not here because of that, and
    /// no message to it counts as delivered.
    pub fn on_local_asker(
        &mut self,
        at: Moment,
        client: ClientId,
        node: NodeName,
        rights: HubRights,
    ) {
        let mut local = Client::new(at.now, node, rights);
        local.is_local = true;
        self.clients.insert(client, local);
    }

    fn add_client(&mut self, client: ClientId, program: Client) {
        let programs = self.programs.entry(program.node.clone()).or_default();
        programs.insert(client);
        self.clients.insert(client, program);
    }

    /// A program is gone.
    pub fn on_client_gone(&mut self, at: Moment, client: ClientId, why: LeaveReason) {
        self.fleet_watches.remove(&client);
        let Some(gone) = self.clients.remove(&client) else {
            return;
        };
        if let Some(timeout) = gone.timeout {
            self.timeouts.remove(&(timeout, client));
        }
        if let Some(programs) = self.programs.get_mut(&gone.node) {
            programs.remove(&client);
            if programs.is_empty() {
                self.programs.remove(&gone.node);
            }
        }
        for line in gone.readers.keys() {
            if let Some(feed) = self.feeds.get_mut(line) {
                feed.readers.remove(&client);
            }
        }
        for room in &gone.rooms {
            self.leave(at, client, &gone.node, room, why);
        }
        self.sends.on_client_gone(client);
        self.documents.on_client_gone(&client);
        self.watches.on_client_gone(&client);
        if gone.waits_for_locks {
            self.locks
                .on_askers_gone(at.now, |(asker, _)| *asker == client);
            self.tell_locks();
        }
    }

    /// A frame of a client came over its leg.
    pub fn on_frame(&mut self, at: Moment, client: ClientId, frame: &[u8]) {
        let Ok(frame) = Frame::decode(frame) else {
            self.counters.malformed += 1;
            return;
        };
        let Some(sender) = self.clients.get_mut(&client) else {
            return;
        };
        if frame.line != Line::OWN || frame.class != Class::Reliable {
            self.counters.malformed += 1;
            return;
        }
        sender.intake.on_frame(&frame);
        while let Some(arrived) = self.clients.get_mut(&client).and_then(|c| c.intake.poll()) {
            match Ask::decode(&arrived.bytes) {
                Ok(Ask { ask, request }) => self.on_ask(at, client, ask, request),
                Err(number) => {
                    self.counters.malformed += 1;
                    if let Some(ask) = number {
                        self.answer(client, ask, Answer::Refused(HubRefusal::Unknown));
                    }
                }
            }
        }
    }

    /// A client asks something.
    pub fn on_ask(&mut self, at: Moment, client: ClientId, ask: u32, request: Request) {
        self.counters.asks += 1;
        let Some(asker) = self.clients.get_mut(&client) else {
            return;
        };
        if !asker.is_local && !asker.asks.try_spend(at.now, 1) {
            let often = HubRefusal::TooOften { retry_ms: 100 };
            self.answer(client, ask, Answer::Refused(often));
            return;
        }
        match self.work_on(at, client, ask, request) {
            Ok(Some(answer)) => self.answer(client, ask, answer),
            // It is answered when it is stored or read.
            Ok(None) => {}
            Err(why) => self.answer(client, ask, Answer::Refused(why)),
        }
    }

    fn work_on(
        &mut self,
        at: Moment,
        client: ClientId,
        ask: u32,
        request: Request,
    ) -> Result<Option<Answer>, HubRefusal> {
        let asker = (client, ask);
        match request {
            Request::CreateRoom { room, settings } => self.create_room(asker, room, settings),
            Request::CloseRoom { room } => self.close_room(at, asker, &room),
            Request::Rooms { after, count } => self.list_rooms(client, after.as_ref(), count),
            Request::Room { room } => self.describe_room(client, &room),
            Request::Join {
                room,
                role,
                topics,
                create,
            } => self.join(at, asker, &room, (role, topics, create)),
            Request::Leave { room } => self.leave_room(at, client, &room),
            Request::Subscribe { room, topic } => self.subscribe(client, &room, &topic),
            Request::Unsubscribe { room, topic } => self.unsubscribe(client, &room, &topic),
            Request::WatchMembers { room } => self.watch_members(client, &room),
            Request::Members { room, after, count } => {
                self.list_members(client, &room, after.as_ref(), count)
            }
            Request::Kick { room, node } => self.kick(at, client, &room, &node),
            Request::Assign { room, node, role } => self.assign(at, client, &room, &node, role),
            Request::Publish(publish) => self.publish(at, asker, publish),
            Request::Send(direct) => self.send(at, asker, direct),
            Request::Outcome { id, from, outcome } => {
                self.on_outcome(at, client, (&from, id), outcome)
            }
            Request::Mailbox { from } => self.read_mailbox(client, from),
            Request::Taken { below } => self.taken(asker, below),
            Request::History {
                journal,
                from,
                backwards,
                count,
            } => self.history(asker, &journal, from, backwards, count),
            Request::Document { owner, section } => self.read_document(client, &owner, section),
            Request::Set {
                owner,
                section,
                if_revision,
                changes,
                lock,
                lease,
            } => {
                let bonds = Bonds { lock, lease };
                self.set(at, asker, (owner, section), if_revision, &changes, &bonds)
            }
            Request::WatchDocument {
                watch,
                owner,
                section,
            } => self.watch_document(asker, watch, &owner, section),
            Request::Lock {
                owner,
                lock,
                ttl_ms,
                wait_ms,
            } => self.lock(at, asker, (&owner, &lock), ttl_ms, wait_ms),
            Request::RenewLock {
                owner,
                lock,
                ttl_ms,
            } => self.renew_lock(at, client, &owner, &lock, ttl_ms),
            Request::Unlock { owner, lock } => self.unlock(at, client, &owner, &lock),
            Request::RevokeLock { owner, lock } => self.revoke_lock(at, client, &owner, &lock),
            Request::Locks { owner } => self.list_locks(at, client, &owner),
            Request::Unwatch { watch } => {
                let watched =
                    self.documents.unwatch(&client, watch) || self.watches.unwatch(&client, watch);
                let done = Answer::Done { revision: 0 };
                watched.then_some(Some(done)).ok_or(HubRefusal::NotFound)
            }
            Request::Presence { of, after, count } => {
                self.list_presence(client, &of, after.as_ref(), count)
            }
            Request::WatchPresence { watch, of } => self.watch_presence(at, asker, watch, of),
            Request::WhereIs { node } => self.where_is(client, &node),
        }
    }

    /// Does what is due.
    pub fn on_timeout(&mut self, at: Moment) {
        while let Some(&(due, client)) = self.timeouts.first()
            && due <= at.now
        {
            self.timeouts.pop_first();
            if let Some(waiting) = self.clients.get_mut(&client) {
                waiting.timeout = None;
            }
            self.enqueue(client);
        }
        while let Some((due, _)) = self.room_timeouts.first()
            && *due <= at.now
            && let Some((_, room)) = self.room_timeouts.pop_first()
        {
            self.tell_members(at, &room);
        }
        self.locks.on_timeout(at.now);
        self.tell_locks();
        self.work_on_presence(at);
        for told in self.sends.on_timeout(at.now) {
            let results = Tell::Results {
                id: told.id,
                results: told.results,
                open: told.open,
            };
            if told.open == 0
                && let Some(sender) = self.clients.get_mut(&told.client)
            {
                sender.tracked = sender.tracked.saturating_sub(1);
            }
            self.tell(told.client, results);
        }
        if self.retain_at <= at.now {
            self.retain_at = at.now + RETENTION_EVERY;
            self.retain_by_age(at);
        }
    }

    /// When [`Hub::on_timeout`] is to be called; at once when there is something to poll.
    pub fn next_timeout(&self) -> Option<MonoTime> {
        if !self.queue.is_empty() {
            return Some(MonoTime::ZERO);
        }
        let clients = self.timeouts.first().map(|(at, _)| *at);
        let rooms = self.room_timeouts.first().map(|(at, _)| *at);
        let parts = [
            clients,
            rooms,
            self.sends.next_timeout(),
            self.locks.next_timeout(),
            self.presence.next_timeout(),
            self.watches.next_timeout(),
        ];
        parts.into_iter().flatten().chain([self.retain_at]).min()
    }

    /// What the program is to do next.
    pub fn poll_effect(&mut self) -> Option<HubEffect> {
        self.effects.pop_front()
    }

    /// What was counted.
    pub const fn counters(&self) -> HubCounters {
        self.counters
    }

    /// Whether the store takes nothing, so that nothing which is to last can be promised.
    pub const fn is_degraded(&self) -> bool {
        self.is_degraded
    }

    fn answer(&mut self, client: ClientId, ask: u32, answer: Answer) {
        self.counters.refused += u64::from(matches!(answer, Answer::Refused(_)));
        self.tell(client, Tell::Answer { ask, answer });
    }

    /// Tells a client something; one that takes nothing any more begins anew.
    fn tell(&mut self, client: ClientId, tell: Tell) {
        let Some(listener) = self.clients.get_mut(&client) else {
            return;
        };
        if listener.is_local {
            let what = LocalTell::Own(tell);
            self.effects.push_back(HubEffect::Tell { client, what });
            return;
        }
        match listener.carrier.push(encode(&tell), None, None) {
            Ok(()) => self.enqueue(client),
            Err(_) => self.reset(client),
        }
    }

    // [WIRE-198]
    fn reset(&mut self, client: ClientId) {
        let full = self.clients.get_mut(&client);
        if full.is_some_and(|full| !std::mem::replace(&mut full.is_over, true)) {
            self.counters.resets += 1;
            self.effects.push_back(HubEffect::Reset { client });
        }
    }

    fn enqueue(&mut self, client: ClientId) {
        if let Some(waiting) = self.clients.get_mut(&client)
            && !std::mem::replace(&mut waiting.is_queued, true)
        {
            self.queue.push_back(client);
        }
    }

    fn new_line(&mut self) -> Line {
        self.last_line += 1;
        Line(self.last_line)
    }
}

/// The journal that has this name in the store; none when it says nothing.
fn named(journal: &str) -> Option<Journal> {
    let (kind, rest) = journal.split_once('/')?;
    if kind == MAIL {
        let node = rest.parse().ok()?;
        return Some(Journal::Mailbox { node });
    }
    let (room, topic) = rest.split_once('/')?;
    Some(Journal::Topic {
        room: room.parse().ok()?,
        topic: topic.parse().ok()?,
    })
}

/// Names of journals begin so: of mailboxes, and of topics.
const MAIL: &str = "mail";
const ROOM: &str = "room";
/// Changes of presence in one run of the hub are fewer than 2^40.
const PRESENCE_REVISION_BITS: u32 = 40;
