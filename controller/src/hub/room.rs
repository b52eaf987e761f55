//! A room that this program is in.

use std::sync::Arc;
use std::time::Duration;

use longrein_proto::base::{Class, Name, NodeName};
use longrein_proto::hub::Caller;
use longrein_proto::wire::hub::{
    Answer, Bytes, Cursor, HubRefusal, LeaveReason, Member, MemberChanges, MessageId, Publish,
    Request, RoomRole, Start, TopicFrom, Want,
};

use super::hub::millis;
use super::message::Sent;
use super::switchboard::{RoomEvents, Switchboard};
use super::{Hub, HubError};

/// A room that this program is in, until the handle is dropped.
///
/// What comes is read by [`Room::next`]. At most [`Room::WAITING_MAX`] messages wait for a slow reader, and
/// [`Room::WAITING_BYTES_MAX`] bytes; then messages of `latest` and `unordered` are missed and counted, and a topic with `reliable`
/// ones is read on at the hub once there is room again: nothing is lost that the room keeps for so long.
#[derive(Debug)]
pub struct Room {
    hub: Hub,
    name: Name,
    events: RoomEvents,
}

/// What happens in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomEvent {
    /// A message on a topic that is read.
    Message(RoomMessage),
    /// Members came, went or have another role; asked for by [`super::JoinOptions::members`].
    Members(MemberChanges),
    /// It is read again, after the hub was away or the reader too slow.
    Resumed {
        /// The topic; none for the members, who may have changed unheard: ask for them.
        topic: Option<Name>,
        /// Whether messages may have been missed: what stood behind the last one is not kept any more.
        is_broken: bool,
    },
    /// This program is in the room no more, and did not ask for that; nothing follows.
    Removed(LeaveReason),
    /// The hub did not let it in again after it was away; nothing follows.
    Lost(HubRefusal),
    /// The reader is so slow that not even what is told about the room fits; nothing follows. Join again, behind the last cursor.
    Overrun,
}

/// A message on a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomMessage {
    /// The topic.
    pub topic: Name,
    /// Who sent it.
    pub from: NodeName,
    /// Its sender's name for it.
    pub id: MessageId,
    /// Its class.
    pub class: Class,
    /// Its place, if it is kept: who stores it with what the message did, and joins with [`Start::After`], has every message once.
    pub cursor: Option<Cursor>,
    /// When the hub had it, in milliseconds since 1970.
    pub at_ms: u64,
    /// Until when it is worth anything, in milliseconds since 1970.
    pub until_ms: u64,
    /// What it says.
    pub payload: Bytes,
}

/// A message that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its name.
    pub id: MessageId,
    /// Its place, if it is kept; it is stored then.
    pub cursor: Option<Cursor>,
    /// When the hub had it, in milliseconds since 1970.
    pub at_ms: u64,
    /// How many programs read the topic; 0 for one that the hub had already.
    pub targets: u32,
}

impl Room {
    pub(super) fn new(hub: Hub, name: Name, events: RoomEvents) -> Room {
        Room { hub, name, events }
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// What happens next; none when the room is left or the connection has ended. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<RoomEvent> {
        let event = self.events.next().await;
        if self.events.wants_more() {
            let (name, hub) = (self.name.clone(), &self.hub);
            // When the drive loop is behind, it finds out by itself.
            drop(hub.tell_desk(move |board, _, caller| board.read_on(caller, &name)));
        }
        event
    }

    /// Messages of `latest` and `unordered` that were missed because they were read too slowly.
    pub fn missed(&self) -> u64 {
        self.events.missed()
    }

    /// Publishes on a topic. Of class `reliable` it is stored, as the room is set, once this returns.
    ///
    /// # Errors
    /// [`HubRefusal::RoleForbids`] for an observer, and see [`Hub`].
    pub async fn publish(
        &self,
        topic: &Name,
        class: Class,
        ttl: Duration,
        payload: impl Into<Bytes>,
    ) -> Result<Published, HubError> {
        let id = self.hub.new_id().await?;
        self.publish_as(id, topic, class, ttl, payload).await
    }

    /// The same with the application's own name for the message: sent again with it after [`HubError::TimedOut`], also by the next
    /// run of a program, it is taken once.
    ///
    /// # Errors
    /// As [`Room::publish`].
    pub async fn publish_as(
        &self,
        id: MessageId,
        topic: &Name,
        class: Class,
        ttl: Duration,
        payload: impl Into<Bytes>,
    ) -> Result<Published, HubError> {
        let publish = Publish {
            room: self.name.clone(),
            topic: topic.clone(),
            class,
            ttl_ms: millis(ttl),
            id,
            to: Vec::new(),
            want: Want::Nothing,
            payload: payload.into(),
        };
        let Answer::Published {
            cursor,
            at_ms,
            targets,
        } = self.hub.ask(Request::Publish(publish)).await?
        else {
            return Err(HubError::WrongAnswer);
        };
        Ok(Published {
            id,
            cursor,
            at_ms,
            targets,
        })
    }

    /// Tells some members something that the others do not hear; it is not kept.
    ///
    /// # Errors
    /// [`HubRefusal::NotAMember`] when one of them is none, and see [`Hub`].
    pub async fn tell(
        &self,
        members: impl IntoIterator<Item = NodeName>,
        topic: &Name,
        class: Class,
        ttl: Duration,
        want: Want,
        payload: impl Into<Bytes>,
    ) -> Result<Sent, HubError> {
        let publish = Publish {
            room: self.name.clone(),
            topic: topic.clone(),
            class,
            ttl_ms: millis(ttl),
            id: self.hub.new_id().await?,
            to: members.into_iter().collect(),
            want,
            payload: payload.into(),
        };
        let (id, wanted) = (publish.id, want != Want::Nothing);
        Sent::ask(&self.hub, id, wanted, ttl, Request::Publish(publish)).await
    }

    /// Reads a topic more.
    ///
    /// # Errors
    /// [`HubRefusal::Full`] when the room has as many topics as it may, and see [`Hub`].
    pub async fn subscribe(&self, topic: &Name, from: Start) -> Result<(), HubError> {
        let (room, topic) = (self.name.clone(), topic.clone());
        let topic = TopicFrom { topic, from };
        let Answer::Subscribed(_) = self.hub.ask(Request::Subscribe { room, topic }).await? else {
            return Err(HubError::WrongAnswer);
        };
        Ok(())
    }

    /// Reads a topic no more; what came before is still in the queue.
    ///
    /// # Errors
    /// See [`Hub`].
    pub async fn unsubscribe(&self, topic: &Name) -> Result<(), HubError> {
        let (room, topic) = (self.name.clone(), topic.clone());
        self.hub.done(Request::Unsubscribe { room, topic }).await
    }

    /// The members, as [`Hub::members`] says.
    ///
    /// # Errors
    /// See [`Hub`].
    pub async fn members(&self) -> Result<(u64, Vec<Member>), HubError> {
        self.hub.members(&self.name).await
    }

    /// Removes a member, as a dispatcher.
    ///
    /// # Errors
    /// See [`Hub`].
    pub async fn kick(&self, node: &NodeName) -> Result<(), HubError> {
        self.hub.kick(&self.name, node).await
    }

    /// Gives a member another role, as a dispatcher.
    ///
    /// # Errors
    /// See [`Hub`].
    pub async fn assign(&self, node: &NodeName, role: RoomRole) -> Result<(), HubError> {
        self.hub.assign(&self.name, node, role).await
    }

    /// Leaves it, and waits until the hub has it. Dropping the handle leaves it too.
    ///
    /// # Errors
    /// See [`Hub`]: the hub is told once it is reached again, and removes who is not heard any more.
    pub async fn leave(self) -> Result<(), HubError> {
        let room = self.name.clone();
        self.hub.done(Request::Leave { room }).await?;
        // It is left: the drop has nothing more to ask.
        let (name, mark) = (self.name.clone(), self.events.seat());
        let unseat = move |board: &mut Switchboard, _, _: &mut Caller| {
            board.unseat(&name, &mark);
        };
        self.hub.tell_desk(unseat)
    }

    /// Messages that wait for a slow reader.
    pub const WAITING_MAX: usize = 1_024;
    /// Bytes of these: a hundred of the longest messages.
    pub const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;
}

impl Drop for Room {
    fn drop(&mut self) {
        let (name, me) = (self.name.clone(), self.events.seat());
        // When the drive loop is behind, it finds the abandoned room by itself.
        drop(
            self.hub
                .tell_desk(move |board, _, caller| board.leave(caller, &name, &me)),
        );
    }
}

/// Which handle a seat belongs to.
pub(super) type SeatMark = Arc<()>;
