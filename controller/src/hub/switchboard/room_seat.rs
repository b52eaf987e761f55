//! A room's way to its reader.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use longrein_proto::base::Name;
use longrein_proto::wire::hub::{
    Answer, Cursor, HubRefusal, Post, Request, Start, TopicFrom, TopicLine,
};
use tokio::sync::mpsc;

use crate::hub::room::SeatMark;
use crate::hub::{Room, RoomEvent, RoomMessage};

/// A room's way to its reader; the end that the drive loop fills.
#[derive(Debug)]
pub(in crate::hub) struct RoomSeat {
    tell: mpsc::Sender<RoomEvent>,
    shared: Arc<Shared>,
    /// The newest request to join, and whether it was answered: what comes before belongs to an older handle.
    join: Option<u32>,
    is_joined: bool,
    topics: BTreeMap<Name, Topic>,
}

/// The same; the reader's end.
#[derive(Debug)]
pub(in crate::hub) struct RoomEvents {
    events: mpsc::Receiver<RoomEvent>,
    shared: Arc<Shared>,
    is_over: bool,
}

#[derive(Debug, Default)]
struct Shared {
    mark: SeatMark,
    /// Messages in the queue, and their bytes.
    messages: AtomicUsize,
    bytes: AtomicUsize,
    /// Whether a topic waits until the reader has read.
    is_paused: AtomicBool,
    missed: AtomicU64,
    end: OnceLock<RoomEvent>,
}

#[derive(Debug)]
struct Topic {
    /// Behind this it is read on.
    last: Cursor,
    flow: Flow,
}

/// Whether a topic is read at the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// It is.
    Open,
    /// Not any more, which is to be asked for.
    Closing,
    /// Not any more, which is asked for.
    Closed { is_answered: bool },
    /// Again, which is asked for.
    Opening,
}

impl RoomSeat {
    pub(in crate::hub) fn new() -> (RoomSeat, RoomEvents) {
        let (tell, events) = mpsc::channel(Room::WAITING_MAX + TOLD_MAX);
        let shared = Arc::new(Shared::default());
        let seat = RoomSeat {
            tell,
            shared: Arc::clone(&shared),
            join: None,
            is_joined: false,
            topics: BTreeMap::new(),
        };
        let events = RoomEvents {
            events,
            shared,
            is_over: false,
        };
        (seat, events)
    }

    pub(super) fn mark(&self) -> SeatMark {
        Arc::clone(&self.shared.mark)
    }

    pub(super) fn is_of(&self, mark: &SeatMark) -> bool {
        Arc::ptr_eq(&self.shared.mark, mark)
    }

    /// Whether nobody reads it any more.
    pub(super) fn is_left(&self) -> bool {
        self.tell.is_closed()
    }

    /// The newest request to join.
    pub(super) const fn join(&self) -> Option<u32> {
        self.join
    }

    /// Whether that was answered.
    pub(super) const fn is_joined(&self) -> bool {
        self.is_joined
    }

    pub(super) fn on_join_asked(&mut self, ask: u32) {
        self.join = Some(ask);
    }

    pub(super) fn on_joined(&mut self, ask: u32, topics: &[TopicLine]) {
        if self.join == Some(ask) {
            self.is_joined = true;
            for line in topics {
                self.on_subscribed(line);
            }
        }
    }

    pub(super) fn on_subscribed(&mut self, line: &TopicLine) {
        let topic = Topic {
            last: line.after,
            flow: Flow::Open,
        };
        self.topics.insert(line.topic.clone(), topic);
        if line.is_broken {
            self.on_resumed(Some(&line.topic), true);
        }
    }

    pub(super) fn on_unsubscribed(&mut self, topic: &Name) {
        self.topics.remove(topic);
    }

    pub(super) fn on_resumed(&mut self, topic: Option<&Name>, is_broken: bool) {
        self.push(RoomEvent::Resumed {
            topic: topic.cloned(),
            is_broken,
        });
    }

    /// A message of a topic came.
    pub(super) fn on_post(&mut self, name: &Name, cursor: Option<Cursor>, post: Post) {
        let is_full = self.shared.is_full(post.payload.0.len());
        let Some(topic) = self.topics.get_mut(name).filter(|_| self.is_joined) else {
            return;
        };
        if let Some(cursor) = cursor {
            let is_old = cursor.epoch == topic.last.epoch && cursor.number <= topic.last.number;
            if is_old || topic.flow != Flow::Open {
                return;
            }
            if is_full {
                topic.flow = Flow::Closing;
                self.shared.is_paused.store(true, Ordering::Release);
                return;
            }
            topic.last = cursor;
        } else if is_full {
            self.shared.missed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.shared.messages.fetch_add(1, Ordering::AcqRel);
        let bytes = post.payload.0.len();
        self.shared.bytes.fetch_add(bytes, Ordering::AcqRel);
        self.push(RoomEvent::Message(RoomMessage {
            topic: name.clone(),
            from: post.from,
            id: post.id,
            class: post.class,
            cursor,
            at_ms: post.at_ms,
            until_ms: post.until_ms,
            payload: post.payload,
        }));
    }

    pub(super) fn push(&mut self, event: RoomEvent) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.tell.try_send(event) {
            self.end(RoomEvent::Overrun);
        }
    }

    /// What is told when everything before is read.
    pub(super) fn end(&mut self, event: RoomEvent) {
        // The first end counts. The queue is closed with the other one's end.
        drop(self.shared.end.set(event));
        let (closed, _) = mpsc::channel(1);
        self.tell = closed;
    }

    /// Whether a topic has to be asked for.
    pub(super) fn has_flow_to_change(&self) -> bool {
        let mut topics = self.topics.values();
        topics.any(|topic| topic.flow == Flow::Closing)
    }

    /// What to ask for: topics are read no more while the reader is slow, and again once it is ready.
    pub(super) fn flow(&mut self, room: &Name) -> Vec<(Name, Request)> {
        let is_ready = self.shared.is_ready();
        let mut requests = Vec::new();
        for (name, topic) in &mut self.topics {
            let request = match topic.flow {
                Flow::Closing => {
                    topic.flow = Flow::Closed { is_answered: false };
                    Request::Unsubscribe {
                        room: room.clone(),
                        topic: name.clone(),
                    }
                }
                Flow::Closed { is_answered: true } if is_ready => {
                    topic.flow = Flow::Opening;
                    let topic = TopicFrom {
                        topic: name.clone(),
                        from: Start::After(topic.last),
                    };
                    let room = room.clone();
                    Request::Subscribe { room, topic }
                }
                Flow::Open | Flow::Closed { .. } | Flow::Opening => continue,
            };
            requests.push((name.clone(), request));
        }
        let mut topics = self.topics.values();
        let is_paused =
            topics.any(|topic| matches!(topic.flow, Flow::Closing | Flow::Closed { .. }));
        self.shared.is_paused.store(is_paused, Ordering::Release);
        requests
    }

    /// Something could not be asked for now.
    pub(super) fn on_flow_unasked(&mut self, topic: &Name) {
        self.on_flow(topic, &Answer::Refused(HubRefusal::Busy));
    }

    pub(super) fn on_flow(&mut self, name: &Name, answer: &Answer) {
        let Some(topic) = self.topics.get_mut(name) else {
            return;
        };
        topic.flow = match (topic.flow, answer) {
            (Flow::Closed { is_answered: false }, Answer::Refused(HubRefusal::Busy)) => {
                Flow::Closing
            }
            (Flow::Closed { .. }, _) => Flow::Closed { is_answered: true },
            (Flow::Opening, Answer::Subscribed(line)) => {
                let line = TopicLine {
                    topic: name.clone(),
                    ..line.clone()
                };
                self.on_subscribed(&line);
                return;
            }
            // What ended the room says so by itself.
            (Flow::Opening, _) => Flow::Closed { is_answered: true },
            (flow @ (Flow::Open | Flow::Closing), _) => flow,
        };
        self.shared.is_paused.store(true, Ordering::Release);
    }
}

impl RoomEvents {
    pub(in crate::hub) fn seat(&self) -> SeatMark {
        Arc::clone(&self.shared.mark)
    }

    pub(in crate::hub) async fn next(&mut self) -> Option<RoomEvent> {
        if let Some(event) = self.events.recv().await {
            if let RoomEvent::Message(message) = &event {
                self.shared.messages.fetch_sub(1, Ordering::AcqRel);
                let bytes = message.payload.0.len();
                self.shared.bytes.fetch_sub(bytes, Ordering::AcqRel);
            }
            return Some(event);
        }
        let end = self.shared.end.get().cloned();
        end.filter(|_| !std::mem::replace(&mut self.is_over, true))
    }

    /// Whether a topic waits, and there is room for what it has.
    pub(in crate::hub) fn wants_more(&self) -> bool {
        self.shared.is_paused.load(Ordering::Acquire) && self.shared.is_ready()
    }

    pub(in crate::hub) fn missed(&self) -> u64 {
        self.shared.missed.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn is_full(&self, more_bytes: usize) -> bool {
        self.messages.load(Ordering::Acquire) >= Room::WAITING_MAX
            || self.bytes.load(Ordering::Acquire) + more_bytes > Room::WAITING_BYTES_MAX
    }

    /// Half of the queue is free.
    fn is_ready(&self) -> bool {
        self.messages.load(Ordering::Acquire) <= Room::WAITING_MAX / 2
            && self.bytes.load(Ordering::Acquire) <= Room::WAITING_BYTES_MAX / 2
    }
}

/// What is told about a room and its members beside messages, and waits for a slow reader.
const TOLD_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use longrein_proto::base::Class;
    use longrein_proto::wire::hub::{Line, MessageId, Want};

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn cursor(number: u64) -> Cursor {
        Cursor { epoch: 1, number }
    }

    fn line(after: u64) -> TopicLine {
        TopicLine {
            topic: name("talk"),
            line: Line(1),
            after: cursor(after),
            is_broken: false,
        }
    }

    fn post(class: Class, bytes: usize) -> Post {
        Post {
            id: MessageId([0; 16]),
            from: "controller/bob".parse().unwrap(),
            class,
            flow: None,
            at_ms: 0,
            until_ms: 0,
            want: Want::Nothing,
            payload: vec![0; bytes].into(),
        }
    }

    fn joined() -> (RoomSeat, RoomEvents) {
        let (mut seat, events) = RoomSeat::new();
        seat.on_join_asked(4);
        seat.on_joined(4, &[line(0)]);
        (seat, events)
    }

    fn read(events: &mut RoomEvents) -> Option<RoomEvent> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let next = std::pin::pin!(events.next());
        match next.poll(&mut context) {
            std::task::Poll::Ready(event) => event,
            std::task::Poll::Pending => None,
        }
    }

    fn numbers(events: &mut RoomEvents, count: usize) -> Vec<u64> {
        let message = |event| {
            let RoomEvent::Message(message) = event else {
                return None;
            };
            message.cursor.map(|cursor: Cursor| cursor.number)
        };
        let read = std::iter::from_fn(|| read(events)).take(count);
        read.filter_map(message).collect()
    }

    #[test]
    fn a_slow_reader_has_every_kept_message_once_and_in_order() {
        let (mut seat, mut events) = joined();
        let (room, talk) = (name("yard"), name("talk"));
        for number in 1..=2_000 {
            seat.on_post(&talk, Some(cursor(number)), post(Class::Reliable, 1));
        }
        assert!(seat.has_flow_to_change());
        let asked = seat.flow(&room);
        assert!(matches!(&asked[..], [(_, Request::Unsubscribe { .. })]));
        seat.on_flow(&talk, &Answer::Done { revision: 0 });
        assert!(seat.flow(&room).is_empty(), "there is no room yet");

        let first = numbers(&mut events, Room::WAITING_MAX / 2);
        assert!(events.wants_more());
        let asked = seat.flow(&room);
        let [(_, Request::Subscribe { topic, .. })] = &asked[..] else {
            panic!("{asked:?}");
        };
        assert_eq!(topic.from, Start::After(cursor(1_024)));
        // What came while it was not asked for belongs to what is read again.
        seat.on_post(&talk, Some(cursor(2_001)), post(Class::Reliable, 1));
        seat.on_flow(&talk, &Answer::Subscribed(line(1_024)));
        assert!(!events.wants_more());
        for number in 1_020..=1_100 {
            seat.on_post(&talk, Some(cursor(number)), post(Class::Reliable, 1));
        }
        let all: Vec<u64> = first
            .into_iter()
            .chain(numbers(&mut events, usize::MAX))
            .collect();
        assert_eq!(all, (1..=1_100).collect::<Vec<u64>>());
    }

    #[test]
    fn long_messages_fill_the_queue_sooner_and_what_is_not_kept_is_missed() {
        let (mut seat, events) = joined();
        for number in 1..=200 {
            seat.on_post(
                &name("talk"),
                Some(cursor(number)),
                post(Class::Reliable, 64 * 1024),
            );
        }
        assert_eq!(events.shared.messages.load(Ordering::Relaxed), 128);
        seat.on_post(&name("talk"), None, post(Class::Latest, 1_024));
        assert_eq!(events.missed(), 1);
    }

    #[test]
    fn what_comes_before_the_answer_belongs_to_an_older_handle() {
        let (mut seat, mut events) = RoomSeat::new();
        seat.on_join_asked(4);
        seat.on_post(&name("talk"), Some(cursor(9)), post(Class::Reliable, 1));
        seat.on_joined(3, &[line(8)]);
        seat.on_post(&name("talk"), Some(cursor(9)), post(Class::Reliable, 1));
        seat.on_joined(4, &[line(2)]);
        seat.on_post(&name("talk"), Some(cursor(3)), post(Class::Reliable, 1));
        assert_eq!(numbers(&mut events, usize::MAX), [3]);
    }

    #[test]
    fn the_end_of_a_room_is_told_once_behind_everything_else() {
        let (mut seat, mut events) = joined();
        seat.on_post(&name("talk"), Some(cursor(1)), post(Class::Reliable, 1));
        seat.end(RoomEvent::Lost(HubRefusal::NotAllowed));
        assert_eq!(numbers(&mut events, 1), [1]);
        let lost = RoomEvent::Lost(HubRefusal::NotAllowed);
        assert_eq!(read(&mut events), Some(lost));
        assert_eq!(read(&mut events), None);
    }

    #[test]
    fn a_reader_that_reads_nothing_at_all_is_told_that_it_missed_something() {
        let (mut seat, mut events) = joined();
        for _ in 0..=Room::WAITING_MAX + TOLD_MAX {
            seat.on_resumed(None, false);
        }
        let all: Vec<RoomEvent> = std::iter::from_fn(|| read(&mut events)).collect();
        assert_eq!(all.last(), Some(&RoomEvent::Overrun));
        assert_eq!(all.len(), Room::WAITING_MAX + TOLD_MAX + 1);
    }
}
