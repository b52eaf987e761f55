//! Messages on topics, to nodes, in mailboxes, and of the past.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::commits::{Asker, Reading, Then, post_of};
use super::rooms::page_count;
use super::watching::Facts;
use super::{Hub, MAIL};
use crate::base::limits::{
    FEED_PAGE_BYTES, KEPT_TTL_MAX, LIVE_TTL_MAX, MAILBOX_BYTES_MAX, MAILBOX_MESSAGES_MAX,
    MESSAGE_BYTES_MAX, TARGETS_MAX,
};
use crate::base::{Class, Name, NodeName};
use crate::hub::client::LiveMessage;
use crate::hub::feed::{Feed, Warmth};
use crate::hub::sends::SendId;
use crate::hub::{
    ClientId, Entry, HubRight, JournalHead, Moment, Query, ReadFrom, StoreOp, is_selected,
};
use crate::wire::hub::{
    Answer, Direct, Directed, HistoryFrom, HubRefusal, Journal, Line, LineMessage, MessageId, Post,
    Publish, Request, Retention, RoomRole, Selector, Start, TargetOutcome, Targets, Tell, Want,
    encode,
};

type Answered = Result<Option<Answer>, HubRefusal>;

impl Hub {
    pub(super) fn publish(&mut self, at: Moment, asker: Asker, publish: Publish) -> Answered {
        let (client, _) = asker;
        let from = self.expect_speaker(client, &publish.room)?;
        let is_kept = publish.class == Class::Reliable;
        check(&publish.payload.0, publish.ttl_ms, is_kept)?;
        if !publish.to.is_empty() {
            return self.tell_privately(at, asker, &from, publish);
        }
        let line = self.topic(&publish.room, &publish.topic)?;
        let post = Post {
            id: publish.id,
            from,
            class: publish.class,
            flow: None,
            at_ms: at.unix_ms,
            until_ms: at.unix_ms.saturating_add(publish.ttl_ms.into()),
            want: Want::Nothing,
            payload: publish.payload.clone(),
        };
        if is_kept {
            self.append(asker, line, post, || Request::Publish(publish))
        } else {
            Ok(Some(self.publish_live(at, line, &post)))
        }
    }

    /// A message comes to the end of a line, once it is stored.
    fn append(
        &mut self,
        asker: Asker,
        line: Line,
        post: Post,
        request: impl FnOnce() -> Request,
    ) -> Answered {
        let feed = self.feeds.get_mut(&line).ok_or(HubRefusal::NotFound)?;
        if feed.warmth != Warmth::Warm {
            self.defer(line, asker, request())?;
            return Ok(None);
        }
        if let Some(number) = feed.known(post.id) {
            // One that is not stored yet may still fail.
            let is_there = number < feed.next();
            let known = Answer::Published {
                cursor: Some(feed.cursor(number)),
                at_ms: post.at_ms,
                targets: 0,
            };
            return is_there.then_some(Some(known)).ok_or(HubRefusal::Busy);
        }
        if feed.journal.is_none() {
            let number = feed.reserve(post.id);
            self.on_published(Some(asker), line, number, &post);
            return Ok(None);
        }
        self.may_commit()?;
        let (ops, number) = self.append_ops(line, &post).ok_or(HubRefusal::NotFound)?;
        let then = Then::Publish {
            asker: Some(asker),
            line,
            number,
            post,
        };
        self.commit(ops, vec![then]);
        Ok(None)
    }

    /// What stores a message at the end of a journal, and its number there.
    fn append_ops(&mut self, line: Line, post: &Post) -> Option<(Vec<StoreOp>, u64)> {
        let feed = self.feeds.get_mut(&line)?;
        let journal = feed.journal.clone()?;
        let number = feed.reserve(post.id);
        let append = StoreOp::Append {
            journal,
            entry: Entry {
                number,
                at_ms: post.at_ms,
                id: post.id,
                bytes: encode(&LineMessage::Post(post.clone())),
            },
        };
        let ops = [append].into_iter().chain(feed.retain(post.at_ms));
        Some((ops.collect(), number))
    }

    /// A message is there for everybody.
    pub(super) fn on_published(
        &mut self,
        asker: Option<Asker>,
        line: Line,
        number: u64,
        post: &Post,
    ) {
        let Some(feed) = self.feeds.get_mut(&line) else {
            if let Some((client, ask)) = asker {
                self.answer(client, ask, Answer::Refused(HubRefusal::NoSuchRoom));
            }
            return;
        };
        feed.publish(post, number);
        self.counters.published += 1;
        let published = Answer::Published {
            cursor: Some(feed.cursor(number)),
            at_ms: post.at_ms,
            targets: u32::try_from(feed.readers.len()).unwrap_or(u32::MAX),
        };
        self.wake(line);
        if let Some((client, ask)) = asker {
            self.answer(client, ask, published);
        }
    }

    fn publish_live(&mut self, at: Moment, line: Line, post: &Post) -> Answer {
        let Some(feed) = self.feeds.get_mut(&line) else {
            return Answer::Refused(HubRefusal::NoSuchRoom);
        };
        self.counters.published += 1;
        let (number, message, pieces) = feed.live(post);
        let targets = u32::try_from(feed.readers.len()).unwrap_or(u32::MAX);
        let ttl = Duration::from_millis(post.until_ms.saturating_sub(post.at_ms));
        let live = LiveMessage {
            newest_of: (post.class == Class::Latest).then(|| post.from.clone()),
            until: at.now + ttl,
            number,
            message,
            pieces: pieces.into(),
            is_begun: false,
        };
        self.spread(line, &live);
        Answer::Published {
            cursor: None,
            at_ms: post.at_ms,
            targets,
        }
    }

    fn tell_privately(
        &mut self,
        at: Moment,
        asker: Asker,
        from: &NodeName,
        publish: Publish,
    ) -> Answered {
        let room = self
            .rooms
            .get(&publish.room)
            .ok_or(HubRefusal::NoSuchRoom)?;
        if publish.to.iter().any(|node| room.role(node).is_none()) {
            return Err(HubRefusal::NotAMember);
        }
        let ttl = Duration::from_millis(publish.ttl_ms.into());
        let directed = Directed {
            post: Post {
                id: publish.id,
                from: from.clone(),
                class: publish.class,
                flow: Some(publish.topic),
                at_ms: at.unix_ms,
                until_ms: at.unix_ms.saturating_add(publish.ttl_ms.into()),
                want: publish.want,
                payload: publish.payload,
            },
            room: Some(publish.room),
        };
        let targets = publish.to.into_iter().collect();
        self.direct(at, asker, &directed, &targets, ttl).map(Some)
    }

    pub(super) fn send(&mut self, at: Moment, asker: Asker, direct: Direct) -> Answered {
        self.expect_right(asker.0, HubRight::Send)?;
        check(&direct.payload.0, direct.ttl_ms, direct.is_kept)?;
        if direct.is_kept && direct.class != Class::Reliable {
            return Err(HubRefusal::Malformed);
        }
        let sender = self.clients.get(&asker.0).ok_or(HubRefusal::NotAllowed)?;
        let known = sender.sent.iter().find(|(id, _)| *id == direct.id);
        if let Some((_, targets)) = known {
            return Ok(Some(Answer::Sent {
                targets: *targets,
                at_ms: at.unix_ms,
            }));
        }
        let targets = match &direct.to {
            Targets::Nodes(nodes) => nodes.iter().cloned().collect(),
            Targets::Select(selector) => self.select(selector),
        };
        if targets.len() > TARGETS_MAX {
            return Err(HubRefusal::Full);
        }
        let post = Post {
            id: direct.id,
            from: sender.node.clone(),
            class: direct.class,
            flow: Some(direct.flow),
            at_ms: at.unix_ms,
            until_ms: at.unix_ms.saturating_add(direct.ttl_ms.into()),
            want: direct.want,
            payload: direct.payload,
        };
        let ttl = Duration::from_millis(direct.ttl_ms.into());
        if direct.is_kept {
            return self.keep(at, asker, &post, &targets, ttl);
        }
        let directed = Directed { post, room: None };
        self.direct(at, asker, &directed, &targets, ttl).map(Some)
    }

    /// Brings a message to the programs of its targets that are here.
    fn direct(
        &mut self,
        at: Moment,
        asker: Asker,
        directed: &Directed,
        targets: &BTreeSet<NodeName>,
        ttl: Duration,
    ) -> Result<Answer, HubRefusal> {
        let send = self.track(at, asker.0, &directed.post, ttl)?;
        let tell = Tell::Directed(directed.clone());
        let message = encode(&tell);
        for node in targets {
            let programs = self.programs.get(node).cloned().unwrap_or_default();
            self.counters.sent += 1;
            if programs.is_empty() {
                self.add_result(at, send, node, TargetOutcome::Offline);
                continue;
            }
            let tag = send.map(|send| self.sends.add_target(send, node));
            let mut is_taken = false;
            for program in programs {
                let Some(target) = self.clients.get_mut(&program) else {
                    continue;
                };
                if target.is_local {
                    self.tell(program, tell.clone());
                    if let Some(tag) = tag {
                        self.sends.on_delivered(at.now, tag);
                    }
                    is_taken = true;
                    continue;
                }
                let until = Some(at.now + ttl);
                if target
                    .carrier
                    .push(Arc::clone(&message), until, tag)
                    .is_ok()
                {
                    is_taken = true;
                    self.enqueue(program);
                }
            }
            if !is_taken {
                let refused = TargetOutcome::Refused(HubRefusal::Full);
                self.add_result(at, send, node, refused);
            }
        }
        Ok(self.on_sent(at, asker.0, directed.post.id, targets.len(), send))
    }

    /// Puts a message into the mailboxes of its targets.
    fn keep(
        &mut self,
        at: Moment,
        asker: Asker,
        post: &Post,
        targets: &BTreeSet<NodeName>,
        ttl: Duration,
    ) -> Answered {
        self.may_commit()?;
        // Which messages are there already is known once the newest of each mailbox are read.
        for node in targets {
            let line = self.mailbox(node);
            let is_warm = self
                .feeds
                .get(&line)
                .is_some_and(|feed| feed.warmth == Warmth::Warm);
            if !is_warm {
                let again = Direct {
                    to: Targets::Nodes(targets.iter().cloned().collect()),
                    flow: post.flow.clone().ok_or(HubRefusal::Malformed)?,
                    class: post.class,
                    ttl_ms: u32::try_from(ttl.as_millis()).unwrap_or(u32::MAX),
                    id: post.id,
                    is_kept: true,
                    want: post.want,
                    payload: post.payload.clone(),
                };
                self.defer(line, asker, Request::Send(again))?;
                return Ok(None);
            }
        }
        let send = self.track(at, asker.0, post, ttl)?;
        let (mut ops, mut then) = (Vec::new(), Vec::new());
        for node in targets {
            let line = self.mailbox(node);
            self.counters.sent += 1;
            let Some(feed) = self.feeds.get(&line) else {
                continue;
            };
            if feed.known(post.id).is_some() {
                self.add_result(at, send, node, TargetOutcome::Kept);
                continue;
            }
            let bytes = feed.head.bytes + post.payload.0.len() as u64;
            if feed.head.count >= MAILBOX_MESSAGES_MAX || bytes > MAILBOX_BYTES_MAX {
                self.add_result(at, send, node, TargetOutcome::Refused(HubRefusal::Full));
                continue;
            }
            let Some((appended, number)) = self.append_ops(line, post) else {
                continue;
            };
            ops.extend(appended);
            then.push(Then::Publish {
                asker: None,
                line,
                number,
                post: post.clone(),
            });
            // Whoever wants to hear what an application did waits for that.
            match send {
                Some(send) if post.want == Want::Delivered => {
                    let node = node.clone();
                    then.push(Then::Kept { send, node });
                }
                Some(send) => {
                    self.sends.add_target(send, node);
                }
                None => {}
            }
        }
        let answer = self.on_sent(at, asker.0, post.id, targets.len(), send);
        if ops.is_empty() {
            return Ok(Some(answer));
        }
        then.push(Then::Answer { asker, answer });
        self.commit(ops, then);
        Ok(None)
    }

    /// Begins to note what becomes of a message, if its sender wants to hear that.
    fn track(
        &mut self,
        at: Moment,
        client: ClientId,
        post: &Post,
        ttl: Duration,
    ) -> Result<Option<SendId>, HubRefusal> {
        if post.want == Want::Nothing {
            return Ok(None);
        }
        let name = (&post.from, post.id);
        let send = self.sends.begin(at.now, client, name, post.want, ttl);
        send.map(Some).ok_or(HubRefusal::Busy)
    }

    fn add_result(
        &mut self,
        at: Moment,
        send: Option<SendId>,
        node: &NodeName,
        outcome: TargetOutcome,
    ) {
        if let Some(send) = send {
            self.sends.add_result(at.now, send, node, outcome);
        }
    }

    fn on_sent(
        &mut self,
        at: Moment,
        client: ClientId,
        id: MessageId,
        targets: usize,
        send: Option<SendId>,
    ) -> Answer {
        if let Some(send) = send {
            self.sends.on_targets_known(at.now, send);
        }
        let targets = u32::try_from(targets).unwrap_or(u32::MAX);
        if let Some(sender) = self.clients.get_mut(&client) {
            sender.sent.push_back((id, targets));
            if sender.sent.len() > SENT_REMEMBERED_MAX {
                sender.sent.pop_front();
            }
        }
        Answer::Sent {
            targets,
            at_ms: at.unix_ms,
        }
    }

    /// An application says what it did with a message.
    pub(super) fn on_outcome(
        &mut self,
        at: Moment,
        client: ClientId,
        of: (&NodeName, MessageId),
        outcome: TargetOutcome,
    ) -> Answered {
        if !matches!(outcome, TargetOutcome::Applied | TargetOutcome::Declined(_)) {
            return Err(HubRefusal::Malformed);
        }
        let node = &self
            .clients
            .get(&client)
            .ok_or(HubRefusal::NotAllowed)?
            .node;
        // That nobody waits for it any more is no fault of who says it.
        self.sends.on_outcome(at.now, node, of, outcome);
        Ok(Some(Answer::Done { revision: 0 }))
    }

    pub(super) fn read_mailbox(&mut self, client: ClientId, from: Start) -> Answered {
        let node = self
            .clients
            .get(&client)
            .ok_or(HubRefusal::NotAllowed)?
            .node
            .clone();
        let line = self.mailbox(&node);
        let mailbox = "mailbox".parse().map_err(|_| HubRefusal::Malformed)?;
        let line = self.read_line(client, mailbox, line, from)?;
        Ok(Some(Answer::Subscribed(line)))
    }

    /// What stands before a number in the own mailbox need not be kept any more.
    pub(super) fn taken(&mut self, asker: Asker, below: u64) -> Answered {
        let node = self
            .clients
            .get(&asker.0)
            .ok_or(HubRefusal::NotAllowed)?
            .node
            .clone();
        let line = self.mailbox(&node);
        let feed = self.feeds.get(&line).ok_or(HubRefusal::NotFound)?;
        if below <= feed.head.first || feed.head.count == 0 {
            return Ok(Some(Answer::Done { revision: 0 }));
        }
        // The names of what goes are known once the newest messages are read.
        if feed.warmth != Warmth::Warm {
            self.defer(line, asker, Request::Taken { below })?;
            return Ok(None);
        }
        self.may_commit()?;
        let feed = self.feeds.get_mut(&line).ok_or(HubRefusal::NotFound)?;
        let ops = feed
            .take(below.min(feed.next()))
            .ok_or(HubRefusal::NotFound)?;
        self.commit(ops.into(), vec![Then::Taken { asker, line }]);
        Ok(None)
    }

    pub(super) fn history(
        &mut self,
        asker: Asker,
        journal: &Journal,
        from: HistoryFrom,
        backwards: bool,
        count: u32,
    ) -> Answered {
        let count = page_count(count)?;
        let line = self.readable(asker.0, journal)?;
        let feed = self.feeds.get(&line).ok_or(HubRefusal::NotFound)?;
        let from = match from {
            HistoryFrom::End if backwards => ReadFrom::Number(u64::MAX),
            HistoryFrom::End => ReadFrom::Number(0),
            HistoryFrom::After(cursor) if cursor != feed.cursor(cursor.number) => {
                return Err(HubRefusal::NotFound);
            }
            HistoryFrom::After(cursor) if backwards => {
                ReadFrom::Number(cursor.number.saturating_sub(1))
            }
            HistoryFrom::After(cursor) => ReadFrom::Number(cursor.number.saturating_add(1)),
            HistoryFrom::Time(at_ms) => ReadFrom::Time(at_ms),
        };
        let Some(journal) = feed.journal.clone() else {
            let (posts, more) = recent(feed, from, backwards, count);
            self.answer_history(asker, line, posts, more);
            return Ok(None);
        };
        self.may_read()?;
        let query = Query {
            journal,
            from,
            backwards,
            count_max: count,
            bytes_max: FEED_PAGE_BYTES,
        };
        self.read(query, Reading::History { asker, line });
        Ok(None)
    }

    /// The line of a journal that a client may read.
    fn readable(&mut self, client: ClientId, journal: &Journal) -> Result<Line, HubRefusal> {
        match journal {
            Journal::Topic { room, topic } => {
                if self.role_in(client, room).is_none() {
                    self.expect_right(client, HubRight::Read)?;
                }
                let room = self.rooms.get(room).ok_or(HubRefusal::NoSuchRoom)?;
                room.topics.get(topic).copied().ok_or(HubRefusal::NotFound)
            }
            Journal::Mailbox { node } => {
                let own = self.clients.get(&client).map(|client| &client.node);
                if own != Some(node) {
                    return Err(HubRefusal::NotAllowed);
                }
                Ok(self.mailbox(node))
            }
        }
    }

    /// The feed of a node's mailbox.
    fn mailbox(&mut self, node: &NodeName) -> Line {
        match self.mailboxes.get(node) {
            Some(line) => *line,
            None => self.open_mailbox(node, None),
        }
    }

    pub(super) fn open_mailbox(&mut self, node: &NodeName, head: Option<JournalHead>) -> Line {
        let line = self.new_line();
        let journal = format!("{MAIL}/{node}").into();
        let feed = Feed::stored(line, self.epoch, journal, head, MAIL_KEPT);
        self.feeds.insert(line, feed);
        self.mailboxes.insert(node.clone(), line);
        line
    }

    /// The nodes that fulfil a selector.
    fn select(&self, selector: &Selector) -> BTreeSet<NodeName> {
        let facts = Facts {
            presence: &self.presence,
            rooms: &self.rooms,
            documents: &self.documents,
        };
        let nodes = self.programs.keys();
        nodes
            .filter(|node| is_selected(selector, node, &facts))
            .cloned()
            .collect()
    }

    /// Who speaks, if it may in a room.
    fn expect_speaker(&self, client: ClientId, room: &Name) -> Result<NodeName, HubRefusal> {
        let speaker = self.clients.get(&client).ok_or(HubRefusal::NotAllowed)?;
        if !self.rooms.contains_key(room) {
            return Err(HubRefusal::NoSuchRoom);
        }
        match self.role_in(client, room) {
            Some(RoomRole::Driver | RoomRole::Dispatcher) => Ok(speaker.node.clone()),
            // A back end speaks to rooms that it need not sit in.
            _ if speaker.is_local && speaker.rights.has(HubRight::Send) => Ok(speaker.node.clone()),
            Some(RoomRole::Observer) => Err(HubRefusal::RoleForbids),
            None => Err(HubRefusal::NotAMember),
        }
    }
}

/// Whether a message is one that may be sent.
fn check(payload: &[u8], ttl_ms: u32, is_kept: bool) -> Result<(), HubRefusal> {
    if payload.len() > MESSAGE_BYTES_MAX {
        return Err(HubRefusal::TooLarge);
    }
    let longest = if is_kept { KEPT_TTL_MAX } else { LIVE_TTL_MAX };
    let fits = ttl_ms > 0 && u128::from(ttl_ms) <= longest.as_millis();
    fits.then_some(()).ok_or(HubRefusal::Malformed)
}

/// Messages of a feed that is in memory only.
fn recent(feed: &Feed, from: ReadFrom, backwards: bool, count: usize) -> (Vec<(u64, Post)>, bool) {
    let is_in = |kept: &&crate::hub::feed::Kept| match (from, backwards) {
        (ReadFrom::Number(number), false) => kept.number >= number,
        (ReadFrom::Number(number), true) => kept.number <= number,
        (ReadFrom::Time(at_ms), false) => kept.at_ms >= at_ms,
        (ReadFrom::Time(at_ms), true) => kept.at_ms <= at_ms,
    };
    let mut found: Vec<(u64, Post)> = feed
        .ring()
        .filter(is_in)
        .filter_map(|kept| post_of(kept.number, &kept.message))
        .collect();
    if backwards {
        found.reverse();
    }
    let more = found.len() > count;
    found.truncate(count);
    (found, more)
}

/// Names of messages that a sender's program may send again before it is sure that they came.
const SENT_REMEMBERED_MAX: usize = 256;
/// How much a mailbox keeps: what is over is refused, so that nothing goes unseen; only age takes something away.
const MAIL_KEPT: Retention = Retention {
    count_max: u64::MAX / 2,
    bytes_max: u64::MAX / 2,
    age_max_s: KEPT_TTL_MAX.as_secs(),
};
