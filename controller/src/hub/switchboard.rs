//! What the hub tells goes to whoever waits for it; lives on the drive loop's thread.

mod held_locks;
mod room_seat;
mod watches;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use longrein_proto::base::{MonoTime, Name, NodeName};
use longrein_proto::hub::{Caller, CallerEvent, Source};
use longrein_proto::wire::hub::{
    Answer, Cursor, Directed, HubRefusal, LineMessage, LockClaim, MessageId, Owner, Request,
    TargetOutcome, Tell, Want,
};
use tokio::sync::{mpsc, oneshot};

use self::held_locks::HeldLocks;
pub(super) use self::room_seat::{RoomEvents, RoomSeat};
use self::watches::Watches;
use super::HubError;
use super::letter::Mail;
use super::message::Results;
use super::room::{RoomEvent, SeatMark};

/// Who waits for what the hub tells.
#[derive(Debug, Default)]
pub(crate) struct Switchboard {
    open: BTreeMap<u32, Waiting>,
    rooms: BTreeMap<Name, RoomSeat>,
    mailbox: Option<MailboxSeat>,
    letters: Option<(mpsc::Sender<Directed>, Arc<AtomicU64>)>,
    sends: BTreeMap<MessageId, mpsc::Sender<Results>>,
    watches: Watches,
    locks: HeldLocks,
}

/// A request that is not answered.
#[derive(Debug)]
enum Waiting {
    /// Of the application.
    Application {
        request: About,
        undo: Undo,
        answer: oneshot::Sender<Result<Answer, HubError>>,
    },
    /// To read a topic no more, or again, as its reader is slow or ready.
    Flow { room: Name, topic: Name },
    /// To hold a lock for longer.
    Renewal {
        place: (Owner, Name),
        token: u64,
        asked: MonoTime,
    },
    /// For a document of which a change was missed.
    Document { watch: u32 },
    /// Nobody waits for it.
    Nobody,
}

/// What a request of the application means for what comes.
#[derive(Debug)]
enum About {
    Join(Name),
    Subscribe(Name),
    Unsubscribe(Name, Name),
    Mailbox,
    Watch(u32),
    Other,
}

/// What is asked when an answer finds nobody any more.
#[derive(Clone, Debug)]
pub(super) enum Undo {
    Nothing,
    Unlock(Owner, Name),
}

impl About {
    fn of(request: &Request) -> About {
        if let Request::Join { room, .. } = request {
            About::Join(room.clone())
        } else if let Request::Subscribe { room, .. } = request {
            About::Subscribe(room.clone())
        } else if let Request::Unsubscribe { room, topic } = request {
            About::Unsubscribe(room.clone(), topic.clone())
        } else if let Request::WatchPresence { watch, .. } | Request::WatchDocument { watch, .. } =
            request
        {
            About::Watch(*watch)
        } else if let Request::Mailbox { .. } = request {
            About::Mailbox
        } else {
            About::Other
        }
    }
}

#[derive(Debug)]
struct MailboxSeat {
    tell: mpsc::Sender<Mail>,
    /// Whether it was answered: what comes before belongs to an older handle.
    is_open: bool,
}

impl Switchboard {
    /// Asks the hub for the application.
    pub(super) fn ask(
        &mut self,
        caller: &mut Caller,
        request: Request,
        undo: Undo,
        answer: oneshot::Sender<Result<Answer, HubError>>,
    ) {
        let about = About::of(&request);
        let Ok(ask) = caller.ask(request) else {
            drop(answer.send(Err(HubError::TooMany)));
            return;
        };
        if let About::Join(room) = &about
            && let Some(seat) = self.rooms.get_mut(room)
        {
            seat.on_join_asked(ask);
        }
        let waiting = Waiting::Application {
            request: about,
            undo,
            answer,
        };
        self.open.insert(ask, waiting);
    }

    /// Asks for something on nobody's behalf.
    fn ask_for(&mut self, caller: &mut Caller, request: Request, waiting: Waiting) -> bool {
        let asked = caller.ask(request);
        let is_asked = asked.is_ok();
        if let Ok(ask) = asked {
            self.open.insert(ask, waiting);
        }
        is_asked
    }

    /// Somebody is about to join a room.
    pub(super) fn seat(&mut self, room: Name, seat: RoomSeat) -> Result<(), HubError> {
        if self.rooms.get(&room).is_some_and(|seat| !seat.is_left()) {
            return Err(HubError::InUse);
        }
        self.rooms.insert(room, seat);
        Ok(())
    }

    /// A handle does not read a room any more.
    pub(super) fn unseat(&mut self, room: &Name, mark: &SeatMark) -> Option<RoomSeat> {
        let is_its = self.rooms.get(room)?.is_of(mark);
        is_its.then(|| self.rooms.remove(room))?
    }

    /// A handle is gone: the room is left.
    pub(super) fn leave(&mut self, caller: &mut Caller, room: &Name, mark: &SeatMark) {
        let Some(seat) = self.unseat(room, mark) else {
            return;
        };
        if caller.is_up() || seat.is_joined() {
            let room = room.clone();
            self.ask_for(caller, Request::Leave { room }, Waiting::Nobody);
        } else if let Some(ask) = seat.join() {
            // The hub has never heard of it, or has forgotten.
            self.open.remove(&ask);
            caller.forget(ask);
        }
    }

    /// A room's reader has room for more.
    pub(super) fn read_on(&mut self, caller: &mut Caller, room: &Name) {
        let requests = self.rooms.get_mut(room).map(|seat| seat.flow(room));
        for (topic, request) in requests.into_iter().flatten() {
            let waiting = Waiting::Flow {
                room: room.clone(),
                topic: topic.clone(),
            };
            if !self.ask_for(caller, request, waiting)
                && let Some(seat) = self.rooms.get_mut(room)
            {
                seat.on_flow_unasked(&topic);
            }
        }
    }

    pub(super) fn read_letters(
        &mut self,
        tell: mpsc::Sender<Directed>,
        missed: Arc<AtomicU64>,
    ) -> Result<(), HubError> {
        match &self.letters {
            Some((other, _)) if !other.is_closed() => Err(HubError::InUse),
            Some(_) | None => {
                self.letters = Some((tell, missed));
                Ok(())
            }
        }
    }

    pub(super) fn read_mailbox(&mut self, tell: mpsc::Sender<Mail>) -> Result<(), HubError> {
        match &self.mailbox {
            Some(other) if !other.tell.is_closed() => Err(HubError::InUse),
            Some(_) | None => {
                let is_open = false;
                self.mailbox = Some(MailboxSeat { tell, is_open });
                Ok(())
            }
        }
    }

    /// Somebody wants to hear what becomes of a message that goes soon.
    pub(super) fn await_results(&mut self, id: MessageId, tell: mpsc::Sender<Results>) {
        self.sends.retain(|_, waiting| !waiting.is_closed());
        self.sends.insert(id, tell);
    }

    /// Undoes what nobody wants any more, and goes on with what could not go on.
    pub(crate) fn sweep(&mut self, now: MonoTime, caller: &mut Caller) {
        let is_up = caller.is_up();
        // While the hub is there it answers, and what it did may have to be undone.
        self.open.retain(|ask, waiting| {
            let is_abandoned =
                matches!(waiting, Waiting::Application { answer, .. } if answer.is_closed());
            let stays = is_up || !is_abandoned;
            if !stays {
                caller.forget(*ask);
            }
            stays
        });
        let left: Vec<(Name, SeatMark)> = self
            .rooms
            .iter()
            .filter(|(_, seat)| seat.is_left())
            .map(|(room, seat)| (room.clone(), seat.mark()))
            .collect();
        for (room, mark) in left {
            self.leave(caller, &room, &mark);
        }
        let rooms: Vec<Name> = self.rooms.keys().cloned().collect();
        for room in rooms {
            self.read_on(caller, &room);
        }
        self.sends.retain(|_, waiting| !waiting.is_closed());
        for watch in self.watches.abandoned() {
            self.unwatch(caller, watch);
        }
        for watch in self.watches.take_unfetched() {
            self.fetch_document(caller, watch);
        }
        for (place, token) in self.locks.abandoned() {
            self.unlock(caller, &place, token);
        }
        self.on_timeout(now, caller);
    }

    /// Takes what the hub tells.
    pub(crate) fn on_event(&mut self, now: MonoTime, caller: &mut Caller, event: CallerEvent) {
        match event {
            CallerEvent::Up => self.watches.on_hub(),
            CallerEvent::Down => {}
            CallerEvent::Answered { ask, answer } => self.on_answer(now, caller, ask, answer),
            CallerEvent::Told(tell) => self.on_told(caller, tell),
            CallerEvent::Message {
                source,
                cursor,
                message,
            } => self.on_message(caller, &source, cursor, message),
            CallerEvent::Resumed { source, is_broken } => self.on_resumed(&source, is_broken),
            CallerEvent::Lost { source, answer } => self.on_lost(&source, answer),
        }
    }

    fn on_answer(&mut self, now: MonoTime, caller: &mut Caller, ask: u32, answer: Answer) {
        match self.open.remove(&ask) {
            Some(Waiting::Application {
                request,
                undo,
                answer: wanted,
            }) => {
                self.note(ask, &request, &answer);
                if let Err(Ok(answer)) = wanted.send(Ok(answer)) {
                    self.undo(caller, undo, &answer);
                }
            }
            Some(Waiting::Flow { room, topic }) => {
                if let Some(seat) = self.rooms.get_mut(&room) {
                    seat.on_flow(&topic, &answer);
                }
                self.read_on(caller, &room);
            }
            Some(Waiting::Renewal {
                place,
                token,
                asked,
            }) => {
                let is_held = self.locks.on_renewal(now, &place, token, asked, &answer);
                if let (false, Answer::Locked { .. }) = (is_held, &answer) {
                    // It was given up here meanwhile.
                    self.give_back(caller, place, token);
                }
            }
            Some(Waiting::Document { watch }) => {
                if let Answer::Document(document) = answer {
                    self.watches.on_document(watch, document);
                } else {
                    self.watches.on_document_missed(watch);
                }
            }
            Some(Waiting::Nobody) | None => {}
        }
    }

    /// What an answer means for what comes behind it.
    fn note(&mut self, ask: u32, request: &About, answer: &Answer) {
        match (request, answer) {
            (About::Join(room), Answer::Joined { topics, .. }) => {
                if let Some(seat) = self.rooms.get_mut(room) {
                    seat.on_joined(ask, topics);
                }
            }
            (About::Subscribe(room), Answer::Subscribed(line)) => {
                if let Some(seat) = self.rooms.get_mut(room) {
                    seat.on_subscribed(line);
                }
            }
            (About::Unsubscribe(room, topic), Answer::Done { .. }) => {
                if let Some(seat) = self.rooms.get_mut(room) {
                    seat.on_unsubscribed(topic);
                }
            }
            (About::Mailbox, Answer::Subscribed(line)) => {
                if let Some(seat) = &mut self.mailbox {
                    seat.is_open = true;
                    if line.is_broken {
                        seat.push(Mail::Resumed { is_broken: true });
                    }
                }
            }
            (About::Watch(watch), Answer::Done { .. }) => self.watches.on_taken(*watch),
            _ => {}
        }
    }

    fn undo(&mut self, caller: &mut Caller, undo: Undo, answer: &Answer) {
        match (undo, answer) {
            (Undo::Unlock(owner, lock), Answer::Locked { token }) => {
                self.give_back(caller, (owner, lock), *token);
            }
            (Undo::Unlock(..) | Undo::Nothing, _) => {}
        }
    }

    fn on_told(&mut self, caller: &mut Caller, tell: Tell) {
        match tell {
            Tell::Directed(directed) => self.on_directed(caller, directed),
            Tell::Results { id, results, open } => {
                let is_last = open == 0;
                if let Some(waiting) = self.sends.get(&id) {
                    // As many tellings as there can be have room.
                    drop(waiting.try_send(Results { results, open }));
                }
                if is_last {
                    self.sends.remove(&id);
                }
            }
            Tell::Presence { watch, nodes, .. } => self.watches.on_presence(watch, nodes),
            Tell::Document {
                watch,
                after,
                revision,
                set,
                removed,
                ..
            } => {
                if !self
                    .watches
                    .on_change(watch, (after, revision), set, &removed)
                {
                    self.fetch_document(caller, watch);
                }
            }
            Tell::Removed { room, why } => {
                if let Some(mut seat) = self.rooms.remove(&room) {
                    seat.end(RoomEvent::Removed(why));
                }
            }
            Tell::LockLost { owner, lock, token } => self.locks.on_lost(&(owner, lock), token),
            // The conversation's own.
            Tell::Answer { .. } | Tell::Skipped { .. } => {}
        }
    }

    fn on_directed(&mut self, caller: &mut Caller, directed: Directed) {
        let (id, from, want) = (
            directed.post.id,
            directed.post.from.clone(),
            directed.post.want,
        );
        let why = match &self.letters {
            Some((tell, missed)) => match tell.try_send(directed) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    missed.fetch_add(1, Ordering::Relaxed);
                    "overloaded"
                }
                Err(mpsc::error::TrySendError::Closed(_)) => "no-reader",
            },
            None => "no-reader",
        };
        if let (Want::Applied, Ok(why)) = (want, why.parse()) {
            self.decline(caller, id, from, why);
        }
    }

    fn decline(&mut self, caller: &mut Caller, id: MessageId, from: NodeName, why: Name) {
        let outcome = TargetOutcome::Declined(why);
        let request = Request::Outcome { id, from, outcome };
        self.ask_for(caller, request, Waiting::Nobody);
    }

    fn on_message(
        &mut self,
        caller: &mut Caller,
        source: &Source,
        cursor: Option<Cursor>,
        message: LineMessage,
    ) {
        match (source, message) {
            (Source::Topic { room, topic }, LineMessage::Post(post)) => {
                let Some(seat) = self.rooms.get_mut(room) else {
                    return;
                };
                seat.on_post(topic, cursor, post);
                if seat.has_flow_to_change() {
                    self.read_on(caller, room);
                }
            }
            (Source::Members { room }, LineMessage::Members(changes)) => {
                if let Some(seat) = self.rooms.get_mut(room) {
                    seat.push(RoomEvent::Members(changes));
                }
            }
            (Source::Mailbox, LineMessage::Post(post)) => {
                let seat = self.mailbox.as_mut().filter(|seat| seat.is_open);
                let has_room = seat.is_none_or(|seat| seat.push(Mail::Post(post, cursor)));
                if !has_room {
                    self.mailbox = None;
                }
            }
            (_, LineMessage::Post(_) | LineMessage::Members(_)) => {}
        }
    }

    fn on_resumed(&mut self, source: &Source, is_broken: bool) {
        match source {
            Source::Topic { room, topic } => {
                if let Some(seat) = self.rooms.get_mut(room) {
                    seat.on_resumed(Some(topic), is_broken);
                }
            }
            Source::Members { room } => {
                if let Some(seat) = self.rooms.get_mut(room) {
                    seat.on_resumed(None, is_broken);
                }
            }
            Source::Mailbox => {
                if let Some(seat) = self.mailbox.as_mut().filter(|seat| seat.is_open) {
                    seat.push(Mail::Resumed { is_broken });
                }
            }
            Source::Watch(_) => {}
        }
    }

    fn on_lost(&mut self, source: &Source, answer: Answer) {
        let why = if let Answer::Refused(why) = answer {
            why
        } else {
            HubRefusal::Unknown
        };
        match source {
            // Of a room that cannot be joined again its members are named.
            Source::Members { room } => {
                if let Some(mut seat) = self.rooms.remove(room) {
                    seat.end(RoomEvent::Lost(why));
                }
            }
            Source::Topic { .. } => {}
            Source::Mailbox => {
                if let Some(mut seat) = self.mailbox.take() {
                    seat.push(Mail::Lost(why));
                }
            }
            Source::Watch(watch) => self.watches.on_lost(*watch, why),
        }
    }

    fn fetch_document(&mut self, caller: &mut Caller, watch: u32) {
        let Some((owner, section)) = self.watches.place(watch) else {
            return;
        };
        let request = Request::Document { owner, section };
        if !self.ask_for(caller, request, Waiting::Document { watch }) {
            self.watches.on_document_missed(watch);
        }
    }

    /// A watch is not wanted any more.
    pub(super) fn unwatch(&mut self, caller: &mut Caller, watch: u32) {
        if self.watches.remove(watch, caller.is_up()) {
            self.ask_for(caller, Request::Unwatch { watch }, Waiting::Nobody);
        }
    }

    /// A lock that is held here is not wanted any more.
    pub(super) fn unlock(&mut self, caller: &mut Caller, place: &(Owner, Name), token: u64) {
        if self.let_go(place, token) {
            self.give_back(caller, place.clone(), token);
        }
    }

    fn give_back(&mut self, caller: &mut Caller, (owner, lock): (Owner, Name), token: u64) {
        let lock = LockClaim { lock, token };
        self.ask_for(caller, Request::Unlock { owner, lock }, Waiting::Nobody);
    }

    /// Renews locks.
    pub(crate) fn on_timeout(&mut self, now: MonoTime, caller: &mut Caller) {
        for (place, token, ttl_ms) in self.locks.on_timeout(now) {
            let (owner, lock) = place.clone();
            let lock = LockClaim { lock, token };
            let request = Request::RenewLock {
                owner,
                lock,
                ttl_ms,
            };
            let asked = now;
            let waiting = Waiting::Renewal {
                place,
                token,
                asked,
            };
            // What cannot be asked now is asked with the next third of its time.
            self.ask_for(caller, request, waiting);
        }
    }

    /// When [`Switchboard::on_timeout`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<MonoTime> {
        self.locks.next_timeout()
    }
}

impl MailboxSeat {
    /// Whether there is room for more.
    fn push(&mut self, mail: Mail) -> bool {
        if self.tell.capacity() <= 1 {
            // One place is kept for this.
            drop(self.tell.try_send(Mail::Overrun));
            return false;
        }
        self.tell.try_send(mail).is_ok()
    }
}

#[cfg(test)]
mod tests;
