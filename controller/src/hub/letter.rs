//! Messages for this node.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use longrein_proto::base::{Class, Name, NodeName};
use longrein_proto::wire::hub::{
    Answer, Bytes, Cursor, Directed, HubRefusal, MessageId, Post, Request, Start, TargetOutcome,
    Want,
};
use tokio::sync::mpsc;

use super::{Hub, HubError};

/// A message for this node.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Who sent it.
    pub from: NodeName,
    /// Its sender's name for it.
    pub id: MessageId,
    /// What it is about, or the topic of a private message in a room.
    pub flow: Option<Name>,
    /// The room of a private message.
    pub room: Option<Name>,
    /// Its class.
    pub class: Class,
    /// Its place in the mailbox, if it comes from there.
    pub cursor: Option<Cursor>,
    /// When the hub had it, in milliseconds since 1970.
    pub at_ms: u64,
    /// Until when it is worth anything, in milliseconds since 1970.
    pub until_ms: u64,
    /// What its sender wants to hear.
    pub want: Want,
    /// What it says.
    pub payload: Bytes,
    hub: Hub,
}

impl Letter {
    fn new(hub: Hub, post: Post, room: Option<Name>, cursor: Option<Cursor>) -> Letter {
        Letter {
            from: post.from,
            id: post.id,
            flow: post.flow,
            room,
            class: post.class,
            cursor,
            at_ms: post.at_ms,
            until_ms: post.until_ms,
            want: post.want,
            payload: post.payload,
            hub,
        }
    }

    /// Says that it is done; its sender hears that if it wants to.
    ///
    /// # Errors
    /// See [`Hub`].
    pub async fn applied(&self) -> Result<(), HubError> {
        self.say(TargetOutcome::Applied).await
    }

    /// Says that it is not done, and why; its sender hears that if it wants to.
    ///
    /// # Errors
    /// See [`Hub`].
    pub async fn declined(&self, why: Name) -> Result<(), HubError> {
        self.say(TargetOutcome::Declined(why)).await
    }

    async fn say(&self, outcome: TargetOutcome) -> Result<(), HubError> {
        if self.want != Want::Applied {
            return Ok(());
        }
        let (id, from) = (self.id, self.from.clone());
        self.hub.done(Request::Outcome { id, from, outcome }).await
    }
}

/// Messages for this node that go past the mailbox.
///
/// At most [`Letters::WAITING_MAX`] wait for a slow reader; more are missed and counted, and whoever wants to hear what was done hears
/// `declined: overloaded`. While nobody reads them, `declined: no-reader`.
#[derive(Debug)]
pub struct Letters {
    hub: Hub,
    letters: mpsc::Receiver<Directed>,
    missed: Arc<AtomicU64>,
}

impl Letters {
    /// The next one; none when the connection has ended. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Letter> {
        let Directed { post, room } = self.letters.recv().await?;
        Some(Letter::new(self.hub.clone(), post, room, None))
    }

    /// How many were missed because they were read too slowly.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Letters that wait for a slow reader: 16 MiB of the longest.
    pub const WAITING_MAX: usize = 256;
}

/// The own mailbox: messages that are kept for this node until it has taken them, or their time is over.
#[derive(Debug)]
pub struct Mailbox {
    hub: Hub,
    events: mpsc::Receiver<Mail>,
}

/// What comes of the mailbox.
#[derive(Clone, Debug)]
pub enum MailboxEvent {
    /// A message.
    Letter(Box<Letter>),
    /// It is read again, after the hub was away.
    Resumed {
        /// Whether messages may have been missed.
        is_broken: bool,
    },
    /// It is not read any more, as the hub refused when it was back.
    Lost(HubRefusal),
    /// More came than may wait: open it again, behind the last cursor.
    Overrun,
}

/// What the drive loop puts into the queue.
#[derive(Debug)]
pub(super) enum Mail {
    Post(Post, Option<Cursor>),
    Resumed { is_broken: bool },
    Lost(HubRefusal),
    Overrun,
}

impl Mailbox {
    /// What comes next; none when the connection has ended, or after the end was told. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<MailboxEvent> {
        Some(match self.events.recv().await? {
            Mail::Post(post, cursor) => {
                let letter = Letter::new(self.hub.clone(), post, None, cursor);
                MailboxEvent::Letter(Box::new(letter))
            }
            Mail::Resumed { is_broken } => MailboxEvent::Resumed { is_broken },
            Mail::Lost(why) => MailboxEvent::Lost(why),
            Mail::Overrun => MailboxEvent::Overrun,
        })
    }

    /// The message at this place and all before it need not be kept any more.
    ///
    /// # Errors
    /// See [`Hub`]: they come again.
    pub async fn taken(&self, cursor: Cursor) -> Result<(), HubError> {
        let below = cursor.number.saturating_add(1);
        self.hub.done(Request::Taken { below }).await
    }

    /// What may wait for a slow reader: all that a mailbox keeps.
    pub const WAITING_MAX: usize = 1_100;
}

impl Hub {
    /// Reads the messages for this node that go past the mailbox, private ones in rooms among them, from now on.
    ///
    /// # Errors
    /// [`HubError::InUse`] while other [`Letters`] of this connection live; [`HubError::Connection`].
    pub async fn letters(&self) -> Result<Letters, HubError> {
        let (tell, letters) = mpsc::channel(Letters::WAITING_MAX);
        let missed = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&missed);
        self.desk(move |board, _, _| board.read_letters(tell, count))
            .await??;
        Ok(Letters {
            hub: self.clone(),
            letters,
            missed,
        })
    }

    /// Reads the own mailbox from this place on: with [`Start::Oldest`] all that was not [`Mailbox::taken`].
    ///
    /// # Errors
    /// [`HubError::InUse`] while another [`Mailbox`] of this connection lives, and see [`Hub`].
    pub async fn mailbox(&self, from: Start) -> Result<Mailbox, HubError> {
        let (tell, events) = mpsc::channel(Mailbox::WAITING_MAX + 1);
        self.desk(move |board, _, _| board.read_mailbox(tell))
            .await??;
        let Answer::Subscribed(_) = self.ask(Request::Mailbox { from }).await? else {
            return Err(HubError::WrongAnswer);
        };
        Ok(Mailbox {
            hub: self.clone(),
            events,
        })
    }
}
