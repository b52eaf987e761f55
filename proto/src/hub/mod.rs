//! The hub: rooms, presence, attributes, mailboxes and history.
//!
//! Nothing here knows legs or stores: a role brings frames and carries them, and its program stores what it is told to.

mod presence;
mod presence_watches;
mod selecting;
mod stored;

pub use presence::{LinkState, Presence};
pub use presence_watches::{PresencePage, PresenceWatches, WatchError};
pub use selecting::{SelectorFacts, is_selected};
pub use stored::{Entry, JournalHead, Loaded, Page, Query, ReadFrom, StoreOp, Table};
