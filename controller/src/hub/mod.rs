//! The fleet's hub: rooms, messages to nodes, mailboxes, presence, attributes, locks and history.
//!
//! A hub is a relay that is set to be one. [`crate::Connection::hub`] gives the handle; whatever breaks meanwhile, rooms and watches
//! are there again by themselves once the hub is reached again. Nothing that goes through it commands a vehicle.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use longrein::hub::{JoinOptions, RoomEvent, RoomRole, Start};
//! use longrein::{Class, Connection, Settings};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::new("harbour/controller-alice").relay("east".parse()?, "192.0.2.1:4433");
//! let connection = Connection::connect(settings).await?;
//! let hub = connection.hub();
//!
//! let join = JoinOptions::new("yard".parse()?, RoomRole::Driver).topic("talk".parse()?, Start::Now);
//! let mut room = hub.join(join).await?;
//! let minute = Duration::from_secs(60);
//! room.publish(&"talk".parse()?, Class::Reliable, minute, b"good morning".as_slice()).await?;
//! while let Some(event) = room.next().await {
//!     if let RoomEvent::Message(message) = event {
//!         println!("{} on {}: {:?}", message.from, message.topic, message.payload);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! `examples/room.rs` is a whole program.

mod cursor_text;
mod document;
mod error;
mod history;
#[expect(
    clippy::module_inception,
    reason = "the file is named after its main type"
)]
mod hub;
mod join;
mod letter;
mod lock_guard;
mod message;
mod presence;
mod room;
mod switchboard;

pub use cursor_text::{CursorText, CursorTextError};
pub use document::{DocumentWatch, Write};
pub use error::HubError;
pub use history::History;
pub use hub::Hub;
pub use join::JoinOptions;
pub use letter::{Letter, Letters, Mailbox, MailboxEvent};
pub use lock_guard::{LockGuard, LockLoss};
pub use longrein_proto::wire::hub::{
    Bytes, Cursor, Document, HistoryEntry, HistoryFrom, HubRefusal, Item, Journal, Label,
    LeaveReason, LinkPresence, LockInfo, Member, MemberChange, MemberChanges, MessageId,
    NodePresence, Owner, Post, PresenceReason, Retention, RoomInfo, RoomRole, RoomSettings,
    Section, Selector, Start, TargetOutcome, TargetResult, Targets, Want,
};
pub use message::{Message, Sent};
pub use presence::{PresenceWatch, Whereabouts};
pub use room::{Published, Room, RoomEvent, RoomMessage};
pub(crate) use switchboard::Switchboard;

#[cfg(test)]
mod tests {
    use longrein_proto::base::limits;

    #[test]
    fn the_guide_says_the_limits_as_they_are() {
        let guide = include_str!("../../../docs/hub.md");
        let says = |name: &str, most: u64| {
            let row = format!("| {most} | `{name}` |");
            assert!(guide.contains(&row), "{row}");
        };
        macro_rules! counts {
            ($($name:ident),+) => { $(says(stringify!($name), limits::$name as u64);)+ };
        }
        macro_rules! spans {
            ($($name:ident),+) => { $(says(stringify!($name), limits::$name.as_secs());)+ };
        }
        counts!(
            MESSAGE_BYTES_MAX,
            ROOMS_MAX,
            ROOM_MEMBERS_MAX,
            ROOM_TOPICS_MAX,
            ROOMS_PER_NODE_MAX,
            MAILBOX_MESSAGES_MAX,
            MAILBOX_BYTES_MAX,
            TARGETS_MAX,
            TRACKED_SENDS_PER_CLIENT_MAX,
            PAGE_COUNT_MAX,
            ASKS_PER_S,
            DOCUMENT_ITEMS_MAX,
            DOCUMENT_VALUE_BYTES_MAX,
            DOCUMENT_BYTES_MAX,
            DOCUMENT_WATCHES_PER_CLIENT_MAX,
            LOCKS_PER_OWNER_MAX,
            LOCK_WAITERS_MAX
        );
        spans!(KEPT_TTL_MAX, LIVE_TTL_MAX, LOCK_TTL_MAX, LOCK_WAIT_MAX);
    }
}
