//! Rooms and their members.

use std::sync::Arc;

use super::commits::{Asker, Then};
use super::{Hub, ROOM};
use crate::base::limits::{
    HUB_LINES_MAX, PAGE_COUNT_MAX, ROOM_MEMBERS_MAX, ROOM_TOPICS_MAX, ROOMS_MAX, ROOMS_PER_NODE_MAX,
};
use crate::base::{Name, NodeName};
use crate::hub::client::Reader;
use crate::hub::feed::Feed;
use crate::hub::room::Room;
use crate::hub::{ClientId, HubRight, Moment, StoreOp, Table};
use crate::wire::hub::{
    Answer, HubRefusal, LeaveReason, Line, LineMessage, Owner, Retention, RoomInfo, RoomRole,
    RoomSettings, Start, Tell, TopicFrom, TopicLine, encode,
};

type Answered = Result<Option<Answer>, HubRefusal>;

impl Hub {
    pub(super) fn create_room(
        &mut self,
        asker: Asker,
        room: Name,
        settings: RoomSettings,
    ) -> Answered {
        self.expect_right(asker.0, HubRight::Manage)?;
        if let Some(there) = self.rooms.get(&room) {
            let same = there.settings == settings;
            let revision = there.revision;
            return same
                .then_some(Some(Answer::Done { revision }))
                .ok_or(HubRefusal::RoomExists);
        }
        let then = Then::Answer {
            asker,
            answer: Answer::Done { revision: 0 },
        };
        match self.make_room(&room, settings)? {
            true => {
                self.and_then(then);
                Ok(None)
            }
            false => Ok(Some(Answer::Done { revision: 0 })),
        }
    }

    /// Makes a room; whether it is to be stored, and what follows then has to wait.
    fn make_room(&mut self, room: &Name, settings: RoomSettings) -> Result<bool, HubRefusal> {
        let max = self.settings.retention_max;
        let keeps = settings.retention;
        let fits = (1..=ROOM_MEMBERS_MAX).contains(&settings.members_max)
            && keeps.count_max <= max.count_max
            && keeps.bytes_max <= max.bytes_max
            && keeps.age_max_s <= max.age_max_s;
        if !fits {
            return Err(HubRefusal::Malformed);
        }
        if self.rooms.len() >= ROOMS_MAX {
            return Err(HubRefusal::Full);
        }
        let is_stored = !settings.is_transient;
        if is_stored {
            self.may_commit()?;
            let put = StoreOp::Put {
                table: Table::Rooms,
                key: room.to_string(),
                revision: 1,
                value: encode(&settings),
            };
            let then = Then::Made { room: room.clone() };
            self.commit(vec![put], vec![then]);
        }
        self.rooms.insert(room.clone(), Room::new(settings, 1));
        Ok(is_stored)
    }

    pub(super) fn close_room(&mut self, at: Moment, asker: Asker, room: &Name) -> Answered {
        self.expect_dispatcher(asker.0, room)?;
        self.may_commit()?;
        let closed = self.end_room(at, room).ok_or(HubRefusal::NoSuchRoom)?;
        let answer = Answer::Done {
            revision: closed.revision,
        };
        let then = Then::Answer { asker, answer };
        self.remove_room(room, closed, Some(then));
        Ok(None)
    }

    /// What is stored of a room goes.
    fn remove_room(&mut self, room: &Name, closed: Room, then: Option<Then>) {
        let mut ops = Vec::new();
        let mut thens = Vec::new();
        if !closed.settings.is_transient {
            ops.extend(closed.topics.keys().map(|topic| StoreOp::Drop {
                journal: journal(room, topic),
            }));
            ops.push(StoreOp::Remove {
                table: Table::Rooms,
                key: room.to_string(),
            });
            thens.push(Then::Closed {
                room: room.clone(),
                was: Box::new(Room::new(closed.settings, closed.stored_revision)),
            });
        }
        for (op, undo) in self.documents.remove_owner(&Owner::Room(room.clone())) {
            ops.push(op);
            thens.push(Then::Removed { undo });
        }
        if !ops.is_empty() {
            thens.extend(then);
            self.commit(ops, thens);
        } else if let Some(Then::Answer {
            asker: (client, ask),
            answer,
        }) = then
        {
            self.answer(client, ask, answer);
        }
    }

    /// A room that lasts as long as it has members has none any more.
    fn end_deserted(&mut self, at: Moment, name: &Name) {
        if let Some(closed) = self.end_room(at, name) {
            self.remove_room(name, closed, None);
        }
    }

    /// A room is no more: its members hear that.
    pub(super) fn end_room(&mut self, at: Moment, room: &Name) -> Option<Room> {
        let closed = self.rooms.remove(room)?;
        let members: Vec<ClientId> = closed.all_clients().map(|(_, client)| client).collect();
        let lines = closed.topics.values().chain(closed.members_line.iter());
        for line in lines.copied().collect::<Vec<Line>>() {
            self.end_line(line);
        }
        for client in members {
            if let Some(member) = self.clients.get_mut(&client) {
                member.rooms.retain(|joined| joined != room);
            }
            let (room, why) = (room.clone(), LeaveReason::Closed);
            self.tell(client, Tell::Removed { room, why });
        }
        if let Some(due) = closed.next_timeout() {
            self.room_timeouts.remove(&(due, room.clone()));
        }
        self.locks.on_owner_gone(at.now, &Owner::Room(room.clone()));
        self.tell_locks();
        Some(closed)
    }

    fn end_line(&mut self, line: Line) {
        let Some(feed) = self.feeds.remove(&line) else {
            return;
        };
        for client in feed.readers {
            if let Some(reader) = self.clients.get_mut(&client) {
                reader.stop_reading(line);
            }
        }
        for (client, ask, _) in self.deferred.remove(&line).unwrap_or_default() {
            self.answer(client, ask, Answer::Refused(HubRefusal::NoSuchRoom));
        }
    }

    pub(super) fn list_rooms(
        &mut self,
        client: ClientId,
        after: Option<&Name>,
        count: u32,
    ) -> Answered {
        use std::ops::Bound;
        self.expect_right(client, HubRight::Read)?;
        let count = page_count(count)?.min(ROOMS_PER_ANSWER);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut range = self.rooms.range::<Name, _>((from, Bound::Unbounded));
        let rooms = range
            .by_ref()
            .take(count)
            .map(|(name, room)| info(name, room));
        let rooms = rooms.collect();
        let more = range.next().is_some();
        Ok(Some(Answer::Rooms { rooms, more }))
    }

    pub(super) fn describe_room(&mut self, client: ClientId, room: &Name) -> Answered {
        let is_member = self.role_in(client, room).is_some();
        if !is_member {
            self.expect_right(client, HubRight::Read)?;
        }
        let found = self.rooms.get(room).ok_or(HubRefusal::NoSuchRoom)?;
        Ok(Some(Answer::Room(info(room, found))))
    }

    pub(super) fn join(
        &mut self,
        at: Moment,
        asker: Asker,
        name: &Name,
        (role, topics, create): (RoomRole, Vec<TopicFrom>, Option<RoomSettings>),
    ) -> Answered {
        let (client, _) = asker;
        self.expect_right(client, HubRight::Join)?;
        let manages = self.has_right(client, HubRight::Manage);
        let joining = self.clients.get(&client).ok_or(HubRefusal::NotAllowed)?;
        let node = joining.node.clone();
        let is_new = !joining.rooms.contains(name);
        if is_new && joining.rooms.len() >= ROOMS_PER_NODE_MAX {
            return Err(HubRefusal::Full);
        }
        if topics.len() > ROOM_TOPICS_MAX {
            return Err(HubRefusal::Full);
        }
        let mut waits = false;
        if !self.rooms.contains_key(name) {
            let settings = create.ok_or(HubRefusal::NoSuchRoom)?;
            if role > settings.role_max && !manages {
                return Err(HubRefusal::RoleForbids);
            }
            waits = self.make_room(name, settings)?;
        }
        let room = self.rooms.get(name).ok_or(HubRefusal::NoSuchRoom)?;
        let own = room.role(&node);
        // A role that somebody was given stays.
        if role
            > room
                .settings
                .role_max
                .max(own.unwrap_or(RoomRole::Observer))
            && !manages
        {
            return Err(HubRefusal::RoleForbids);
        }
        if own.is_none() && room.len() >= room.settings.members_max {
            return Err(HubRefusal::Full);
        }
        let lines = topics
            .iter()
            .map(|topic| self.read_topic(client, name, topic))
            .collect::<Result<Vec<TopicLine>, HubRefusal>>()?;
        let room = self.rooms.get_mut(name).ok_or(HubRefusal::NoSuchRoom)?;
        room.join(at, &node, client, role);
        let answer = Answer::Joined {
            revision: room.revision,
            members: room.len(),
            topics: lines,
        };
        if is_new && let Some(joining) = self.clients.get_mut(&client) {
            joining.rooms.push(name.clone());
        }
        self.note_room(name);
        self.on_moved(at, &node);
        if waits {
            self.and_then(Then::Answer { asker, answer });
            return Ok(None);
        }
        Ok(Some(answer))
    }

    pub(super) fn leave_room(&mut self, at: Moment, client: ClientId, room: &Name) -> Answered {
        let leaving = self
            .clients
            .get_mut(&client)
            .ok_or(HubRefusal::NotAllowed)?;
        let Some(place) = leaving.rooms.iter().position(|joined| joined == room) else {
            return Err(HubRefusal::NotAMember);
        };
        leaving.rooms.remove(place);
        let node = leaving.node.clone();
        self.stop_reading_room(client, room);
        self.leave(at, client, &node, room, LeaveReason::Left);
        let revision = self.rooms.get(room).map_or(0, |room| room.revision);
        Ok(Some(Answer::Done { revision }))
    }

    /// A program of a node is not in a room any more.
    pub(super) fn leave(
        &mut self,
        at: Moment,
        client: ClientId,
        node: &NodeName,
        name: &Name,
        why: LeaveReason,
    ) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        room.leave(at.now, node, client, why);
        if room.settings.is_transient && room.is_deserted() {
            self.end_deserted(at, name);
        } else {
            self.note_room(name);
        }
    }

    pub(super) fn subscribe(
        &mut self,
        client: ClientId,
        room: &Name,
        topic: &TopicFrom,
    ) -> Answered {
        self.role_in(client, room).ok_or(HubRefusal::NotAMember)?;
        let line = self.read_topic(client, room, topic)?;
        Ok(Some(Answer::Subscribed(line)))
    }

    pub(super) fn unsubscribe(&mut self, client: ClientId, room: &Name, topic: &Name) -> Answered {
        let found = self.rooms.get(room).ok_or(HubRefusal::NoSuchRoom)?;
        let line = *found.topics.get(topic).ok_or(HubRefusal::NotFound)?;
        self.stop_reading(client, line);
        Ok(Some(Answer::Done { revision: 0 }))
    }

    pub(super) fn watch_members(&mut self, client: ClientId, room: &Name) -> Answered {
        self.role_in(client, room).ok_or(HubRefusal::NotAMember)?;
        let line = self.members_line(room).ok_or(HubRefusal::NoSuchRoom)?;
        let members = "members".parse().map_err(|_| HubRefusal::Malformed)?;
        let line = self.read_line(client, members, line, Start::Now)?;
        Ok(Some(Answer::Subscribed(line)))
    }

    pub(super) fn list_members(
        &mut self,
        client: ClientId,
        room: &Name,
        after: Option<&NodeName>,
        count: u32,
    ) -> Answered {
        if self.role_in(client, room).is_none() {
            self.expect_right(client, HubRight::Read)?;
        }
        let count = page_count(count)?.min(MEMBERS_PER_ANSWER);
        let room = self.rooms.get(room).ok_or(HubRefusal::NoSuchRoom)?;
        let mut range = room.members(after);
        let members = range.by_ref().take(count).collect();
        Ok(Some(Answer::Members {
            revision: room.revision,
            members,
            more: range.next().is_some(),
        }))
    }

    pub(super) fn kick(
        &mut self,
        at: Moment,
        client: ClientId,
        name: &Name,
        node: &NodeName,
    ) -> Answered {
        self.expect_dispatcher(client, name)?;
        let room = self.rooms.get_mut(name).ok_or(HubRefusal::NoSuchRoom)?;
        let programs: Vec<ClientId> = room.clients(node).collect();
        if programs.is_empty() {
            return Err(HubRefusal::NotFound);
        }
        room.remove(at.now, node, LeaveReason::Kicked);
        let (revision, is_over) = (
            room.revision,
            room.settings.is_transient && room.is_deserted(),
        );
        for program in programs {
            if let Some(kicked) = self.clients.get_mut(&program) {
                kicked.rooms.retain(|joined| joined != name);
            }
            self.stop_reading_room(program, name);
            let (room, why) = (name.clone(), LeaveReason::Kicked);
            self.tell(program, Tell::Removed { room, why });
        }
        if is_over {
            self.end_deserted(at, name);
        } else {
            self.note_room(name);
        }
        Ok(Some(Answer::Done { revision }))
    }

    pub(super) fn assign(
        &mut self,
        at: Moment,
        client: ClientId,
        name: &Name,
        node: &NodeName,
        role: RoomRole,
    ) -> Answered {
        self.expect_dispatcher(client, name)?;
        let room = self.rooms.get_mut(name).ok_or(HubRefusal::NoSuchRoom)?;
        if !room.assign(at.now, node, role) {
            return Err(HubRefusal::NotFound);
        }
        let revision = room.revision;
        self.note_room(name);
        Ok(Some(Answer::Done { revision }))
    }

    /// Tells a room's members what changed.
    pub(super) fn tell_members(&mut self, at: Moment, name: &Name) {
        let Some(line) = self.members_line(name) else {
            return;
        };
        let changes = self
            .rooms
            .get_mut(name)
            .and_then(|room| room.take_changes(at.now, name));
        if let (Some(changes), Some(feed)) = (changes, self.feeds.get_mut(&line)) {
            feed.announce(at.unix_ms, &LineMessage::Members(changes));
            self.wake(line);
        }
    }

    /// A node is heard no more, or again.
    pub(super) fn on_presence(&mut self, at: Moment, node: &NodeName, present: bool) {
        let programs = self.programs.get(node).into_iter().flatten();
        let joined = programs.filter_map(|client| self.clients.get(client));
        let mut rooms: Vec<Name> = joined
            .flat_map(|client| client.rooms.iter().cloned())
            .collect();
        rooms.sort();
        rooms.dedup();
        for name in rooms {
            if let Some(room) = self.rooms.get_mut(&name) {
                room.on_presence(at.now, node, present);
                self.note_room(&name);
            }
        }
    }

    /// The feed of a topic, made if there is none yet.
    pub(super) fn topic(&mut self, name: &Name, topic: &Name) -> Result<Line, HubRefusal> {
        let (epoch, run) = (self.epoch, self.run);
        let next_line = Line(self.last_line + 1);
        let room = self.rooms.get_mut(name).ok_or(HubRefusal::NoSuchRoom)?;
        if let Some(line) = room.topics.get(topic) {
            return Ok(*line);
        }
        if room.topics.len() >= ROOM_TOPICS_MAX {
            return Err(HubRefusal::Full);
        }
        let retention = room.settings.retention;
        let is_stored = !room.settings.is_transient && retention.count_max > 0;
        let feed = if is_stored {
            Feed::stored(next_line, epoch, journal(name, topic), None, retention)
        } else {
            Feed::in_memory(next_line, run, retention)
        };
        room.topics.insert(topic.clone(), next_line);
        self.last_line += 1;
        self.feeds.insert(next_line, feed);
        Ok(next_line)
    }

    /// A client's role in a room; none when it is no member.
    pub(super) fn role_in(&self, client: ClientId, room: &Name) -> Option<RoomRole> {
        let asking = self.clients.get(&client)?;
        let joined = asking.rooms.contains(room);
        self.rooms.get(room)?.role(&asking.node).filter(|_| joined)
    }

    pub(super) fn has_right(&self, client: ClientId, right: HubRight) -> bool {
        let client = self.clients.get(&client);
        client.is_some_and(|client| client.rights.has(right))
    }

    pub(super) fn expect_right(&self, client: ClientId, right: HubRight) -> Result<(), HubRefusal> {
        self.has_right(client, right)
            .then_some(())
            .ok_or(HubRefusal::NotAllowed)
    }

    /// Whether a client may change a room: it is its dispatcher, or manages all of them.
    pub(super) fn expect_dispatcher(
        &self,
        client: ClientId,
        room: &Name,
    ) -> Result<(), HubRefusal> {
        if !self.rooms.contains_key(room) {
            return Err(HubRefusal::NoSuchRoom);
        }
        match self.role_in(client, room) {
            Some(RoomRole::Dispatcher) => Ok(()),
            _ if self.has_right(client, HubRight::Manage) => Ok(()),
            Some(RoomRole::Driver | RoomRole::Observer) => Err(HubRefusal::RoleForbids),
            None => Err(HubRefusal::NotAllowed),
        }
    }

    /// A client reads a line from now on.
    pub(super) fn read_line(
        &mut self,
        client: ClientId,
        topic: Name,
        line: Line,
        from: Start,
    ) -> Result<TopicLine, HubRefusal> {
        let reading = self
            .clients
            .get_mut(&client)
            .ok_or(HubRefusal::NotAllowed)?;
        let feed = self.feeds.get_mut(&line).ok_or(HubRefusal::NotFound)?;
        if !reading.readers.contains_key(&line) && reading.readers.len() >= HUB_LINES_MAX {
            return Err(HubRefusal::Full);
        }
        let (oldest, next) = (feed.head.first.min(feed.next()), feed.next());
        let (begin, is_broken) = match from {
            Start::Now => (next, false),
            Start::Oldest => (oldest, false),
            Start::After(cursor) => {
                let follows = cursor.number.saturating_add(1);
                let is_known = cursor == feed.cursor(cursor.number) && follows <= next;
                match is_known && follows >= oldest {
                    true => (follows, false),
                    false => (oldest, true),
                }
            }
        };
        reading.stop_reading(line);
        reading.readers.insert(line, Reader::from(begin));
        reading.turn(line);
        feed.readers.insert(client);
        let after = feed.cursor(begin - 1);
        self.enqueue(client);
        Ok(TopicLine {
            topic,
            line,
            after,
            is_broken,
        })
    }

    fn read_topic(
        &mut self,
        client: ClientId,
        room: &Name,
        topic: &TopicFrom,
    ) -> Result<TopicLine, HubRefusal> {
        let line = self.topic(room, &topic.topic)?;
        self.read_line(client, topic.topic.clone(), line, topic.from)
    }

    fn members_line(&mut self, name: &Name) -> Option<Line> {
        let (run, next_line) = (self.run, Line(self.last_line + 1));
        let room = self.rooms.get_mut(name)?;
        if let Some(line) = room.members_line {
            return Some(line);
        }
        room.members_line = Some(next_line);
        self.last_line += 1;
        let feed = Feed::in_memory(next_line, run, MEMBER_CHANGES_KEPT);
        self.feeds.insert(next_line, feed);
        Some(next_line)
    }

    pub(super) fn stop_reading(&mut self, client: ClientId, line: Line) {
        if let Some(feed) = self.feeds.get_mut(&line) {
            feed.readers.remove(&client);
        }
        if let Some(reader) = self.clients.get_mut(&client) {
            reader.stop_reading(line);
        }
    }

    fn stop_reading_room(&mut self, client: ClientId, room: &Name) {
        let Some(room) = self.rooms.get(room) else {
            return;
        };
        let lines: Vec<Line> = room
            .topics
            .values()
            .chain(&room.members_line)
            .copied()
            .collect();
        for line in lines {
            self.stop_reading(client, line);
        }
    }

    /// Notes when a room has something to tell.
    fn note_room(&mut self, name: &Name) {
        if let Some(due) = self.rooms.get(name).and_then(Room::next_timeout) {
            self.room_timeouts.insert((due, name.clone()));
        }
    }

    /// What happens with the newest write.
    fn and_then(&mut self, then: Then) {
        if let Some(newest) = self.pending.back_mut() {
            newest.then(then);
        }
    }
}

fn info(name: &Name, room: &Room) -> RoomInfo {
    RoomInfo {
        room: name.clone(),
        settings: room.settings.clone(),
        revision: room.revision,
        members: room.len(),
        topics: room.topics.keys().cloned().collect(),
    }
}

fn journal(room: &Name, topic: &Name) -> Arc<str> {
    format!("{ROOM}/{room}/{topic}").into()
}

/// How many entries an answer has at most.
pub(super) fn page_count(count: u32) -> Result<usize, HubRefusal> {
    if (1..=PAGE_COUNT_MAX).contains(&count) {
        usize::try_from(count).map_err(|_| HubRefusal::Malformed)
    } else {
        Err(HubRefusal::Malformed)
    }
}

/// Rooms in one answer: each names up to 64 topics.
const ROOMS_PER_ANSWER: usize = 16;
/// Members in one answer: the longest names fit the longest message.
const MEMBERS_PER_ANSWER: usize = 500;
/// Of member changes, which are told for good, so that who comes later asks for the members.
const MEMBER_CHANGES_KEPT: Retention = Retention {
    count_max: 64,
    bytes_max: 64 * 1024,
    age_max_s: 60,
};
