//! The hub: rooms, presence, attributes, mailboxes and history.
//!
//! Nothing here knows legs or stores: a role brings frames and carries pieces, and its program stores what it is told to.
//! Nothing that goes through it is a command: what a vehicle obeys comes from a session only.

mod caller;
mod carrier;
mod client;
mod documents;
mod feed;
#[expect(
    clippy::module_inception,
    reason = "the file is named after its main type"
)]
mod hub;
mod intake;
mod locks;
mod moment;
mod policy;
mod presence;
mod presence_watches;
mod reported;
mod room;
mod selecting;
mod sends;
mod stored;
#[cfg(test)]
mod tests;

pub use caller::{Caller, CallerEvent, Source, TooManyAsks};
pub use carrier::Piece;

pub use feed::ClientId;
pub use hub::{Hub, HubCounters, HubEffect, HubSettings, LocalTell};
pub use moment::Moment;
pub use policy::{HubPolicy, HubRight, HubRights, HubRule, HubWho};
pub use presence::{LinkState, Presence};
pub use presence_watches::{PresencePage, PresenceWatches, WatchError};
pub use reported::Reported;
pub use selecting::{SelectorFacts, is_selected};
pub use stored::{Entry, JournalHead, Loaded, Page, Query, ReadFrom, StoreOp, Table};
