//! One client's stream, from its first word to its last.

use std::collections::BTreeMap;
use std::time::Duration;

use longrein_proto::base::Name;
use longrein_proto::base::NodeName;
use longrein_proto::hub::LocalTell;
use longrein_proto::wire::hub::{
    Answer, Cursor, Journal, Line, LineMessage, Request, RoomRole, Start, Tell, TopicFrom,
    TopicLine, decode,
};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::body::{Unread, Writer};
use super::catching_up::{Asking, Past};
use super::position::Positions;
use super::shown::{DocumentTold, Gap, MembersTold, OfTopic, PresenceTold, RemovedTold, ToService};
use super::sink::Sink;
use super::wanted::{From, Wanted};
use crate::http::api::guard::Caller;
use crate::http::api::messages::unexpected;
use crate::http::api::refusal::unreached;
use crate::http::api::topics::PostShown;
use crate::http::api::words::{Place, Word};
use crate::http::problem::Problem;
use crate::hub::Desk;

/// One client's stream.
pub(in crate::http) struct Stream {
    asking: Asking,
    node: NodeName,
    wanted: Wanted,
    positions: Positions,
    lines: BTreeMap<Line, Source>,
}

/// What comes on a line: the topic or mailbox of this number, with the epoch of its cursors, or the members of a room.
#[derive(Clone, Copy)]
enum Source {
    Journal { number: usize, epoch: u64 },
    Members,
}

/// Why a stream ends.
#[derive(Debug)]
pub(in crate::http) enum Ending {
    Unread(Unread),
    /// What was to be told is more than was taken.
    Overrun,
    /// The hub does not do what it did before.
    Failed,
}

impl Stream {
    /// Sets up all but the journals: what is refused of it is the answer to the request.
    ///
    /// # Errors
    /// The hub refuses, or is not reached.
    pub(in crate::http) async fn open(
        desk: &Desk,
        caller: &Caller,
        wanted: Wanted,
    ) -> Result<Stream, Problem> {
        let (node, rights) = (caller.node.clone(), caller.rights);
        let opened = match wanted.messages {
            true => desk.open(node.clone(), rights).await,
            false => desk.open_asker(node.clone(), rights).await,
        };
        let mut asking = Asking::new(opened.map_err(unreached)?);
        for room in wanted.rooms() {
            let join = Request::Join {
                room,
                role: RoomRole::Observer,
                topics: Vec::new(),
                create: None,
            };
            asking.ask(join).await?;
        }
        let mut lines = BTreeMap::new();
        for room in &wanted.members {
            let room = room.clone();
            let answer = asking.ask(Request::WatchMembers { room }).await?;
            lines.insert(subscribed(answer)?.line, Source::Members);
        }
        if let Some(of) = wanted.presence.clone() {
            let watch = PRESENCE;
            asking.ask(Request::WatchPresence { watch, of }).await?;
        }
        for (watch, (owner, section)) in (PRESENCE + 1..).zip(&wanted.documents) {
            let request = Request::WatchDocument {
                watch,
                owner: owner.clone(),
                section: *section,
            };
            asking.ask(request).await?;
        }
        Ok(Stream {
            asking,
            node,
            positions: wanted.positions.clone(),
            wanted,
            lines,
        })
    }

    /// Tells what was missed and then what happens, until somebody ends it.
    pub(super) async fn run(mut self, writer: Writer) {
        let ending = match self.tell_all(&writer).await {
            Ok(never) => match never {},
            Err(ending) => ending,
        };
        match ending {
            Ending::Unread(Unread::Gone) => {}
            Ending::Unread(Unread::Slow) | Ending::Overrun => {
                tracing::info!(node = %self.node, "stream of events is not read fast enough, and ends");
                writer.end("slow");
            }
            Ending::Failed => writer.end("hub"),
        }
    }

    /// The same into anything that takes events.
    ///
    /// # Errors
    /// Always, at last: why it ends.
    pub(in crate::http) async fn tell_all(
        &mut self,
        writer: &impl Sink,
    ) -> Result<std::convert::Infallible, Ending> {
        for number in 0..self.positions.0.len() {
            self.read_journal(writer, number).await?;
        }
        let ready = serde_json::json!({ "node": self.node.to_string() });
        let id = self.id();
        writer.write("ready", id.as_deref(), &ready).await?;
        let mut beat = interval_at(Instant::now() + BEAT_EVERY, BEAT_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = writer.gone() => return Err(Ending::Unread(Unread::Gone)),
                _ = beat.tick() => writer.beat(),
                told = self.asking.next() => {
                    let told = told.map_err(|_| Ending::Overrun)?;
                    self.on_told(writer, told).await?;
                }
            }
        }
    }

    /// Tells what is behind the place up to which a journal was read, and reads on.
    async fn read_journal(&mut self, writer: &impl Sink, number: usize) -> Result<(), Ending> {
        let after = self.positions.of(number);
        let mut past = Past::new(self.journal(number), after, self.wanted.from);
        while let Some(entries) = past.next(&mut self.asking).await? {
            for entry in entries {
                self.tell_post(writer, number, Some(entry.cursor), entry.post)
                    .await?;
            }
        }
        let start = match (self.positions.of(number), self.wanted.from) {
            (Some(cursor), _) => Start::After(cursor),
            (None, From::Now) => Start::Now,
            (None, From::Oldest) => Start::Oldest,
        };
        let request = match self.wanted.topics.get(number).cloned() {
            Some((room, topic)) => Request::Subscribe {
                room,
                topic: TopicFrom { topic, from: start },
            },
            None => Request::Mailbox { from: start },
        };
        let line = subscribed(self.asking.ask(request).await?)?;
        let epoch = line.after.epoch;
        self.lines
            .insert(line.line, Source::Journal { number, epoch });
        self.positions.set(number, line.after);
        if line.is_broken {
            self.tell_gap(
                writer,
                number,
                "what stood behind Last-Event-ID is not kept any more",
            )
            .await?;
        }
        Ok(())
    }

    async fn on_told(&mut self, writer: &impl Sink, told: LocalTell) -> Result<(), Ending> {
        match told {
            LocalTell::Line {
                line,
                number,
                is_kept,
                message,
            } => {
                let source = self.lines.get(&line).copied();
                match (source, decode(&message)) {
                    (Some(Source::Members), Ok(LineMessage::Members(changes))) => {
                        writer
                            .write("members", None, &MembersTold::of(changes))
                            .await?;
                    }
                    (
                        Some(Source::Journal {
                            number: journal,
                            epoch,
                        }),
                        Ok(LineMessage::Post(post)),
                    ) => {
                        let cursor = is_kept.then_some(Cursor { epoch, number });
                        self.tell_post(writer, journal, cursor, post).await?;
                    }
                    // Of a line that is read no more.
                    _ => {}
                }
            }
            LocalTell::Own(told) => self.on_own(writer, told).await?,
        }
        Ok(())
    }

    async fn on_own(&mut self, writer: &impl Sink, told: Tell) -> Result<(), Ending> {
        match told {
            Tell::Directed(directed) => {
                let told = ToService {
                    room: directed.room.map(Word),
                    post: PostShown::of(None, directed.post),
                };
                writer.write("message", None, &told).await?;
            }
            Tell::Presence { nodes, more, .. } => {
                writer
                    .write("presence", None, &PresenceTold::of(nodes, more))
                    .await?;
            }
            Tell::Document {
                owner,
                section,
                after,
                revision,
                set,
                removed,
                ..
            } => {
                let told = DocumentTold::of(owner, section, (after, revision), set, removed);
                writer.write("document", None, &told).await?;
            }
            Tell::Removed { room, why } => {
                writer
                    .write("removed", None, &RemovedTold::of(room, why))
                    .await?;
            }
            Tell::Skipped { line, from, below } => {
                if let Some(Source::Journal { number, epoch }) = self.lines.get(&line).copied() {
                    let last = below.saturating_sub(1);
                    self.positions.set(
                        number,
                        Cursor {
                            epoch,
                            number: last,
                        },
                    );
                    if below > from {
                        self.tell_gap(writer, number, "not kept any more, or over")
                            .await?;
                    }
                }
            }
            // A stream asks nothing once it is set up, sends nothing, and locks are the service's, not a stream's.
            Tell::Answer { .. } | Tell::Results { .. } | Tell::LockLost { .. } => {}
        }
        Ok(())
    }

    async fn tell_post(
        &mut self,
        writer: &impl Sink,
        number: usize,
        cursor: Option<Cursor>,
        post: longrein_proto::wire::hub::Post,
    ) -> Result<(), Ending> {
        if let Some(cursor) = cursor {
            self.positions.set(number, cursor);
        }
        let id = cursor.and_then(|_| self.id());
        let post = PostShown::of(cursor.map(Place::of), post);
        match self.topic(number) {
            Some((room, topic)) => {
                let told = OfTopic {
                    room: room.as_str(),
                    topic: topic.as_str(),
                    post,
                };
                writer.write("topic", id.as_deref(), &told).await?;
            }
            None => writer.write("mailbox", id.as_deref(), &post).await?,
        }
        Ok(())
    }

    async fn tell_gap(
        &self,
        writer: &impl Sink,
        number: usize,
        why: &'static str,
    ) -> Result<(), Ending> {
        let topic = self.topic(number);
        let gap = Gap {
            room: topic.map(|(room, _)| room.as_str()),
            topic: topic.map(|(_, topic)| topic.as_str()),
            why,
        };
        writer.write("gap", self.id().as_deref(), &gap).await?;
        Ok(())
    }

    /// The topic of this number; none of the mailbox, which follows the topics.
    fn topic(&self, number: usize) -> Option<&(Name, Name)> {
        self.wanted.topics.get(number)
    }

    fn journal(&self, number: usize) -> Journal {
        match self.topic(number) {
            Some((room, topic)) => Journal::Topic {
                room: room.clone(),
                topic: topic.clone(),
            },
            None => Journal::Mailbox {
                node: self.node.clone(),
            },
        }
    }

    fn id(&self) -> Option<String> {
        (!self.positions.0.is_empty()).then(|| self.positions.text())
    }
}

impl std::convert::From<Unread> for Ending {
    fn from(unread: Unread) -> Ending {
        Ending::Unread(unread)
    }
}

/// What the hub refuses when it is too late for an answer of HTTP.
impl std::convert::From<Problem> for Ending {
    fn from(problem: Problem) -> Ending {
        tracing::info!(?problem, "stream of events ends");
        Ending::Failed
    }
}

fn subscribed(answer: Answer) -> Result<TopicLine, Problem> {
    let Answer::Subscribed(line) = answer else {
        return Err(unexpected());
    };
    Ok(line)
}

/// The number of the one watch of presence; those of documents follow.
const PRESENCE: u32 = 1;
/// Between comments: proxies close what is silent for a minute.
const BEAT_EVERY: Duration = Duration::from_secs(15);
