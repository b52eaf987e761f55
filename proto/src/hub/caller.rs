//! A node's end of its conversation with the hub.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::carrier::{Carrier, Piece};
use super::intake::Intake;
use crate::base::limits::HUB_OWN_MESSAGES_MAX;
use crate::base::{Class, MonoTime, Name};
use crate::wire::hub::{
    Answer, Ask, Cursor, Frame, Line, LineMessage, Owner, Request, RoomRole, RoomSettings, Section,
    Selector, Start, Tell, TopicFrom, TopicLine, decode, encode,
};

/// A node's end of its conversation with the hub. Whatever breaks, the hub's run or the way there: it asks again what is not answered,
/// joins its rooms again, and goes on behind the last message that it handed out.
#[derive(Debug, Default)]
pub struct Caller {
    carrier: Carrier,
    intake: Intake,
    /// Whether there is a leg to the hub.
    is_up: bool,
    last_ask: u32,
    /// What is not answered, in the order in which it was asked.
    open: BTreeMap<u32, Open>,
    rooms: BTreeMap<Name, Wanted>,
    mailbox: Option<Start>,
    watches: BTreeMap<u32, Watch>,
    /// What comes on a line.
    lines: BTreeMap<Line, Source>,
    events: VecDeque<CallerEvent>,
    malformed: u64,
}

/// What a caller tells its role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerEvent {
    /// There is a hub; all that was joined and watched is asked for again.
    Up,
    /// There is none now.
    Down,
    /// An answer to a request of the application.
    Answered {
        /// Its number.
        ask: u32,
        /// The answer.
        answer: Answer,
    },
    /// What the hub tells this node alone, but for answers.
    Told(Tell),
    /// A message of a topic or of the mailbox.
    Message {
        /// Where it comes from.
        source: Source,
        /// Its place, if it is kept: the application that stores it goes on behind it.
        cursor: Option<Cursor>,
        /// What it is.
        message: LineMessage,
    },
    /// It reads again, after the hub was away.
    Resumed {
        /// What.
        source: Source,
        /// Whether messages may have been missed: what stood behind the last one is not kept any more.
        is_broken: bool,
    },
    /// It could not join or watch again, and does not try any more.
    Lost {
        /// What.
        source: Source,
        /// Why.
        answer: Answer,
    },
}

/// Where messages come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A topic of a room.
    Topic {
        /// The room.
        room: Name,
        /// The topic.
        topic: Name,
    },
    /// The members of a room.
    Members {
        /// The room.
        room: Name,
    },
    /// The own mailbox.
    Mailbox,
    /// Something that is watched.
    Watch(u32),
}

/// A request that is not answered.
#[derive(Debug)]
struct Open {
    request: Request,
    /// Whether the application asked, and waits for the answer.
    is_own: bool,
}

/// A room to be in.
#[derive(Clone, Debug)]
struct Wanted {
    role: RoomRole,
    create: Option<RoomSettings>,
    topics: BTreeMap<Name, Start>,
    reads_members: bool,
}

/// Something to be watched.
#[derive(Clone, Debug)]
enum Watch {
    Presence(Selector),
    Document(Owner, Section),
}

/// The application may not ask for more now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests are not answered yet")]
pub struct TooManyAsks;

impl Caller {
    /// Asks the hub something, now or when there is one; the number that the answer will have.
    ///
    /// # Errors
    /// As many requests as may be are not answered yet.
    pub fn ask(&mut self, request: Request) -> Result<u32, TooManyAsks> {
        if self.open.len() >= ASKS_OPEN_MAX {
            return Err(TooManyAsks);
        }
        Ok(self.put(request, true))
    }

    /// Gives up a request: its answer is not told. What it asks for may have happened or not.
    pub fn forget(&mut self, ask: u32) {
        if !self.is_up {
            self.open.remove(&ask);
        } else if let Some(open) = self.open.get_mut(&ask) {
            open.is_own = false;
        }
    }

    /// Whether there is a hub.
    pub const fn is_up(&self) -> bool {
        self.is_up
    }

    /// There is a leg to the hub, which knows nothing of what was before.
    // [WIRE-193]
    pub fn on_hub(&mut self) {
        self.carrier = Carrier::default();
        self.intake = Intake::default();
        self.lines.clear();
        self.is_up = true;
        self.events.push_back(CallerEvent::Up);
        let own: BTreeMap<u32, Open> = std::mem::take(&mut self.open)
            .into_iter()
            .filter(|(_, open)| open.is_own)
            .collect();
        self.resume(&own);
        for (ask, open) in own {
            self.bring(ask, &open.request);
            self.open.insert(ask, open);
        }
    }

    /// The leg to the hub is gone.
    pub fn on_hub_gone(&mut self) {
        if std::mem::take(&mut self.is_up) {
            self.events.push_back(CallerEvent::Down);
        }
    }

    /// A frame of the hub came.
    pub fn on_frame(&mut self, frame: &[u8]) {
        let Ok(frame) = Frame::decode(frame) else {
            self.malformed += 1;
            return;
        };
        self.intake.on_frame(&frame);
        while let Some(arrived) = self.intake.poll() {
            if arrived.line == Line::OWN {
                match decode(&arrived.bytes) {
                    Ok(tell) => self.on_tell(tell),
                    Err(_) => self.malformed += 1,
                }
            } else {
                let kept = (arrived.class == Class::Reliable).then_some(arrived.number);
                match decode(&arrived.bytes) {
                    Ok(message) => self.on_line(arrived.line, kept, message),
                    Err(_) => self.malformed += 1,
                }
            }
        }
    }

    /// The hub has a piece.
    pub fn on_delivered(&mut self, parcel: &Arc<[u8]>) {
        self.carrier.on_delivered(parcel);
    }

    /// The leg has no room for a piece.
    pub fn on_no_room(&mut self, now: MonoTime, parcel: &Arc<[u8]>) {
        self.carrier.on_no_room(now, parcel);
    }

    /// The next piece for the leg to the hub.
    pub fn poll_piece(&mut self, now: MonoTime) -> Option<Piece> {
        if !self.is_up {
            return None;
        }
        let again = self.carrier.next_again(now);
        again.or_else(|| {
            self.carrier
                .has_room()
                .then(|| self.carrier.next_own(now))?
        })
    }

    /// What the application is to hear next.
    pub fn poll_event(&mut self) -> Option<CallerEvent> {
        self.events.pop_front()
    }

    /// When [`Caller::poll_piece`] has something again by itself.
    pub fn next_timeout(&self) -> Option<MonoTime> {
        self.is_up.then(|| self.carrier.next_timeout())?
    }

    /// Frames and messages that could not be decoded, or that no honest hub sends.
    pub const fn malformed(&self) -> u64 {
        self.malformed + self.intake.dropped()
    }

    fn put(&mut self, request: Request, is_own: bool) -> u32 {
        self.last_ask = self.last_ask.wrapping_add(1);
        let ask = self.last_ask;
        if self.is_up {
            self.bring(ask, &request);
        }
        self.open.insert(ask, Open { request, is_own });
        ask
    }

    fn bring(&mut self, ask: u32, request: &Request) {
        let ask = Ask {
            ask,
            request: request.clone(),
        };
        // What does not fit now is asked with the next leg; the open ones are fewer than fit.
        let _ = self.carrier.push(encode(&ask), None, None);
    }

    /// Asks again for all that is joined and watched, but for what the application asks for just now.
    fn resume(&mut self, own: &BTreeMap<u32, Open>) {
        let is_joining = |room: &Name| {
            own.values()
                .any(|open| matches!(&open.request, Request::Join { room: joined, .. } if joined == room))
        };
        for (room, wanted) in self.rooms.clone() {
            if is_joining(&room) {
                continue;
            }
            let topic = |(topic, from): (Name, Start)| TopicFrom { topic, from };
            let join = Request::Join {
                room: room.clone(),
                role: wanted.role,
                topics: wanted.topics.into_iter().map(topic).collect(),
                create: wanted.create,
            };
            self.put(join, false);
            if wanted.reads_members {
                self.put(Request::WatchMembers { room }, false);
            }
        }
        if let Some(from) = self.mailbox {
            self.put(Request::Mailbox { from }, false);
        }
        for (watch, what) in self.watches.clone() {
            let request = match what {
                Watch::Presence(of) => Request::WatchPresence { watch, of },
                Watch::Document(owner, section) => Request::WatchDocument {
                    watch,
                    owner,
                    section,
                },
            };
            self.put(request, false);
        }
    }

    fn on_tell(&mut self, tell: Tell) {
        match tell {
            Tell::Answer { ask, answer } => {
                if let Some(open) = self.open.remove(&ask) {
                    self.on_answer(ask, open, answer);
                }
            }
            Tell::Skipped { line, from, below } => self.intake.skip(line, from, below),
            Tell::Removed { ref room, .. } => {
                self.forget_room(room);
                self.events.push_back(CallerEvent::Told(tell));
            }
            Tell::Directed(_)
            | Tell::Results { .. }
            | Tell::Presence { .. }
            | Tell::Document { .. }
            | Tell::LockLost { .. } => self.events.push_back(CallerEvent::Told(tell)),
        }
    }

    fn on_answer(&mut self, ask: u32, open: Open, answer: Answer) {
        // What comes of a line that begins with the answer stands behind it.
        let place = self.events.len();
        self.note(&open, &answer);
        if open.is_own {
            let answered = CallerEvent::Answered { ask, answer };
            self.events.insert(place, answered);
        }
    }

    /// Remembers what an answer means for what comes and what is to be asked for again.
    fn note(&mut self, open: &Open, answer: &Answer) {
        match (&open.request, answer) {
            (
                Request::Join {
                    room, role, create, ..
                },
                Answer::Joined { topics, .. },
            ) => {
                let wanted = self.rooms.entry(room.clone()).or_insert_with(|| Wanted {
                    role: *role,
                    create: create.clone(),
                    topics: BTreeMap::new(),
                    reads_members: false,
                });
                (wanted.role, wanted.create) = (*role, create.clone());
                for line in topics {
                    let (room, topic) = (room.clone(), line.topic.clone());
                    self.read(line, Source::Topic { room, topic }, open.is_own);
                }
            }
            (Request::Subscribe { room, .. }, Answer::Subscribed(line)) => {
                let (room, topic) = (room.clone(), line.topic.clone());
                self.read(line, Source::Topic { room, topic }, open.is_own);
            }
            (Request::WatchMembers { room }, Answer::Subscribed(line)) => {
                if let Some(wanted) = self.rooms.get_mut(room) {
                    wanted.reads_members = true;
                }
                let room = room.clone();
                self.read(line, Source::Members { room }, open.is_own);
            }
            (Request::Mailbox { .. }, Answer::Subscribed(line)) => {
                self.read(line, Source::Mailbox, open.is_own);
            }
            (Request::Unsubscribe { room, topic }, Answer::Done { .. }) => {
                let gone = Source::Topic {
                    room: room.clone(),
                    topic: topic.clone(),
                };
                self.forget_source(&gone);
            }
            (Request::Leave { room }, Answer::Done { .. }) => self.forget_room(room),
            (Request::WatchPresence { watch, of }, Answer::Done { .. }) => {
                self.watches.insert(*watch, Watch::Presence(of.clone()));
            }
            (
                Request::WatchDocument {
                    watch,
                    owner,
                    section,
                },
                Answer::Done { .. },
            ) => {
                let watched = Watch::Document(owner.clone(), *section);
                self.watches.insert(*watch, watched);
            }
            (Request::Unwatch { watch }, Answer::Done { .. }) => {
                self.watches.remove(watch);
            }
            (request, Answer::Refused(_)) if !open.is_own => {
                let source = self.lose(request);
                let answer = answer.clone();
                let lost = source.map(|source| CallerEvent::Lost { source, answer });
                self.events.extend(lost);
            }
            _ => {}
        }
    }

    /// Something comes on a line from now on.
    fn read(&mut self, line: &TopicLine, source: Source, is_own: bool) {
        self.lines.retain(|_, other| *other != source);
        self.lines.insert(line.line, source.clone());
        self.want(&source, Start::After(line.after));
        if !is_own {
            self.events.push_back(CallerEvent::Resumed {
                source,
                is_broken: line.is_broken,
            });
        }
        self.intake.begin(line.line, line.after.number);
        while let Some(arrived) = self.intake.poll() {
            let kept = (arrived.class == Class::Reliable).then_some(arrived.number);
            match decode(&arrived.bytes) {
                Ok(message) => self.on_line(arrived.line, kept, message),
                Err(_) => self.malformed += 1,
            }
        }
    }

    fn on_line(&mut self, line: Line, number: Option<u64>, message: LineMessage) {
        let Some(source) = self.lines.get(&line).cloned() else {
            return;
        };
        let cursor = number.and_then(|number| {
            let Some(Start::After(before)) = self.wanted(&source) else {
                return None;
            };
            Some(Cursor { number, ..before })
        });
        if let Some(cursor) = cursor {
            self.want(&source, Start::After(cursor));
        }
        self.events.push_back(CallerEvent::Message {
            source,
            cursor,
            message,
        });
    }

    /// From where on something is to be read when it has to be asked for again.
    fn wanted(&self, source: &Source) -> Option<Start> {
        match source {
            Source::Topic { room, topic } => self.rooms.get(room)?.topics.get(topic).copied(),
            Source::Mailbox => self.mailbox,
            Source::Members { .. } | Source::Watch(_) => None,
        }
    }

    fn want(&mut self, source: &Source, from: Start) {
        match source {
            Source::Topic { room, topic } => {
                if let Some(wanted) = self.rooms.get_mut(room) {
                    wanted.topics.insert(topic.clone(), from);
                }
            }
            Source::Mailbox => self.mailbox = Some(from),
            Source::Members { .. } | Source::Watch(_) => {}
        }
    }

    fn forget_room(&mut self, room: &Name) {
        self.rooms.remove(room);
        let of_room = |source: &Source| match source {
            Source::Topic { room: of, .. } | Source::Members { room: of } => of == room,
            Source::Mailbox | Source::Watch(_) => false,
        };
        let gone: Vec<Source> = self
            .lines
            .values()
            .filter(|s| of_room(s))
            .cloned()
            .collect();
        for source in gone {
            self.forget_source(&source);
        }
    }

    fn forget_source(&mut self, gone: &Source) {
        let line = self.lines.iter().find(|(_, source)| *source == gone);
        if let Some(line) = line.map(|(line, _)| *line) {
            self.lines.remove(&line);
            self.intake.forget(line);
        }
        if let Source::Topic { room, topic } = gone
            && let Some(wanted) = self.rooms.get_mut(room)
        {
            wanted.topics.remove(topic);
        }
    }

    /// What is not asked for again, as the hub refused it.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other request is asked once"
    )]
    fn lose(&mut self, request: &Request) -> Option<Source> {
        match request {
            Request::Join { room, .. } => {
                self.forget_room(room);
                Some(Source::Members { room: room.clone() })
            }
            Request::Mailbox { .. } => {
                self.mailbox = None;
                Some(Source::Mailbox)
            }
            Request::WatchPresence { watch, .. } | Request::WatchDocument { watch, .. } => {
                self.watches.remove(watch);
                Some(Source::Watch(*watch))
            }
            _ => None,
        }
    }
}

/// Requests that are not answered: fewer than the carrier holds.
const ASKS_OPEN_MAX: usize = HUB_OWN_MESSAGES_MAX / 2;
