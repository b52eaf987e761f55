//! How a program joins a room.

use longrein_proto::base::Name;
use longrein_proto::wire::hub::{
    Answer, Request, Retention, RoomRole, RoomSettings, Start, TopicFrom,
};

use super::switchboard::RoomSeat;
use super::{Hub, HubError, Room};

/// How a program joins a room: as what, and what it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinOptions {
    room: Name,
    role: RoomRole,
    topics: Vec<TopicFrom>,
    create: Option<RoomSettings>,
    reads_members: bool,
}

impl JoinOptions {
    /// Joins this room, reading nothing yet.
    pub fn new(room: Name, role: RoomRole) -> JoinOptions {
        JoinOptions {
            room,
            role,
            topics: Vec::new(),
            create: None,
            reads_members: false,
        }
    }

    /// Reads a topic, too.
    #[must_use]
    pub fn topic(mut self, topic: Name, from: Start) -> JoinOptions {
        self.topics.push(TopicFrom { topic, from });
        self
    }

    /// Makes the room so when it is not there.
    #[must_use]
    pub fn create(mut self, settings: RoomSettings) -> JoinOptions {
        self.create = Some(settings);
        self
    }

    /// Hears of members that come and go, too.
    #[must_use]
    pub fn members(mut self) -> JoinOptions {
        self.reads_members = true;
        self
    }

    /// What a room is unless somebody wants it otherwise: a hundred members of any role, of each topic a day and at most ten thousand
    /// messages or 16 MiB are kept, and it stays when all have left.
    pub const SETTINGS: RoomSettings = RoomSettings {
        members_max: 100,
        retention: Retention {
            count_max: 10_000,
            bytes_max: 16 * 1024 * 1024,
            age_max_s: 86_400,
        },
        is_transient: false,
        role_max: RoomRole::Dispatcher,
    };
}

impl Hub {
    /// Joins a room. It is left when the handle is dropped; whatever breaks meanwhile, it is joined again.
    ///
    /// # Errors
    /// [`HubError::InUse`] when this connection is in the room already, and see [`Hub`].
    pub async fn join(&self, options: JoinOptions) -> Result<Room, HubError> {
        let JoinOptions {
            room: name,
            role,
            topics,
            create,
            reads_members,
        } = options;
        let (seat, events) = RoomSeat::new();
        // From here on the room is left by the handle's drop, also when it was never entered.
        let room = Room::new(self.clone(), name.clone(), events);
        let seated = name.clone();
        self.desk(move |board, _, _| board.seat(seated, seat))
            .await??;
        let join = Request::Join {
            room: name.clone(),
            role,
            topics,
            create,
        };
        let Answer::Joined { .. } = self.ask(join).await? else {
            return Err(HubError::WrongAnswer);
        };
        if reads_members {
            let watch = Request::WatchMembers { room: name };
            let Answer::Subscribed(_) = self.ask(watch).await? else {
                return Err(HubError::WrongAnswer);
            };
        }
        Ok(room)
    }
}
