//! The fleet's hub, as a program speaks with it.

use std::time::Duration;

use longrein_io::remote::RemoteError;
use longrein_proto::base::{MonoTime, Name, NodeName};
use longrein_proto::hub::Caller;
use longrein_proto::wire::hub::{
    Answer, HubRefusal, LockInfo, Member, MessageId, Owner, Request, RoomInfo, RoomRole,
    RoomSettings,
};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use super::HubError;
use super::switchboard::{Switchboard, Undo};
use crate::Connection;

/// The fleet's hub, as a program speaks with it. Clones are handles to the same one.
///
/// A request waits for the hub and for its answer as long as the handle has patience ([`Hub::PATIENCE`] unless told otherwise). What
/// the hub answers with `Busy` or `TooOften` is asked again meanwhile. Unless something else is said, every method fails with
/// [`HubError::Refused`] and why, [`HubError::NotReached`], [`HubError::TimedOut`], [`HubError::TooMany`],
/// [`HubError::WrongAnswer`] or [`HubError::Connection`].
#[derive(Clone, Debug)]
pub struct Hub {
    connection: Connection,
    patience: Duration,
}

impl Hub {
    pub(crate) fn new(connection: Connection) -> Hub {
        Hub {
            connection,
            patience: Self::PATIENCE,
        }
    }

    /// The same hub, asked with more or less patience.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Hub {
        self.patience = patience;
        self
    }

    /// The connection that it is reached by.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether a hub is reached now.
    ///
    /// # Errors
    /// [`HubError::Connection`].
    pub async fn is_reached(&self) -> Result<bool, HubError> {
        self.desk(|_, _, caller| caller.is_up()).await
    }

    /// Makes a room; done also when it is there with these settings.
    ///
    /// # Errors
    /// [`HubRefusal::RoomExists`] when it has others, and see [`Hub`]. Who may not manage rooms may still make one as a member, by
    /// [`super::JoinOptions::create`].
    pub async fn create_room(&self, room: &Name, settings: RoomSettings) -> Result<(), HubError> {
        let room = room.clone();
        self.done(Request::CreateRoom { room, settings }).await
    }

    /// Closes a room: its members, topics and attributes are gone.
    ///
    /// # Errors
    /// See [`Hub`].
    pub async fn close_room(&self, room: &Name) -> Result<(), HubError> {
        let room = room.clone();
        self.done(Request::CloseRoom { room }).await
    }

    /// All rooms, by name.
    ///
    /// # Errors
    /// See [`Hub`].
    pub async fn rooms(&self) -> Result<Vec<RoomInfo>, HubError> {
        let mut all: Vec<RoomInfo> = Vec::new();
        for _ in 0..PAGES_MAX {
            let after = all.last().map(|info| info.room.clone());
            let count = PAGE_COUNT;
            let answer = self.ask(Request::Rooms { after, count }).await?;
            let Answer::Rooms { rooms, more } = answer else {
                return Err(HubError::WrongAnswer);
            };
            let is_last = !more || rooms.is_empty();
            all.extend(rooms);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    /// How a room stands.
    ///
    /// # Errors
    /// [`HubRefusal::NoSuchRoom`], and see [`Hub`].
    pub async fn room(&self, room: &Name) -> Result<RoomInfo, HubError> {
        let room = room.clone();
        let Answer::Room(info) = self.ask(Request::Room { room }).await? else {
            return Err(HubError::WrongAnswer);
        };
        Ok(info)
    }

    /// The members of a room by name, and the revision that they have; those that come or go meanwhile may be missing or there.
    ///
    /// # Errors
    /// [`HubRefusal::NoSuchRoom`], and see [`Hub`].
    pub async fn members(&self, room: &Name) -> Result<(u64, Vec<Member>), HubError> {
        let (mut all, mut first) = (Vec::<Member>::new(), None);
        for _ in 0..PAGES_MAX {
            let request = Request::Members {
                room: room.clone(),
                after: all.last().map(|member| member.node.clone()),
                count: PAGE_COUNT,
            };
            let Answer::Members {
                revision,
                members,
                more,
            } = self.ask(request).await?
            else {
                return Err(HubError::WrongAnswer);
            };
            // That of the first page: who knows it hears of everything that changed since.
            first.get_or_insert(revision);
            let is_last = !more || members.is_empty();
            all.extend(members);
            if is_last {
                break;
            }
        }
        Ok((first.unwrap_or(0), all))
    }

    /// Removes a member from a room.
    ///
    /// # Errors
    /// See [`Hub`].
    pub async fn kick(&self, room: &Name, node: &NodeName) -> Result<(), HubError> {
        let (room, node) = (room.clone(), node.clone());
        self.done(Request::Kick { room, node }).await
    }

    /// Gives a member of a room another role.
    ///
    /// # Errors
    /// See [`Hub`].
    pub async fn assign(
        &self,
        room: &Name,
        node: &NodeName,
        role: RoomRole,
    ) -> Result<(), HubError> {
        let (room, node) = (room.clone(), node.clone());
        self.done(Request::Assign { room, node, role }).await
    }

    /// The locks of a node or a room that are held.
    ///
    /// # Errors
    /// See [`Hub`].
    pub async fn locks(&self, owner: &Owner) -> Result<Vec<LockInfo>, HubError> {
        let owner = owner.clone();
        let Answer::Locks(locks) = self.ask(Request::Locks { owner }).await? else {
            return Err(HubError::WrongAnswer);
        };
        Ok(locks)
    }

    /// Takes a lock from whoever holds it.
    ///
    /// # Errors
    /// See [`Hub`].
    pub async fn revoke_lock(&self, owner: &Owner, lock: &Name) -> Result<(), HubError> {
        let (owner, lock) = (owner.clone(), lock.clone());
        self.done(Request::RevokeLock { owner, lock }).await
    }

    /// Asks for something that is done or refused.
    pub(super) async fn done(&self, request: Request) -> Result<(), HubError> {
        let Answer::Done { .. } = self.ask(request).await? else {
            return Err(HubError::WrongAnswer);
        };
        Ok(())
    }

    pub(super) async fn ask(&self, request: Request) -> Result<Answer, HubError> {
        self.ask_within(self.patience, request, Undo::Nothing).await
    }

    /// Asks until it is answered or the patience is over, again when the hub has no time. What nobody waits for any more is undone.
    pub(super) async fn ask_within(
        &self,
        patience: Duration,
        request: Request,
        undo: Undo,
    ) -> Result<Answer, HubError> {
        let until = Instant::now() + patience;
        let mut pause = PAUSE_FIRST;
        let mut last = HubError::TimedOut;
        for _ in 0..ATTEMPTS_MAX {
            let answer = self.ask_once(until, request.clone(), undo.clone()).await?;
            let Answer::Refused(why) = answer else {
                return Ok(answer);
            };
            let wait = if let HubRefusal::TooOften { retry_ms } = why {
                Duration::from_millis(retry_ms.into())
            } else if why == HubRefusal::Busy {
                pause
            } else {
                return Err(HubError::Refused(why));
            };
            last = HubError::Refused(why);
            if Instant::now() + wait >= until {
                break;
            }
            sleep(wait).await;
            pause *= 2;
        }
        Err(last)
    }

    async fn ask_once(
        &self,
        until: Instant,
        request: Request,
        undo: Undo,
    ) -> Result<Answer, HubError> {
        let (answer, answered) = oneshot::channel();
        self.tell_desk(move |board, _, caller| board.ask(caller, request, undo, answer))?;
        match timeout_at(until, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(RemoteError::Ended.into()),
            Err(_) => {
                let sweep = |board: &mut Switchboard, now, caller: &mut Caller| {
                    board.sweep(now, caller);
                    caller.is_up()
                };
                match self.desk(sweep).await? {
                    true => Err(HubError::TimedOut),
                    false => Err(HubError::NotReached),
                }
            }
        }
    }

    /// A random name for a message.
    pub(super) async fn new_id(&self) -> Result<MessageId, HubError> {
        let desk = self.connection.desk();
        Ok(desk.ask(|desk, _| desk.new_message_id()).await?)
    }

    /// Does something on the drive loop's thread, and waits for what comes of it.
    pub(super) async fn desk<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Switchboard, MonoTime, &mut Caller) -> T + Send + 'static,
    ) -> Result<T, HubError> {
        let desk = self.connection.desk();
        Ok(desk.ask(move |desk, now| desk.with_hub(now, act)).await?)
    }

    /// The same, and does not wait.
    pub(super) fn tell_desk(
        &self,
        act: impl FnOnce(&mut Switchboard, MonoTime, &mut Caller) + Send + 'static,
    ) -> Result<(), HubError> {
        let desk = self.connection.desk();
        Ok(desk.call(move |desk, now| desk.with_hub(now, act))?)
    }

    pub(super) const fn patience(&self) -> Duration {
        self.patience
    }

    /// Two round trips over the worst links that carry driving, and a restart of the hub's program.
    pub const PATIENCE: Duration = Duration::from_secs(5);
}

/// A duration as the hub's words have it.
pub(super) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// Entries that are asked for at once: as many as the hub gives.
pub(super) const PAGE_COUNT: u32 = longrein_proto::base::limits::PAGE_COUNT_MAX;
/// Pages that one answer is gathered from: all rooms of a full hub, 16 to a page.
pub(super) const PAGES_MAX: usize = 8_192;
/// Attempts of one request: the last pauses are longer than the patience.
const ATTEMPTS_MAX: usize = 8;
/// Until a request is made again that the hub had no time for; doubled each time.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
